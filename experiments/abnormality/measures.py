"""What came of the trainings: a row a slice or radiograph, and a row a patient; AUROC and best Dice of the map from these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from casewise.abnormality.differences import difference_map, score_of
from casewise.abnormality.differences import smoothed as smooth
from casewise.abnormality.residual_calibration import ResidualCalibration
from casewise.statistics import auc, grouped, paired_bootstrap
from experiments.abnormality.runs import BRAIN, CHEST, OTHER, UNITS, Unit, run

Array = np.ndarray
Row = Mapping[str, Any]
OURS, PLAIN, REBUILT = "synthesis", "intensity threshold", "autoencoder"
METHODS = (
    PLAIN,
    REBUILT,
    "synthesis, absolute difference",
    "synthesis, smallest part alone",
    "synthesis, largest part alone",
    OURS,
)
_THRESHOLDS = 150


@dataclass(frozen=True, eq=False)
class Slice:
    """A tested slice or radiograph: maps by method, each (row, column), 0 outside what is looked at."""

    subject: str
    ill: bool
    doubtful: bool
    lesion: Array
    maps: Mapping[str, Array]
    scores: Mapping[str, float]


def tested(place: str) -> list[Slice]:
    """``brain``, or a site whose radiographs the other site's network was tested on; what is missing is trained."""
    chosen = [unit for unit in UNITS if place == ("brain" if unit.kind == "brain" else OTHER[unit.part])]
    return [one for unit in chosen for one in _slices(unit)]


def _slices(unit: Unit) -> list[Slice]:
    stored = run(unit)
    sign = (BRAIN if unit.kind == "brain" else CHEST).sign
    usual = usual_of(stored["usual"], sign)
    names = ("subject", "ill", "doubtful", "real", "looked_at", "synthesised", "spread", "rebuilt", "lesion")
    return [_one({name: stored[name][n] for name in names}, usual, sign) for n in range(len(stored["ill"]))]


def usual_of(pixels: Array, sign: str) -> ResidualCalibration:
    return ResidualCalibration.learnt([{"synthesised": made, "spread": spread, "off": off} for made, spread, off in pixels], sign)


def _one(row: Mapping[str, Array], usual: ResidualCalibration, sign: str) -> Slice:
    x = torch.from_numpy(row["real"].astype(np.float32))[None]
    made, spread = (torch.from_numpy(row[name].astype(np.float32)) for name in ("synthesised", "spread"))
    mask = torch.from_numpy(row["looked_at"])
    rebuilt = torch.from_numpy(row["rebuilt"].astype(np.float32))[None]

    def apart(other: torch.Tensor) -> torch.Tensor:
        difference = smooth(x - other)
        return difference.clamp_min(0) if sign == "brighter" else difference.abs()

    def alone(size: int) -> torch.Tensor:
        part = ResidualCalibration(usual.levels[[size]], usual.spreads[[size]], usual.values[[size]])
        return difference_map(x, made[[size]], spread[[size]], part, sign)

    maps = {
        PLAIN: smooth(x),
        REBUILT: apart(rebuilt),
        "synthesis, absolute difference": smooth((x - made).abs()).mean(dim=0, keepdim=True),
        "synthesis, smallest part alone": alone(0),
        "synthesis, largest part alone": alone(len(made) - 1),
        OURS: difference_map(x, made, spread, usual, sign),
    }
    scores = {name: score_of(values, mask) for name, values in maps.items()}
    inside = row["looked_at"]
    planes = {name: (values[0].numpy() * inside).astype(np.float32) for name, values in maps.items()}
    return Slice(str(row["subject"]), bool(row["ill"]), bool(row["doubtful"]), row["lesion"], planes, scores)


def slice_rows(found: Sequence[Slice]) -> list[dict[str, Any]]:
    """subject, ill, doubtful (neither with lesion nor without), and the score by each method."""
    return [{"subject": s.subject, "ill": s.ill, "doubtful": s.doubtful, "scores": dict(s.scores)} for s in found]


