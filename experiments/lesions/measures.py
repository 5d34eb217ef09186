"""A patient's measures from the rows of the benchmark of lesions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from experiments.lesions.cases import GLIOMA, SCLEROSIS
from experiments.splits import by_patient

Rows = list[dict[str, Any]]


def values(rows: Rows, network: str, way: str, measure: str, sequences: Callable[[dict[str, Any]], bool]) -> dict[str, float]:
    """Patient → the measure, mean over seeds and over the subsets of sequences that are asked for."""
    own = [row for row in rows if row["network"] == network and row["way"] == way and sequences(row)]
    return by_patient(own, lambda row: of(row, measure))


def of(row: dict[str, Any], measure: str) -> float | None:
    if measure == "sensitivity":
        return row["found"] / row["lesions"] if row.get("lesions") else None
    if measure == "true_class":  # the one patient with MS was never trained on when it was measured
        return row["classes"].get(row["category"]) if row["classes"] and row["category"] != SCLEROSIS else None
    if measure == "glioma":
        return row["score"] if row["score"] is not None else row["classes"].get(GLIOMA)
    if measure.startswith("usual "):
        return of({**row, **row["usual"]}, measure.removeprefix("usual ")) if "usual" in row else None
    value = row.get(measure)
    return None if value is None else float(value)


def everything(rows: Rows) -> Callable[[dict[str, Any]], bool]:
    """Whether a row is of all the sequences that its patient has and its network takes."""
    most: dict[tuple[str, str], int] = defaultdict(int)
    for row in rows:
        key = row["network"], row["patient"]
        most[key] = max(most[key], len(row["sequences"]))
    return lambda row: len(row["sequences"]) == most[row["network"], row["patient"]]
