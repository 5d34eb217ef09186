"""A label file seen from its image: whether it lies on the image's grid, and which structures are in it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from casewise.archive.layouts.entry import LabelSource
from casewise.archive.storage import take
from casewise.errors import CasewiseError
from casewise.formats import read, read_mask
from casewise.hashing import file_key
from casewise.image import Image

_MOST = 1024
_SHADES = 16
_BRIGHT = 127


@dataclass(frozen=True)
class LabelRow:
    """One structure of a label file. ``value``: None for all above ``above``, else the values whose union it is.

    ``source``: the file as it was imported, where ``path`` may be its copy.
    """

    name: str
    kind: str
    path: str
    member: str | None
    value: list[int] | None
    above: int
    key: str
    source: str = ""


@dataclass(frozen=True, eq=False)
class _Contents:
    """A label file's grid and values. ``shaded``: a picture of one structure with shades of grey along its edge (resized, JPEG)."""

    shape: tuple[int, ...]
    affine: npt.NDArray[np.float64]
    placed: bool
    values: tuple[int, ...]
    picture: bool
    shaded: bool
    key: str


class LabelReader:
    """Reads label files; the last few are remembered, since a mask may be that of several images. ``copy_to``: as for images."""

    def __init__(self, copy_to: Path | None) -> None:
        self._copy_to = copy_to
        self._contents = lru_cache(maxsize=64)(_contents)

    def rows(self, source: LabelSource, image: Image) -> list[LabelRow]:
        """The structures of ``source`` on the grid of ``image``. Raises CasewiseError where it lies on another or is no mask."""
        contents = self._contents(source.path, source.member)
        if not _same_grid(contents, image):
            read_mask(source.path, image, source.member)
        path = str(source.path)
        if self._copy_to is not None:
            path = take(self._copy_to, contents.key, [source.path], True)
        named = _structures(source, contents)
        above = _BRIGHT if contents.shaded else 0
        return [
            LabelRow(name, source.kind, path, source.member, value, above, contents.key, str(source.path))
            for name, value in named.items()
        ]


def _contents(path: Path, member: str | None) -> _Contents:
    mask = read(path, member)
    values = np.unique(mask.array)
    whole = np.isfinite(values).all() and bool(np.all(np.abs(values - np.rint(values)) < 0.01))
    if not whole or values.size > _MOST or mask.channels != 1:
        msg = f"{path} is no mask: it holds {_said(mask, values)}; a mask has one channel with a whole number for each structure."
        raise CasewiseError(msg)
    numbers = tuple(int(value) for value in np.rint(values) if value > 0)
    placed = mask.header.get("spacing_known", True) is True and mask.header.get("orientation_known", True) is True
    picture = mask.header.get("format") in ("PNG", "JPEG", "TIFF", "BMP")
    shaded = picture and len(numbers) > _SHADES and max(numbers) > _BRIGHT
    return _Contents(mask.spatial_shape, mask.affine, placed, numbers, picture, shaded, file_key(path))


def _said(mask: Image, values: npt.NDArray[np.generic]) -> str:
    if mask.channels != 1:
        return f"{mask.channels} channels"
    return f"{values.size} different values" if values.size > _MOST else "values that are not whole numbers"


def _same_grid(contents: _Contents, image: Image) -> bool:
    """Whether the file's voxels are the image's one by one, which spares reading it a second time."""
    if contents.shape != image.spatial_shape:
        return False
    placed = image.header.get("spacing_known", True) is True and image.header.get("orientation_known", True) is True
    return not (placed and contents.placed) or bool(np.allclose(contents.affine, image.affine, atol=1e-3))


def _structures(source: LabelSource, contents: _Contents) -> dict[str, list[int] | None]:
    """Structure → values, by what the layout says, else by the file's own values."""
    if source.values:
        named: dict[str, list[int] | None] = {name: list(values) for name, values in source.values.items()}
        spoken_for = {value for values in source.values.values() for value in values}
        return named | {f"label_{value}": [value] for value in contents.values if value not in spoken_for}
    single = len(contents.values) <= 1 or contents.shaded
    if source.name is not None:
        return {source.name: None} if single or not source.split else {f"{source.name}_{v}": [v] for v in contents.values}
    if single and contents.picture:
        return {"mask": None}
    return {f"label_{value}": [value] for value in contents.values or (1,)}
