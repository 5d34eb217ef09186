"""Volumes (i, j, k) as the files that clients read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from casewise.errors import UsageError
from casewise.server.temporary import temporary_folder

SUFFIXES = (".nrrd", ".nii.gz", ".nii", ".mha")
_LEVEL = 1  # of compression: a mask shrinks well at once, and a person waits


def write_volume(path: Path, array: npt.NDArray[np.generic], affine: npt.NDArray[np.float64], compress: bool = True) -> None:
    """Write (i, j, k) to ``path``, whose suffix is one of ``SUFFIXES``. affine : (4, 4), to RAS in mm."""
    import SimpleITK

    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    volume = SimpleITK.GetImageFromArray(np.ascontiguousarray(array.T))
    volume.SetSpacing(spacing.tolist())
    volume.SetOrigin(lps[:3, 3].tolist())
    volume.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    SimpleITK.WriteImage(volume, str(path), useCompression=compress, compressionLevel=_LEVEL)


def volume_bytes(array: npt.NDArray[np.generic], affine: npt.NDArray[np.float64], suffix: str, compress: bool = True) -> bytes:
    """The file of (i, j, k) with this suffix. Raises UsageError for a suffix that is not written."""
    if suffix not in SUFFIXES:
        raise UsageError(f"result_extension is one of {', '.join(SUFFIXES)}; got {suffix[:20]!r}.")
    with temporary_folder() as folder:
        path = Path(folder) / f"volume{suffix}"
        write_volume(path, array, affine, compress)
        return path.read_bytes()
