"""Kinds of voxels that structures which overlap make, and their probabilities."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from casewise.case import Case, Structure
from casewise.image import Image
from casewise.models import Preparation, Spec
from casewise.models.regions import MOST, are_independent, belongs, chances, combined, independent, kinds_in, masks_of
from casewise.models.tasks.segmentation import Segmentation

LOGITS = arrays.arrays(np.float64, st.tuples(st.integers(2, MOST), st.integers(1, 6)), elements=st.floats(-8, 8))


@given(LOGITS)
def test_independent_outputs_keep_their_own_probabilities_and_masks(logits: np.ndarray) -> None:
    answer = torch.from_numpy(logits)
    regions = independent(len(logits))
    assert are_independent(regions) and kinds_in(regions, len(logits)) == 2 ** len(logits) - 1
    likely = chances(answer[None], regions)[0]
    assert torch.allclose(likely.sum(dim=0), torch.ones(logits.shape[1], dtype=torch.float64))
    for number, kinds in enumerate(regions):
        assert torch.allclose(likely[list(kinds)].sum(dim=0), answer[number].sigmoid())
        certain = np.abs(logits).min(axis=0) > 1e-6
        found = masks_of(likely.argmax(dim=0).numpy().astype(np.uint8), tuple("abcde"[: len(logits)]), regions)
        assert np.array_equal(found["abcde"[number]][certain], (logits[number] > 0)[certain])
    assert torch.equal(combined(answer.sigmoid()), likely)


def test_masks_that_overlap_in_any_way_are_trained_on_as_they_are() -> None:
    rng = np.random.default_rng(0)
    masks = {name: rng.random((16, 16)) > 0.5 for name in "abc"}
    spec = Spec(
        "segmentation",
        {"kind": "monai", "answers": "sigmoid"},
        Preparation(2, (16, 16)),
        structures=tuple(Structure(name, (name,)) for name in "abc"),
    )
    image = Image(rng.random((1, 16, 16), dtype=np.float32))
    (sample,) = Segmentation(spec).samples(Case.of(image, masks))
    for number, name in enumerate("abc"):
        assert np.array_equal(belongs(sample.target, spec.regions, number).numpy(), masks[name])
    del masks["b"]
    (sample,) = Segmentation(spec).samples(Case.of(image, masks))
    assert not belongs(sample.target, spec.regions, 1).any()
    assert np.array_equal(belongs(sample.target, spec.regions, 2).numpy(), masks["c"])
