"""Files that hold several images: a NIfTI's volumes, a TIFF's pages, an HDF5 file's data sets. Headers alone are read."""

from __future__ import annotations

import re
from dataclasses import replace
from math import prod
from pathlib import Path

from casewise.archive.layouts.tree import suffix
from casewise.errors import UnreadableImageError
from casewise.formats import Found, Kind

MOST = 64
_HEADER = 1 << 16
_DATA_FILE = re.compile(r"^(?:ElementDataFile\s*=|data ?file:)(.*)$", re.MULTILINE | re.IGNORECASE)


def expanded(found: Found) -> list[Found]:
    """One Found for each image in the file; the file itself where it holds one, or where only reading it can say what is wrong.

    Raises UnreadableImageError for more than 64: a series over time is not so many cases.
    """
    if found.member is not None:
        return [found]
    if found.kind is Kind.HDF5:
        names = _data_sets(found)
        return [replace(found, member=name) for name in names] if len(names) > 1 else [found]
    kind, count = ("volume", _volumes(found)) if found.kind is Kind.NIFTI else ("page", _pages(found))
    if count > MOST:
        msg = f"{found.path} holds {count} {kind}s; up to {MOST} are taken as images, so split it or import the ones that matter."
        raise UnreadableImageError(msg)
    return [replace(found, member=f"{kind}={number}") for number in range(count)] if count > 1 else [found]


def with_voxels(found: Found) -> Found:
    """With the file of voxels that a header names (``.hdr`` and ``.img``, ``.mhd`` and ``.raw``): both are the image's content."""
    if len(found.files) > 1 or suffix(found.path.name) not in (".hdr", ".mhd", ".nhdr"):
        return found
    beside = found.path.parent
    names = [beside / f"{found.path.stem}{ending}" for ending in (".img", ".img.gz", ".IMG", ".raw", ".zraw", ".raw.gz")]
    if found.kind is not Kind.NIFTI:
        head = found.path.read_bytes()[:_HEADER].decode("latin-1")
        named = _DATA_FILE.search(head)
        names = [beside / Path(named.group(1).strip()).name] if named else names
    return replace(found, files=(found.path, *(name for name in names if name.is_file())))


def _volumes(found: Found) -> int:
    import nibabel

    # Whatever is wrong with a file, here and below: reading it will say so in one sentence.
    try:
        shape = nibabel.load(found.path).shape
    except Exception:
        return 1
    return prod(int(length) for length in shape[3:])


def _pages(found: Found) -> int:
    if found.kind is not Kind.TIFF:
        return 1
    import tifffile

    try:
        with tifffile.TiffFile(found.path) as tiff:
            return sum(not getattr(page, "is_reduced", False) for page in tiff.pages)
    except Exception:
        return 1


def _data_sets(found: Found) -> list[str]:
    import h5py

    names: list[str] = []

    def note(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim in (2, 3) and item.dtype.kind in "biuf":
            names.append(name)

    try:
        with h5py.File(found.path, "r") as file:
            file.visititems(note)
    except Exception:
        return []
    return names
