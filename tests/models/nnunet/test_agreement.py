"""Masks are those of nnU-Net's own predictor, of its models and of those that casewise refined and wrote for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from casewise.case import Case
from casewise.models import Model
from casewise.models.export import export
from casewise.models.spec import Spec
from casewise.training.fit import fit
from casewise.training.metrics import measure
from casewise.training.settings import Settings
from tests.models.nnunet.conftest import DATASET, Task, masks_in, predicted

Trained = Callable[[str], Task]
AGREE = 0.999


def labels_of(model: Model, task: Task, name: str) -> np.ndarray:
    """(*spatial) numbers as nnU-Net writes them; of the regions here, the k-th kind is the label k too."""
    return model.predict(task.image(name), device="cpu").mask


def compare(model: Model, task: Task, theirs: dict[str, Any]) -> None:
    assert set(theirs) == set(task.tests)
    for name, mask in theirs.items():
        mine = labels_of(model, task, name)
        assert set(np.unique(mask)) > {0}  # there is something to agree on
        assert (mine == mask).mean() >= AGREE
        union = np.logical_or(mine > 0, mask > 0)
        assert (mine == mask)[union].mean() >= 0.99  # where one of the two sees a structure


def without_mirroring(model: Model) -> Model:
    return Model(model.name, Spec.planned({**model.spec.network, "mirroring": []}), model.weights)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["hippocampus", "regions", "brain"])
def test_masks_are_those_of_nnunets_own_predictor(trained: Trained, name: str) -> None:
    task = trained(name)
    model = Model.load(task.folder)
    assert model.spec.preparation.own.mirrored
    compare(without_mirroring(model), task, masks_in(task.work / "plain"))
    compare(model, task, masks_in(task.work / "mirrored"))


@pytest.mark.shared
def test_regions_are_masks_that_overlap(trained: Trained) -> None:
    task = trained("regions")
    (name,) = task.tests
    prediction = Model.load(task.folder).predict(task.image(name), device="cpu")
    masks = prediction.masks()
    assert list(masks) == ["hippocampus", "posterior"]
    assert np.array_equal(masks["hippocampus"], prediction.mask > 0)
    assert masks["posterior"].any() and masks["hippocampus"][masks["posterior"]].all()
    assert masks["hippocampus"].sum() > masks["posterior"].sum()


def cases_of(task: Task, names: tuple[str, ...], count: int) -> list[Case]:
    """Cases of the images that nnU-Net was trained on."""
    import nibabel as nib

    from casewise import formats

    raw = task.work / "raw" / DATASET
    cases = []
    for file in sorted((raw / "labelsTr").glob("*.nii.gz"))[:count]:
        channels = sorted((raw / "imagesTr").glob(f"{file.name.removesuffix('.nii.gz')}_*.nii.gz"))
        images = [formats.read(one) for one in channels]
        labels = np.asarray(nib.load(file).dataobj)
        image = images[0].with_array(np.concatenate([one.array for one in images]))
        masks: dict[str, Any] = {"anterior": labels == 1, "posterior": labels == 2, "hippocampus": labels > 0}
        cases.append(Case.of(image, {name: masks[name] for name in names}, name=file.name))
    return cases


@pytest.mark.shared
def test_a_refined_model_goes_back_to_nnunet(trained: Trained, tmp_path: Path) -> None:
    task, structures = trained("regions"), ("hippocampus", "posterior")
    model = without_mirroring(Model.load(task.folder))  # it was trained on images as they lie
    cases = cases_of(task, structures, 3)
    refined = fit(model, cases, settings=Settings(steps=8, batch=2, rate=1e-3, augmentation="light", device="cpu"))
    assert refined.lineage.parent == model.key and refined.key != model.key
    assert measure(refined, cases)["soft_dice"] > measure(model, cases)["soft_dice"]
    saved = Model.load(refined.save(tmp_path / "saved"))
    assert saved.key == refined.key
    written = export(saved, "nnunet", tmp_path / "results")
    assert written.parent.parent == tmp_path / "results"
    compare(saved, task, predicted(written, task.images, tmp_path / "out", mirror=False))
    again = Model.load(written)
    assert all(np.array_equal(again.weights[key], value) for key, value in refined.weights.items())


@pytest.mark.shared
def test_two_folds_answer_their_mean_as_in_nnunet(trained: Trained, tmp_path: Path) -> None:
    import shutil

    import torch

    task = trained("regions")
    folder = tmp_path / task.folder.name
    shutil.copytree(task.folder, folder)
    (folder / "fold_all").rename(folder / "fold_0")
    shutil.copytree(folder / "fold_0", folder / "fold_1")
    file = folder / "fold_1" / "checkpoint_final.pth"
    checkpoint = torch.load(file, weights_only=False)  # written a moment ago by nnU-Net
    generator = torch.Generator().manual_seed(0)
    for value in checkpoint["network_weights"].values():
        value *= 1 + 0.1 * torch.randn(value.shape, generator=generator)
    torch.save(checkpoint, file)
    model = Model.load(folder)
    assert model.spec.network["folds"] == ["0", "1"]
    compare(without_mirroring(model), task, predicted(folder, task.images, tmp_path / "out", mirror=False))
    one = Model.load(folder / "fold_1")
    assert one.spec.network["folds"] == ["1"] and one.key != model.key
