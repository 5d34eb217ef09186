"""Masks beside images: ``x_seg`` for ``x``, ``brain1_label`` for ``brain1_image``, ``gt`` or ``GOLD_STANDARD…`` for a folder.

A mask goes to the images whose names begin like its own; one that begins like none (``gt``, ``GT_W``) goes to all the images of its
folder, where that is one subject's (at most 16 images). In either case the grid decides: it is attached where it is the image's.
Its structure is what its name says beside that (``T1_lesion_mask`` → lesion), else its values (``label_1``, …).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from casewise.archive.layouts.entry import Entry, LabelSource, Orphan
from casewise.archive.layouts.tree import HDF5, Folder, stem, suffix
from casewise.archive.layouts.words import IMAGE_WORDS, is_mask_name, structure_name, without_role, words

_ONE_SUBJECT = 16


def detect(folder: Folder) -> bool:
    """Whether some images here have a mask's name, and others have not."""
    masks = _masks(folder)
    return bool(masks) and len(masks) < len(folder.images)


def entries(folder: Folder) -> Iterator[Entry | Orphan]:
    """An entry for each image that a mask may belong to; an orphan for a mask that can belong to none."""
    masks = _masks(folder)
    names = {name: words(stem(name)) for name in folder.images if name not in masks}
    labels: dict[str, list[LabelSource]] = defaultdict(list)
    for mask in masks:
        images = _candidates(mask, names)
        if not images:
            yield Orphan(folder.path / mask, "Its name says that it is a mask, but no image beside it has a name that fits.")
        structure = _structure(mask, [names[image] for image in images])
        for image in images:
            labels[image].append(LabelSource(folder.path / mask, structure, loose=True))
    for image, sources in labels.items():
        yield Entry(folder.path / image, tuple(sources))


def _masks(folder: Folder) -> set[str]:
    return {name for name in folder.images if suffix(name) not in HDF5 and is_mask_name(stem(name))}


def _candidates(mask: str, names: dict[str, list[str]]) -> list[str]:
    """The images whose names have the longest beginning in common with the mask's; all of a subject's folder if none has any."""
    own = without_role(words(stem(mask)))
    exact = [name for name, parts in names.items() if [part for part in parts if part not in IMAGE_WORDS] == own]
    if exact and own:
        return exact
    common = {name: _shared(own, parts) for name, parts in names.items()}
    longest = max(common.values(), default=0)
    if longest:
        return [name for name, length in common.items() if length == longest]
    return list(names) if len(names) <= _ONE_SUBJECT else []


def _shared(first: list[str], second: list[str]) -> int:
    count = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        count += 1
    return count


def _structure(mask: str, images: list[list[str]]) -> str | None:
    """What a mask's name says that its images' names do not: ``T1_lesion_mask`` → lesion; None if nothing is left."""
    shared = {part for parts in images for part in parts}
    own = [part for part in without_role(words(stem(mask))) if part not in shared and not part.isdecimal()]
    if not own:
        return None
    # A letter alone (GT_W) says nothing without the word before it.
    return structure_name(stem(mask)) if len("".join(own)) < 3 else "_".join(own)
