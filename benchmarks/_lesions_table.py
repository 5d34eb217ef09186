"""The tables of the benchmark of lesions."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from casewise.lesions.tuning import LEAST_ML, Choice
from casewise.statistics import auc, interval, paired_bootstrap, paired_p
from experiments.lesions.cases import GLIOMA
from experiments.lesions.measures import Rows, everything, values
from experiments.lesions.runs import NETWORKS, SHIPPED, STEPS, SYNTHETIC, THRESHOLD, WAYS, plan

_SURE = 0.05
_SITES = {"brats-cbica": "Pennsylvania (CBICA)", "wmh": "Shanghai (WMH)", "open-ms": "Ljubljana (open-ms)"}
_ARMS = (*((network, way) for network in NETWORKS for way in WAYS), (SHIPPED, "joint"), (THRESHOLD, "joint"))
_MEASURES = ("dice", "sensitivity", "false", "slice_auc", "true_class")
_TITLES = {
    "dice": "Dice of the map",
    "sensitivity": "lesions found",
    "false": "false pieces a patient",
    "slice_auc": "AUC slice with a lesion",
    "true_class": "probability of the true class",
}


def main_table(rows: Rows) -> list[str]:
    full = everything(rows)
    lines = ["| network | trained | " + " | ".join(_TITLES.values()) + " | AUC glioma |", "|---|---|" + "---|" * (len(_TITLES) + 1)]
    for network, way in _ARMS:
        cells = [_mean(list(values(rows, network, way, measure, full).values())) for measure in _MEASURES]
        told = "–" if network == THRESHOLD else way
        lines.append(f"| {network} | {told} | " + " | ".join([*cells, _glioma(rows, network, way, full)]) + " |")
    return lines


def shipped_against_threshold(rows: Rows) -> str:
    """A sentence: what the network adds to the brightness alone, by patient."""
    full, told = everything(rows), []
    for measure in _MEASURES[:3]:
        one, two = (values(rows, network, "joint", measure, full) for network in (SHIPPED, THRESHOLD))
        shared = sorted(set(one) & set(two))
        if len(shared) < 2:
            return ""
        gains = [one[patient] - two[patient] for patient in shared]
        low, high = interval(gains)
        sure = paired_p([one[patient] for patient in shared], [two[patient] for patient in shared])
        told.append(f"{_TITLES[measure]} {np.mean(gains):+.3f} ({low:+.3f} to {high:+.3f}, p {sure:.2f})")
    return f"*{SHIPPED}* against *{THRESHOLD}*, by patient: {'; '.join(told)}.\n"


def sites_table(rows: Rows) -> list[str]:
    """Each site's patients, of every way that makes a map."""
    full, measures = everything(rows), _MEASURES[:3]
    lines = ["| site | network | trained | " + " | ".join(_TITLES[own] for own in measures) + " |", "|---|---|---|---|---|---|"]
    for site, title in _SITES.items():
        own = [row for row in rows if row["patient"].startswith(f"{site}/")]
        for network, way in _ARMS:
            if way != "unmapped" and own:
                cells = [_mean(list(values(own, network, way, measure, full).values())) for measure in measures]
                if set(cells) == {"–"}:
                    continue
                told = "–" if network == THRESHOLD else way
                lines.append(f"| {title} | {network} | {told} | " + " | ".join(cells) + " |")
    return lines


def choices_table(rows: Rows, choices: Mapping[str, Sequence[Choice]]) -> list[str]:
    """What was chosen, and what the maps are under the rule of which nothing was chosen."""
    full, measures = everything(rows), _MEASURES[:3]
    lines = [
        "| network, trained | chosen for each fold | " + " | ".join(_TITLES[own] for own in measures) + " |",
        "|---|---|---|---|---|",
    ]
    for network, way in _ARMS:
        if choices.get(f"{network}, {way}"):
            told = "; ".join(map(_told, choices[f"{network}, {way}"]))
            cells = [_mean(list(values(rows, network, way, f"usual {measure}", full).values())) for measure in measures]
            lines.append(f"| {network}, {way} | {told} | " + " | ".join(cells) + " |")
    return lines


