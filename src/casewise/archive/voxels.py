"""Headers whose voxels lie in a file of their own: ``.hdr`` and ``.img``, ``.mhd`` and ``.raw``."""

from __future__ import annotations

from pathlib import Path

from casewise.archive.suffixes import suffix
from casewise.errors import UnreadableImageError
from casewise.formats import Kind
from casewise.formats.itk import voxel_file

_NIFTI = (".img", ".img.gz", ".IMG", ".raw", ".zraw", ".raw.gz")
_NAMING = {".mhd": Kind.META, ".nhdr": Kind.NRRD}


def voxel_names(header: Path) -> list[str]:
    """What the file of a header's voxels may be called, in its folder; none for any other file."""
    ending = suffix(header.name)
    if ending == ".hdr":
        return [f"{header.stem}{other}" for other in _NIFTI]
    if ending not in _NAMING:
        return []
    try:
        named = voxel_file(header, _NAMING[ending])
    except (UnreadableImageError, OSError):
        return []
    return [named] if named else []
