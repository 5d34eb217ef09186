"""DICOM Segmentations read as masks: each frame is placed by its own plane, on an image whose planes it names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise.errors import UnreadableImageError
from casewise.formats.dicom.elements import text, whole
from casewise.formats.dicom.frame_sources import Named, SourcePlanes, named_sources
from casewise.formats.dicom.origin import headers_of, origin
from casewise.formats.dicom.pixels import decoded
from casewise.formats.dicom.segmentation_header import Segmentation, described, segmentation_dataset
from casewise.formats.dicom.slices import Slice, found_vector
from casewise.formats.found import Kind
from casewise.formats.guard import one_sentence
from casewise.image import Image

_TOLERANCE = 0.1  # of a voxel
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_ANOTHER_GRID = "lies on another grid than its image"
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class _Frame:
    """pixels : (row, column) as stored. layers : where its attributes are looked up: its own functional groups, the shared ones.

    sources : the planes that it was drawn on, as far as it names them.
    """

    pixels: npt.NDArray[Any]
    layers: list[Any]
    sources: Named


def segment_masks(path: Path, like: Image) -> dict[int, Mask]:
    """Segment number → (*spatial) bool on the grid of ``like``; frames that the object leaves out are empty.

    Each frame lies where its own plane position and orientation say, in whatever order frames are. One that names the planes it was
    drawn on is not of an image without any of them: the phases of one series lie at the same places. A segment whose frames are
    all of other planes is left out. A picture without a place in the patient takes the frames that are drawn on it.

    Raises UnreadableImageError where the segmentation is of other images, or a frame does not lie on the image's voxels.
    """
    with one_sentence(path, "a DICOM segmentation", quote=False):
        dataset = segmentation_dataset(path)
        about = described(path, dataset)
        planes = _planes(about, dataset, like)
        every = _frames(path, dataset)
        own = _own(about, every, planes)
        masks = {number: np.zeros(like.spatial_shape, bool) for number in about.segments}
        for frame in own:
            if not frame.pixels.any():
                continue
            indices = _indices(path, frame, like)
            for number, pixels in _segments_in(about, frame):
                if number not in masks:
                    raise UnreadableImageError(f"{path} has pixels of segment {number}, which it does not describe.")
                if pixels.any():
                    masks[number][tuple(indices(np.argwhere(pixels)).T)] = True
        elsewhere = _numbers(about, every) - _numbers(about, own)
    return {number: mask for number, mask in masks.items() if number not in elsewhere}


def _planes(about: Segmentation, dataset: Any, like: Image) -> list[Slice] | None:
    """The planes of the image, which is one of those that the segmentation was drawn on; None where it was converted.

    So no patient's mask comes onto another's image.
    """
    if like.header.format != Kind.DICOM.value:
        if not _is_placed(like):
            msg = f"{about.path} is a segmentation of DICOM images; its image is none, and lies nowhere in the patient."
            raise UnreadableImageError(msg)
        return None  # its planes must still lie on the image's
    own = like.header.series or ""
    if about.series and own not in about.series:
        raise UnreadableImageError(f"{about.path} is a segmentation of another series than its image's; its own is not this one.")
    planes = origin(like)
    if about.instances:
        if not about.instances & {plane.instance for plane in planes}:
            raise UnreadableImageError(f"{about.path} is a segmentation of other DICOM instances than its image's.")
    elif not about.series:
        source = headers_of(planes)[0]
        same = ("FrameOfReferenceUID", "StudyInstanceUID", "PatientID")
        if not about.frame_of_reference or any(text(source, name) != text(dataset, name) for name in same):
            msg = f"{about.path} names no images that it was drawn on, and is of another patient, study or frame of reference."
            raise UnreadableImageError(msg)
    return planes


def _frames(path: Path, dataset: Any) -> list[_Frame]:
    # The stored numbers are labels, whatever colours a palette shows them in.
    dataset.PhotometricInterpretation = "MONOCHROME2"
    pixels = decoded(path, dataset)[:, 0]
    groups = _layers(dataset, len(pixels))
    return [_Frame(frame, layers, named_sources(layers)) for frame, layers in zip(pixels, groups, strict=True)]


def _own(about: Segmentation, frames: list[_Frame], planes: list[Slice] | None) -> list[_Frame]:
    """The frames that were drawn on the image's planes, and those that do not say what they were drawn on."""
    if planes is None:
        _check_one_image(about, frames)
        return frames
    named = SourcePlanes(planes)
    own = [frame for frame in frames if not frame.sources or named.include(frame.sources)]
    if frames and not own:
        msg = (
            f"{about.path} is a segmentation of other planes than its image's: of other instances of the series, or of other "
            "frames of its file, such as those of another phase; give the image that it was drawn on."
        )
        raise UnreadableImageError(msg)
    return own