def paired_table(rows: Rows) -> list[str]:
    full = everything(rows)
    lines = ["| network | measure | joint − separate | joint − unmapped |", "|---|---|---|---|"]
    for network in NETWORKS:
        for measure in _MEASURES:
            cells = [_difference(rows, network, measure, other, full) for other in WAYS[1:]]
            if any(cell != "–" for cell in cells):
                lines.append(f"| {network} | {_TITLES[measure]} | " + " | ".join(cells) + " |")
    return lines


def verdicts(rows: Rows) -> list[str]:
    """A sentence a network: in which measures joint training is better or worse than separate training, at p < 0.05."""
    full, lines = everything(rows), []
    for network in NETWORKS:
        better, worse, seen = [], [], 0
        for measure in _MEASURES:
            one, two = (values(rows, network, way, measure, full) for way in WAYS[:2])
            shared = sorted(set(one) & set(two))
            if len(shared) < 2:
                continue
            seen += 1
            first, second = [one[p] for p in shared], [two[p] for p in shared]
            gain = float(np.mean(first) - np.mean(second)) * (-1 if measure == "false" else 1)
            if paired_p(first, second) < _SURE:
                (better if gain > 0 else worse).append(_TITLES[measure])
        if seen:
            told = [f"better in {', '.join(better)}"] if better else []
            told += [f"worse in {', '.join(worse)}"] if worse else []
            rest = seen - len(better) - len(worse)
            told += [f"not to be told from separate training in {rest} of {seen} measures"] if rest else []
            lines.append(f"- {network}: joint training is {'; '.join(told)}.")
    return lines


def patients_table(rows: Rows) -> list[str]:
    full, arms = everything(rows), [(network, way) for network, way in _ARMS if way != "unmapped"]
    patients = sorted({(row["category"], row["patient"]) for row in rows})
    heads = [network if network in (SHIPPED, THRESHOLD) else f"{network}, {way}" for network, way in arms]
    lines = ["| patient | " + " | ".join(heads) + " |", "|---|" + "---|" * len(arms)]
    for category, patient in patients:
        cells = [values(rows, network, way, "dice", full).get(patient) for network, way in arms]
        lines.append(
            f"| {category}, {patient.split('/')[1]} | " + " | ".join("–" if c is None else f"{c:.3f}" for c in cells) + " |"
        )
    return lines


def subsets_table(rows: Rows) -> list[str]:
    """Of each subset of sequences, over the patients who have all of them."""
    lines = ["| sequences | patients | measure | " + " | ".join(NETWORKS) + " |", "|---|---|---|" + "---|" * len(NETWORKS)]
    subsets = sorted({tuple(row["sequences"]) for row in rows if row["network"] in NETWORKS}, key=lambda own: (len(own), own))
    for subset in subsets:
        for measure in ("dice", "sensitivity"):
            columns = [values(rows, n, "joint", measure, lambda row, s=subset: tuple(row["sequences"]) == s) for n in NETWORKS]
            count = max(len(own) for own in columns)
            cells = ["–" if not own else f"{np.mean(list(own.values())):.3f}" for own in columns]
            lines.append(f"| {', '.join(subset)} | {count} | {_TITLES[measure]} | " + " | ".join(cells) + " |")
    return lines


def dropped_table(rows: Rows) -> list[str]:
    """What leaving sequences out costs the patients who have several."""
    full = everything(rows)
    several = {row["patient"] for row in rows if len(row["sequences"]) > 1}
    lines = ["| network, joint | all | FLAIR alone | FLAIR missing |", "|---|---|---|---|"]
    chosen: dict[str, Callable[[dict[str, Any]], bool]] = {
        "all": full,
        "alone": lambda row: row["sequences"] == ["FLAIR"],
        "missing": lambda row: "FLAIR" not in row["sequences"],
    }
    for network in NETWORKS:
        cells = []
        for which in chosen.values():
            own = values([row for row in rows if row["patient"] in several], network, "joint", "dice", which)
            cells.append(_mean(list(own.values())))
        lines.append(f"| {network} | " + " | ".join(cells) + " |")
    return lines


