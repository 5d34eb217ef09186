"""Parting cases for training and validation, by subject and with every site and category on both sides where possible."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from casewise.case import Case


def split(cases: Sequence[Case], share: float = 0.15, seed: int = 0) -> tuple[list[Case], list[Case]]:
    """(training, validation): about ``share`` of the subjects of each site and category set aside, no subject on both sides.

    A group of fewer than four subjects stays whole in training; a case without a subject is its own.
    """
    groups: dict[tuple[str | None, str | None], dict[str, list[Case]]] = {}
    placed: dict[str, tuple[str | None, str | None]] = {}
    for case in cases:
        subject = case.subject or case.key
        group = placed.setdefault(subject, (case.site, case.category))  # the first case of a subject decides for all of them
        groups.setdefault(group, {}).setdefault(subject, []).append(case)
    rng = np.random.default_rng(seed)
    aside: set[str] = set()
    for group in sorted(groups, key=str):
        subjects = sorted(groups[group])
        if len(subjects) >= 4:
            chosen = rng.permutation(len(subjects))[: max(1, round(share * len(subjects)))]
            aside |= {subjects[number] for number in chosen}
    training = [case for case in cases if (case.subject or case.key) not in aside]
    return training, [case for case in cases if (case.subject or case.key) in aside]
