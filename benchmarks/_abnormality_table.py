"""The page of ``abnormality.py``: AUROC of slices and radiographs, best Dice of the map, by patient, beside plain ways."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from casewise.statistics import interval, paired_p
from experiments.abnormality.measures import METHODS, OURS, PLAIN, REBUILT, Seen, _auroc, _count, brain, difference, everything
from experiments.abnormality.runs import BRAIN, CHEST

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


def _three(value: tuple[float, float, float]) -> str:
    return f"{value[0]:.3f} ({value[1]:.3f} to {value[2]:.3f})"
