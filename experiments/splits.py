"""Cases parted by subject: five folds, some set aside, all but a few; rows brought together by patient."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from casewise.case import Case

FOLDS = 5


def folds(cases: Sequence[Case], seed: int = 0) -> list[list[int]]:
    """Numbers of the cases of each of five folds: no subject in two of them, each site and category spread over all."""
    groups: dict[tuple[str, str], list[str]] = {}
    numbers: dict[str, list[int]] = {}
    for number, case in enumerate(cases):
        subject = str(case.subject)
        if subject not in numbers:
            groups.setdefault((str(case.site), str(case.category)), []).append(subject)
        numbers.setdefault(subject, []).append(number)
    found: list[list[int]] = [[] for _ in range(FOLDS)]
    rng = np.random.default_rng(seed)
    place = 0
    for group in sorted(groups):
        for chosen in rng.permutation(len(groups[group])):
            found[place % FOLDS] += numbers[groups[group][int(chosen)]]
            place += 1
    return [sorted(fold) for fold in found]


def parted(cases: Sequence[Case], aside: int, seed: int = 0) -> tuple[list[Case], list[Case]]:
    """(for training, never seen): ``aside`` subjects, drawn by the seed, are all on the second side."""
    subjects = sorted({str(case.subject) for case in cases})
    drawn = {subjects[number] for number in np.random.default_rng(seed).permutation(len(subjects))[:aside]}
    unseen = [number for number, case in enumerate(cases) if str(case.subject) in drawn]
    return without(cases, unseen), [cases[number] for number in unseen]


def without(cases: Sequence[Case], numbers: Sequence[int]) -> list[Case]:
    left_out = set(numbers)
    return [case for number, case in enumerate(cases) if number not in left_out]


def by_patient(rows: Iterable[Mapping[str, Any]], measure: str | Callable[[Any], Any], key: str = "patient") -> dict[str, float]:
    """Each patient's mean of a measure, or of the value of that name; what is None is left out."""
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        value = row[measure] if isinstance(measure, str) else measure(row)
        if value is not None:
            found[str(row[key])].append(value)
    return {patient: float(np.mean(values)) for patient, values in found.items()}
