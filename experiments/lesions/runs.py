"""The networks of the benchmark of lesions, trained without a fold's patients, and what each says of these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
import torch

from casewise.case import Case, Structure
from casewise.lesions import Plan, predict
from casewise.lesions.prediction import settings_of
from casewise.lesions.prepared import Slices, prepared
from casewise.lesions.slices import NONE, only
from casewise.lesions.training import class_sequences, spec, train_slices
from casewise.lesions.tuning import CUTS, Choice, Cut, Pieces, chosen, pieces
from casewise.models import Model
from casewise.models.tasks.lesions import Brightness
from casewise.statistics import auc
from casewise.training import Settings
from experiments import store
from experiments.lesions.cases import SCORES, SEQUENCES, WORK, brains, folds, without

LESION = Structure.parse("lesion")
NETWORKS = ("fusion", "multitask", "regression")
WAYS = ("joint", "separate", "unmapped")
STEPS = (200, 60, 80)
SIZE = 112
SYNTHETIC = 0.15
SHIPPED, THRESHOLD = "as shipped", "threshold"  # beside the three networks
KEPT = SEQUENCES[:2]  # of the model that is shipped: one patient alone taught the others
_STEPS_SHIPPED = (400, 80, 100)
_SIZE_SHIPPED = 144
_LEVELS: tuple[Cut, ...] = tuple((Brightness("FLAIR", 0.0, 2.0, level), 0.5) for level in (1.0, 1.25, 1.5))


def plan(network: str, way: str, seed: int) -> Plan:
    settings = Settings(batch=6, rate=5e-3, seed=seed, device="cpu", mixed=True)
    if network == SHIPPED:
        return Plan("fusion", way, _STEPS_SHIPPED, _SIZE_SHIPPED, synthetic=SYNTHETIC, settings=settings)
    return Plan(network, way, STEPS, SIZE, scores=SCORES, synthetic=SYNTHETIC, settings=settings)


def sequences(network: str) -> tuple[str, ...]:
    return KEPT if network == SHIPPED else SEQUENCES


def limited(patients: Sequence[Case], network: str) -> list[Case]:
    """The patients with no other sequences than the network takes."""
    wanted, found = sequences(network), []
    for patient in patients:
        own = [(name, key) for name, key in zip(patient.sequences, patient.keys, strict=True) if name in wanted]
        found.append(replace(patient, sequences=tuple(name for name, _ in own), keys=tuple(key for _, key in own)))
    return found


def trained(patients: Sequence[Case], network: str, way: str, seed: int, name: str) -> Model:
    """The model of one arm, kept on disk; joint and separate begin from the same first phase."""
    return store.model(WORK / "models" / name, lambda: _trained(patients, network, way, seed, name))


def _trained(patients: Sequence[Case], network: str, way: str, seed: int, name: str) -> Model:
    wanted, own = plan(network, way, seed), sequences(network)
    classes = (NONE, *sorted({str(patient.category) for patient in patients}))
    described = spec(wanted, classes, own, class_sequences(patients, own), LESION)
    slices = prepared(patients, own, wanted.size, WORK / "slices")
    keys = [key for patient in patients for key in patient.keys]
    model = Model.initial(name, described, seed)
    todo = wanted.phases()
    if way != "unmapped":
        first = plan(network, "joint", seed)
        model = train_slices(model, slices, (), keys, first, WORK / "phases", phases=todo[:1])
        todo = todo[1:]
    return train_slices(model, slices, (), keys, wanted, None, phases=todo)


def unit(network: str, fold: int, seed: int) -> list[dict[str, Any]]:
    """A row for each way of training, patient of the fold and subset of the patient's sequences; kept on disk, with its map."""
    kept: list[dict[str, Any]] = store.rows(
        WORK / "rows" / f"{network.replace(' ', '_')}-{fold}-{seed}.json", lambda: _unit(network, fold, seed)
    )
    return kept


def _unit(network: str, fold: int, seed: int) -> list[dict[str, Any]]:
    patients = limited(brains(), network)
    numbers = folds(patients)[fold]
    others = [patient for n, patient in enumerate(patients) if n not in numbers]
    rows: list[dict[str, Any]] = []
    for way in WAYS[:1] if network in (SHIPPED, THRESHOLD) else WAYS:
        common = {"network": network, "way": way, "seed": seed, "fold": fold}
        if network == THRESHOLD:
            rows += [common | _bare(patients[n]) for n in numbers]
            continue
        model = trained(others, network, way, seed, f"{network.replace(' ', '_')}-{way}-{fold}-{seed}")
        for n in numbers:
            rows += [common | row for row in patient_rows(model, patients[n], network, way, f"{model.name}")]
    return rows


