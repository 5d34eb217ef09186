"""Labels weigh what their images' correlation says, place by place, however they come in batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from casewise.registration.label_fusion import LabelFusion


def test_each_place_follows_the_case_that_fits_there() -> None:
    labels = torch.tensor([[[1.0, 1.0, 1.0]], [[0.0, 0.0, 0.0]]])  # two cases, one structure, three places
    correlation = torch.tensor([[1.0, 0.5, 0.0], [0.0, 0.5, 1.0]])
    fusion = LabelFusion(sharpness=4.0)
    fusion.add(labels, correlation)
    found = fusion.probabilities()
    weights = np.exp([4.0, 0.0])
    np.testing.assert_allclose(found[1], [weights[0] / weights.sum(), 0.5, weights[1] / weights.sum()], rtol=1e-6)
    np.testing.assert_allclose(found.sum(dim=0), np.ones(3), rtol=1e-6)


def test_trust_scales_a_case_everywhere() -> None:
    fusion = LabelFusion(sharpness=4.0)
    fusion.add(torch.tensor([[[1.0]], [[0.0]]]), torch.zeros(2, 1), trust=torch.tensor([3.0, 1.0]))
    assert float(fusion.probabilities()[1]) == pytest.approx(0.75)


def test_batches_add_up() -> None:
    generator = torch.Generator().manual_seed(0)
    labels, correlation = torch.rand(5, 2, 6, 7, generator=generator), torch.rand(5, 6, 7, generator=generator)
    whole, parts = LabelFusion(8.0), LabelFusion(8.0)
    whole.add(labels, correlation)
    for start in (0, 2, 4):
        parts.add(labels[start : start + 2], correlation[start : start + 2])
    np.testing.assert_allclose(whole.probabilities(), parts.probabilities(), rtol=1e-5, atol=1e-6)
    assert whole.probabilities().shape == (3, 6, 7)


def test_nothing_cannot_be_fused() -> None:
    with pytest.raises(ValueError, match="No label"):
        LabelFusion(1.0).probabilities()