def _check_one_image(about: Segmentation, frames: list[_Frame]) -> None:
    """That no place is marked from two images: which of them a converted one is cannot be known."""
    places: dict[tuple[object, ...], Named] = {}
    for frame in frames:
        if not frame.sources or not frame.pixels.any():
            continue
        position = found_vector(frame.layers, "PlanePositionSequence", "ImagePositionPatient", 3)
        number = None if about.kind == "LABELMAP" else _number(about, frame)
        place = (number, position and tuple(round(x, 2) for x in position))
        if not frame.sources & places.setdefault(place, frame.sources):
            msg = (
                f"{about.path} marks the same place on several images, such as the phases of one series, and its image was "
                "converted, so that it is not known which of them it is; give the DICOM files of the image."
            )
            raise UnreadableImageError(msg)


def _numbers(about: Segmentation, frames: list[_Frame]) -> set[int]:
    """The segments that the frames are of, even where they mark nothing; every frame of a label map is of all."""
    if about.kind == "LABELMAP":
        return set(about.segments) if frames else set()
    return {number for frame in frames if (number := _number(about, frame)) is not None}


def _layers(dataset: Any, count: int) -> Iterator[list[Any]]:
    """Of each frame, where its attributes are looked up: its own functional groups, the shared ones."""
    own = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = list((dataset.get("SharedFunctionalGroupsSequence") or [])[:1])
    if len(own) not in (0, count):
        raise UnreadableImageError(f"The segmentation has {count} frames but describes {len(own)}: it is damaged.")
    for number in range(count):
        yield [*own[number : number + 1], *shared]


def _segments_in(about: Segmentation, frame: _Frame) -> Iterator[tuple[int, Mask]]:
    if about.kind == "LABELMAP":
        for number in np.unique(frame.pixels[frame.pixels > 0]):
            yield int(number), np.asarray(frame.pixels == number)
        return
    number = _number(about, frame)
    if number is None:
        raise UnreadableImageError(f"{about.path} does not say which of its segments a frame is of.")
    yield number, np.asarray(frame.pixels > about.half)


def _number(about: Segmentation, frame: _Frame) -> int | None:
    """The segment that a frame is of; None where that is not said, and there are several."""
    for layer in frame.layers:
        identified = (layer.get("SegmentIdentificationSequence") or [None])[0]
        number = whole(identified, "ReferencedSegmentNumber") if identified is not None else None
        if number is not None:
            return number
    return next(iter(about.segments)) if len(about.segments) == 1 else None


def _indices(path: Path, frame: _Frame, like: Image) -> Any:
    """The function from (n, 2) rows and columns of a frame to (n, axes) voxels of the image."""
    position = found_vector(frame.layers, "PlanePositionSequence", "ImagePositionPatient", 3)
    orientation = found_vector(frame.layers, "PlaneOrientationSequence", "ImageOrientationPatient", 6)
    spacing = found_vector(frame.layers, "PixelMeasuresSequence", "PixelSpacing", 2)
    rows, columns = frame.pixels.shape
    if position is None or orientation is None or spacing is None:
        if _is_placed(like) or like.spatial_dims != 2 or frame.pixels.shape != like.spatial_shape:
            raise UnreadableImageError(f"{path} does not say where its frames lie in the patient, so that none can be its image's.")
        return lambda pixels: pixels
    if not _is_placed(like):
        raise UnreadableImageError(f"{path} lies in the patient, but its image does not say where it lies.")
    plane = np.zeros((4, 3))
    plane[:3, 0] = np.asarray(orientation[3:]) * spacing[0]
    plane[:3, 1] = np.asarray(orientation[:3]) * spacing[1]
    plane[:3, 2], plane[3, 2] = position, 1
    change = np.linalg.solve(like.affine, _LPS_TO_RAS @ plane)
    axes = like.spatial_dims

    def mapped(pixels: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        return np.asarray(np.column_stack([pixels, np.ones(len(pixels))]) @ change.T)[:, :3]

    if not (np.abs(np.rint(change[:3, :2])).sum(axis=0) == 1).all():
        raise UnreadableImageError(f"{path} {_ANOTHER_GRID}: its pixels are not of the size of the image's voxels.")
    corners = mapped(np.asarray(list(product((0, rows - 1), (0, columns - 1)))))
    off = np.abs(corners - np.rint(corners)).max()
    if off > _TOLERANCE or (axes == 2 and np.abs(corners[:, 2]).max() > _TOLERANCE):
        raise UnreadableImageError(f"{path} {_ANOTHER_GRID}: a plane of it lies between the image's voxels.")

    def indices(pixels: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        voxels = np.rint(mapped(pixels)).astype(np.int64)[:, :axes]
        if (voxels < 0).any() or (voxels >= like.spatial_shape).any():
            raise UnreadableImageError(f"{path} {_ANOTHER_GRID}: it reaches beyond the image.")
        return voxels

    return indices


def _is_placed(image: Image) -> bool:
    return image.header.placed
