"""The archive of the server's demonstration: made once, gone on with where it stopped, and never mixed with somebody's images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from casewise.archive import Archive
from casewise.demo import archive as demo
from casewise.demo.sources import template
from casewise.demo.volumes import FLAIR, simulate_volume
from casewise.errors import UsageError
from casewise.image import Image


@pytest.fixture(autouse=True)
def fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_PICTURES", 2)
    monkeypatch.setattr(demo, "_LABELLED", 1)
    monkeypatch.setattr(demo, "_VOLUMES", (("FLAIR-a", FLAIR, 2),))


def test_the_archive_holds_pictures_volumes_a_loop_and_colour(tmp_path: Path) -> None:
    with Archive.open(tmp_path / "demo", create=True) as archive:
        cases = demo.fill(archive)
        images = {record.key: archive.case(record.key).image for record in archive.images()}
        assert {*cases.pictures, *cases.volumes, *cases.analysed} <= set(images)
        assert {image.spatial_dims for key, image in images.items() if key in cases.pictures} == {2}
        volume = images[cases.volumes[0]]
        assert volume.spatial_dims == 3
        assert volume.header.modality == "MR"
        assert volume.header.orientation_known
        assert any(image.is_loop for image in images.values())
        assert any(image.channels == 3 and image.spatial_dims == 2 for image in images.values())
        assert archive.holdings().structures == {"grey_matter": 1, "white_matter": 1}


def test_what_is_there_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Archive.open(tmp_path / "demo", create=True) as archive:
        with monkeypatch.context() as broken:
            broken.setattr(demo, "_real", stopped)
            with pytest.raises(KeyboardInterrupt):
                demo.fill(archive)
        first = demo.fill(archive)
        count = len(archive)
        monkeypatch.setattr(demo, "simulate", None)
        monkeypatch.setattr(demo, "simulate_volume", None)
        assert demo.fill(archive) == first
        assert len(archive) == count


def stopped(folder: Path) -> demo._Makers:
    def make() -> demo._Made:
        raise KeyboardInterrupt

    yield "one", make


def test_an_archive_of_other_images_is_left_alone(tmp_path: Path) -> None:
    with Archive.open(tmp_path / "mine", create=True) as archive:
        archive.add(Image(np.zeros((1, 8, 8), np.uint8)))
        with pytest.raises(UsageError, match="not the demonstration's"):
            demo.fill(archive)
        assert len(archive) == 1


def test_bright_spots_lie_where_the_same_patient_has_none() -> None:
    plain, spotted = (simulate_volume(template(), FLAIR, 7, lesions=count) for count in (0, 3))
    assert np.array_equal(plain.affine, spotted.affine)
    assert spotted.array.max() <= np.iinfo(np.int16).max
    brighter = spotted.array.astype(int) - plain.array > 0.2 * plain.array.max()
    assert 20 < brighter.sum() < 0.05 * brighter.size
