"""Which kind a model is, by its description alone; settings of its kind are typed, read and written back."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from casewise.errors import ModelError, UsageError
from casewise.models import shipped
from casewise.models.tasks import Batch, Lesions, Segmentation, task_of
from casewise.models.tasks.inpainting import InpaintingSettings
from casewise.models.tasks.lesions import Rule
from casewise.models.tasks.settings import own_settings, with_settings
from casewise.training import fit
from tests.discs import autoencoder, classifier, disc, disc_case, segmenter

KINDS = {
    "abnormality_brain": "Inpainting",
    "brain_lesions": "Lesions",
    "breast_ultrasound_class": "Classification",
    "chest_regions": "Segmentation",
    "encoder": "Projection",
    "interactive_2d": "Interactive",
    "irregularities": "SmallFindings",
}


@pytest.mark.parametrize("name", KINDS)
def test_a_shipped_model_is_of_its_kind(name: str) -> None:
    model = shipped.load(name)
    assert type(model.kind).__name__ == KINDS[name]
    assert str(model.kind) == model.task == model.spec.task


def test_settings_come_back_as_they_were_set_and_leave_the_networks_own_alone() -> None:
    model = shipped.load("brain_lesions")
    changed = with_settings(model.spec, {"rule": Rule(0.4, 0.9, 0.2, 0.1), "map_score": True})
    found = task_of(changed)
    assert isinstance(found, Lesions)
    assert found.settings.rule == Rule(0.4, 0.9, 0.2, 0.1) and found.settings.map_score
    assert {**changed.network, "rule": 0, "map_score": 0} == {**model.spec.network, "rule": 0, "map_score": 0}
    same = with_settings(model.spec, {"rule": model.kind.settings.rule})  # type: ignore[attr-defined]
    assert replace(model, spec=same).key == model.key, "a key is made of settings as they were written"


@pytest.mark.parametrize(
    ("network", "words"),
    [
        ({"holes": "large"}, "`holes`"),
        ({"holes": [8], "sign": "darker"}, "'darker'"),
        ({"holes": [8], "usual": ["x"]}, "`usual"),
    ],
)
def test_settings_of_another_kind_are_one_sentence(network: dict[str, object], words: str) -> None:
    spec = replace(autoencoder().spec, network={**autoencoder().spec.network, **network})
    with pytest.raises(ModelError, match=words):
        own_settings(spec, InpaintingSettings)


def test_what_predicts_nothing_and_what_is_trained_elsewhere_says_so() -> None:
    with pytest.raises(ModelError, match="compares images"):
        autoencoder().predict(disc(1)[0])
    with pytest.raises(ModelError, match="sequences together"):
        shipped.load("brain_lesions").predict(disc(1)[0])
    with pytest.raises(UsageError, match="batches and an objective of its own kind"):
        fit(shipped.load("brain_lesions"), [disc_case(1)])


def test_a_batch_keeps_its_kind_and_what_it_lacks_counts_as_one() -> None:
    x, target = torch.rand(2, 1, 8, 8), torch.zeros(2, 8, 8, dtype=torch.uint8)
    batch = Batch(x, target)
    assert type(batch.to("cpu")) is Batch and batch.to("cpu").case_weights is None
    task = Segmentation(segmenter().spec)
    logits = torch.randn(2, 2, 8, 8)
    ones = replace(batch, case_weights=torch.ones(2), voxel_weights=torch.ones(2, 8, 8))
    assert torch.equal(task.loss(logits, batch), task.loss(logits, ones))
    with pytest.raises(ModelError, match="answers otherwise"):
        classifier().kind.check_answer(logits, x)