def nodules_table(rows: Rows) -> list[str]:
    lines = ["| network | trained | AUC malignant | Dice of the map |", "|---|---|---|---|"]
    for network in dict.fromkeys(row["network"] for row in rows):
        for way in WAYS:
            own = [row for row in rows if row["network"] == network and row["way"] == way]
            chances, truth = np.array([row["chance"] for row in own]), np.array([row["malignant"] for row in own])
            low, high, _ = paired_bootstrap(lambda drawn, c=chances, t=truth: _auc(c[drawn], t[drawn]), len(own))
            dices = "–" if way == "unmapped" else _mean([row["dice"] for row in own])
            lines.append(f"| {network} | {way} | {auc(chances.tolist(), truth.tolist()):.3f} ({low:.2f} to {high:.2f}) | {dices} |")
    for network in dict.fromkeys(row["network"] for row in rows):
        by = {way: [row for row in rows if row["network"] == network and row["way"] == way] for way in WAYS}
        truth = np.array([row["malignant"] for row in by["joint"]])
        for other in WAYS[1:]:
            one, two = (np.array([row["chance"] for row in by[way]]) for way in ("joint", other))
            order = [[row["patient"] for row in by[way]] for way in ("joint", other)]
            assert order[0] == order[1]
            low, high, p = paired_bootstrap(lambda d, a=one, b=two, t=truth: _auc(a[d], t[d]) - _auc(b[d], t[d]), len(truth))
            gain = _auc(one, truth) - _auc(two, truth)
            lines.append(f"| {network} | joint − {other} | {gain:+.3f} ({low:+.2f} to {high:+.2f}), p {p:.2f} | |")
    return lines


def page(brains: Rows, choices: Mapping[str, Sequence[Choice]], nodules: Rows, seeds: int, missing: Sequence[str] = ()) -> str:
    first, second, third = STEPS
    shipped = plan(SHIPPED, "joint", 0)
    return "\n".join(
        [
            "# Lesions: where, and of which kind\n",
            f"`python -m benchmarks.lesions --seeds {seeds}`\n",
            f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}; no GPU.\n",
            *([f"**Not measured yet: {', '.join(missing)}.**\n"] if missing else []),
            "## Brains",
            "Nine patients: glioma 3 (Pennsylvania; FLAIR, T1), white-matter hyperintensities 5 (Shanghai; FLAIR, 8 mm",
            "slices), multiple sclerosis 1 (Ljubljana; FLAIR, T1, T1 post, T2). Three folds by patient; each measured by",
            f"networks that never saw the patient. **joint**: {first} steps for the map, {second} for the class with the",
            f"map held fixed, {third} for both. **separate**: the map goes on alone ({first} + {third}), the class is",
            f"learnt from the fixed map ({second} + {third}). **unmapped**: a classifier without map ({second} + {third}).",
            f"{round(100 * SYNTHETIC)} % of the slices shown in training have synthetic lesions; sequences are left out at",
            f"random. A lesion counts from {LEAST_ML} ml on and is found where a tenth of it is in the mask; a false piece counts",
            f"from {LEAST_ML} ml on where it touches no lesion. Intervals: 95 %, bootstrap over patients; p: Wilcoxon over",
            f"patients. **{SHIPPED}**: the plan of the shipped model (fusion, joint, FLAIR and T1 alone, {shipped.size} pixels,",
            f"{' + '.join(map(str, shipped.steps))} steps), in the same three folds. **{THRESHOLD}**: no network, FLAIR's",
            "brightness alone, cut by a rule chosen in the same way.\n",
            "**What of a map counts** is chosen for each network and way of training on the maps of the other two folds' patients,",
            "by the highest mean of Dice and lesion-wise F1: whether FLAIR's brightness (in deviations) is added to the map's",
            "logits, a threshold, a peak that a piece has to come up to, the network's least mean chance over it, and a least",
            "volume. (The networks that made those maps had seen this fold's patients; these few numbers are all that comes of",
            "it. What is chosen *among* was settled on these same nine patients, none of whom the network in question had seen, so",
            "that the figures are somewhat too good.)\n",
            "**What these figures cannot show.** Each class comes from one site, so that whoever tells the sites apart tells the",
            "classes apart: scanner, slice thickness and skull-stripping differ with the disease. The class is told from FLAIR",
            "alone, which all have, so that at least the presence of a T1 gives nothing away. The one patient with multiple",
            "sclerosis was measured by networks that had seen no multiple sclerosis. With nine patients, only large differences",
            "can be told from chance.\n",
            "### All sequences that a patient has",
            *main_table(brains),
            "\n`probability of the true class` is of the eight patients whose class was trained on. `AUC slice with a lesion`:",
            "within each patient, how well the verdict on a slice tells those with lesions from those without, which no site can",
            "give away.\n",
            shipped_against_threshold(brains),
            "### Each site",
            *sites_table(brains),
            "\n### What was chosen, and the networks' maps as they are (from 0.5, all pieces of 0.02 ml)",
            *choices_table(brains, choices),
            "\n### Joint against the others, by patient",
            *verdicts(brains),
            "",
            *paired_table(brains),
            "\n### Dice of each patient",
            *patients_table(brains),
            "\n### Every subset of the sequences, joint training",
            *subsets_table(brains),
            "\n### What a missing sequence costs the four patients who have several: Dice",
            *dropped_table(brains),
            "\n## Lung nodules: malignant or benign",
            f"JSRT, {len({row['patient'] for row in nodules})} nodules of as many patients"
            f" ({len({row['patient'] for row in nodules if row['malignant']})} malignant), 67 mm around each, cut from the",
            "irregularity detector's segments; five folds by patient. The map's target is a disc in the middle, so that its Dice",
            "says little.\n",
            *nodules_table(nodules),
            "",
        ]
    )


