"""From the rows that ``interaction.py`` measured to its tables: means, intervals and paired tests by patient."""

from __future__ import annotations

import json
import platform
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks._interaction_notes import NOTES
from casewise.statistics import interval, paired_p
from experiments.interaction.measure import ANOTHER, OURS, by_patient

Row = dict
TITLES = {
    "heart": "Short-axis heart MR (ACDC), no heart in the training",
    "films": "Chest radiographs",
    "lesions": "Lesions on FLAIR slices, no such lesion set in the training",
    "hippocampus": "Hippocampus, T1, 3D, not in the training",
    "tumour": "Glioma on FLAIR, 3D, not in the training",
}
SHOWN = (0, 1, 2, 4, 8)
_VIEWS = """Where the last block is tuned, the picture is seen once, not mirrored and turned as well: its features are of one view.
The last block is tuned at a rate of 0.01, the whole network at 0.001; each takes 20 steps a round."""


def interactions(row: Row) -> int:
    """Strokes until Dice first reaches 0.90; 9 for never."""
    return next((n for n, score in enumerate(row["dice"]) if score >= 0.9), 9)


def how_measured(command: str, ours: str = OURS) -> list[str]:
    """The lines that say what a table's columns mean and on what it was measured."""
    return [
        f"`python -m {command}` on {platform.machine()}, {_processor()}, one thread, no GPU.",
        "A simulated user draws a box, then a stroke on the largest error, eight times at most.",
        "NoI90: strokes to Dice 0.90 (9: never). Seconds are the processor's.",
        f"Intervals (95 %, bootstrap) and p (Wilcoxon, paired, against {ours}) are by patient.",
        "*Worse*: rounds after which Dice fell by more than 0.02. *Expert*: Dice after the box and a person's own strokes at once.",
        "",
    ]


def write(rows: list[Row], ablations: Sequence[str], results: Path) -> None:
    """``interaction.md`` and ``interaction.json`` in ``results``."""
    lines = ["# Interactive segmentation against its peers", "", *how_measured("benchmarks.interaction")]
    by_group: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_group[row["group"]].append(row)
    for group, title in TITLES.items():
        if group in by_group:
            main = [row for row in by_group[group] if row["method"] not in ablations]
            lines += [f"## {title}", "", *table(main), "", *_over_trainings(main)]
            for structure in dict.fromkeys(row["structure"] for row in main):
                of_it = [row for row in main if row["structure"] == structure]
                if len({row["structure"] for row in main}) > 1:
                    kind = ", seen kind of structure, other patients" if of_it[0]["seen"] else ""
                    lines += [f"### {structure.replace('_', ' ')}{kind}", "", *table(of_it), "", *_over_trainings(of_it)]
            if any(row["method"] in ablations for row in by_group[group]):
                both = {row["task"] for row in by_group[group] if row["method"] in ablations}
                chosen = [row for row in by_group[group] if row["method"] in (OURS, *ablations) and row["task"] in both]
                lines += ["### Fine-tuning on the image, part by part", "", _VIEWS, "", *table(chosen), ""]
    lines += _beaten([row for row in rows if row["method"] not in ablations])
    (results / "interaction.md").write_text("\n".join([*lines, NOTES]), encoding="utf-8")
    (results / "interaction.json").write_text(json.dumps(rows, indent=0) + "\n", encoding="utf-8")


def _beaten(rows: list[Row]) -> list[str]:
    """Every structure and measure in which a peer is better than ours beyond chance (paired by patient, p < 0.05)."""
    found = []
    measures: dict[str, Callable[[Row], float | None]] = {"strokes to 0.90": lambda row: -interactions(row)}
    measures |= {f"Dice after {n} strokes" if n else "Dice after the box": lambda row, n=n: row["dice"][n] for n in SHOWN}
    measures["Dice by an expert's strokes"] = lambda row: row["expert"]
    for group, structure in dict.fromkeys((row["group"], row["structure"]) for row in rows):
        of_it = [row for row in rows if (row["group"], row["structure"]) == (group, structure)]
        for what, measure in measures.items():
            kept = [row for row in of_it if measure(row) is not None]
            ours = by_patient([row for row in kept if row["method"] == OURS], measure)
            for method in dict.fromkeys(row["method"] for row in kept if not _ours(row)):
                theirs = by_patient([row for row in kept if row["method"] == method], measure)
                values = [[side[name] for name in sorted(set(ours) & set(theirs))] for side in (ours, theirs)]
                p = paired_p(*values) if len(values[0]) >= 5 else 1.0
                if p < 0.05 and np.mean(values[0]) < np.mean(values[1]):
                    told = " and ".join(f"{abs(float(np.mean(side))):.3f}" for side in values)
                    found.append(f"- {structure.replace('_', ' ')}, {what}: casewise and {method} {told}, p {p:.2g}")
    tested = "by each structure and measure above, paired by patient, without a correction for their number"
    return [f"## Where a peer is better beyond chance (p < 0.05, {tested})", "", *(found or ["Nowhere."]), ""]


