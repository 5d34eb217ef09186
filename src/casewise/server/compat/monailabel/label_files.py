"""Label files as clients send them: brought onto the grid that clients see, and their values given names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise.errors import UnreadableImageError, UsageError
from casewise.image import Image
from casewise.orientation import has_places
from casewise.server.compat.monailabel.forms import SentFile
from casewise.server.compat.monailabel.grid import ClientGrid

Labels = npt.NDArray[np.integer[Any]]
Mask = npt.NDArray[np.bool_]
_SAME_MM = 1e-3
_AIDS = {"background", "foreground_scribbles", "background_scribbles"}  # segments by which a structure is outlined


def read_labels(path: Path, image: Image, grid: ClientGrid) -> Labels:
    """(i, j, k) whole numbers of a label file, on the grid of ``image``'s copy.

    A ``.bin`` file is raw uint8, i fastest. Others are placed by what they say of where they lie, and turned exactly; a file that
    says nothing is taken by its shape, except for a DICOM volume. Raises UsageError, one sentence, for whatever else differs.
    """
    if path.suffix == ".bin":
        raw = np.frombuffer(path.read_bytes(), np.uint8)
        if raw.size != int(np.prod(grid.shape)):
            size = "×".join(map(str, grid.shape))
            raise UsageError(f"The label has {raw.size} voxels, and the image {size}; send one byte for each voxel of the image.")
        return np.asarray(raw.reshape(grid.shape, order="F"))
    from casewise.formats import read

    with _named_as_sent(path):
        return _placed(path, read(path), image, grid)


def read_masks(path: Path, image: Image, grid: ClientGrid, label_info: object) -> dict[str, Mask]:
    """Structure → (i, j, k) bool, of what a label file holds; a structure without a voxel is left out.

    label_info : [{"name", "idx"}], names of the values. Slicer's segmentations bring their own names. Without either a value n is
    called ``label_n``.
    """
    from casewise.formats import read_label_map
    from casewise.formats.reading import kind_of
    from casewise.formats.slicer_segmentation import is_slicer_segmentation

    with _named_as_sent(path):
        if path.suffix == ".nrrd" and kind_of(path) == "NRRD" and is_slicer_segmentation(path):
            found = read_label_map(path, grid.image(image))
            wanted = set(_named(label_info, "idx")) or set(found)
            return {name: mask for name, mask in found.items() if name in wanted - _AIDS and mask.any()}
    labels = read_labels(path, image, grid)
    values = [int(value) for value in np.unique(labels) if value != 0]
    names = values_by_name(label_info, values)
    masks = {name: np.asarray(labels == value) for name, value in names.items() if value in values}
    return masks


def read_sent(file: SentFile, folder: Path) -> Image:
    """The image in a client's file, which is written to ``folder``. Raises UsageError, one sentence, that names no folder."""
    from casewise.formats import read

    path = file.save_in(folder)
    with _named_as_sent(path):
        return read(path)


def values_by_name(label_info: object, values: Sequence[int], number: str = "idx") -> dict[str, int]:
    """Name → value of a client's ``label_info``, given the ``values`` that its file holds; scribbles have ``id`` for a number.

    Slicer numbers a segment in ``label_info`` by its place among all segments, and in the file by its place among those that it
    saved. Where the two readings differ and the file fits both, the call is refused.
    """
    given = _named(label_info, number)
    if not given:
        return {f"label_{value}": value for value in values}
    in_order = {name: place for place, name in enumerate(given, start=1)}
    readings = [one for one in (given, in_order) if set(values) <= set(one.values())]
    if not readings:
        unnamed = next(value for value in values if value not in given.values())
        raise UsageError(
            f"The label file holds the value {unnamed}, which label_info does not name; name every value that is drawn."
        )
    if len(readings) == 2 and _meaning(readings[0], values) != _meaning(readings[1], values):
        msg = "It is not clear which segments the label file's values mean, as label_info leaves out numbers."
        raise UsageError(f"{msg} In Slicer, move the scribble segments to the end of the list, and save again.")
    return readings[0]


def _meaning(names: Mapping[str, int], values: Sequence[int]) -> dict[int, str]:
    return {value: name for name, value in names.items() if value in values}


def _named(label_info: object, number: str) -> dict[str, int]:
    if label_info is None:
        return {}
    if not isinstance(label_info, list) or not all(isinstance(one, dict) for one in label_info):
        raise UsageError(f'label_info is a list of {{"name", "{number}"}}; got {str(label_info)[:60]}.')
    names: dict[str, int] = {}
    for one in label_info:
        name, value = one.get("name"), one.get(number)
        if not isinstance(name, str) or not name.strip() or not isinstance(value, int) or not 0 < value < 1 << 16:
            raise UsageError(f'label_info names each value by {{"name", "{number}"}}, a number from 1; got {str(one)[:60]}.')
        if name in names or value in names.values():
            raise UsageError(f"label_info names {name[:60]!r} or its number {value} twice; give each segment a name of its own.")
        names[name.strip()] = value
    return names


def _placed(path: Path, labels: Image, image: Image, grid: ClientGrid) -> Labels:
    from casewise.formats.mask_grids import on_grid

    numbers = labels.array[0]
    if labels.channels != 1 or (numbers.dtype.kind not in "biu" and not np.array_equal(numbers, np.rint(numbers))):
        raise UnreadableImageError(f"{path} is no label map: its voxels are not whole numbers; save it as a label map.")
    if numbers.size and (numbers.min() < 0 or numbers.max() >= 1 << 16):
        raise UnreadableImageError(f"{path} holds labels from {numbers.min()} to {numbers.max()}; allowed are 0 to 65535.")
    numbers = numbers.astype(np.uint16)
    volume = numbers if numbers.ndim == 3 else numbers[..., None]
    same = volume.shape == grid.shape and has_places(labels) and np.abs(labels.affine - grid.affine).max() < _SAME_MM
    if same:
        return np.asarray(volume)
    # A label that says where it lies is compared with the copy that clients are given, which always does; any other by its shape.
    like = grid.image(image) if has_places(labels) else image
    found = np.zeros(grid.shape, np.uint16)
    for value in np.unique(numbers[numbers > 0]):
        mask = on_grid(path, np.asarray(numbers == value), labels, like)
        found[mask if like is not image else grid.outward(mask)] = value
    if not found.any():
        on_grid(path, np.zeros(numbers.shape, bool), labels, like)
    return found


@contextmanager
def _named_as_sent(path: Path) -> Iterator[None]:
    """Errors about a file name it as its sender did: where it lies here is nobody's business."""
    try:
        yield
    except UnreadableImageError as error:
        raise UsageError(str(error).replace(f"{path.parent}/", "")) from error
