"""The application ``abnormality``: what it takes for a brain or a chest, what it refuses, and what it tells and writes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from casewise import formats
from casewise.abnormality.differences import abnormality as judging
from casewise.abnormality.differences import calibrated
from casewise.applications import Application
from casewise.applications.abnormality import Abnormality, kind_of
from casewise.applications.registry import default_registry
from casewise.errors import CasewiseError
from casewise.header import Header
from casewise.image import Image
from casewise.models import Model, Preparation, Spec, shipped
from tests.abnormality.test_differences import picture

KINDS = [name for name in ("abnormality_brain", "abnormality_chest") if name in shipped.names()]


def head(lesion: bool, skull: bool = False) -> Image:
    """Six slices 5 mm apart; the third has a bright spot."""
    slices = np.stack([picture(n, (26, 27) if lesion and n == 2 else None).array[0] for n in range(6)], axis=-1)
    array = 300 * np.clip(slices, 0, None) + (np.random.default_rng(0).uniform(1, 9, slices.shape) if skull else 0)
    return Image(array[None].astype(np.int16), np.diag([-1.0, -1.0, 5.0, 1.0]), Header(modality="MR", sequence="FLAIR"))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Model:
    """An untrained network in the shipped one's place: it completes with next to nothing, so that all is abnormal."""
    network = {"kind": "unet", "channels": [4, 8], "patch": 2, "holes": [6, 12], "sign": "brighter", "threshold": 0.0}
    spec = Spec("encoding", {**network, "normal": [0.1, 0.2, 0.3, 0.4]}, Preparation(2, (40, 40), intensity="none"))
    model = Model.initial("small", spec)
    monkeypatch.setattr(shipped, "load", lambda name: model)
    return model


def test_it_is_an_application_that_is_declared() -> None:
    assert isinstance(Abnormality(), Application)
    assert default_registry([]).get("abnormality").settings["maps"] == "."


def test_a_volume_is_a_brain_and_a_picture_a_chest_unless_it_says_mr() -> None:
    plane = Image(np.zeros((1, 8, 8)))
    assert kind_of(head(lesion=False)) == "brain"
    assert kind_of(plane) == "chest"
    assert kind_of(replace(plane, header=Header(modality="MR"))) == "brain"
    assert kind_of(replace(plane, header=Header(category="brain-mr"))) == "brain"


def test_map_and_synthesised_image_lie_on_the_images_grid(small: Model, tmp_path: Path) -> None:
    image = head(lesion=True)
    whole, *parts = Abnormality("cpu", maps=tmp_path, intended_only=False).analyze(image)
    assert whole.label == "abnormality" and whole.map is not None
    assert 0 <= whole.measures["normal_images_below_percent"] <= 100
    synthesised = formats.read(tmp_path / "abnormality-synthesised.nii.gz")
    for written in (formats.read(whole.map), synthesised):
        assert written.spatial_shape == image.spatial_shape
        assert np.allclose(written.affine, image.affine)
    assert all(part.box is not None and part.box.upper <= image.spatial_shape for part in parts)
    differences = [part.measures["difference_times"] for part in parts]
    assert differences == sorted(differences, reverse=True)


def test_what_is_synthesised_has_the_images_own_intensities(small: Model) -> None:
    from casewise.abnormality.differences import abnormality

    image = head(lesion=False)
    judged = abnormality(small, image)
    same = replace(judged, synthesised=judged.real)
    inside = (judged.real > 0) & (judged.real < 1)  # resizing takes some noise away
    assert (
        np.median(np.abs(same.in_intensities_of(image)[inside] - image.array[0][inside])) < 9
    )  # the noise that resizing takes away


def test_what_is_no_brain_without_its_skull_and_another_sequence_are_refused() -> None:
    with pytest.raises(CasewiseError, match=r"abnormality is for a brain without its skull.*remove the skull first"):
        Abnormality("cpu").analyze(head(lesion=False, skull=True))
    other = head(lesion=False)
    with pytest.raises(CasewiseError, match="give the FLAIR"):
        Abnormality("cpu").analyze(replace(other, header=replace(other.header, sequence="T1")))


def test_a_picture_of_something_else_is_refused_by_what_it_shows() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (1, 64, 64)).astype(np.uint8)
    with pytest.raises(CasewiseError):
        Abnormality("cpu").analyze(Image(noise))


def test_the_expected_difference_is_learnt_from_normal_images(small: Model) -> None:
    from casewise.case import Case

    learnt = calibrated(small, [Case.of(picture(n)) for n in range(3)])
    scored, plain = (judging(model, picture(9)) for model in (learnt, small))
    assert 0 < np.median(scored.map[scored.map > 0]) < 20
    assert scored.score > plain.score


@pytest.mark.skipif("abnormality_chest" not in KINDS, reason="its model is not shipped")
def test_a_radiograph_is_scored_within_its_lungs_whichever_way_it_lies(shared_data: Path, tmp_path: Path) -> None:
    image = formats.read(min((shared_data / "montgomery" / "images").glob("*_1.png")))
    upright = Abnormality("cpu", maps=tmp_path / "a").analyze(image)[0]
    turned = Abnormality("cpu", maps=tmp_path / "b").analyze(
        Image(np.ascontiguousarray(image.array[:, ::-1, ::-1]), header=image.header)
    )[0]
    assert upright.map is not None and turned.map is not None
    first, second = (formats.read(finding.map).array[0].astype(float) for finding in (upright, turned) if finding.map)
    assert first.shape == image.spatial_shape
    assert 0.02 < (first > 0).mean() < 0.6
    assert np.corrcoef(first.ravel(), second[::-1, ::-1].ravel())[0, 1] > 0.8
    assert formats.read(tmp_path / "a" / "abnormality-synthesised.png").array.dtype == image.array.dtype


@pytest.mark.parametrize("name", KINDS)
def test_the_shipped_models_are_small_and_their_cards_complete(name: str) -> None:
    folder = shipped.FOLDER / name
    card = (folder / "card.md").read_text(encoding="utf-8")
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 4 << 20
    assert "python -m recipes.abnormality" in card
    assert "95 % interval" in card and "Not a medical device" in card
    network = shipped.load(name).spec.network
    assert len(network["usual"]) == 42 * len(network["holes"])
    assert network["threshold"] > 0 and network["normal"]


@pytest.mark.skipif("abnormality_brain" not in KINDS, reason="its model is not shipped")
def test_the_shipped_model_of_the_brain_sees_a_bright_square_that_does_not_belong() -> None:
    model, rng = shipped.load("abnormality_brain"), np.random.default_rng(0)
    rows, columns = np.mgrid[:96, :96] - 47.5
    inside = (rows / 44) ** 2 + (columns / 36) ** 2 <= 1
    plain = np.where(inside, 100 + rng.normal(0, 3, inside.shape), 0)
    spoilt = plain.copy()
    spoilt[40:48, 55:63] = 190
    before, after = (judging(model, Image(array[None].astype(np.float32)), within=inside) for array in (plain, spoilt))
    assert after.score > before.score
    more = after.map - before.map
    assert more[40:48, 55:63].mean() > 0.5 + 3 * abs(more[10:30, 20:76].mean())
