"""Lesions localised and classified, and nodules classified as malignant or benign.

Three networks, each trained jointly, separately and without a map, measured on patients it never saw, with every subset of their
sequences; the plan of the shipped model; and a plain threshold. Trainings and maps are kept one by one, so that a stopped run goes
on within a unit. Rows: each patient, network, way of training, seed and subset of sequences.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from benchmarks import driver
from benchmarks.tables import mean, measured, shared, spread, table
from casewise.lesions.tuning import LEAST_ML, Choice
from casewise.statistics import auc, interval, paired_bootstrap, paired_p
from experiments.lesions.cases import FOLDS, GLIOMA
from experiments.lesions.measures import Rows, everything, values
from experiments.lesions.nodules import rows as nodule_rows
from experiments.lesions.runs import NETWORKS, SHIPPED, STEPS, SYNTHETIC, THRESHOLD, WAYS, judged, plan, unit

_SURE = 0.05
_SITES = {"brats-cbica": "Pennsylvania (CBICA)", "wmh": "Shanghai (WMH)", "open-ms": "Ljubljana (open-ms)"}
_ARMS = (*((network, way) for network in NETWORKS for way in WAYS), (SHIPPED, "joint"), (THRESHOLD, "joint"))
_MAPPED = [(network, way) for network, way in _ARMS if way != "unmapped"]
TITLES = {
    "dice": "Dice of the map",
    "sensitivity": "lesions found",
    "false": "false pieces a patient",
    "slice_auc": "AUC slice with a lesion",
    "true_class": "probability of the true class",
}
OF_MAPS = ("dice", "sensitivity", "false")
_Chosen = Callable[[dict[str, Any]], bool]


def units(options: Namespace) -> Iterator[driver.Unit]:
    yield driver.Unit("brains", partial(_brains, options.seeds), str(options.seeds))
    yield from (driver.Unit(f"nodules, {network}", partial(nodule_rows, network, 0)) for network in ("multitask", "regression"))


def _brains(seeds: int) -> dict[str, Any]:
    todo = [(network, fold, seed) for seed in range(seeds) for network in (THRESHOLD, SHIPPED, *NETWORKS) for fold in range(FOLDS)]
    rows, choices = judged([row for one in todo for row in unit(*one)])
    return {"rows": rows, "choices": {arm: [_words(one) for one in made] for arm, made in choices.items()}, "seeds": seeds}


def figures(units: driver.Rows) -> Mapping[str, Any]:
    rows, nodules = units["brains"]["rows"], [row for name, of in units.items() if name != "brains" for row in of]
    full = everything(rows)
    return {
        "seeds": units["brains"]["seeds"],
        "steps": STEPS,
        "shipped": plan(SHIPPED, "joint", 0),
        "synthetic": SYNTHETIC,
        "least": LEAST_ML,
        "main": _main_table(rows, full),
        "added": _shipped_against_threshold(rows, full),
        "sites": _sites_table(rows, full),
        "choices": _choices_table(rows, units["brains"]["choices"], full),
        "verdicts": "\n".join(_verdicts(rows, full)),
        "paired": _paired_table(rows, full),
        "patients": _patients_table(rows, full),
        "subsets": _subsets_table(rows),
        "dropped": _dropped_table(rows, full),
        "nodule_patients": len({row["patient"] for row in nodules}),
        "malignant": len({row["patient"] for row in nodules if row["malignant"]}),
        "nodules": _nodules_table(nodules),
    }


def _main_table(rows: Rows, full: _Chosen) -> str:
    lines = [
        [network, _way(network, way), *_means(rows, network, way, TITLES, full), _glioma(rows, network, way, full)]
        for network, way in _ARMS
    ]
    return table(["network", "trained", *TITLES.values(), "AUC glioma"], lines)


def _shipped_against_threshold(rows: Rows, full: _Chosen) -> str:
    """What the network adds to the brightness alone, by patient."""
    parts = []
    for measure in OF_MAPS:
        one, two = shared(*(values(rows, network, "joint", measure, full) for network in (SHIPPED, THRESHOLD)))
        gains = [a - b for a, b in zip(one, two, strict=True)]
        low, high = interval(gains)
        parts.append(f"{TITLES[measure]} {np.mean(gains):+.3f} ({low:+.3f} to {high:+.3f}, p {paired_p(one, two):.2f})")
    return "; ".join(parts)


def _sites_table(rows: Rows, full: _Chosen) -> str:
    """Each site's patients, of every way that makes a map."""
    lines = []
    for site, title in _SITES.items():
        own = [row for row in rows if row["patient"].startswith(f"{site}/")]
        for network, way in _MAPPED:
            cells = _means(own, network, way, OF_MAPS, full)
            if set(cells) != {"–"}:
                lines.append([title, network, _way(network, way), *cells])
    return table(["site", "network", "trained", *(TITLES[own] for own in OF_MAPS)], lines)