def table(rows: list[Row], ours: str = OURS) -> list[str]:
    """A row a method, ``ours`` first, with the p of its strokes to 0.90 against ours."""
    methods = sorted({row["method"] for row in rows}, key=lambda name: (name != ours, not name.startswith(ours), name))
    tasks, patients = len({row["task"] for row in rows}), len({row["patient"] for row in rows})
    experts = any(row["expert"] is not None for row in rows)
    head = ["method", "box", "1", "2", "4", "8", "NoI90 (95 %)", "p", "reached", "worse", "HD95", "s a round (95th)", "voxels"]
    head += ["expert"] if experts else []
    lines = [f"{tasks} tasks of {patients} patients; mean Dice after the box and after 1, 2, 4, 8 strokes.", ""]
    lines += ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    reference = by_patient([row for row in rows if row["method"] == ours], interactions)
    for method in methods:
        mine = [row for row in rows if row["method"] == method]
        p = "–" if method == ours else _p(reference, by_patient(mine, interactions))
        lines.append("| " + " | ".join(_cells(method, mine, p, experts)) + " |")
    return lines


def _cells(method: str, mine: list[Row], p: str, experts: bool) -> list[str]:
    low, high = interval(list(by_patient(mine, interactions).values()))
    steps, seconds = _changes(mine), [s for row in mine for s in row["seconds"]]
    borders = [row["hd95"] for row in mine if row["hd95"] is not None]
    noi = [interactions(row) for row in mine]
    cells = [method, *(f"{np.mean([row['dice'][n] for row in mine]):.3f}" for n in SHOWN)]
    cells += [f"{np.mean(noi):.2f} ({low:.2f}–{high:.2f})", p, f"{np.mean(np.array(noi) < 9):.0%}"]
    cells += [f"{np.mean(np.array(steps) < -0.02):.1%}" if steps else "–", f"{np.mean(borders):.1f}" if borders else "–"]
    cells += [f"{np.median(seconds):.2f} ({np.percentile(seconds, 95):.2f})", f"{np.mean([row['voxels'] for row in mine]):.0f}"]
    if experts:
        cells.append(f"{np.mean([row['expert'] for row in mine if row['expert'] is not None]):.3f}")
    return cells


def _p(first: dict[str, float], second: dict[str, float]) -> str:
    common = sorted(set(first) & set(second))
    return "–" if len(common) < 5 else f"{paired_p([first[n] for n in common], [second[n] for n in common]):.2g}"


def differences(rows: list[Row], ours: str) -> list[str]:
    """Dice of every other method less Dice of ``ours``, with its p, paired by patient."""
    head = [f"Dice less that of {ours}, p", *(str(n) if n else "box" for n in SHOWN)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for method in sorted({row["method"] for row in rows} - {ours}):
        cells = [method]
        for count in SHOWN:
            sides = [
                by_patient([row for row in rows if row["method"] == name], lambda row, n=count: row["dice"][n])
                for name in (ours, method)
            ]
            common = sorted(set(sides[0]) & set(sides[1]))
            change = float(np.mean([sides[1][name] - sides[0][name] for name in common]))
            cells.append(f"{change:+.3f}, {_p(*sides)}")
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _changes(rows: list[Row]) -> list[float]:
    """By how much Dice changed in each round that there was."""
    kept = [row["dice"][: len(row["seconds"])] for row in rows]
    return [after - before for scores in kept for before, after in pairwise(scores)]


def _ours(row: Row) -> bool:
    return row["method"] == OURS or row["method"].startswith(ANOTHER)


def _over_trainings(rows: list[Row]) -> list[str]:
    """Mean and range over the models of several trainings; nothing where there is one."""
    models = [[row for row in rows if row["method"] == name] for name in dict.fromkeys(r["method"] for r in rows if _ours(r))]
    if len(models) < 2:
        return []
    measures: dict[str, Callable[[list[Row]], float]] = {
        "NoI90": lambda mine: float(np.mean([interactions(row) for row in mine])),
        "Dice after 2": lambda mine: float(np.mean([row["dice"][2] for row in mine])),
        "Dice after 4": lambda mine: float(np.mean([row["dice"][4] for row in mine])),
        "reached": lambda mine: float(np.mean([interactions(row) < 9 for row in mine])),
        "worse": lambda mine: float(np.mean(np.array(_changes(mine)) < -0.02)),
    }
    forms = {"NoI90": ".2f", "reached": ".0%", "worse": ".1%"}
    told = []
    for what, measure in measures.items():
        values = [measure(mine) for mine in models]
        mean, low, high = (format(value, forms.get(what, ".3f")) for value in (np.mean(values), min(values), max(values)))
        told.append(f"{what} {mean} ({low}–{high})")
    return [f"Over these {len(models)} models, mean (range): {', '.join(told)}.", ""]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown processor"