def patient_rows(found: Sequence[Slice]) -> list[dict[str, Any]]:
    """Of each patient and method the Dice of the map at the patient's own best threshold, and at the one that is best for all."""
    subjects = sorted({one.subject for one in found})
    rows: list[dict[str, Any]] = [{"subject": subject, "dice": {}, "fixed": {}} for subject in subjects]
    for method in METHODS:
        every = np.concatenate([one.maps[method][one.maps[method] > 0] for one in found])
        thresholds = np.quantile(every, np.linspace(0.5, 0.9998, _THRESHOLDS))
        table = np.array([_dices([one for one in found if one.subject == subject], method, thresholds) for subject in subjects])
        best = int(table.mean(axis=0).argmax())
        for row, dices in zip(rows, table, strict=True):
            row["dice"][method], row["fixed"][method] = float(dices.max()), float(dices[best])
    return rows


def _dices(own: list[Slice], method: str, thresholds: Array) -> list[float]:
    values = np.concatenate([one.maps[method].ravel() for one in own])
    truth = np.concatenate([one.lesion.ravel() for one in own])
    order = np.sort(values)
    hits = np.sort(values[truth])
    above = len(order) - np.searchsorted(order, thresholds, side="right")
    right = len(hits) - np.searchsorted(hits, thresholds, side="right")
    return [float(2 * r / max(1, a + len(hits))) for r, a in zip(right, above, strict=True)]


def clear(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if not row["doubtful"]]


def within(rows: Sequence[Row], method: str) -> list[float]:
    """AUROC within each patient who has slices with lesions and slices without."""
    found = []
    for subject in sorted({row["subject"] for row in rows}):
        own = [row for row in rows if row["subject"] == subject]
        if len({row["ill"] for row in own}) == 2:
            found.append(auc([row["scores"][method] for row in own], [row["ill"] for row in own]))
    return found


def auroc(rows: Sequence[Row], method: str) -> tuple[float, float, float]:
    """(AUROC over all rows, 2.5 %, 97.5 %) by bootstrap over patients."""
    scores, truth, patients = _columns(rows, method)
    low, high, _ = paired_bootstrap(lambda drawn: auc(scores[n := patients(drawn)], truth[n]), count(rows))
    return auc(scores, truth), low, high


def difference(rows: Sequence[Row], first: str, second: str) -> tuple[float, float, float, float]:
    """(difference of the AUROCs, 2.5 %, 97.5 %, p) by bootstrap over patients."""
    (a, truth, patients), (b, _, _) = (_columns(rows, method) for method in (first, second))

    def apart(n: Array) -> float:
        return auc(a[n], truth[n]) - auc(b[n], truth[n])

    low, high, p = paired_bootstrap(lambda drawn: apart(patients(drawn)), count(rows))
    return apart(np.arange(len(rows))), low, high, p


def _columns(rows: Sequence[Row], method: str) -> tuple[Array, Array, Any]:
    names = [row["subject"] for row in rows]
    order = [n for subject in sorted(set(names)) for n in range(len(names)) if names[n] == subject]
    by_name = grouped([names[n] for n in order])
    return (
        np.array([row["scores"][method] for row in rows]),
        np.array([row["ill"] for row in rows]),
        lambda drawn: np.array(order)[by_name(drawn)],
    )


def count(rows: Sequence[Row]) -> int:
    return len({row["subject"] for row in rows})


def normal_limits(kind: str) -> tuple[list[float], float]:
    """Of normal slices that their model was not trained on: (their scores, the value that one in 200 pixels exceeds)."""
    places = ["brain"] if kind == "brain" else list(OTHER)
    normal = [one for place in places for one in tested(place) if not one.ill and not one.doubtful]
    scores = np.quantile([one.scores[OURS] for one in normal], np.linspace(0, 1, 41))
    pixels = np.concatenate([one.maps[OURS][one.maps[OURS] > 0] for one in normal])
    return [round(float(n), 4) for n in scores], round(float(np.quantile(pixels, 0.995)), 4)
