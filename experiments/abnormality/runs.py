"""The trainings behind ``abnormality.py``: one unit is a fold of the patients, or one site's normal radiographs for the other's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from casewise.abnormality.differences import completed, settings_of
from casewise.abnormality.inpainting import WITHIN, Plan, framed, pictures_of, train_inpainting
from casewise.case import Case
from casewise.image import Image
from casewise.models import Model, Spec
from casewise.models.tasks import Batch
from casewise.training import Settings, fit
from experiments import store
from experiments.abnormality.cases import Patient, chests, folds, normal_case, patients

SETTINGS = Settings(steps=450, batch=12, rate=2e-3, augmentation="none", mixed=True, device="cpu")
BRAIN = Plan(sign="brighter", settings=SETTINGS)
CHEST = Plan(sign="either", settings=replace(SETTINGS, steps=300))
WORK = store.WORK / "abnormality"
_AUTOENCODER = Settings(steps=300, batch=12, rate=2e-3, augmentation="none", mixed=True, device="cpu")
_LEARNT_FROM = 40  # normal slices or pictures that tell how far off a synthesis usually is
_PIXELS = 400  # of each


@dataclass(frozen=True)
class Unit:
    """kind : ``brain`` (part: the fold tested) or ``chest`` (part: the site trained on)."""

    kind: str
    part: str

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.part}"


UNITS = (*(Unit("brain", str(n)) for n in range(3)), *(Unit("chest", site) for site in ("shenzhen", "montgomery")))
OTHER = {"shenzhen": "montgomery", "montgomery": "shenzhen"}


def run(unit: Unit) -> dict[str, np.ndarray]:
    """What was synthesised of every tested slice or picture, kept on disk."""
    return store.arrays(WORK / f"{unit.name}.npz", lambda: _run(unit))


def _run(unit: Unit) -> dict[str, np.ndarray]:
    plan = BRAIN if unit.kind == "brain" else CHEST
    training, tests = _parted(unit)
    checkpoint = WORK / f"{unit.name}.checkpoint"
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    model = store.model(WORK / f"{unit.name}-model", lambda: train_inpainting(training, unit.kind, plan, checkpoint=checkpoint))
    other = autoencoder(training, model)
    rows = [row for case in tests for row in _seen(model, other, *case)]
    return {"usual": _usual(model, training), **{key: np.stack([row[key] for row in rows]) for key in rows[0]}}


Test = tuple[str, Image, np.ndarray | None, np.ndarray | None, bool]  # subject, image, within, lesion, ill


def _parted(unit: Unit) -> tuple[list[Case], list[Test]]:
    if unit.kind == "brain":
        everyone = patients()
        tested = folds(everyone)[int(unit.part)]
        training = [normal_case(patient) for n, patient in enumerate(everyone) if n not in tested and patient.normal()]
        return training, [_brain_test(everyone[n]) for n in tested]
    training = [case for case in chests(unit.part) if case.category == "normal"]
    tests = [
        (str(case.subject), case.image, case.load_masks[WITHIN](), None, case.category == "tuberculosis")
        for case in chests(OTHER[unit.part])
    ]
    return training, tests  # type: ignore[return-value]


def _brain_test(patient: Patient) -> Test:
    return patient.subject, patient.image, None, patient.lesion, False


def autoencoder(cases: Sequence[Case], model: Model) -> Model:
    """An autoencoder of the same pictures at the same size: the plain way to learn what normal images look like."""
    network = {"kind": "autoencoder", "channels": [16, 32, 64, 96]}
    spec = Spec("encoding", network, model.spec.preparation)
    same = _Same(pictures_of(cases, spec), [case.key for case in cases])
    return fit(Model.initial("autoencoder", spec), same, settings=_AUTOENCODER, method="initial")


class _Same:
    """Batches whose target is the picture itself."""

    def __init__(self, pictures: Tensor, cases: Sequence[str]) -> None:
        self._pictures, self.cases, self.key = pictures, cases, f"same {len(pictures)}"

    def batch(self, step: int, size: int, rng: np.random.Generator, previous: Tensor | None = None) -> Batch:
        x = self._pictures[torch.from_numpy(rng.integers(len(self._pictures), size=size))]
        return Batch(x, x, voxel_weights=torch.ones_like(x[:, 0]))


def _seen(
    model: Model, other: Model, subject: str, image: Image, within: np.ndarray | None, lesion: np.ndarray | None, ill: bool
) -> list[dict[str, np.ndarray]]:
    """Of each slice: real, looked_at, synthesised and spread (a plane a size), rebuilt by the autoencoder, lesion."""
    cut, displayed, place = framed(image, within)
    preparation = model.spec.preparation
    parts, masks = preparation.parts(cut), preparation.label_parts(displayed, cut)
    marks = preparation.label_parts((lesion if lesion is not None else np.zeros(image.spatial_shape, bool))[place], cut)
    rows = []
    for part, mask, mark in zip(parts, masks, marks, strict=True):
        x = part.tensor()
        made, spread = completed(model.ready(), x, _edges(model), "cpu")
        with torch.inference_mode():
            rebuilt = other.ready()(x[None])[0, 0].clamp(0, 1)
        inside = part.labels(mark) > 0
        rows.append(
            {
                "subject": np.array(subject),
                "ill": np.array(bool(mark.sum() >= 5) if lesion is not None else ill),
                "doubtful": np.array(lesion is not None and 0 < int(mark.sum()) < 5),
                "real": x[0].half().numpy(),
                "looked_at": (part.labels(mask) > 0).numpy(),
                "synthesised": made.half().numpy(),
                "spread": spread.half().numpy(),
                "rebuilt": rebuilt.half().numpy(),
                "lesion": inside.numpy(),
            }
        )
    return rows


def _usual(model: Model, cases: Sequence[Case]) -> np.ndarray:
    """(sizes, 3, n): synthesised, spread and real − synthesised of pixels drawn from the normal images."""
    rng = np.random.default_rng(3)
    planes = []
    for case in cases:
        mask = case.load_masks[WITHIN]() if WITHIN in case.load_masks else None
        cut, displayed, _ = framed(case.image, mask)
        preparation = model.spec.preparation
        planes += list(zip(preparation.parts(cut), preparation.label_parts(displayed, cut), strict=True))
    found = []
    for number in rng.permutation(len(planes))[:_LEARNT_FROM]:
        part, mask = planes[number]
        x, inside = part.tensor(), np.argwhere((part.labels(mask) > 0).numpy())
        if len(inside) < _PIXELS:
            continue
        made, spread = completed(model.ready(), x, _edges(model), "cpu")
        rows, columns = inside[rng.permutation(len(inside))[:_PIXELS]].T
        found.append(
            np.stack(
                [
                    np.stack([made[n, rows, columns], spread[n, rows, columns], x[0, rows, columns] - made[n, rows, columns]])
                    for n in range(len(made))
                ]
            )
        )
    return np.concatenate(found, axis=2).astype(np.float32)


def _edges(model: Model) -> list[int]:
    return list(settings_of(model).holes)
