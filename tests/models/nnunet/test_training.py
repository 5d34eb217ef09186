"""A refinement trains an nnU-Net as nnU-Net does: on mirrored patches where mirrored answers count, as many as its plans say."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch

from casewise.case import Case
from casewise.image import Image
from casewise.models import Model
from casewise.models.spec import Spec
from casewise.training.batches import CaseBatches
from casewise.training.settings import Settings
from tests.models.nnunet.small import CONFIGURATION, PLANS, written

PLAIN = Settings(steps=1, batch=4, augmentation="none", device="cpu")


def case() -> Case:
    array = np.random.default_rng(0).normal(size=(16, 16, 16)).astype(np.float32)
    return Case.of(Image(array[None], np.eye(4)), {"organ": array > array.mean()})


def seen(spec: Spec, steps: int) -> list[torch.Tensor]:
    """What the network is trained on; every label lies where the image is bright."""
    batches, found = CaseBatches([case()], spec, settings=PLAIN), []
    for step in range(steps):
        batch = batches.batch(step, 4, np.random.default_rng(step))
        assert torch.equal(batch.target > 0, batch.x[:, 0] > 0)
        found += list(batch.x[:, 0])
    return found


def test_patches_are_mirrored_along_the_axes_whose_mirrored_answers_count(tmp_path: Path) -> None:
    model = Model.load(written(tmp_path))
    (plain,) = {one.numpy().tobytes(): one for one in seen(Spec.planned({**model.spec.network, "mirroring": []}), 2)}.values()
    for mirrored, ways in (((0, 1, 2), 8), ((1,), 2)):
        spec = Spec.planned({**model.spec.network, "mirroring": list(mirrored)})
        different = {one.numpy().tobytes(): one for one in seen(spec, 12)}
        assert len(different) == ways
        flips = {plain.flip([axis for axis in mirrored if number >> axis & 1]).numpy().tobytes() for number in range(8)}
        assert set(different) == flips


def test_a_step_takes_as_many_patches_as_the_plans_say_and_pools_them(tmp_path: Path) -> None:
    plans = copy.deepcopy(PLANS)
    plans["configurations"]["3d_fullres"] = CONFIGURATION | {"batch_size": 9, "batch_dice": True}
    preparation = Model.load(written(tmp_path, plans)).spec.preparation
    assert preparation.pooled and preparation.at_once(4) == 9 and preparation.at_once(20) == 20
    assert not Model.load(written(tmp_path / "other")).spec.preparation.pooled
