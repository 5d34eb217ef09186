"""Abnormality by synthesis: AUROC of slices and radiographs, best Dice of the map, by patient, beside plain ways.

FLAIR slices with lesions against slices without, by a generator, a discriminator and an autoencoder that saw lesion-free slices of
other patients alone; tuberculosis against normal chests by the normal ones of another site. A row a slice or radiograph: its score
by each method; a row a patient: the Dice of each method's map.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from benchmarks import driver
from benchmarks.tables import mean, spread, table
from casewise.statistics import paired_p
from experiments.abnormality import runs
from experiments.abnormality.measures import (
    METHODS,
    OURS,
    PLAIN,
    REBUILT,
    Row,
    auroc,
    clear,
    difference,
    patient_rows,
    slice_rows,
    tested,
    within,
)

OTHERS = (PLAIN, REBUILT)


SLICES, PATIENTS = "FLAIR slices", "FLAIR patients"


def units(options: Namespace) -> Iterator[driver.Unit]:
    yield driver.Unit(SLICES, lambda: slice_rows(tested("brain")))
    yield driver.Unit(PATIENTS, lambda: patient_rows(tested("brain")))
    yield from (driver.Unit(site, partial(_chests, site)) for site in runs.OTHER.values())


def _chests(site: str) -> list[Row]:
    return slice_rows(tested(site))


def figures(units: driver.Rows) -> Mapping[str, Any]:
    flair, patients = clear(units[SLICES]), units[PATIENTS]
    chests = {site: rows for site, rows in units.items() if site in runs.OTHER}
    columns = [f"{site.capitalize()}, {len(rows)} patients, {sum(row['ill'] for row in rows)} ill" for site, rows in chests.items()]
    lines = [[method, *(spread(auroc(rows, method)) for rows in chests.values())] for method in METHODS]
    return {
        "brain": runs.BRAIN,
        "chest": runs.CHEST,
        "patients": len(patients),
        "ill": sum(row["ill"] for row in flair),
        "healthy": sum(not row["ill"] for row in flair),
        "flair": _flair_table(flair, patients),
        "flair_differences": "\n".join(_against(flair, patients, other) for other in OTHERS),
        "chests": table(["method", *columns], lines),
        "chest_differences": "\n\n".join(
            f"{site.capitalize()}: *synthesis* against *{other}*: AUROC {_change(difference(rows, OURS, other))}."
            for site, rows in chests.items()
            for other in OTHERS
        ),
    }


def _flair_table(rows: Sequence[Row], patients: Sequence[Row]) -> str:
    lines = []
    for method in METHODS:
        dices = [mean([row[name][method] for row in patients]) for name in ("dice", "fixed")]
        lines.append([method, spread(auroc(rows, method)), f"{np.mean(within(rows, method)):.3f}", *dices])
    head = ["method", "AUROC of the slice", "within a patient, mean", "best Dice, each patient's threshold", "one threshold"]
    return table(head, lines)


def _against(rows: Sequence[Row], patients: Sequence[Row], other: str) -> str:
    ours, theirs = ([row["dice"][method] for row in patients] for method in (OURS, other))
    apart, p = float(np.mean(ours) - np.mean(theirs)), paired_p(ours, theirs)
    return f"*Synthesis* against *{other}*: AUROC {_change(difference(rows, OURS, other))}, best Dice {apart:+.3f} (p {p:.2g})."


def _change(value: tuple[float, float, float, float]) -> str:
    change, low, high, p = value
    return f"{change:+.3f} ({low:+.3f} to {high:+.3f}, p {p:.2g})"


BENCHMARK = driver.Benchmark("abnormality", __doc__, units, figures)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
