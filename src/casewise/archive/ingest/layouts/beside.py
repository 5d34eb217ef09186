"""Masks beside images: ``x_seg`` for ``x``, ``brain1_label`` for ``brain1_image``, ``gt`` or ``GOLD_STANDARD…`` in a subject's
folder.

Which image a mask belongs to is decided by the names (:mod:`casewise.archive.ingest.layouts.matching`); a mask that fits none with
certainty is left out and named. In a folder that holds one DICOM series, a volume whose name says no image is the series' mask.
In either case the grid has the last word: a mask is attached where it is the image's.

Its structure is what its name says beside that (``T1_lesion_mask`` → lesion), else its values (``label_1``, …).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from casewise.archive.ingest.layouts.entry import Entry, LabelSource, Orphan
from casewise.archive.ingest.layouts.matching import Match, pair
from casewise.archive.ingest.layouts.tree import DICOM, HDF5, PICTURES, Folder, stem
from casewise.archive.ingest.layouts.vocabulary import is_structure
from casewise.archive.suffixes import suffix
from casewise.archive.words import is_mask_name, structure_name, without_roles
from casewise.names import nfc


def detect(folder: Folder) -> bool:
    """Whether an image here has a mask's name."""
    return bool(_masks(folder))


def entries(folder: Folder) -> Iterator[Entry | Orphan]:
    """An entry for each image that has a mask; an orphan for a mask whose image is not there or is not certain."""
    masks = _masks(folder)
    images = [name for name in folder.images if name not in masks]
    named = [name for name in images if suffix(name) not in DICOM]
    labels: dict[str, list[LabelSource]] = defaultdict(list)
    for mask, found in pair(masks, named, folder.path.name).items():
        path = folder.path / mask
        if isinstance(found, Match):
            for image in found.images:
                labels[image].append(LabelSource(path, found.structure, role=found.role, loose=True))
        elif not named and (source := _of_series(folder, mask)):
            for name in folder.files:
                if name not in masks:
                    labels[name].append(source)
        else:
            yield Orphan(path, found)
    for image, sources in labels.items():
        yield Entry(folder.path / image, tuple(sources))


def _masks(folder: Folder) -> list[str]:
    # What a DICOM file is says its header.
    return [name for name in folder.images if suffix(name) not in HDF5 | DICOM and is_mask_name(stem(name))]


def _of_series(folder: Folder, mask: str) -> LabelSource | None:
    """A mask's label of the one DICOM series of its folder, where its name says nothing but the folder's name and a structure."""
    if suffix(mask) in PICTURES or not any(suffix(name) in DICOM or "." not in name for name in folder.files):
        return None
    rest = without_roles(stem(mask))
    here = nfc(folder.path.name)
    if rest == here or rest.startswith((f"{here}_", f"{here}-", f"{here} ")):
        rest = rest[len(here) + 1 :]
    if rest and not is_structure(rest):
        return None
    return LabelSource(folder.path / mask, structure_name(rest) or None, loose=True, alone=True)