def patient_rows(model: Model, patient: Case, network: str, way: str, name: str) -> list[dict[str, Any]]:
    """A row for each subset of the sequences that the patient has; but for joint training only all together."""
    names = sequences(network)
    image, _ = patient.loaded(names)
    (slices,) = prepared([patient], names, model.spec.preparation.size[0], WORK / "slices")
    rows = []
    for count in range(1, len(patient.sequences) + 1):
        for subset in combinations(patient.sequences, count):
            if way != "joint" and subset != patient.sequences:
                continue
            found = predict(model, without(image, subset), each=False)
            row: dict[str, Any] = {"patient": patient.subject, "category": patient.category, "sequences": list(subset)}
            row |= {"any": found.any, "classes": dict(found.classes), "score": found.score}
            row["slice_auc"] = slice_auc(model, slices, [names.index(own) for own in subset])
            if way != "unmapped":
                row["map"] = _stored(found.map, f"{name}-{patient.subject}-{'_'.join(subset)}")
            rows.append(row)
    return rows


def _bare(patient: Case) -> dict[str, Any]:
    """Where there is no network, there is the brightness of FLAIR alone."""
    image, _ = patient.loaded(("FLAIR",))
    row = {"patient": patient.subject, "category": patient.category, "sequences": list(patient.sequences)}
    nothing = np.zeros(image.spatial_shape, np.float32)
    return row | {"any": 1.0, "classes": {}, "score": None, "map": _stored(nothing, f"threshold-{patient.subject}")}


def _stored(values: np.ndarray, name: str) -> str:
    place = WORK / "maps" / f"{name.replace('/', '_').replace(' ', '')}.npz"
    place.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(place, map=np.rint(values * 250).astype(np.uint8))
    return place.name


def judged(rows: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, list[Choice]]]:
    """(the rows with the measures of their maps, cut as was chosen on the patients of the other folds; those choices, of each way).

    A choice is of a network and a way of training, and is made on the maps by all sequences; without FLAIR its brightness is not
    there to be used. ``usual`` holds the same measures of a map of which nothing was chosen.
    """
    most = {row["patient"]: max(len(own["sequences"]) for own in rows if own["patient"] == row["patient"]) for row in rows}
    made, choices = [], {}
    for key in dict.fromkeys((row["network"], row["way"], row["seed"]) for row in rows):
        group = [row for row in rows if (row["network"], row["way"], row["seed"]) == key]
        full = [row for row in group if "map" in row and len(row["sequences"]) == min(most[row["patient"]], _taken(row))]
        levels = _LEVELS if key[0] == THRESHOLD else CUTS
        tables = {row["map"]: table(row["map"], row["patient"], levels) for row in full}
        numbers = sorted({row["fold"] for row in full})
        by_fold = {n: chosen([tables[row["map"]] for row in full if row["fold"] != n]) for n in numbers}
        choices[f"{key[0]}, {key[1]}"] = list(by_fold.values())
        for row in group:
            if "map" not in row:
                made.append(row)
                continue
            choice = by_fold[row["fold"]]
            if "FLAIR" not in row["sequences"]:
                choice = replace(choice, brightness=None)
            own = tables.get(row["map"]) or table(row["map"], row["patient"], (choice.cut,))
            row = row | own[choice.cut].scored(choice.rule)
            if row["map"] in tables and key[0] != THRESHOLD:
                row["usual"] = own[Choice().cut].scored(Choice().rule)
            made.append(row)
    return made, choices


def best(rows: Sequence[dict[str, Any]]) -> Choice:
    """Made on the maps of all of them, each of a patient whom its network never saw."""
    return chosen([table(row["map"], row["patient"], CUTS) for row in rows if len(row["sequences"]) == _taken(row)])


def _taken(row: dict[str, Any]) -> int:
    """How many of the patient's sequences the network can take."""
    patient = next(own for own in _patients() if own.subject == row["patient"])
    return sum(name in sequences(row["network"]) for name in patient.sequences)


@cache
def _patients() -> tuple[Case, ...]:
    return tuple(brains())


@cache
def table(name: str, subject: str, cuts: tuple[Cut, ...]) -> dict[Cut, Pieces]:
    """The pieces of a stored map at each cut."""
    patient = next(own for own in _patients() if own.subject == subject)
    image, masks = patient.loaded(("FLAIR",))
    truth = masks.union()
    with np.load(WORK / "maps" / name) as found:
        values = found["map"]
    return pieces(values.astype(np.float32) / 250, truth > 0, image, cuts)


def slice_auc(model: Model, slices: Slices, kept: Sequence[int]) -> float | None:
    """How well the verdict tells the patient's slices with lesions from those without; None where the verdict sees nothing."""
    if not set(kept) & set(settings_of(model).class_sequences) or not slices.filled or not slices.empty:
        return None
    scores = []
    with torch.inference_mode():
        for start in range(0, len(slices.x), 16):
            x = only(np.asarray(slices.x[start : start + 16], np.float32), kept)
            verdict = model.ready()(torch.from_numpy(x)).verdict
            scores.append(verdict[:, 0] if verdict.shape[1] == 1 else -verdict.log_softmax(dim=1)[:, 0])
    return auc(torch.cat(scores).tolist(), slices.mask.any(axis=(1, 2)).tolist())
