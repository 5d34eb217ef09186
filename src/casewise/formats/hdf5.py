"""HDF5 files that hold an image as a data set (z, y, x) or (y, x), as the ACDC challenge's slices and volumes are passed on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from casewise.errors import UnreadableImageError
from casewise.formats.found import Kind
from casewise.formats.guard import check_claim, finished
from casewise.image import Image

_DEFAULT = "image"
_PACKED = 1100.0


def read_hdf5(path: Path, member: str | None) -> Image:
    """(1, row, column, slice), or (1, row, column) if there is one slice, of a data set stored as ([z,] y, x).

    member : the data set's name; ``image`` unless told, or the only one there is.
    Its voxel size is not stored: the affine counts voxels. Data kept in other files is refused.
    """
    import h5py

    with h5py.File(path, "r") as file:
        names = _names(file)
        name = _chosen(path, names, member)
        if file.get(name, getlink=True).__class__ is not h5py.HardLink or _is_outside(file[name]):
            raise UnreadableImageError(f"{path} keeps its data set {name} in another file, which is refused.")
        dataset = file[name]
        shape = tuple(int(n) for n in dataset.shape)
        if dataset.dtype.kind not in "biuf":
            raise UnreadableImageError(f"{path}: data set {name} holds {dataset.dtype}; numbers are allowed.")
        packed = _PACKED if dataset.compression is not None or dataset.chunks is not None else 1.0
        check_claim(path, shape, dataset.dtype.itemsize, path.stat().st_size, packed)
        array = dataset[()]
    if array.ndim == 3:
        array = np.moveaxis(array, 0, -1) if array.shape[0] > 1 else array[0]
    header = {"format": Kind.HDF5.value, "spacing_known": False, "photometric": "MONOCHROME2"}
    return finished(path, array[None], np.eye(4), header)


def _names(file: Any) -> list[str]:
    """Names of all data sets with two or three axes; links to other files are not followed."""
    import h5py

    names: list[str] = []

    def note(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim in (2, 3):
            names.append(name)

    file.visititems(note)
    return names


def _chosen(path: Path, names: list[str], member: str | None) -> str:
    listed = ", ".join(names[:10]) or "none"
    if member is not None:
        if member not in names:
            raise UnreadableImageError(f"{path} has no data set {member!r} with two or three axes; it has: {listed}.")
        return member
    if _DEFAULT in names:
        return _DEFAULT
    if len(names) == 1:
        return names[0]
    msg = f"{path} has no data set called {_DEFAULT}; choose one by member=NAME among: {listed}."
    raise UnreadableImageError(msg)


def _is_outside(dataset: Any) -> bool:
    return bool(dataset.external) or bool(dataset.is_virtual)
