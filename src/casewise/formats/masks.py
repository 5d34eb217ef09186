"""``read_mask``: a mask from any file, exactly on its image's grid, or refused in one sentence. ``drawn_in``: what a file holds."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise.errors import CasewiseError, UnreadableImageError
from casewise.formats.dicom.segmentation import segment_masks
from casewise.formats.dicom.segmentation_header import is_segmentation_file, segmentation_of
from casewise.formats.found import Kind
from casewise.formats.guard import one_sentence
from casewise.formats.mask_grids import comparable, laid, on_grid, whole_factor
from casewise.formats.mask_levels import labels_of, levels
from casewise.formats.mask_pictures import doubt, picture_labels
from casewise.formats.reading import kind_of, listed, read
from casewise.formats.slicer_segmentation import is_slicer_segmentation, read_slicer_segmentation
from casewise.header import Header
from casewise.image import Image
from casewise.label_map import LabelMap

Mask = npt.NDArray[np.bool_]
PICTURES = (Kind.PNG, Kind.JPEG, Kind.TIFF, Kind.BMP)


@dataclass(frozen=True)
class Drawn:
    """A structure in a mask's file, and how ``read_mask`` is asked for it.

    name : as the file has it; None where it has none. member, value : what ``read_mask`` takes; no value stands for all that is
    ``above`` a number. colour : whether ``value`` is a colour, 0xRRGGBB.
    """

    name: str | None = None
    member: str | None = None
    value: int | None = None
    above: float = 0
    colour: bool = False


@dataclass(frozen=True, eq=False)
class Contents:
    """What a mask's file holds. structures : none where nothing is drawn. picture : whether it is a PNG, JPEG, TIFF or BMP file.

    grid : an image without content on the file's grid; None for a DICOM Segmentation, whose frames each lie somewhere.
    doubt : why it is not clear what is background, else None. soft : whether its edges had shades, of which those above the half
    were taken.
    """

    structures: tuple[Drawn, ...]
    picture: bool = False
    grid: Image | None = None
    doubt: str | None = None
    soft: bool = False


def read_mask(
    path: str | os.PathLike[str], like: Image, *, member: str | None = None, value: int | None = None, above: float | None = None
) -> Mask:
    """(*spatial) bool on the grid of ``like``: where the file's label is ``value``; without one, wherever anything is drawn.

    path : a file of any kind that ``read`` takes. A palette picture's labels are its indices, a colour picture's its colours
        (0xRRGGBB); a soft edge is cut at the half. A DICOM Segmentation or Slicer's ``.seg.nrrd`` too: ``member`` is then
        ``segment=n`` or a segment's name, ``value`` its number or label.
    above : where a single structure begins, if it is to be another number than what the file's levels say.

    A mask whose axes are merely permuted or flipped is turned exactly, where mask and image both say how they lie in the patient.
    One without a place in space is taken by its shape, except onto a DICOM volume; a picture's mask may be coarser or finer by a
    whole factor (then the nearest pixel counts). A segmentation may cover a part of its image, and a DICOM Segmentation marks no
    other planes than those it was drawn on, where it names them. Whatever else differs is an UnreadableImageError: nothing is
    resampled.
    """
    path = Path(path)
    if is_segmentation_file(path):
        return _of_dicom(path, like, member, value)
    if kind_of(path) is Kind.NRRD and is_slicer_segmentation(path):
        return _of_slicer(path, like, member, value)
    numbers, grid, lossy = _numbers(path, member)
    if value is not None:
        chosen = np.asarray(labels_of(numbers) == value)
    elif above is not None:
        chosen = np.asarray(numbers > above)
    else:
        chosen = np.asarray(numbers > (_levels(path, numbers, lossy).above or 0.5))
    return on_grid(path, chosen, grid, like)


def read_label_map(path: str | os.PathLike[str], like: Image) -> LabelMap:
    """All structures of a mask's file, on the grid of ``like``: by their own names, else ``label_n``, or ``mask`` of a single one.

    As :func:`read_mask` reads each; segments that were drawn on other planes than the image's are left out. Raises
    UnreadableImageError where the file does not say which structures it holds.
    """
    drawn = drawn_on(path, like)
    masks = {}
    for number, one in enumerate(drawn, start=1):
        name = one.name or ("mask" if len(drawn) == 1 else f"label_{one.value if one.value is not None else number}")
        masks[name if name not in masks else f"{name} ({number})"] = read_mask(path, like, member=one.member, value=one.value)
    return LabelMap.like(masks, like)


def drawn_in(path: str | os.PathLike[str], member: str | None = None) -> Contents:
    """The structures in a mask's file. Raises UnreadableImageError, with what is ambiguous, where it does not say which."""
    path = Path(path)
    if is_segmentation_file(path):
        segments = segmentation_of(path).segments
        return Contents(tuple(Drawn(name, f"segment={number}") for number, name in segments.items()))
    if kind_of(path) is Kind.NRRD and is_slicer_segmentation(path):
        return Contents(_slicer_structures(path))
    numbers, grid, lossy = _numbers(path, member)
    found = _levels(path, numbers, lossy)
    picture = grid.header.format in PICTURES
    colours = grid.header.colours
    if found.above is not None:
        structures: tuple[Drawn, ...] = (Drawn(member=member, above=found.above),)
    elif len(found.values) == 1 and not colours:
        structures = (Drawn(member=member, value=found.values[0]),)
    else:
        structures = tuple(Drawn(None, member, value, colour=colours) for value in found.values)
    return Contents(
        structures, picture, replace(grid, array=_hollow(grid)), _doubt(numbers, found, picture), found.above is not None
    )


