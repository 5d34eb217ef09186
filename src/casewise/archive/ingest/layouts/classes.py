"""A folder per class: the folder's name is the category of the images in it.

Class folders lie side by side, hold images and no folders of images, and there are at least two. A patient's folder must not
become a category, so the names have to say that they are classes:

- at least half of them hold a word for a finding, a body part, a modality or a grade (``benign``, ``grade 2``, ``no_tumor``); or
- the same names lie in several splits (``train/cat`` and ``test/cat``); or
- they hold no number, are not written like a person's name, and at least two of the folders hold ten pictures of names of their
  own; or
- they count from 0 or 1 to at most 9, and each holds as many.

Never taken for classes: folders named like a split or a role (images, masks), folders of volumes that hold the same file names
(each is a subject), folders that hold one subject's mask (``gt``). A DICOM series of several files takes no category from its
folder.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from casewise.archive.ingest.layouts.entry import Entry, FolderNote, Orphan
from casewise.archive.ingest.layouts.tree import PICTURES, Folder, stem
from casewise.archive.ingest.layouts.vocabulary import is_class_word
from casewise.archive.suffixes import suffix
from casewise.archive.words import camel_words, is_mask_name, without_role, words
from casewise.names import legible, nfc

_IMAGES = frozenset({"image", "images", "img", "imgs"})
SPLITS = frozenset({
    "train", "training", "test", "testing", "tests", "val", "valid", "validation", "dev", "holdout", "imagestr", "imagests",
    "labelstr", "labelsts",
})  # fmt: skip
_MANY = 10
_NOT_CLASSES = (
    "Its folders are not taken for categories: their names are no words for classes, and may be those of people. "
    "Say what they are in a manifest, under category."
)


def detect(folder: Folder) -> bool:
    """Whether the folders here are classes, or may look so."""
    return bool(_across_splits(folder)) or _lie_like_classes(folder)


def holds_classes(folder: Folder) -> bool:
    """Whether the folders here are classes with certainty."""
    return bool(_across_splits(folder)) or (_lie_like_classes(folder) and _are_classes(_children(folder)))


def entries(folder: Folder) -> Iterator[Entry | Orphan | FolderNote]:
    """The category of every image in the folders here."""
    across = _across_splits(folder)
    for split in _splits(folder) if across else ():
        for name, below in split.folders.items():
            if nfc(name) in across:
                yield from _of_class(below)
    if not _lie_like_classes(folder):
        return
    classes = _children(folder)
    if _are_classes(classes):
        for below in folder.folders.values():
            yield from _of_class(below)
    elif _pictures(classes) and folder.path.name.lower() not in SPLITS:
        yield FolderNote(folder.path, _NOT_CLASSES)


def look_like_people(names: Iterable[str]) -> bool:
    """Whether folders are called after subjects: one pattern with numbers (``p001``, ``Smith_J_1``), or like people (``Doe,
    Jane``).
    """
    every = [nfc(name) for name in names]
    patterns = Counter(re.sub(r"\d+", "0", name) for name in every)
    counted = sum(count for pattern, count in patterns.items() if count > 1 and "0" in pattern)
    return 2 * counted > len(every) or 2 * sum(_is_written_like_a_person(name) for name in every) > len(every)


def _of_class(below: Folder) -> Iterator[Entry]:
    for image in below.files:
        yield Entry(below.path / image, category=legible(nfc(below.path.name)))


def _children(folder: Folder) -> list[Folder]:
    return [below for below in folder.folders.values() if below.holds_images]


def _lie_like_classes(folder: Folder) -> bool:
    classes = _children(folder)
    if len(classes) < 2 or folder.images:
        return False
    if any(below.holds_images for child in classes for below in child.folders.values()):
        return False
    if any(_is_role(child.path.name) for child in classes) or not _same_kind(classes):
        return False
    return _pictures(classes) or not (_same_names(classes) or any(_is_subject(child) for child in classes))


def _splits(folder: Folder) -> list[Folder]:
    return [below for name, below in folder.folders.items() if name.lower() in SPLITS and _lie_like_classes(below)]


def _across_splits(folder: Folder) -> set[str]:
    """The names of folders that lie in several splits; empty where they may be people."""
    names = Counter(nfc(child.path.name) for split in _splits(folder) for child in _children(split))
    common = {name for name, count in names.items() if count > 1}
    return set() if look_like_people(common) else common


def _are_classes(classes: list[Folder]) -> bool:
    names = [nfc(child.path.name) for child in classes]
    known = sum(_is_known(name) for name in names)
    if 2 * known >= len(names):
        return True
    if not _pictures(classes) or _same_names(classes):
        return False
    full = sum(len(child.images) >= _MANY for child in classes)
    if all(re.fullmatch("[0-9]", name) for name in names):
        return {int(name) for name in names} <= set(range(10)) and min(map(int, names)) <= 1 and full == len(names)
    return full > 1 and not look_like_people(names) and not any(letter.isdecimal() for name in names for letter in name)


def _is_known(name: str) -> bool:
    return any(is_class_word(word) for word in camel_words(name)) and not ("," in name or "^" in name)


def _is_written_like_a_person(name: str) -> bool:
    parts = [part for part in re.split(r"[\s_,^.-]+", name) if part]
    capitals = [part for part in parts if part[0].isupper() and part[1:].islower() | (len(part) == 1)]
    return "," in name or "^" in name or (1 < len(parts) == len(capitals) and not _is_known(name))


def _is_role(name: str) -> bool:
    parts = words(name)
    return name.lower() in SPLITS or is_mask_name(name) or all(part in _IMAGES for part in parts)


def _same_kind(classes: list[Folder]) -> bool:
    kinds = [{suffix(name) for name in child.images} for child in classes]
    return bool(set.intersection(*kinds)) or all(kind <= PICTURES for kind in kinds)


def _pictures(classes: list[Folder]) -> bool:
    return all(suffix(name) in PICTURES for child in classes for name in child.images)


def _same_names(classes: list[Folder]) -> bool:
    """Whether most names of a folder occur in the others too."""
    stems = [{stem(name) for name in child.images} for child in classes]
    folders = Counter(name for own in stems for name in own)
    return 2 * sum(count > 1 for count in folders.values()) > len(folders)


def _is_subject(child: Folder) -> bool:
    """Whether a mask here belongs to the folder, not to one of several images."""
    return any(is_mask_name(stem(name)) and not without_role(words(stem(name))) for name in child.images)