def _choices_table(rows: Rows, choices: Mapping[str, Sequence[str]], full: _Chosen) -> str:
    """What was chosen, and what the maps are under the rule of which nothing was chosen."""
    usual = [f"usual {measure}" for measure in OF_MAPS]
    lines = [
        [arm, "; ".join(choices[arm]), *_means(rows, network, way, usual, full)]
        for network, way in _ARMS
        if choices.get(arm := f"{network}, {way}")
    ]
    return table(["network, trained", "chosen for each fold", *(TITLES[own] for own in OF_MAPS)], lines)


def _paired_table(rows: Rows, full: _Chosen) -> str:
    lines = []
    for network in NETWORKS:
        for measure, title in TITLES.items():
            cells = [_difference(rows, network, measure, other, full) for other in WAYS[1:]]
            if any(cell != "–" for cell in cells):
                lines.append([network, title, *cells])
    return table(["network", "measure", "joint − separate", "joint − unmapped"], lines)


def _verdicts(rows: Rows, full: _Chosen) -> list[str]:
    """A sentence a network: in which measures joint training is better or worse than separate training, at p < 0.05."""
    lines = []
    for network in NETWORKS:
        better, worse, seen = [], [], 0
        for measure, title in TITLES.items():
            first, second = shared(*(values(rows, network, way, measure, full) for way in WAYS[:2]))
            if len(first) < 2:
                continue
            seen += 1
            gain = float(np.mean(first) - np.mean(second)) * (-1 if measure == "false" else 1)
            if paired_p(first, second) < _SURE:
                (better if gain > 0 else worse).append(title)
        parts = [f"better in {', '.join(better)}"] if better else []
        parts += [f"worse in {', '.join(worse)}"] if worse else []
        rest = seen - len(better) - len(worse)
        parts += [f"not to be distinguished from separate training in {rest} of {seen} measures"] if rest else []
        lines.append(f"- {network}: joint training is {'; '.join(parts)}.")
    return lines


def _patients_table(rows: Rows, full: _Chosen) -> str:
    heads = [network if network in (SHIPPED, THRESHOLD) else f"{network}, {way}" for network, way in _MAPPED]
    dices = [values(rows, network, way, "dice", full) for network, way in _MAPPED]
    lines = []
    for category, patient in sorted({(row["category"], row["patient"]) for row in rows}):
        cells = [f"{own[patient]:.3f}" if patient in own else "–" for own in dices]
        lines.append([f"{category}, {patient.split('/')[1]}", *cells])
    return table(["patient", *heads], lines)


def _subsets_table(rows: Rows) -> str:
    """Of each subset of sequences, over the patients who have all of them."""
    lines = []
    subsets = sorted({tuple(row["sequences"]) for row in rows if row["network"] in NETWORKS}, key=lambda own: (len(own), own))
    for subset in subsets:
        for measure in OF_MAPS[:2]:
            columns = [values(rows, n, "joint", measure, lambda row, s=subset: tuple(row["sequences"]) == s) for n in NETWORKS]
            cells = ["–" if not own else f"{np.mean(list(own.values())):.3f}" for own in columns]
            lines.append([", ".join(subset), max(map(len, columns)), TITLES[measure], *cells])
    return table(["sequences", "patients", "measure", *NETWORKS], lines)