def drawn_on(path: str | os.PathLike[str], like: Image) -> tuple[Drawn, ...]:
    """The structures in a mask's file without the segments that were drawn on other planes than the image's."""
    path = Path(path)
    drawn = drawn_in(path).structures
    if not is_segmentation_file(path):
        return drawn
    own = segment_masks(path, like)
    return tuple(one for number, one in zip(segmentation_of(path).segments, drawn, strict=True) if number in own)


def fitted_factor(contents: Contents, like: Image) -> int | None:
    """The whole factor by which a picture's mask was made coarser or finer to fit its image; None where it was not."""
    if contents.grid is None or comparable(contents.grid, like):
        return None
    shape = contents.grid.spatial_shape
    return (
        None
        if like.spatial_shape in (shape, shape[::-1])
        else whole_factor(shape, like.spatial_shape) or whole_factor(shape[::-1], like.spatial_shape)
    )


def _numbers(path: Path, member: str | None) -> tuple[npt.NDArray[Any], Image, bool]:
    """(*spatial) numbers of a file, the image whose grid they are on, and whether compression has changed them."""
    kind = kind_of(path)
    if kind in PICTURES:
        with one_sentence(path, f"a {kind} file"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            labels = picture_labels(path, kind, member)
        header = Header.from_json({**labels.header, "colours": labels.colours})
        return labels.numbers, Image(labels.numbers[None], header=header, source=path), labels.lossy
    image = read(path, member)
    if image.channels != 1:
        raise UnreadableImageError(f"{path} is a colour picture; a mask has one channel of label numbers.")
    lossy = image.header.format == Kind.DICOM.value and image.header.lossy
    return image.array[0], image, lossy


def _levels(path: Path, numbers: npt.NDArray[Any], lossy: bool) -> Any:
    try:
        return levels(numbers, lossy)
    except CasewiseError as error:
        raise UnreadableImageError(f"{path} is no mask: it {error}.") from error


def _doubt(numbers: npt.NDArray[Any], found: Any, picture: bool) -> str | None:
    if not picture or not found.values:
        return None
    if found.above is not None:
        return doubt(numbers, np.asarray(numbers > found.above))
    for value in found.values:
        said = doubt(numbers, np.asarray(numbers == value))
        if said is not None:
            return said
    return None


def _hollow(grid: Image) -> npt.NDArray[np.uint8]:
    """Of the grid's shape, without a voxel's memory."""
    return np.broadcast_to(np.zeros((), np.uint8), (1, *grid.spatial_shape))


def _of_dicom(path: Path, like: Image, member: str | None, value: int | None) -> Mask:
    masks = segment_masks(path, like)
    segments = segmentation_of(path).segments
    if member is not None:
        value = _segment(path, member, segments)
    if value is None:
        return np.asarray(np.logical_or.reduce([np.zeros(like.spatial_shape, bool), *masks.values()]))
    if value in masks:
        return masks[value]
    if value in segments:
        msg = f"{path}: its segment {value} was drawn on other planes than its image's; on these it has {_numbered(masks)}."
        raise UnreadableImageError(msg)
    raise UnreadableImageError(f"{path} has no segment {value}; it has {_numbered(segments)}.")


def _numbered(segments: Iterable[int]) -> str:
    return listed([str(number) for number in segments])


def _of_slicer(path: Path, like: Image, member: str | None, value: int | None) -> Mask:
    with one_sentence(path, "a segmentation"):
        read_in = read_slicer_segmentation(path)
    chosen = list(read_in.segments)
    if member is not None:
        number = _segment(path, member, {segment.number: segment.name for segment in chosen})
        chosen = [segment for segment in chosen if segment.number == number]
    elif value is not None:
        chosen = [segment for segment in chosen if segment.value == value]
        if len(chosen) != 1:
            msg = f'{path} has {len(chosen)} segments of the value {value}; choose one by its name, or member="segment=n".'
            raise UnreadableImageError(msg)
    layers = read_in.image.array
    mask: Mask = np.zeros(layers.shape[1:], bool)
    for segment in chosen:
        mask |= layers[segment.layer] == segment.value
    if comparable(read_in.image, like):
        return on_grid(path, mask, read_in.image, like, cut_out=True)
    if read_in.offset is None or like.spatial_dims != 2 or mask.shape[-1] != 1:
        raise UnreadableImageError(f"{path} lies in space, but its image does not say where it lies; give one of its own grid.")
    # Of a picture, Slicer's first axis runs along its rows.
    return laid(path, mask[..., 0].T, (read_in.offset[1], read_in.offset[0]), like.spatial_shape)


def _slicer_structures(path: Path) -> tuple[Drawn, ...]:
    with one_sentence(path, "a segmentation"):
        read_in = read_slicer_segmentation(path)
    return tuple(Drawn(segment.name, f"segment={segment.number}") for segment in read_in.segments)


def _segment(path: Path, member: str, names: dict[int, str]) -> int:
    """The number of the segment that a member names: ``segment=n``, ``stack=n`` in the order of the numbers, or by its name."""
    match = re.fullmatch(r"(segment|stack)=(\d{1,9})", member.strip())
    if match is not None:
        order: Sequence[int] = list(names)
        number = int(match[2]) if match[1] == "segment" else order[int(match[2])] if int(match[2]) < len(order) else -1
        if number in names:
            return number
    named = [number for number, name in names.items() if name == member]
    if len(named) != 1:
        choice = listed([f"segment={number} ({name})" for number, name in names.items()])
        raise UnreadableImageError(f"{path} has {len(named) or 'no'} segments {member!r}; it has {choice}.")
    return named[0]
