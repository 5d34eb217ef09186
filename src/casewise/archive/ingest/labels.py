"""A label file and its image: whether it lies on the image's grid, and which structures are in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from casewise.archive.contents import mask_key, whole_file
from casewise.archive.ingest.layouts.entry import LabelSource
from casewise.archive.storage import origin, take
from casewise.errors import CasewiseError
from casewise.formats import drawn_in, read_mask
from casewise.formats.dicom.segmentation import segment_masks
from casewise.formats.dicom.segmentation_header import is_segmentation_file, segmentation_of
from casewise.formats.masks import PICTURES, Contents, Drawn, fitted_factor
from casewise.image import Image
from casewise.names import same_structure
from casewise.orientation import has_places


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
    above: float
    key: str
    source: str = ""


@dataclass(frozen=True)
class Labels:
    """The structures of a label file on its image's grid. ``note``: what a person should know of how it was taken, else ""."""

    rows: list[LabelRow]
    note: str = ""


class LabelReader:
    """Reads label files; the last few are cached, since a mask may be that of several images. ``copy_to``, ``archive``: as for
    images. ``key``: of the content of a label file.
    """

    def __init__(self, copy_to: Path | None, archive: Path | None = None) -> None:
        self._copy_to = copy_to
        self._archive = archive
        self._contents = lru_cache(maxsize=64)(drawn_in)
        self.key = lru_cache(maxsize=64)(mask_key)

    def place(self, source: LabelSource) -> str:
        """How the catalogue names a label file that is not copied."""
        return str(source.path) if self._archive is None else origin(self._archive, source.path)

    def labels(self, source: LabelSource, image: Image) -> Labels:
        """The structures of ``source`` on the grid of ``image``. Raises CasewiseError where it lies on another or is no mask."""
        contents, key = self._contents(source.path, source.member), self.key(source.path)
        if contents.doubt is not None:
            raise CasewiseError(f"{source.path} {contents.doubt}.")
        contents, empty = _of_image(source, contents, image)
        named = _structures(source, contents)
        path = self.place(source)
        if self._copy_to is not None:
            every = whole_file(source.path)
            path = take(self._copy_to, key, every, len(every) == 1)
            # A header and its voxels: the header is what is read.
            path = path if len(every) == 1 else f"{path}/{source.path.name}"
        given = str(source.path)
        rows = [LabelRow(name, source.kind, path, member, value, above, key, given) for name, member, value, above in named]
        return Labels(rows, _note(source, contents, image, empty))


def _of_image(source: LabelSource, contents: Contents, image: Image) -> tuple[Contents, bool]:
    """The contents without segments that were drawn on other planes than the image's, and whether they mark nothing on it."""
    if is_segmentation_file(source.path):
        masks = segment_masks(source.path, image)
        numbers = segmentation_of(source.path).segments
        own = tuple(one for number, one in zip(numbers, contents.structures, strict=True) if number in masks)
        return replace(contents, structures=own), not any(mask.any() for mask in masks.values())
    if _same_grid(contents, image):
        return contents, not contents.structures
    return contents, not read_mask(source.path, image, member=source.member).any()


def _note(source: LabelSource, contents: Contents, image: Image, empty: bool) -> str:
    notes = []
    if empty and source.kind == "mask":
        notes.append("The mask is empty: its image has nothing of what is sought.")
    if contents.soft:
        notes.append("The mask has a soft edge (it was resized, smoothed or compressed), which was cut at the half.")
    factor = fitted_factor(contents, image)
    if factor is not None and contents.grid is not None:
        sizes = ("×".join(map(str, shape)) for shape in (contents.grid.spatial_shape, image.spatial_shape))
        notes.append(f"The mask has {' pixels and its image '.join(sizes)}; it was fitted by the whole factor {factor}.")
    return " ".join(notes)


def _same_grid(contents: Contents, image: Image) -> bool:
    """Whether the file's voxels are the image's one by one, which spares reading it a second time."""
    grid = contents.grid
    if grid is None or grid.spatial_shape != image.spatial_shape:
        return False
    if grid.header.format != image.header.format and not (contents.picture and image.header.format in PICTURES):
        return False
    if grid.header.placed != image.header.placed or has_places(grid) != has_places(image):
        return False
    return not has_places(image) or bool(np.allclose(grid.affine, image.affine, atol=1e-3))


_Row = tuple[str, str | None, list[int] | None, float]


def _structures(source: LabelSource, contents: Contents) -> list[_Row]:
    """(name, member, values, above) of each structure, by what the layout says, else by the file's own names and values."""
    drawn = contents.structures
    if source.values and contents.grid is not None:
        given: list[_Row] = [(name, source.member, list(values), 0.0) for name, values in source.values.items()]
        spoken_for = {value for values in source.values.values() for value in values}
        return [*given, *(_row(f"label_{one.value}", one) for one in drawn if one.value not in (None, *spoken_for))]
    if any(one.name is not None for one in drawn):
        return _distinct([(one.name or "mask", one.member, None, 0.0) for one in drawn])
    single = len(drawn) <= 1
    whole: _Row = (source.name or "mask", source.member, None, drawn[0].above if drawn else 0.0)
    if source.name is not None:
        return [whole] if single or not source.split else [_row(f"{source.name}_{_mark(one)}", one) for one in drawn]
    if single and contents.picture:
        return [whole]
    return [_row(("" if one.colour else "label_") + _mark(one), one) for one in drawn or (Drawn(value=1, member=source.member),)]


def _distinct(rows: list[_Row]) -> list[_Row]:
    """With a number behind the name of a second segment of one name: both are there, each of its own."""
    taken: dict[str, int] = {}
    distinct = []
    for name, member, value, above in rows:
        number = taken[same_structure(name)] = taken.get(same_structure(name), 0) + 1
        distinct.append((name if number == 1 else f"{name} {number}", member, value, above))
    return distinct


def _row(name: str, one: Drawn) -> _Row:
    return name, one.member, None if one.value is None else [one.value], one.above


def _mark(one: Drawn) -> str:
    """What distinguishes a structure from others of its file: its value, or its colour."""
    if one.colour and one.value is not None:
        return f"colour_{one.value:06x}"
    return "1" if one.value is None else str(one.value)
