"""Who an image is of, by the names of its file and folders, where no header and no table says so.

In this order: a folder or name ``sub-X`` (BIDS); the word patient, pat, subject, subj or case with a number
(``patient001_frame01`` → patient001); the file's name up to its first part with a number (``MCUCXR_0001_0`` → MCUCXR_0001,
``JPCLN012`` whole), and one part more where that is the same for every file of the folder (``BraTS20_Training_001_t1``); for a
name that is a sequence or a mask (``FLAIR``, ``gt``), the folder. A bare number or a word like image, slice or a sequence is
nobody's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from casewise.archive.words import IMAGE_WORDS, MASK_WORDS, SEQUENCES, words

_BIDS = re.compile(r"^sub-[A-Za-z0-9]+")
_NAMED = re.compile(r"(?:^|[^A-Za-z])((?:patient|pat|subject|subj|case)[-_ ]?\d+)(?!\d)", re.IGNORECASE)
_PARTS = re.compile(r"[A-Za-z0-9]+")
_NOBODY = IMAGE_WORDS | MASK_WORDS | frozenset({
    "slice", "frame", "series", "im", "no", "nr", "page", "acq", "acquisition", "ser", "study", "exam",
})  # fmt: skip
_ENOUGH = 4


def subjects(paths: Iterable[Path], stems: Iterable[str], top: Path) -> dict[Path, str | None]:
    """Image → subject. ``paths`` are of one folder, ``stems`` their names without suffix, ``top`` the data set's folder."""
    named = dict(zip(paths, stems, strict=True))
    shared = _shared_prefix(list(named.values()))
    return {path: _subject(path, name, shared, top) for path, name in named.items()}


def _subject(path: Path, name: str, shared: str | None, top: Path) -> str | None:
    folders = path.parent.relative_to(top).parts if path.is_relative_to(top) else ()
    for part in (name, *reversed(folders)):
        match = _BIDS.match(part)
        if match:
            return match.group()
    for part in (name, *reversed(folders)):
        named = _NAMED.search(part)
        if named:
            return named.group(1)
    folder = folders[-1] if folders else ""
    if folder and (_is_role(name) or (name.startswith(folder) and any(letter.isdigit() for letter in folder))):
        return folder
    # What stands in brackets counts images, not people: ``benign (12)``.
    return _numbered(name.partition("(")[0], shared)


def _is_role(name: str) -> bool:
    first = words(name)[:1]
    return bool(first) and (first[0] in SEQUENCES or first[0] in MASK_WORDS)


def _numbered(name: str, shared: str | None) -> str | None:
    """The name up to its first part with a number in it, after ``shared``; None for a bare number or a word that is nobody's."""
    start = len(shared) if shared and name.startswith(shared) else 0
    for match in _PARTS.finditer(name, start):
        if any(letter.isdigit() for letter in match.group()):
            subject = name[: match.end()]
            first = re.split(r"[\W\d_]+", subject.lower())[0]
            return None if not first or first in _NOBODY or words(subject)[0] in SEQUENCES else subject
    return None


def _shared_prefix(stems: list[str]) -> str | None:
    """What every name of a folder has up to its first number, where that distinguishes nobody."""
    if len(stems) < _ENOUGH:
        return None
    first = {_numbered(name, None) for name in stems}
    return first.pop() if len(first) == 1 else None
