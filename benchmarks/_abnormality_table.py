"""The page of ``abnormality.py``: AUROC of slices and radiographs, best Dice of the map, by patient, beside plain ways."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks._abnormality_runs import BRAIN, CHEST, OTHER, UNITS, Unit
from benchmarks._statistics import auc, interval, paired_bootstrap, paired_p
from casewise.abnormality.differences import difference_map, score_of
from casewise.abnormality.differences import smoothed as smooth
from casewise.abnormality.residual_calibration import Usual
from recipes._common import Row

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
HOW = f"""\
A generator ({"–".join(map(str, BRAIN.channels))} channels, {BRAIN.size}×{BRAIN.size}) learns to complete normal pictures from which
squares of {", ".join(f"{share:.0%}" for share in BRAIN.holes)} of the edge were removed: {BRAIN.settings.steps}
steps (chest {CHEST.settings.steps}), a
discriminator of a third as many, and as many steps more against it. *Synthesis* is what `casewise` uses: the
difference in units of what
four in five differences of normal images stay below, given what was synthesised and how far several syntheses of the pixel lie
apart; the mean over the sizes. A slice's score is the mean of the highest hundredth of its map, for every method
alike. No method saw a
lesion label. The way of scoring was chosen on the patients of the first fold."""


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


def write(work: Path, results: Path) -> Path:
    found = everything(work)
    path = results / "abnormality.md"
    lines = ["# Abnormality by synthesis", "", "`python -m benchmarks.abnormality`", "", " ".join(HOW.split())]
    figures: dict[str, object] = {}
    if "brain" in found:
        lines += _brain_lines(found["brain"], figures)
    chest = {site: seen_ for site, seen_ in found.items() if site != "brain"}
    if chest:
        lines += _chest_lines(chest, figures)
    lines += [
        "",
        "## Published figures, for reference",
        "Other data and far larger training sets, so no comparison: unsupervised detection on BraTS 21, best mean max-Dice "
        "0.70 (MAD-AD), on ATLAS 0.52; autoencoders, GANs and older diffusion models far lower.",
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    path.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return path


def _brain_lines(found: list[Seen], figures: dict[str, object]) -> list[str]:
    measured = brain(found)
    clear = [one for one in found if not one.doubtful]
    ill = sum(one.ill for one in clear)
    lines = [
        "",
        "## FLAIR slices with lesions against slices without",
        f"{_count(found)} patients (glioma, white-matter lesions, multiple sclerosis), three folds, trained on the lesion-free "
        f"slices of the others; {ill} slices with lesions, {len(clear) - ill} without. Lesion-free slices lie mostly at "
        "the brain's top and bottom, in training as in the test, so that the networks hardly know what is normal at the "
        "ventricles.",
        "",
        "| method | AUROC of the slice | within a patient, mean | best Dice, each patient's threshold | one threshold |",
        "|---|---|---|---|---|",
    ]
    for method, own in measured.items():
        dice, fixed = (f"{np.mean(v):.3f} ({interval(v)[0]:.3f} to {interval(v)[1]:.3f})" for v in (own.dice, own.fixed))
        lines.append(f"| {method} | {_three(own.slices)} | {np.mean(own.within):.3f} | {dice} | {fixed} |")
        figures[f"brain | {method}"] = {
            "auroc": round(own.slices[0], 4),
            "within": round(float(np.mean(own.within)), 4),
            "dice": round(float(np.mean(own.dice)), 4),
            "dice_one_threshold": round(float(np.mean(own.fixed)), 4),
        }
    lines.append("")
    for other in (PLAIN, REBUILT):
        change, low, high, p = difference(clear, OURS, other)
        dice = paired_p(measured[OURS].dice, measured[other].dice)
        apart = float(np.mean(measured[OURS].dice) - np.mean(measured[other].dice))
        lines.append(
            f"*Synthesis* against *{other}*: AUROC {change:+.3f} ({low:+.3f} to {high:+.3f}, p {p:.2g}), best Dice {apart:+.3f} "
            f"(p {dice:.2g})."
        )
    return lines


def _chest_lines(found: Mapping[str, list[Seen]], figures: dict[str, object]) -> list[str]:
    columns = [f"{site.capitalize()}, {len(rows)} patients, {sum(one.ill for one in rows)} ill" for site, rows in found.items()]
    lines = [
        "",
        "## Tuberculosis against normal chests",
        "Trained on the other site's normal radiographs alone; within the lungs.",
        "",
        f"| method | {' | '.join(columns)} |",
        "|---|" + "---|" * len(found),
    ]
    for method in METHODS:
        values = {site: _auroc(rows, method) for site, rows in found.items()}
        lines.append(f"| {method} | {' | '.join(map(_three, values.values()))} |")
        figures[f"chest | {method}"] = {site: round(value[0], 4) for site, value in values.items()}
    lines.append("")
    for site, rows_ in found.items():
        for other in (PLAIN, REBUILT):
            change, low, high, p = difference(rows_, OURS, other)
            told = f"{change:+.3f} ({low:+.3f} to {high:+.3f}, p {p:.2g})"
            lines.append(f"{site.capitalize()}: *synthesis* against *{other}*: AUROC {told}.")
            lines.append("")
    return lines


def rows(work: Path, kind: str) -> list[Row]:
    """For a model's card."""
    found = everything(work)
    if kind == "brain":
        own = brain(found["brain"])[OURS]
        on = f"FLAIR, three-fold, {_count(found['brain'])} patients"
        made = [Row("AUROC, slices with lesions against those without", on, *own.slices)]
        made.append(Row("AUROC within a patient, mean", on, float(np.mean(own.within)), *interval(own.within)))
        made.append(Row("best Dice of the map", on, float(np.mean(own.dice)), *interval(own.dice)))
        plain = brain(found["brain"])[PLAIN]
        made.append(Row("AUROC of a plain intensity threshold", on, *plain.slices))
        return [*made, Row("best Dice of a plain intensity threshold", on, float(np.mean(plain.dice)), *interval(plain.dice))]
    made = []
    for site in (site for site in OTHER if site in found):
        value = _auroc(found[site], OURS)
        made.append(
            Row(
                "AUROC, tuberculosis against normal", f"{site.capitalize()}, {len(found[site])} patients, by the other site", *value
            )
        )
    return made


def normal_limits(work: Path, kind: str) -> tuple[list[float], float]:
    """Of normal slices that their model was not trained on: (their scores, the value that one in 200 pixels exceeds)."""
    found = everything(work)
    own = [one for key, ones in found.items() if (key == "brain") == (kind == "brain") for one in ones]
    normal = [one for one in own if not one.ill and not one.doubtful]
    scores = np.quantile([one.scores[OURS] for one in normal], np.linspace(0, 1, 41))
    pixels = np.concatenate([one.maps[OURS][one.maps[OURS] > 0] for one in normal])
    return [round(float(n), 4) for n in scores], round(float(np.quantile(pixels, 0.995)), 4)


def _three(value: tuple[float, float, float]) -> str:
    return f"{value[0]:.3f} ({value[1]:.3f} to {value[2]:.3f})"