def _dropped_table(rows: Rows, full: _Chosen) -> str:
    """What leaving sequences out costs the patients who have several."""
    several = {row["patient"] for row in rows if len(row["sequences"]) > 1}
    own = [row for row in rows if row["patient"] in several]
    chosen: list[_Chosen] = [full, lambda row: row["sequences"] == ["FLAIR"], lambda row: "FLAIR" not in row["sequences"]]
    lines = [[n, *(_mean(values(own, n, "joint", "dice", which)) for which in chosen)] for n in NETWORKS]
    return table(["network, joint", "all", "FLAIR alone", "FLAIR missing"], lines)


def _nodules_table(rows: Rows) -> str:
    lines, networks = [], list(dict.fromkeys(row["network"] for row in rows))
    for network in networks:
        for way in WAYS:
            chances, truth, own = _nodules(rows, network, way)
            area = spread(measured(lambda drawn, c=chances, t=truth: auc(c[drawn], t[drawn]), len(own)), ".3f", ".2f")
            lines.append([network, way, area, "–" if way == "unmapped" else mean([row["dice"] for row in own], ends=".2f")])
    for network in networks:
        one, truth, own = _nodules(rows, network, "joint")
        for way in WAYS[1:]:
            two, _, others = _nodules(rows, network, way)
            if [row["patient"] for row in own] != [row["patient"] for row in others]:
                raise ValueError(f"{network}: joint and {way} are of other patients, or in another order")
            low, high, p = paired_bootstrap(lambda d, a=one, b=two, t=truth: auc(a[d], t[d]) - auc(b[d], t[d]), len(truth))
            gain = auc(one, truth) - auc(two, truth)
            lines.append([network, f"joint − {way}", f"{gain:+.3f} ({low:+.2f} to {high:+.2f}), p {p:.2f}", ""])
    return table(["network", "trained", "AUC malignant", "Dice of the map"], lines)


def _nodules(rows: Rows, network: str, way: str) -> tuple[np.ndarray, np.ndarray, Rows]:
    own = [row for row in rows if row["network"] == network and row["way"] == way]
    return np.array([row["chance"] for row in own]), np.array([row["malignant"] for row in own]), own


def _difference(rows: Rows, network: str, measure: str, other: str, full: _Chosen) -> str:
    first, second = shared(*(values(rows, network, way, measure, full) for way in ("joint", other)))
    if len(first) < 2:
        return "–"
    gains = [a - b for a, b in zip(first, second, strict=True)]
    low, high = interval(gains)
    return f"{np.mean(gains):+.3f} ({low:+.3f} to {high:+.3f}), p {paired_p(first, second):.2f}, {len(first)} patients"


def _glioma(rows: Rows, network: str, way: str, full: _Chosen) -> str:
    chances = values(rows, network, way, "glioma", full)
    kinds = {row["patient"]: row["category"] for row in rows}
    order = sorted(chances)
    scores, truth = np.array([chances[p] for p in order]), np.array([kinds[p] == GLIOMA for p in order])
    if not 0 < truth.sum() < len(truth):
        return "–"
    return spread(measured(lambda drawn: auc(scores[drawn], truth[drawn]), len(order)), ".2f")


def _words(choice: Choice) -> str:
    bright, rule = choice.brightness, choice.rule
    drawn = "the map" if bright is None else f"{bright.trust:g} · map + {bright.weight:g} · (FLAIR − {bright.level:g})"
    return f"{drawn} from {rule.threshold:g}, peak {rule.peak:g}, mean {rule.mean:g}, {rule.least_ml:g} ml"


def _way(network: str, way: str) -> str:
    return "–" if network == THRESHOLD else way


def _means(rows: Rows, network: str, way: str, measures: Sequence[str] | Mapping[str, str], full: _Chosen) -> list[str]:
    return [_mean(values(rows, network, way, measure, full)) for measure in measures]


def _mean(own: Mapping[str, float]) -> str:
    return mean(list(own.values()), ends=".2f")


BENCHMARK = driver.Benchmark("lesions", __doc__, units, figures, lambda parser: parser.add_argument("--seeds", type=int, default=1))

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
