"""Tables of interactive segmentation: means, intervals and paired tests by patient."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from benchmarks.tables import p_of, shared, table
from casewise.statistics import interval, paired_p
from experiments.interaction.measure import ANOTHER, OURS
from experiments.interaction.rounds import THICK
from experiments.splits import by_patient

Row = dict
SHOWN = (0, 1, 2, 4, 8)
WORSE = 0.02  # of Dice, by which a mask falls that is called worse


def interactions(row: Row) -> int:
    """Strokes until Dice first reaches 0.90; 9 for never."""
    return next((n for n, score in enumerate(row["dice"]) if score >= 0.9), 9)


def titled(structure: str) -> str:
    return structure.replace("_", " ")


def beaten(rows: list[Row]) -> list[str]:
    """Every structure and measure in which a peer is better than ours beyond chance (paired by patient, p < 0.05)."""
    found = []
    measures: dict[str, Callable[[Row], float | None]] = {"strokes to 0.90": lambda row: -interactions(row)}
    measures |= {f"Dice after {n} strokes" if n else "Dice after the box": lambda row, n=n: row["dice"][n] for n in SHOWN}
    measures["Dice by an expert's strokes"] = lambda row: row["expert"]
    measures |= {f"Dice by strokes at once, {n} pixels": lambda row, n=n: _at_once(row, n) for n in THICK}
    for group, structure in dict.fromkeys((row["group"], row["structure"]) for row in rows):
        of_it = [row for row in rows if (row["group"], row["structure"]) == (group, structure)]
        for what, measure in measures.items():
            kept = [row for row in of_it if measure(row) is not None]
            ours = by_patient([row for row in kept if row["method"] == OURS], measure)
            for method in dict.fromkeys(row["method"] for row in kept if not _ours(row)):
                values = shared(ours, by_patient([row for row in kept if row["method"] == method], measure))
                p = paired_p(*values) if len(values[0]) >= 5 else 1.0
                if p < 0.05 and np.mean(values[0]) < np.mean(values[1]):
                    parts = " and ".join(f"{abs(float(np.mean(side))):.3f}" for side in values)
                    found.append(f"- {titled(structure)}, {what}: casewise and {method} {parts}, p {p:.2g}")
    return found


def _at_once(row: Row, thickness: int) -> float | None:
    """Dice after strokes at once; None where they were not measured, as in volumes."""
    found = row.get("at_once")
    return None if found is None else found[str(thickness)]


def at_once_table(rows: list[Row]) -> str:
    """A row a method, ours first: Dice after the box and then strokes of one thickness at once; nothing where none were measured.

    p of a method: its mean over the thicknesses, paired by patient, against ours.
    """
    kept = [row for row in rows if row.get("at_once") is not None]
    if not kept:
        return ""
    head = ["strokes at once", "box", *(f"{n} pixels" for n in THICK), "all", "p", "worse", "of calls"]
    reference = by_patient([row for row in kept if row["method"] == OURS], _mean_at_once)
    lines = []
    for method in sorted({row["method"] for row in kept}, key=lambda name: (name != OURS, not name.startswith(OURS), name)):
        mine = [row for row in kept if row["method"] == method]
        before = [row["dice"][0] for row in mine for _ in THICK]
        after = [row["at_once"][str(n)] for row in mine for n in THICK]
        cells = [f"{np.mean(before):.3f}", *(f"{np.mean([row['at_once'][str(n)] for row in mine]):.3f}" for n in THICK)]
        cells += [f"{np.mean(after):.3f}", "–" if method == OURS else p_of(reference, by_patient(mine, _mean_at_once))]
        cells += [f"{np.mean(np.array(after) - before < -WORSE):.1%}", str(len(after))]
        lines.append([method, *cells])
    return f"{table(head, lines)}\n"


def _mean_at_once(row: Row) -> float:
    return float(np.mean([row["at_once"][str(n)] for n in THICK]))


def methods_table(rows: list[Row], ours: str = OURS) -> str:
    """A row a method, ``ours`` first, with the p of its strokes to 0.90 against ours."""
    methods = sorted({row["method"] for row in rows}, key=lambda name: (name != ours, not name.startswith(ours), name))
    tasks, patients = len({row["task"] for row in rows}), len({row["patient"] for row in rows})
    experts = any(row["expert"] is not None for row in rows)
    head = ["method", "box", "1", "2", "4", "8", "NoI90 (95 %)", "p", "reached", "worse", "HD95", "s a round (95th)", "voxels"]
    reference = by_patient([row for row in rows if row["method"] == ours], interactions)
    lines = []
    for method in methods:
        mine = [row for row in rows if row["method"] == method]
        p = "–" if method == ours else p_of(reference, by_patient(mine, interactions))
        lines.append(_cells(method, mine, p, experts))
    about = f"{tasks} tasks of {patients} patients; mean Dice after the box and after 1, 2, 4, 8 strokes."
    return f"{about}\n\n{table([*head, *(['expert'] if experts else [])], lines)}"


def _cells(method: str, mine: list[Row], p: str, experts: bool) -> list[str]:
    low, high = interval(list(by_patient(mine, interactions).values()))
    steps, seconds = _changes(mine), [s for row in mine for s in row["seconds"]]
    borders = [row["hd95"] for row in mine if row["hd95"] is not None]
    noi = [interactions(row) for row in mine]
    cells = [method, *(f"{np.mean([row['dice'][n] for row in mine]):.3f}" for n in SHOWN)]
    cells += [f"{np.mean(noi):.2f} ({low:.2f}–{high:.2f})", p, f"{np.mean(np.array(noi) < 9):.0%}"]
    cells += [f"{np.mean(np.array(steps) < -WORSE):.1%}" if steps else "–", f"{np.mean(borders):.1f}" if borders else "–"]
    cells += [f"{np.median(seconds):.2f} ({np.percentile(seconds, 95):.2f})", f"{np.mean([row['voxels'] for row in mine]):.0f}"]
    if experts:
        cells.append(f"{np.mean([row['expert'] for row in mine if row['expert'] is not None]):.3f}")
    return cells


def differences(rows: list[Row], ours: str) -> str:
    """Dice of every other method less Dice of ``ours``, with its p, paired by patient."""
    lines = []
    for method in sorted({row["method"] for row in rows} - {ours}):
        cells = [method]
        for count in SHOWN:
            sides = [
                by_patient([row for row in rows if row["method"] == name], lambda row, n=count: row["dice"][n])
                for name in (ours, method)
            ]
            one, two = shared(*sides)
            cells.append(f"{float(np.mean(np.array(two) - np.array(one))):+.3f}, {p_of(*sides)}")
        lines.append(cells)
    return table([f"Dice less that of {ours}, p", *(str(n) if n else "box" for n in SHOWN)], lines)


def _changes(rows: list[Row]) -> list[float]:
    """By how much Dice changed in each round that there was."""
    kept = [row["dice"][: len(row["seconds"])] for row in rows]
    return [after - before for scores in kept for before, after in pairwise(scores)]


def _ours(row: Row) -> bool:
    return row["method"] == OURS or row["method"].startswith(ANOTHER)


def over_trainings(rows: list[Row]) -> str:
    """Mean and range over the models of several trainings; nothing where there is one."""
    models = [[row for row in rows if row["method"] == name] for name in dict.fromkeys(r["method"] for r in rows if _ours(r))]
    if len(models) < 2:
        return ""
    measures: dict[str, Callable[[list[Row]], float]] = {
        "NoI90": lambda mine: float(np.mean([interactions(row) for row in mine])),
        "Dice after 2": lambda mine: float(np.mean([row["dice"][2] for row in mine])),
        "Dice after 4": lambda mine: float(np.mean([row["dice"][4] for row in mine])),
        "reached": lambda mine: float(np.mean([interactions(row) < 9 for row in mine])),
        "worse": lambda mine: float(np.mean(np.array(_changes(mine)) < -WORSE)),
    }
    forms = {"NoI90": ".2f", "reached": ".0%", "worse": ".1%"}
    parts = []
    for what, measure in measures.items():
        values = [measure(mine) for mine in models]
        mean, low, high = (format(value, forms.get(what, ".3f")) for value in (np.mean(values), min(values), max(values)))
        parts.append(f"{what} {mean} ({low}–{high})")
    return f"Over these {len(models)} models, mean (range): {', '.join(parts)}.\n"
