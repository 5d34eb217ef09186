"""What came of the trainings: maps, AUROC of slices and radiographs, best Dice of the map, by patient."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from casewise.abnormality.differences import difference_map, score_of
from casewise.abnormality.differences import smoothed as smooth
from casewise.abnormality.residual_calibration import Usual
from casewise.statistics import auc, paired_bootstrap
from experiments.abnormality.runs import BRAIN, CHEST, OTHER, UNITS, Unit

Array = np.ndarray


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
class Seen:
    """A tested slice or picture: maps by method, each (row, column), 0 outside what is looked at."""

    subject: str
    ill: bool
    doubtful: bool
    lesion: Array
    maps: Mapping[str, Array]
    scores: Mapping[str, float]


def seen(unit: Unit, work: Path) -> list[Seen]:
    """Raises FileNotFoundError where the unit has not been run."""
    stored = np.load(work / f"{unit.name}.npz")
    names = ("subject", "ill", "doubtful", "real", "looked_at", "synthesised", "spread", "rebuilt", "lesion")
    columns = {name: stored[name] for name in names}
    sign = (BRAIN if unit.kind == "brain" else CHEST).sign
    usual = usual_of(stored["usual"], sign)
    return [_one({name: column[n] for name, column in columns.items()}, usual, sign) for n in range(len(columns["ill"]))]


def usual_of(pixels: Array, sign: str) -> Usual:
    return Usual.learnt([{"synthesised": made, "spread": spread, "off": off} for made, spread, off in pixels], sign)


def _one(row: Mapping[str, Array], usual: Usual, sign: str) -> Seen:
    x = torch.from_numpy(row["real"].astype(np.float32))[None]
    made, spread = (torch.from_numpy(row[name].astype(np.float32)) for name in ("synthesised", "spread"))
    mask = torch.from_numpy(row["looked_at"])
    rebuilt = torch.from_numpy(row["rebuilt"].astype(np.float32))[None]

    def apart(other: torch.Tensor) -> torch.Tensor:
        difference = smooth(x - other)
        return difference.clamp_min(0) if sign == "brighter" else difference.abs()

    def alone(size: int) -> torch.Tensor:
        part = Usual(usual.levels[[size]], usual.spreads[[size]], usual.values[[size]])
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
    return Seen(str(row["subject"]), bool(row["ill"]), bool(row["doubtful"]), row["lesion"], planes, scores)


@dataclass(frozen=True)
class Measured:
    """Of one method. slices : AUROC over all slices, its interval by patient. within : mean AUROC within each patient who has both.
    dice : of each patient at his own best threshold. fixed : at the one threshold that is best for all.
    """

    slices: tuple[float, float, float]
    within: tuple[float, ...]
    dice: tuple[float, ...]
    fixed: tuple[float, ...]


def brain(found: list[Seen]) -> dict[str, Measured]:
    return {method: _measured(found, method) for method in METHODS}


def _measured(found: list[Seen], method: str) -> Measured:
    clear = [one for one in found if not one.doubtful]
    subjects = sorted({one.subject for one in found})
    slices = _auroc(clear, method)
    within = []
    for subject in subjects:
        own = [one for one in clear if one.subject == subject]
        if len({one.ill for one in own}) == 2:
            within.append(auc([one.scores[method] for one in own], [one.ill for one in own]))
    every = np.concatenate([one.maps[method][one.maps[method] > 0] for one in found])
    thresholds = np.quantile(every, np.linspace(0.5, 0.9998, _THRESHOLDS))
    table = np.array([_dices([one for one in found if one.subject == subject], method, thresholds) for subject in subjects])
    best = int(table.mean(axis=0).argmax())
    return Measured(slices, tuple(within), tuple(table.max(axis=1)), tuple(table[:, best]))


def _dices(own: list[Seen], method: str, thresholds: Array) -> list[float]:
    values = np.concatenate([one.maps[method].ravel() for one in own])
    truth = np.concatenate([one.lesion.ravel() for one in own])
    order = np.sort(values)
    hits = np.sort(values[truth])
    above = len(order) - np.searchsorted(order, thresholds, side="right")
    right = len(hits) - np.searchsorted(hits, thresholds, side="right")
    return [float(2 * r / max(1, a + len(hits))) for r, a in zip(right, above, strict=True)]


def _auroc(found: list[Seen], method: str) -> tuple[float, float, float]:
    scores, truth = np.array([one.scores[method] for one in found]), np.array([one.ill for one in found])
    low, high, _ = paired_bootstrap(
        _over_subjects(found, lambda n: auc(scores[n], truth[n]) if 0 < truth[n].sum() < len(n) else 0.5), _count(found)
    )
    return auc(scores, truth), low, high


def _count(found: list[Seen]) -> int:
    return len({one.subject for one in found})


def _over_subjects(found: list[Seen], measure: Callable[[Array], float]) -> Callable[[Array], float]:
    subjects = sorted({one.subject for one in found})
    numbers = [np.array([n for n, one in enumerate(found) if one.subject == subject]) for subject in subjects]
    return lambda drawn: measure(np.concatenate([numbers[d] for d in drawn]))


def difference(found: list[Seen], first: str, second: str) -> tuple[float, float, float, float]:
    """(difference of the AUROCs, 2.5 %, 97.5 %, p) by bootstrap over patients."""
    truth = np.array([one.ill for one in found])
    a, b = (np.array([one.scores[method] for one in found]) for method in (first, second))

    def apart(n: Array) -> float:
        return auc(a[n], truth[n]) - auc(b[n], truth[n]) if 0 < truth[n].sum() < len(n) else 0.0

    low, high, p = paired_bootstrap(_over_subjects(found, apart), _count(found))
    return apart(np.arange(len(found))), low, high, p


def everything(work: Path) -> dict[str, list[Seen]]:
    """``brain``, and each site whose radiographs were judged, where the unit has been run."""
    found: dict[str, list[Seen]] = {}
    for unit in UNITS:
        if (work / f"{unit.name}.npz").exists():
            key = "brain" if unit.kind == "brain" else OTHER[unit.part]
            found.setdefault(key, []).extend(seen(unit, work))
    return found


def normal_limits(work: Path, kind: str) -> tuple[list[float], float]:
    """Of normal slices that their model was not trained on: (their scores, the value that one in 200 pixels exceeds)."""
    found = everything(work)
    own = [one for key, ones in found.items() if (key == "brain") == (kind == "brain") for one in ones]
    normal = [one for one in own if not one.ill and not one.doubtful]
    scores = np.quantile([one.scores[OURS] for one in normal], np.linspace(0, 1, 41))
    pixels = np.concatenate([one.maps[OURS][one.maps[OURS] > 0] for one in normal])
    return [round(float(n), 4) for n in scores], round(float(np.quantile(pixels, 0.995)), 4)
