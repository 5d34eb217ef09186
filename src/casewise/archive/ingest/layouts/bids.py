"""BIDS: ``sub-*/[ses-*/]anat/*_T1w.nii.gz``, masks under ``derivatives/``, age and sex in ``participants.tsv``."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from casewise.archive.ingest.layouts.entry import Entry, LabelSource, Orphan, TableNote
from casewise.archive.ingest.layouts.table_files import TableError, read_table
from casewise.archive.ingest.layouts.tables import entry
from casewise.archive.ingest.layouts.tree import Folder, stem
from casewise.archive.words import SEQUENCES, structure_name
from casewise.names import nfc

_TABLE = "participants.tsv"
_ENTITY = re.compile(r"(?P<key>[a-zA-Z0-9]+)-(?P<value>[^\W_][^_]*)")
_MASKS = frozenset({"mask", "dseg", "probseg", "seg", "roi", "lesion"})
# What a mask's name says of the mask alone.
_ABOUT_THE_MASK = frozenset({"label", "desc", "space", "res", "den", "hemi", "seg", "atlas", "rater", "from", "to", "mode"})
# Images of one subject and session, each with the parts of its name; those of the session whoever they are of under None.
_Groups = Mapping[tuple[str | None, str | None], list[tuple[Path, Mapping[str, str]]]]
_MODALITIES = {"anat": "MR", "func": "MR", "dwi": "MR", "fmap": "MR", "perf": "MR", "pet": "PT", "ct": "CT"}


def detect(folder: Folder) -> bool:
    """Whether folders ``sub-*`` lie here, with BIDS' own files or its folders in them."""
    subjects = [below for name, below in folder.folders.items() if name.startswith("sub-") and below.holds_images]
    named = "dataset_description.json" in folder.files or _TABLE in folder.files
    return bool(subjects) and (named or any(part in _MODALITIES for below in subjects for part in _parts(below)))


def entries(folder: Folder) -> Iterator[Entry | Orphan | TableNote]:
    """An entry for each image of each subject, with the masks whose name agrees with its own in every part (the grid decides)."""
    people: Mapping[str, dict[str, str]] = {}
    if _TABLE in folder.files:
        people, note = _people(folder)
        yield note
    images: dict[Path, Mapping[str, str]] = {}
    masks: list[tuple[Path, dict[str, str], str]] = []
    for below in folder.walk():
        for name in below.images:
            path = below.path / name
            entities, ending = _read_name(name)
            if ending in _MASKS:
                masks.append((path, entities, ending))
            elif entities.get("sub") and "derivatives" not in path.relative_to(folder.path).parts:
                images[path] = entities
    labels: dict[Path, list[LabelSource]] = defaultdict(list)
    groups = _grouped(images)
    for path, entities, ending in masks:
        fitting = _images_of(path, entities, groups, folder.path)
        if isinstance(fitting, str):
            yield Orphan(path, fitting)
            continue
        for image in fitting:
            labels[image].append(_mask(path, entities, ending))
    for path, parts in images.items():
        own = people if _agrees(path, parts, folder.path) else {}
        yield _entry(path, parts["sub"], own).merged(Entry(path, tuple(labels[path])))


def _people(folder: Folder) -> tuple[dict[str, dict[str, str]], TableNote]:
    """Rows of participants.tsv by participant; none of one whom two rows describe differently."""
    path = folder.path / _TABLE
    rows: dict[str, dict[str, str]] = {}
    contradicted: dict[str, str] = {}
    try:
        table = read_table(path)
    except TableError as error:
        return {}, TableNote(path, reason=str(error), readable=False)
    for line, row in table.rows:
        who = row.get("participant_id", "")
        if rows.setdefault(who, row) != row:
            contradicted[who] = f"line {line} ({who!r}): it contradicts an earlier row of the same participant"
    known = {who: row for who, row in rows.items() if who not in contradicted}
    return known, TableNote(path, len(table.rows), len(known), None, (*table.refused, *contradicted.values()))


def _grouped(images: Mapping[Path, Mapping[str, str]]) -> _Groups:
    groups = defaultdict(list)
    for path, own in images.items():
        for subject in (own["sub"], None):
            groups[subject, own.get("ses")].append((path, own))
    return groups


def _images_of(mask: Path, entities: Mapping[str, str], groups: _Groups, top: Path) -> list[Path] | str:
    """The images that a mask's name may mean; several only where they are sequences of one run. Else the reason."""
    who = f"sub-{entities.get('sub', '')}"
    if not _agrees(mask, entities, top):
        return f"Its name says {who}, its folder another subject; move it, or name its image in a manifest."
    wanted = {key: value for key, value in entities.items() if key not in _ABOUT_THE_MASK}
    group = groups.get((entities.get("sub"), entities.get("ses")), ())
    same = [path for path, own in group if all(own.get(key) == value for key, value in wanted.items())]
    if not same:
        return f"It is a mask of {who}, of whom no image of its name's parts is there."
    sequence = next((SEQUENCES[part] for part in nfc(stem(mask.name)).lower().split("_") if part in SEQUENCES), None)
    named = [path for path in same if sequence is None or SEQUENCES.get(_read_name(path.name)[1].lower()) == sequence]
    if len({_read_name(path.name)[0]["sub"] for path in named}) > 1:
        return "Its name says no subject, and it may be of images of several; name its image in a manifest."
    endings = [_read_name(path.name)[1] for path in named]
    if len(set(endings)) < len(endings):
        return f"It may be of any of {len(named)} images of {who}, as its name says no run; name its image in a manifest."
    return named


def _agrees(path: Path, entities: Mapping[str, str], top: Path) -> bool:
    """Whether the folders of a file are of the subject in its name."""
    folders = [part for part in path.relative_to(top).parts[:-1] if part.startswith("sub-")]
    return all(nfc(part) == f"sub-{entities.get('sub', '')}" for part in folders)


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
    return LabelSource(path, structure_name(named) if named else None, role=ending, loose=True, split=ending != "mask" or not named)


def _read_name(name: str) -> tuple[dict[str, str], str]:
    """``sub-01_ses-2_T1w.nii.gz`` → {sub: 01, ses: 2}, T1w."""
    parts = nfc(stem(name)).split("_")
    pairs = [match for part in parts if (match := _ENTITY.fullmatch(part))]
    return {match["key"]: match["value"] for match in pairs}, parts[-1]


def _parts(folder: Folder) -> Iterator[str]:
    for below in folder.walk():
        yield below.path.name
