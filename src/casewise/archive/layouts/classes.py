"""A folder per class: the folder's name is the category of the images in it.

Class folders lie side by side, hold images and no folders of images, and there are at least two. Not taken for classes: folders
named like a split (train, test) or a role (images, masks), folders of volumes that hold the same file names (each is a subject),
and folders that hold one subject's mask (``gt``). A DICOM series of several files takes no category from its folder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from casewise.archive.layouts.entry import Entry, Orphan
from casewise.archive.layouts.tree import PICTURES, Folder, stem, suffix
from casewise.archive.layouts.words import is_mask_name, without_role, words

_IMAGES = frozenset({"image", "images", "img", "imgs"})
SPLITS = frozenset({
    "train", "training", "test", "testing", "tests", "val", "valid", "validation", "dev", "holdout", "imagestr", "imagests",
    "labelstr", "labelsts",
})  # fmt: skip


def detect(folder: Folder) -> bool:
    """Whether the folders here are classes."""
    classes = [below for below in folder.folders.values() if below.holds_images]
    if len(classes) < 2 or folder.images:
        return False
    if any(below.holds_images for child in classes for below in child.folders.values()):
        return False
    if any(_is_role(child.path.name) for child in classes) or not _same_kind(classes):
        return False
    return _pictures(classes) or not (_same_names(classes) or any(_is_subject(child) for child in classes))


def entries(folder: Folder) -> Iterator[Entry | Orphan]:
    """The category of every image in the folders here."""
    for name, below in folder.folders.items():
        for image in below.files:
            yield Entry(below.path / image, category=name)


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
