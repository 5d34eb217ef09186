"""The networks of the benchmark of lesions, trained without a fold's patients, and what each says of these."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import torch
from scipy import ndimage

from benchmarks._lesions_data import SCORES, SEQUENCES, WORK, brains, folds, without
from benchmarks._statistics import auc
from casewise.case import Structure
from casewise.image import Image
from casewise.lesions import Labelled, Plan, predict
from casewise.lesions.prepared import Slices, prepared
from casewise.lesions.slices import NONE, only
from casewise.lesions.training import as_case, spec, told_by, train_slices
from casewise.models import Model
from casewise.training import Settings
from casewise.training.measures import dice

LESION = Structure.parse("lesion")
NETWORKS = ("fusion", "multitask", "regression")
WAYS = ("joint", "separate", "unmapped")
LEAST_ML = 0.05  # a lesion that counts
STEPS = (200, 60, 80)
SIZE = 112
SYNTHETIC = 0.15
_COVERED = 0.1  # of a lesion's voxels that have to be in the mask for it to be found


def plan(network: str, way: str, seed: int) -> Plan:
    settings = Settings(batch=6, rate=5e-3, seed=seed, device="cpu", mixed=True)
    return Plan(network=network, way=way, steps=STEPS, size=SIZE, scores=SCORES, synthetic=SYNTHETIC, settings=settings)


def trained(patients: Sequence[Labelled], network: str, way: str, seed: int, name: str) -> Model:
    """The model of one arm, kept on disk; joint and separate begin from the same first phase."""
    place = WORK / "models" / name
    if (place / "model.toml").is_file():
        return Model.load(place)
    chosen = plan(network, way, seed)
    classes = (NONE, *sorted({str(patient.category) for patient in patients}))
    described = spec(chosen, classes, SEQUENCES, told_by(patients, SEQUENCES), LESION)
    slices = prepared(patients, SEQUENCES, chosen.size, WORK / "slices")
    cases = [as_case(patient, key) for patient in patients for key in patient.keys]
    model = Model.initial(name, described, seed)
    todo = chosen.phases()
    if way != "unmapped":
        first = plan(network, "joint", seed)
        model = train_slices(model, slices, (), cases, first, WORK / "phases", phases=todo[:1])
        todo = todo[1:]
    model = train_slices(model, slices, (), cases, chosen, None, phases=todo)
    model.save(place)
    return model


def unit(network: str, fold: int, seed: int) -> list[dict[str, Any]]:
    """A row for each way of training, patient of the fold and subset of the patient's sequences; kept on disk."""
    kept = WORK / "rows" / f"{network}-{fold}-{seed}.json"
    if kept.exists():
        return json.loads(kept.read_text(encoding="utf-8"))
    patients = brains()
    numbers = folds(patients)[fold]
    others = [patient for n, patient in enumerate(patients) if n not in numbers]
    rows: list[dict[str, Any]] = []
    for way in WAYS:
        model = trained(others, network, way, seed, f"{network}-{way}-{fold}-{seed}")
        for n in numbers:
            own = measured(model, patients[n], way)
            rows += [{"network": network, "way": way, "seed": seed} | row for row in own]
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(rows), encoding="utf-8")
    return rows


def measured(model: Model, patient: Labelled, way: str) -> list[dict[str, Any]]:
    """A row for each subset of the sequences that the patient has; but for joint training only all together, and FLAIR alone."""
    mapped = way != "unmapped"
    image, truth = patient.load(SEQUENCES)
    (slices,) = prepared([patient], SEQUENCES, model.spec.preparation.size[0], WORK / "slices")
    rows = []
    for count in range(1, len(patient.sequences) + 1):
        for subset in combinations(patient.sequences, count):
            if way != "joint" and subset not in (patient.sequences, ("FLAIR",)):
                continue
            found = predict(model, without(image, subset), each=False)
            row: dict[str, Any] = {"patient": patient.subject, "category": patient.category, "sequences": list(subset)}
            row |= {"any": found.any, "classes": dict(found.classes), "score": found.score}
            row["slice_auc"] = slice_auc(model, slices, [SEQUENCES.index(name) for name in subset])
            if mapped:
                row |= {"dice": dice(found.mask, truth), **lesion_wise(found.mask, truth, image)}
            rows.append(row)
    return rows


def lesion_wise(mask: np.ndarray, truth: np.ndarray, image: Image) -> dict[str, int]:
    """``lesions`` of at least 0.05 ml, those ``found`` (a tenth of their voxels or more), and ``false`` pieces that touch none."""
    touching = np.ones((3, 3, 3))
    least = LEAST_ML * 1000 / abs(np.linalg.det(image.affine[:3, :3]))
    numbered, _ = ndimage.label(truth, touching)
    sizes, covered = np.bincount(numbered.ravel()), np.bincount(numbered[mask], minlength=numbered.max() + 1)
    large = [n for n in range(1, len(sizes)) if sizes[n] >= least]
    pieces, _ = ndimage.label(mask, touching)
    own, touched = np.bincount(pieces.ravel()), np.bincount(pieces[truth], minlength=pieces.max() + 1)
    false = sum(1 for n in range(1, len(own)) if own[n] >= least and touched[n] == 0)
    return {"lesions": len(large), "found": sum(1 for n in large if covered[n] >= _COVERED * sizes[n]), "false": false}


def slice_auc(model: Model, slices: Slices, kept: Sequence[int]) -> float | None:
    """How well the verdict tells the patient's slices with lesions from those without; None where the verdict sees nothing."""
    if not set(kept) & set(model.spec.network["told_by"]) or not slices.filled or not slices.empty:
        return None
    scores = []
    with torch.inference_mode():
        for start in range(0, len(slices.x), 16):
            x = only(np.asarray(slices.x[start : start + 16], np.float32), kept)
            verdict = model.ready()(torch.from_numpy(x)).verdict
            scores.append(verdict[:, 0] if verdict.shape[1] == 1 else -verdict.log_softmax(dim=1)[:, 0])
    return auc(torch.cat(scores).tolist(), slices.mask.any(axis=(1, 2)).tolist())
