"""The applications that come with casewise: they load, answer within the image, say what they cannot take, and are any good."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from casewise import formats
from casewise.applications import Application
from casewise.applications.isolated.python import started
from casewise.applications.registry import default_registry
from casewise.applications.shipped import CATALOGUE, ShippedApplication
from casewise.errors import CasewiseError, UsageError
from casewise.header import Header
from casewise.image import Image
from casewise.models import shipped
from casewise.training.metrics import dice

NAMES = sorted(CATALOGUE)
HEADINGS = ("## Settings", "## Data, split, command", "## Measured when it was made", "## Where it fails", "## Limits")
SEGMENTERS = [name for name in NAMES if name in {"heart-chambers", "hippocampus"}]
MOST_BYTES = 2 << 20


def synthetic(dims: int, seed: int = 0) -> Image:
    """Bright balls in noise; neither anatomy nor a constant."""
    rng = np.random.default_rng(seed)
    shape = (70, 90) if dims == 2 else (40, 50, 12)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij"))
    ball = (grid**2).sum(axis=0) < 0.4
    return Image((ball * 500 + rng.normal(100, 30, shape)).astype(np.float32)[None], np.diag([1.0, 1.2, 2.0, 1.0]))


def test_the_catalogue_and_the_models_belong_together() -> None:
    assert {application.model for application in CATALOGUE.values()} <= set(shipped.names())
    assert len({application.model for application in CATALOGUE.values()}) == len(CATALOGUE)


@pytest.mark.parametrize("name", NAMES)
def test_it_answers_within_the_image(name: str) -> None:
    application = ShippedApplication(name, device="cpu", intended_only=False)
    assert isinstance(application, Application) and application.name == name
    image = synthetic(CATALOGUE[name].dimensions[0])
    findings = application.analyze(image)
    assert all(finding.application == name and 0 <= finding.probability <= 1 for finding in findings)
    for finding in findings:
        if finding.box is not None:
            assert min(finding.box.lower) >= 0
            assert all(high <= n for high, n in zip(finding.box.upper, image.spatial_shape, strict=True))
    if name not in SEGMENTERS:
        (finding,) = findings
        assert set(finding.scores) == set(shipped.load(CATALOGUE[name].model).labels)
        assert sum(finding.scores.values()) == pytest.approx(1, abs=1e-4)
        assert finding.probability == max(finding.scores.values()) == finding.scores[finding.label]


@pytest.mark.parametrize("name", NAMES)
def test_a_runner_starts_it_from_its_declaration(name: str) -> None:
    assert callable(started("casewise.applications.shipped:ShippedApplication", {"name": name, "device": "cpu"}))


@pytest.mark.parametrize("name", NAMES)
def test_its_model_is_small_and_its_card_complete(name: str) -> None:
    model = shipped.load(CATALOGUE[name].model)
    folder = shipped.FOLDER / CATALOGUE[name].model
    card = (folder / "card.md").read_text(encoding="utf-8")
    assert sum(path.stat().st_size for path in folder.iterdir()) < MOST_BYTES
    assert [card.count(f"{heading}\n") for heading in HEADINGS] == [1] * len(HEADINGS)
    assert f"`python -m recipes.{CATALOGUE[name].model}`" in card
    assert "95 % interval" in card and "Not a medical device" in card
    assert model.trained_on and model.lineage.measures
    assert all(0 < value <= 1 for value in model.lineage.measures.values())


@pytest.mark.parametrize("name", NAMES)
def test_it_refuses_what_it_was_not_made_for(name: str) -> None:
    (wrong,) = {2, 3} - set(CATALOGUE[name].dimensions) or (None,)
    if wrong is not None:
        with pytest.raises(CasewiseError, match=f"{name} takes a"):
            ShippedApplication(name, device="cpu").analyze(synthetic(wrong))
    broken = synthetic(CATALOGUE[name].dimensions[0])
    broken.array[0].flat[0] = np.nan
    with pytest.raises(CasewiseError, match="not finite"):
        ShippedApplication(name, device="cpu").analyze(broken)


def test_an_unknown_name_gets_the_known_ones() -> None:
    with pytest.raises(UsageError, match="hippocampus"):
        ShippedApplication("lung")


def test_masks_are_written_on_the_images_grid(shared_data: Path, tmp_path: Path) -> None:
    image, truth = acdc(shared_data)
    findings = ShippedApplication("heart-chambers", device="cpu", masks=tmp_path).analyze(image)
    assert {finding.label for finding in findings} == set(truth)
    for finding in findings:
        mask = formats.read_mask(finding.mask, image)
        assert mask[finding.box.slices].sum() == mask.sum() > 0
    assert sorted(tmp_path.iterdir()) == sorted(finding.mask for finding in findings)


def acdc(shared_data: Path) -> tuple[Image, dict[str, np.ndarray]]:
    """A volume whose voxel size is not stored, and what a person outlined in it."""
    path = min((shared_data / "acdc").glob("*.h5"))
    image = formats.read(path)
    names = ("right_ventricle", "myocardium", "left_ventricle")
    return image, {name: formats.read_mask(path, image, member="label", value=n) for n, name in enumerate(names, start=1)}


def test_heart_chambers_are_outlined_in_volumes_and_slices_turned_any_way(shared_data: Path) -> None:
    image, truth = acdc(shared_data)
    application = ShippedApplication("heart-chambers", device="cpu")
    model = shipped.load("heart_chambers")
    for turns in range(4):
        masks = model.predict(Image(np.rot90(image.array, turns, (1, 2)).copy(), header=image.header)).masks()
        values = {name: dice(masks[name], np.rot90(mask, turns)) for name, mask in truth.items()}
        assert values["left_ventricle"] > 0.6 and min(values.values()) > 0.4, values
    middle = Image(image.array[..., image.array.shape[-1] // 2].copy(), header=image.header)
    assert {finding.label for finding in application.analyze(middle)} == set(truth)


def test_measures_have_the_unit_that_the_file_allows(shared_data: Path) -> None:
    """Voxels where the size of a voxel is not stored, millilitres where it is; never the one for the other."""
    image, _ = acdc(shared_data)
    application = ShippedApplication("heart-chambers", device="cpu")
    counted = {finding.label: finding.measures for finding in application.analyze(image)}
    known = Image(image.array, np.diag([1.5, 1.5, 10.0, 1.0]), replace(image.header, spacing_known=True, orientation_known=True))
    measured = {finding.label: finding.measures for finding in application.analyze(known)}
    assert counted.keys() == measured.keys() and counted
    for label, measures in counted.items():
        assert not [name for name in measures if name.endswith(("_mm", "_mm2", "_ml"))]
        assert measured[label]["volume_ml"] == pytest.approx(measures["volume_voxels"] * 1.5 * 1.5 * 10 / 1000)
        assert {"longest_diameter_mm"} <= measured[label].keys()


def test_a_hippocampus_is_outlined_and_measured_in_its_crop(shared_data: Path) -> None:
    for path in sorted((shared_data / "hippocampus" / "images").glob("*.nii.gz"))[::20]:
        image = formats.read(path)
        (finding,) = ShippedApplication("hippocampus", device="cpu").analyze(image)
        truth = formats.read_mask(shared_data / "hippocampus" / "labels" / path.name, image)
        assert dice(shipped.load("hippocampus").predict(image).mask == 1, truth) > 0.7
        assert finding.measures["volume_ml"] == pytest.approx(truth.sum() / 1000, rel=0.5)


@pytest.mark.parametrize(("known", "unit"), [(True, "mm"), (False, "voxels")])
def test_a_hippocampus_is_not_sought_in_a_whole_head(known: bool, unit: str) -> None:
    head = Image(np.zeros((1, 160, 20, 20), np.float32), header=Header(spacing_known=known))
    with pytest.raises(CasewiseError, match=f"at most 100 {unit} .* is 160 {unit} long"):
        ShippedApplication("hippocampus", device="cpu").analyze(head)


def test_categories_bring_them_but_no_unknown_image_is_taken_for_a_hippocampus() -> None:
    registry = default_registry([])
    assert "heart-chambers" in registry.names_for("cardiac-mr")
    assert {"chest-regions", "irregularities"} <= set(registry.names_for("chest-xray"))
    assert "tuberculosis" not in registry.names_for("chest-xray")  # irregularities asks that model
    assert registry.get("hippocampus").features == ("hippocampus",)
    for category in ("unknown", "brain-mr", "cardiac-mr"):
        assert "hippocampus" not in registry.names_for(category)


def test_a_classifier_knows_most_of_what_it_was_trained_on(shared_data: Path) -> None:
    """Far from a measure of how good it is (the card has that): weights, order of classes and preparation fit together."""
    application = ShippedApplication("breast-ultrasound-class", device="cpu")
    right = [
        application.analyze(formats.read(path))[0].label == label
        for label in ("normal", "benign", "malignant")
        for path in sorted((shared_data / "busi" / label).glob("*.png"))[::6]
    ]
    assert len(right) >= 12 and np.mean(right) > 1 / 3 + 0.2
