"""Cases that lack a structure's mask: what the network says of it there is neither right nor wrong."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from casewise.case import Case, Structure
from casewise.models import Model, Preparation, Spec
from casewise.models.tasks.losses import segmentation_loss
from casewise.training import Settings, fit
from casewise.training.metrics import per_case
from tests.discs import disc

WEIGHT = torch.ones(1)


def spec() -> Spec:
    structures = (Structure.parse("rim"), Structure.parse("core"))
    return Spec("segmentation", {"kind": "unet", "channels": [4, 8, 16]}, Preparation(2, (32, 32)), structures)


def case(seed: int, *names: str) -> Case:
    """A disc with a darker core, of which the masks ``names`` (``rim``, ``core``) are known."""
    image, mask = disc(seed)
    core = ndimage.binary_erosion(mask, iterations=2)
    masks = {"rim": mask & ~core, "core": core}
    return Case.of(image.with_array(image.array - np.where(core, 0.3, 0)), {name: masks[name] for name in names}, subject=str(seed))


@given(seed=st.integers(0, 10_000), share=st.floats(0.01, 0.99))
@settings(max_examples=25, deadline=None)
def test_what_is_not_labelled_counts_as_background(seed: int, share: float) -> None:
    """Probability may go from background to the unlabelled structure and back without any change of the loss."""
    generator = torch.Generator().manual_seed(seed)
    chances = torch.rand((1, 3, 6, 6), generator=generator).softmax(dim=1)
    target = (torch.rand((1, 6, 6), generator=generator) < 0.4).long()  # of the first structure alone
    labelled = torch.tensor([[True, False]])
    moved = chances.clone()
    both = chances[:, 0] + chances[:, 2]
    moved[:, 0], moved[:, 2] = both * share, both * (1 - share)
    first, second = (segmentation_loss(c.log(), target, WEIGHT, labelled=labelled) for c in (chances, moved))
    assert torch.allclose(first, second, atol=1e-5)
    two = torch.stack([both, chances[:, 1]], dim=1)
    assert torch.allclose(first, segmentation_loss(two.log(), target, WEIGHT), atol=1e-5)
    everything = torch.tensor([[True, True]])
    plain = segmentation_loss(chances.log(), target, WEIGHT)
    assert torch.allclose(segmentation_loss(chances.log(), target, WEIGHT, labelled=everything), plain, atol=1e-5)


@pytest.mark.parametrize("partial", [False, True])
def test_measures_count_what_is_labelled(partial: bool) -> None:
    model = Model.initial("rings", spec())
    both, one = case(0, "rim", "core"), case(0, "rim")
    whole = per_case(model.ready(), model.spec, [both], partial=partial)["soft_dice"][0]
    half = per_case(model.ready(), model.spec, [one], partial=partial)["soft_dice"][0]
    only = per_case(model.ready(), model.spec, [case(0, "core")], partial=partial)["soft_dice"][0]
    assert (abs((half + only) / 2 - whole) < 1e-6) == partial


def test_mixed_precision_learns_as_well() -> None:
    cases = [case(seed, "rim") for seed in range(4)]
    plan = {"steps": 120, "batch": 4, "rate": 1e-2, "augmentation": "none", "device": "cpu", "partial": True}
    model = fit(Model.initial("rings", spec()), cases, settings=Settings(**plan, mixed=True))
    assert float(np.mean(per_case(model.ready(), model.spec, cases, partial=True)["dice"])) > 0.85
