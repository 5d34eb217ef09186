"""The page of ``sites.py``: each order's Dice by site, and what 2, 4 and 8 annotated deployment cases bring, by patient."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks._sites_runs import CHANNELS, COUNTS, FIRST, LAST, PARENT, SECOND, units
from casewise.statistics import interval, paired_p
from casewise.training.curriculum import CHOICES, ORDERS

Row = dict[str, object]
REFERENCE = "random"
ARMS = (
    "first site alone",
    "pooled",
    *ORDERS,
    *(f"{how}, first site in between" for how in ORDERS),
)
HOW = f"""\
A model is trained on a first site, continued on a second one, and measured on patients of both and of a third one, the deployment
site, none of whom any training saw. Every site takes every place. Then 2, 4 or 8 annotated cases of the deployment site's other
patients are chosen, and the model is fitted to them. A quarter of each site's patients (lungs) or half (lesions,
whose cases are slices
of 3, 5 and 1 patients) is tested on; Ljubljana's one patient is only trained on.

U-Net {"–".join(map(str, CHANNELS))} at 96×96, trained by `casewise.training.fit` as a plain segmenter, lesions too:
the figures are not of the lesion networks ([lesions](lesions.md)). {FIRST.steps} steps on the first site,
{SECOND.steps} on the second, {LAST.steps} on the
deployment site; *pooled*: both sites from the beginning, {FIRST.steps + SECOND.steps} steps. Order by the cosine of the shipped
encoder's vectors to the first site's middle. The order's first third is shown, then more and more of it, and from
half of the steps on
all; *in between*: every second case is one of the first site's. Uncertainty: the entropy of the mean answer to a
picture, shifted and
brightened or darkened a little."""
ROLES = ("second", "first", "deployment")
NAMES = {"lungs": "Lungs: JSRT, Shenzhen, Montgomery", "lesions": "Brain lesions on FLAIR: Pennsylvania, Shanghai, Ljubljana"}


def write(work: Path, results: Path) -> Path:
    rows, finished, seconds = _rows(work)
    path = results / "sites.md"
    lines = [
        "# Several sites, one after another",
        "",
        "`python -m benchmarks.sites`",
        "",
        "\n\n".join(" ".join(part.split()) for part in HOW.split("\n\n")),
        "",
        f"{finished} of {len(units())} trainings over sites ({seconds / 60:.0f} minutes on one core). A patient's Dice is the mean "
        "over those that tested on him; intervals are 95 % bootstrap over patients; p by Wilcoxon's signed-rank test over "
        "patients, not corrected for the number of tests.",
    ]
    for task, name in NAMES.items():
        of_task = [row for row in rows if row["task"] == task]
        if of_task:
            lines += ["", f"## {name}", "", *_site_table(of_task), "", *_deployment_table(of_task)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    path.with_suffix(".json").write_text(json.dumps(_figures(rows), indent=1) + "\n", encoding="utf-8")
    return path


def _rows(work: Path) -> tuple[list[Row], int, float]:
    rows: list[Row] = []
    finished, seconds = 0, 0.0
    for unit in units():
        path = work / f"{unit.name}.jsonl"
        if not path.exists():
            continue
        finished += 1
        for line in path.read_text().splitlines():
            row = json.loads(line)
            if "seconds" in row:
                seconds += row["seconds"]
            else:
                rows.append(row)
    return rows, finished, seconds


def by_patient(rows: Sequence[Row], chosen: Callable[[Row], bool]) -> dict[str, float]:
    values: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if chosen(row):
            values[str(row["patient"])].append(float(row["dice"]))  # type: ignore[arg-type]
    return {patient: float(np.mean(found)) for patient, found in values.items()}


def _site_table(rows: Sequence[Row]) -> list[str]:
    lines = [
        "| training | second site | change, p | first site | change, p | deployment site, not trained on | change, p |",
        "|---|---|---|---|---|---|---|",
    ]
    for arm in ARMS:
        cells = []
        for role in ROLES:
            values = by_patient(rows, _arm(arm, role))
            other = by_patient(rows, _arm(REFERENCE, role))
            cells += [_mean(values), "" if arm == REFERENCE else _p(values, other)]
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    counts = {role: len(by_patient(rows, _arm(REFERENCE, role))) for role in ROLES}
    lines += ["", f"{counts['second']} patients; p against *{REFERENCE}*."]
    return lines


def _deployment_table(rows: Sequence[Row]) -> list[str]:
    none = by_patient(rows, _choice("none", 0))
    if not none:
        return []
    lines = [
        f"Deployment, from *{PARENT}*, {len(none)} patients; without any annotated case {_mean(none)}:",
        "",
        "| chosen | " + " | ".join(f"{count} cases | change, p against random" for count in COUNTS) + " |",
        "|---|" + "---|---|" * len(COUNTS),
    ]
    for how in CHOICES:
        cells = []
        for count in COUNTS:
            values, other = by_patient(rows, _choice(how, count)), by_patient(rows, _choice("random", count))
            cells += [_mean(values), "" if how == "random" else _p(values, other)]
        lines.append(f"| {how} | {' | '.join(cells)} |")
    return lines


def _arm(arm: str, role: str) -> Callable[[Row], bool]:
    return lambda row: row["part"] == "sites" and row["arm"] == arm and row["role"] == role


def _choice(how: str, count: int) -> Callable[[Row], bool]:
    return lambda row: row["part"] == "deployment" and row["arm"] == how and row["count"] == count


def _mean(values: dict[str, float]) -> str:
    if not values:
        return "–"
    low, high = interval(list(values.values()))
    return f"{np.mean(list(values.values())):.3f} ({low:.3f} to {high:.3f})"


def _p(values: dict[str, float], other: dict[str, float]) -> str:
    both = [patient for patient in values if patient in other]
    if len(both) < 2:
        return "–"
    first, second = ([side[patient] for patient in both] for side in (values, other))
    change = float(np.mean(first) - np.mean(second))
    return f"{'−' if change < 0 else '+'}{abs(change):.3f}, {paired_p(first, second):.2g}"


def _figures(rows: Sequence[Row]) -> dict[str, object]:
    """Mean Dice by task, arm and role."""
    found: dict[str, object] = {}
    for task in NAMES:
        of_task = [row for row in rows if row["task"] == task]
        for arm in ARMS:
            for role in ROLES:
                values = by_patient(of_task, _arm(arm, role))
                if values:
                    found[f"{task} | {arm} | {role}"] = round(float(np.mean(list(values.values()))), 4)
        for how, count in [("none", 0), *((how, count) for how in CHOICES for count in COUNTS)]:
            values = by_patient(of_task, _choice(how, count))
            if values:
                found[f"{task} | deployed | {how} {count}"] = round(float(np.mean(list(values.values()))), 4)
    return found
