"""The images of an archive that belong together: the sequences of one examination, each an image of its own there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePath

from casewise.case import UNNAMED, Case
from casewise.errors import UsageError
from casewise.examination.sequences import canonical, of_description

Group = tuple[dict[str, Case], list[str]]


def examinations_in(cases: Sequence[Case]) -> list[Group]:
    """(an examination's images by sequence, a sentence for each that repeats one). No image is read.

    Images of one subject and site are one examination; where a sequence would be twice, those of one folder are.
    """
    return [_named(group) for group in _groups(cases)]


def sequence_of(case: Case) -> str:
    """The sequence of a case's one image, by the name that casewise gives it; ``image`` where nothing says it."""
    stated = case.content.get("sequence")
    return name_of(stated) if isinstance(stated, str) and stated else UNNAMED


def name_of(stated: str) -> str:
    """A stated sequence by the name that casewise gives it; a series' description that is no name counts by what it says."""
    try:
        return canonical(stated)
    except UsageError:
        return of_description(stated) or UNNAMED


def spoken(case: Case) -> str:
    """A case's name in a sentence."""
    return PurePath(case.name).name or case.key[:12]


def _named(group: Sequence[Case]) -> Group:
    own: dict[str, Case] = {}
    repeated = []
    for case in group:
        name = sequence_of(case)
        if name in own:
            repeated.append(f"{spoken(case)} is a second {name} of its examination and was left out.")
        else:
            own[name] = case
    return own, repeated


def _groups(cases: Sequence[Case]) -> list[list[Case]]:
    groups: dict[object, list[Case]] = defaultdict(list)
    for case in cases:
        alone = case.subject is None or sequence_of(case) == UNNAMED
        groups[case.key if alone else (case.site, case.subject)].append(case)
    parted: list[list[Case]] = []
    for group in groups.values():
        if len({sequence_of(case) for case in group}) == len(group):
            parted.append(group)
            continue
        folders: dict[PurePath, list[Case]] = defaultdict(list)
        for case in group:
            folders[PurePath(case.name).parent].append(case)
        parted += folders.values()
    return parted
