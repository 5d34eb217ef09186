"""Files that hold several images: a NIfTI's volumes, a TIFF's pages, an HDF5 file's data sets. Headers alone are read."""

from __future__ import annotations

from dataclasses import replace

from casewise.errors import UnreadableImageError
from casewise.formats import Found, Kind
from casewise.formats.guard import MOST_IMAGES
from casewise.formats.hdf5 import data_sets_of
from casewise.formats.nifti import volumes
from casewise.formats.tiff_directories import full_pages


def expanded(found: Found) -> list[Found]:
    """One Found for each image in the file; the file itself where it holds one, or where only reading it can say what is wrong.

    Raises UnreadableImageError for more than MOST_IMAGES.
    """
    if found.member is not None:
        return [found]
    if found.kind is Kind.HDF5:
        names = _data_sets(found)
        return [replace(found, member=name) for name in names] if len(names) > 1 else [found]
    kind, count = ("volume", _volumes(found)) if found.kind is Kind.NIFTI else ("page", _pages(found))
    if count > MOST_IMAGES:
        most = f"up to {MOST_IMAGES} are taken as images"
        msg = f"{found.path} holds {count} {kind}s; {most}, so save the ones that matter as files of their own."
        raise UnreadableImageError(msg)
    return [replace(found, member=f"{kind}={number}") for number in range(count)] if count > 1 else [found]


def _volumes(found: Found) -> int:
    # Whatever is wrong with a file, here and below: reading it will say so in one sentence.
    try:
        return volumes(found.path)
    except (UnreadableImageError, OSError):
        return 1


def _pages(found: Found) -> int:
    if found.kind is not Kind.TIFF:
        return 1
    try:
        return len(full_pages(found.path))
    except (UnreadableImageError, OSError):
        return 1


def _data_sets(found: Found) -> list[str]:
    try:
        return data_sets_of(found.path)
    except (UnreadableImageError, OSError, RuntimeError):
        return []
