"""``casewise segments``: what it answers, what it writes, what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from casewise import formats
from casewise.image import Image
from tests.cli.conftest import Call


@pytest.fixture
def volume(tmp_path: Path) -> tuple[Path, Path]:
    """A volume and the mask of something round in it."""
    grid = np.mgrid[:40, :36, :24]
    ball = ((grid - np.array([20, 18, 12]).reshape(3, 1, 1, 1)) ** 2).sum(axis=0) < 81
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    image = Image((ball * 100 + grid.sum(axis=0)).astype(np.int16)[None], affine)
    return (
        formats.write(tmp_path / "ct.nii.gz", image),
        formats.write_mask(tmp_path / "liver.nii.gz", ball, image),
    )


def test_blocks_of_a_region_are_reported_and_written(volume: tuple[Path, Path], tmp_path: Path, call: Call) -> None:
    image, mask = volume
    done = call("segments", image, "--region", f"liver={mask}", "--longest", "12", "--output", tmp_path / "out", "--json")
    assert done.code == 0, done.err
    reported = done.document
    assert isinstance(reported, list) and len(reported) > 4
    whole, ball = formats.read(image), formats.read(mask).array[0] > 0
    covered = np.zeros_like(ball)
    for entry in reported:
        assert entry["region"] == "liver" and entry["scale"] >= 0.8
        window = tuple(slice(lower, upper) for lower, upper in entry["box"])
        covered[window] = True
        piece = formats.read(entry["picture"])
        assert piece.spatial_shape == ball[window].shape
        assert np.array_equal(piece.array[0][ball[window]], whole.array[0][window][ball[window]])
        corner = whole.affine @ [*(lower for lower, _ in entry["box"]), 1]
        assert np.allclose(piece.affine[:, 3], corner, atol=1e-4)
    assert covered[ball].all()


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("--region", "liver"), "NAME=MASK"),
        (("--region", "liver=missing.nii.gz"), "missing.nii.gz"),
        (("--longest", "3"), "--longest"),
        (("--outside", "black"), "noise"),
    ],
)
def test_a_call_that_cannot_be_is_one_sentence(words: tuple[str, ...], wanted: str, volume: tuple[Path, Path], call: Call) -> None:
    done = call("segments", volume[0], *words, "--json")
    assert done.code == 2
    assert not done.out
    assert wanted in done.sentence


def test_a_volume_without_a_mask_is_refused(volume: tuple[Path, Path], call: Call) -> None:
    done = call("segments", volume[0], "--json")
    assert done.code == 2 and not done.out and done.sentence


def test_a_radiograph_gives_two_segments_a_lung_and_one_for_the_heart(shared_data: Path, tmp_path: Path, call: Call) -> None:
    path = shared_data / "montgomery" / "images"
    image = sorted(path.glob("*.png"))[0]
    done = call("segments", image, "--output", tmp_path / "out", "--json")
    assert done.code == 0, done.err
    reported = done.document
    assert isinstance(reported, list)
    names = [entry["region"] for entry in reported]
    assert names.count("left_lung") >= 2 and names.count("right_lung") >= 2 and names.count("heart") == 1
    sizes = {path.name: formats.read(path).spatial_shape for path in (tmp_path / "out").iterdir()}
    assert sorted(sizes.values()) == sorted(tuple(upper - lower for lower, upper in entry["box"]) for entry in reported)


def test_two_regions_of_one_name_are_refused(volume: tuple[Path, Path], tmp_path: Path, call: Call) -> None:
    image, mask = volume
    other = tmp_path / "other.nii.gz"
    other.write_bytes(mask.read_bytes())
    done = call("segments", image, "--region", f"a={mask}", "--region", f"a={other}", "--output", tmp_path / "out")
    assert done.code == 2
    assert f"Two regions are both named a: {mask} and {other}." in " ".join(done.err.split())
    assert not (tmp_path / "out").exists()
