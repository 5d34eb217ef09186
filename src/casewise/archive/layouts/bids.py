"""BIDS: ``sub-*/[ses-*/]anat/*_T1w.nii.gz``, masks under ``derivatives/``, age and sex in ``participants.tsv``."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from casewise.archive.layouts.entry import Entry, LabelSource, Orphan
from casewise.archive.layouts.tables import entry, read_rows
from casewise.archive.layouts.tree import Folder, stem
from casewise.archive.layouts.words import SEQUENCES, structure_name

_TABLE = "participants.tsv"
_ENTITY = re.compile(r"(?P<key>[a-zA-Z0-9]+)-(?P<value>[a-zA-Z0-9+]+)")
_MASKS = frozenset({"mask", "dseg", "probseg", "seg", "roi", "lesion"})
_MODALITIES = {"anat": "MR", "func": "MR", "dwi": "MR", "fmap": "MR", "perf": "MR", "pet": "PT", "ct": "CT"}


def detect(folder: Folder) -> bool:
    """Whether folders ``sub-*`` lie here, with BIDS' own files or its folders in them."""
    subjects = [below for name, below in folder.folders.items() if name.startswith("sub-") and below.holds_images]
    named = "dataset_description.json" in folder.files or _TABLE in folder.files
    return bool(subjects) and (named or any(part in _MODALITIES for below in subjects for part in _parts(below)))


def entries(folder: Folder) -> Iterator[Entry | Orphan]:
    """An entry for each image of each subject, with the masks of the same subject and session (the grid decides)."""
    people = {row.get("participant_id", ""): row for row in read_rows(folder.path / _TABLE)} if _TABLE in folder.files else {}
    images: list[tuple[Path, tuple[str, str]]] = []
    masks: dict[tuple[str, str], list[LabelSource]] = defaultdict(list)
    for below in folder.walk():
        for name in below.images:
            path = below.path / name
            entities, ending = _read_name(name)
            who = entities.get("sub", ""), entities.get("ses", "")
            if ending in _MASKS:
                masks[who].append(_mask(path, entities, ending))
            elif who[0] and "derivatives" not in path.relative_to(folder.path).parts:
                images.append((path, who))
    for path, who in images:
        yield _entry(path, who[0], people).merged(Entry(path, tuple(masks.get(who, ()))))
    known = {who for _, who in images}
    for who, sources in masks.items():
        if who not in known:
            for source in sources:
                yield Orphan(source.path, f"It is a mask of sub-{who[0]}, of whom no image is there.")


def _entry(path: Path, subject: str, people: Mapping[str, dict[str, str]]) -> Entry:
    _, ending = _read_name(path.name)
    row = people.get(f"sub-{subject}", {})
    known = entry(path, {title: value for title, value in row.items() if title != "participant_id" and value != "n/a"})
    sequence = SEQUENCES.get(ending.lower())
    modality = next((_MODALITIES[part] for part in reversed(path.parts) if part in _MODALITIES), None)
    own = Entry(path, subject=f"sub-{subject}", sequences=(sequence,) if sequence else (), modality=modality)
    return own.merged(known)


def _mask(path: Path, entities: Mapping[str, str], ending: str) -> LabelSource:
    named = entities.get("label") or entities.get("desc") or (ending if ending == "lesion" else None)
    return LabelSource(path, structure_name(named) if named else None, loose=True, split=ending != "mask" or not named)


def _read_name(name: str) -> tuple[dict[str, str], str]:
    """``sub-01_ses-2_T1w.nii.gz`` → {sub: 01, ses: 2}, T1w."""
    parts = stem(name).split("_")
    pairs = [match for part in parts if (match := _ENTITY.fullmatch(part))]
    return {match["key"]: match["value"] for match in pairs}, parts[-1]


def _parts(folder: Folder) -> Iterator[str]:
    for below in folder.walk():
        yield below.path.name