def _difference(rows: Rows, network: str, measure: str, other: str, full: Callable[[dict[str, Any]], bool]) -> str:
    one, two = (values(rows, network, way, measure, full) for way in ("joint", other))
    shared = sorted(set(one) & set(two))
    if len(shared) < 2:
        return "–"
    first, second = [one[p] for p in shared], [two[p] for p in shared]
    gains = [a - b for a, b in zip(first, second, strict=True)]
    low, high = interval(gains)
    return f"{np.mean(gains):+.3f} ({low:+.3f} to {high:+.3f}), p {paired_p(first, second):.2f}, {len(shared)} patients"


def _glioma(rows: Rows, network: str, way: str, full: Callable[[dict[str, Any]], bool]) -> str:
    chances = values(rows, network, way, "glioma", full)
    kinds = {row["patient"]: row["category"] for row in rows}
    order = sorted(chances)
    scores, truth = np.array([chances[p] for p in order]), np.array([kinds[p] == GLIOMA for p in order])
    if not 0 < truth.sum() < len(truth):
        return "–"
    low, high, _ = paired_bootstrap(lambda drawn: _auc(scores[drawn], truth[drawn]), len(order))
    return f"{_auc(scores, truth):.2f} ({low:.2f} to {high:.2f})"


def _auc(scores: np.ndarray, truth: np.ndarray) -> float:
    return auc(scores.tolist(), truth.tolist()) if 0 < truth.sum() < len(truth) else 0.5


def _told(choice: Choice) -> str:
    bright, rule = choice.brightness, choice.rule
    drawn = "the map" if bright is None else f"{bright.trust:g} · map + {bright.weight:g} · (FLAIR − {bright.level:g})"
    return f"{drawn} from {rule.threshold:g}, peak {rule.peak:g}, mean {rule.mean:g}, {rule.least_ml:g} ml"


def _mean(own: Sequence[float]) -> str:
    if not own:
        return "–"
    low, high = interval(own)
    return f"{np.mean(own):.3f} ({low:.2f} to {high:.2f})"
