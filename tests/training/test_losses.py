"""The loss of segmenters: Dice of each case, or of all of a step together."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from casewise.models.tasks.losses import segmentation_loss


@given(seed=st.integers(0, 10_000), count=st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_pooled_cases_count_as_one_that_holds_them_all(seed: int, count: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn((count, 3, 5, 6), generator=generator)
    target = torch.randint(3, (count, 5, 6), generator=generator)
    side_by_side = torch.cat(list(logits), dim=-1)[None], torch.cat(list(target), dim=-1)[None]
    pooled = segmentation_loss(logits, target, pooled=True)
    assert torch.allclose(pooled, segmentation_loss(*side_by_side), atol=1e-5)


def test_a_pooled_case_or_structure_without_weight_does_not_count() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, target = torch.randn((3, 3, 5, 6), generator=generator), torch.randint(3, (3, 5, 6), generator=generator)
    alone = segmentation_loss(logits[:2], target[:2], torch.tensor([1.0, 0.5]), pooled=True)
    assert torch.allclose(segmentation_loss(logits, target, torch.tensor([1.0, 0.5, 0.0]), pooled=True), alone, atol=1e-6)
    labelled = torch.tensor([[True, False]] * 3)
    known = segmentation_loss(logits, target % 2, labelled=labelled, pooled=True)
    merged = torch.stack([logits[:, [0, 2]].logsumexp(dim=1), logits[:, 1]], dim=1)
    assert torch.allclose(known, segmentation_loss(merged, target % 2, pooled=True), atol=1e-5)
