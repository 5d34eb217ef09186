"""HDF5 files that hold an image as a data set (z, y, x) or (y, x), as the ACDC challenge's slices and volumes are passed on."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from casewise.errors import UnreadableImageError
from casewise.formats.found import Kind
from casewise.formats.guard import check_claim, finished, one_of_several
from casewise.formats.regular_files import open_regular
from casewise.image import Image

_DEFAULT = "image"
_PACKED = 1100.0
_CHUNK = 1 << 23
_MOST = 20_000
_DEEPEST = 64


def read_hdf5(path: Path, member: str | None) -> Image:
    """(1, row, column, slice), or (1, row, column) if there is one slice, of a data set stored as ([z,] y, x).

    member : the data set's name; ``image`` by default, or the only one there is.
    Its voxel size is not stored: the affine counts voxels. Data kept in other files is refused.
    """
    import h5py

    os.close(open_regular(path))
    with h5py.File(path, "r") as file:
        found = data_sets(path, file) if member is None else [member]
        name = _chosen(path, found, member)
        dataset = _named(path, file, name)
        shape = tuple(int(n) for n in dataset.shape)
        if dataset.dtype.kind not in "biuf":
            raise UnreadableImageError(f"{path}: data set {name} holds {dataset.dtype}; numbers are allowed.")
        packed = _PACKED if dataset.compression is not None or dataset.chunks is not None else 1.0
        check_claim(path, shape, dataset.dtype.itemsize, path.stat().st_size, packed)
        if dataset.chunks and math.prod(dataset.chunks) > 2 * math.prod(shape) + _CHUNK:
            raise UnreadableImageError(f"{path}: data set {name} lies in blocks far larger than itself: it is damaged.")
        array = dataset[()]
    if array.ndim == 3:
        array = np.moveaxis(array, 0, -1) if array.shape[0] > 1 else array[0]
    header = {"format": Kind.HDF5.value, "spacing_known": False, "photometric": "MONOCHROME2"}
    return finished(path, array[None], np.eye(4), header)


def data_sets_of(path: Path) -> list[str]:
    """Names of the data sets of numbers with two or three axes in a file, sorted."""
    import h5py

    os.close(open_regular(path))
    with h5py.File(path, "r") as file:
        return [name for name in data_sets(path, file) if file[name].dtype.kind in "biuf"]


def data_sets(path: Path, file: Any) -> list[str]:
    """Names of all data sets with two or three axes, sorted. Links, soft or to other files, are not followed."""
    import h5py

    names: list[str] = []
    waiting = [(file, "", 0)]
    seen: set[int] = set()
    looked = 0
    while waiting:
        group, prefix, depth = waiting.pop()
        for name in group:
            looked += 1
            if looked > _MOST:
                raise one_of_several(path, f"more than {_MOST:,} groups and data sets", "member=NAME", imported=False)
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue
            item = group[name]
            if isinstance(item, h5py.Dataset):
                if item.ndim in (2, 3):
                    names.append(f"{prefix}{name}")
            elif isinstance(item, h5py.Group) and (address := h5py.h5o.get_info(item.id).addr) not in seen:
                seen.add(address)
                if depth >= _DEEPEST:
                    raise one_of_several(path, f"groups more than {_DEEPEST} deep", "member=NAME", imported=False)
                waiting.append((item, f"{prefix}{name}/", depth + 1))
    return sorted(names)


def _chosen(path: Path, names: list[str], member: str | None) -> str:
    if member is not None:
        return member
    if _DEFAULT in names:
        return _DEFAULT
    if len(names) == 1:
        return names[0]
    if not names:
        raise UnreadableImageError(f"{path} holds no data set of two or three axes, which an image is; export the image again.")
    raise one_of_several(path, f"{len(names)} data sets, and none called {_DEFAULT}", f"member=NAME among: {_listed(names)}")


def _named(path: Path, file: Any, name: str) -> Any:
    """The data set of this name; an error sentence if it is none, or leads out of the file."""
    import h5py

    item = file
    for part in name.split("/"):
        link = item.get(part, getlink=True) if isinstance(item, h5py.Group) and part not in ("", ".") else None
        if link is not None and not isinstance(link, h5py.HardLink):
            raise UnreadableImageError(f"{path} keeps its data set {name} behind a link or in another file, which is refused.")
        item = item[part] if link is not None else None
    if not isinstance(item, h5py.Dataset) or item.ndim not in (2, 3):
        msg = f"{path} has no data set {name!r} with two or three axes; it has: {_listed(data_sets(path, file))}."
        raise UnreadableImageError(msg)
    if _is_outside(item):
        raise UnreadableImageError(f"{path} keeps its data set {name} in another file, which is refused.")
    return item


def _listed(names: list[str]) -> str:
    return ", ".join(names[:10]) or "none"


def _is_outside(dataset: Any) -> bool:
    return bool(dataset.external) or bool(dataset.is_virtual)
