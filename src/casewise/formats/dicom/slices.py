"""What a DICOM header says of each slice: its place, its series, and what distinguishes it from others at that place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from casewise.errors import CasewiseError, UnreadableImageError
from casewise.formats.dicom.dose import plane_positions
from casewise.formats.dicom.elements import Vector, class_name, count_of, spoken, text, vector, whole
from casewise.formats.dicom.identity import Owner, owner_of
from casewise.formats.dicom.mosaic import Mosaic, mosaic_of
from casewise.formats.dicom.private import b_value, component

# What can differ between slices at one position, the likeliest first; a multi-frame file has them in its functional groups.
TRAITS = (
    "ReferencedSegmentNumber",
    "DiffusionBValue",
    "b value",
    "component",
    "other dimensions",
    "EchoNumbers",
    "EchoTime",
    "EffectiveEchoTime",
    "InversionTime",
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "ImageType",
    "FrameType",
    "ComplexImageComponent",
    "SequenceName",
    "AcquisitionNumber",
    "FrameAcquisitionNumber",
    "FlipAngle",
    "TriggerTime",
    "NominalCardiacTriggerDelayTime",
    "ConvolutionKernel",
    "AcquisitionTime",
    "DiffusionGradientOrientation",
    "SeriesTime",
    "SeriesDescription",
    "ContentTime",
)
_IN_STACK = (0x00209057, 0x00200032, 0x00201041)  # the dimensions along which a stack goes: no difference between images
_THICKNESS = (1e-3, 1e3)  # mm; any other is no thickness
_FRAME_TYPES = ("MRImageFrameTypeSequence", "CTImageFrameTypeSequence", "PETFrameTypeSequence", "ParametricMapFrameTypeSequence")
_GROUPS = (
    "FrameContentSequence",
    "MRDiffusionSequence",
    "MREchoSequence",
    "CardiacSynchronizationSequence",
    "SegmentIdentificationSequence",
    "MRTimingAndRelatedParametersSequence",
    *_FRAME_TYPES,
)


@dataclass(frozen=True)
class Slice:
    """One plane of pixels: an instance, or a frame of one.

    position : of the first pixel's centre, LPS mm. orientation : direction of increasing column index, then of increasing row
        index. spacing : mm between rows, between columns. thickness : mm, None if not stated.
    traits : values of ``TRAITS`` as text.
    frame : index from 0 in a multi-frame file or mosaic, None in a file of one frame.
    order : the frame's index, or the instance's number. numbered : whether a number is stated. tile : of a mosaic.
    owner : whose it is, of which study and series; slices of one volume have the same.
    """

    file: Path
    frame: int | None
    series: str
    instance: str
    shape: tuple[int, int]
    colour: bool
    position: Vector | None
    orientation: Vector | None
    spacing: Vector | None
    thickness: float | None
    localizer: bool
    stack: str
    traits: tuple[str, ...]
    order: int
    owner: Owner
    numbered: bool = True
    tile: bool = False

    @property
    def placed(self) -> bool:
        """Whether position, orientation and spacing are all known."""
        return self.position is not None and self.orientation is not None and self.spacing is not None

    @property
    def name(self) -> str:
        """A digest of the instance's UID and, for one of its frames, the frame's index: what no other plane is called."""
        return hashlib.blake2b(f"{self.instance}#{self.frame}".encode(), digest_size=8).hexdigest()

    @property
    def normal(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Unit normal of the plane (column direction × row direction), LPS."""
        if self.orientation is None:
            raise UnreadableImageError(f"{self.file} does not say how its plane is oriented.")
        normal = np.cross(self.orientation[:3], self.orientation[3:])
        return np.asarray(normal / np.linalg.norm(normal))


def slices_of(path: Path, dataset: Any) -> list[Slice]:
    """The slices of one DICOM file, in the order of its frames. ``dataset`` needs no pixels."""
    rows, columns = whole(dataset, "Rows"), whole(dataset, "Columns")
    if not rows or not columns:
        raise UnreadableImageError(f"{path} is a DICOM file without an image ({class_name(dataset)}).")
    frames = whole(dataset, "NumberOfFrames") or 1
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    if frames > 1 and per_frame and len(per_frame) != frames:
        msg = f"{path} claims {frames} frames but describes {len(per_frame)}: it is damaged."
        raise UnreadableImageError(msg)
    if frames > 1 << 20:
        raise UnreadableImageError(f"{path} claims {frames:,} frames: its header is damaged.")
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [None])[0]
    owner = owner_of(dataset)
    slices: list[Slice] = []
    for frame in range(frames):
        if slices and not per_frame:
            # Nothing but its number tells it from the first: a header may claim tens of thousands.
            slices.append(replace(slices[0], frame=frame, order=frame))
            continue
        layers = [layer for layer in (per_frame[frame] if frame < len(per_frame) else None, shared, dataset) if layer is not None]
        slices.append(_slice(path, dataset, layers, frame if frames > 1 else None, owner))
    if frames == 1:
        return _tiles(path, dataset, slices[0])
    # Without functional groups one position stands for all frames, unless a dose grid gives each its own.
    return slices if per_frame or shared is not None else _dose_planes(path, dataset, slices)


def mosaic_in(path: Path, dataset: Any) -> Mosaic | None:
    """The mosaic that a file of one frame is; None if it is none. Raises UnreadableImageError for one that lacks its geometry."""
    picture = _slice(path, dataset, [dataset], None, owner_of(dataset))
    return mosaic_of(path, dataset, picture.position, picture.orientation, picture.spacing)


def _tiles(path: Path, dataset: Any, picture: Slice) -> list[Slice]:
    """The slices in a mosaic; any other picture as it is."""
    mosaic = mosaic_of(path, dataset, picture.position, picture.orientation, picture.spacing)
    if mosaic is None:
        return [picture]
    shape = (mosaic.rows, mosaic.columns)
    return [
        replace(picture, frame=tile, shape=shape, position=mosaic.position(tile), order=tile, numbered=True, tile=True)
        for tile in range(mosaic.count)
    ]


def _dose_planes(path: Path, dataset: Any, slices: list[Slice]) -> list[Slice]:
    first = slices[0]
    if first.position is None or first.orientation is None:
        return slices
    positions = plane_positions(path, dataset, len(slices), first.position, first.orientation)
    places: Sequence[Vector | None] = positions or [None] * len(slices)
    return [replace(plane, position=place) for plane, place in zip(slices, places, strict=True)]


def _slice(path: Path, dataset: Any, layers: list[Any], frame: int | None, owner: Owner) -> Slice:
    position = found_vector(layers, "PlanePositionSequence", "ImagePositionPatient", 3)
    orientation = _sound(path, found_vector(layers, "PlaneOrientationSequence", "ImageOrientationPatient", 6))
    thickness = _thickness(layers, "SpacingBetweenSlices") or _thickness(layers, "SliceThickness")
    number = whole(dataset, "InstanceNumber")
    return Slice(
        file=path,
        frame=frame,
        series=text(dataset, "SeriesInstanceUID"),
        instance=text(dataset, "SOPInstanceUID"),
        shape=(whole(dataset, "Rows") or 0, whole(dataset, "Columns") or 0),
        colour=(whole(dataset, "SamplesPerPixel") or 1) > 1,
        position=position,
        orientation=orientation,
        spacing=_spacing(layers, position is not None and orientation is not None),
        thickness=thickness,
        localizer="LOCALIZER" in text(dataset, "ImageType").upper(),
        stack=_trait(layers, "StackID"),
        traits=_traits(dataset, layers),
        order=frame if frame is not None else number or 0,
        owner=owner,
        numbered=frame is not None or number is not None,
    )


def _traits(dataset: Any, layers: list[Any]) -> tuple[str, ...]:
    traits = {keyword: _trait(layers, keyword) for keyword in TRAITS if keyword[0].isupper()}
    value = b_value(dataset, traits["DiffusionBValue"], traits["SequenceName"])
    traits["b value"] = "" if value is None else f"{value:g}"
    traits["component"] = component(dataset, traits["FrameType"] or traits["ImageType"]) or traits["ComplexImageComponent"]
    traits["other dimensions"] = _other_dimensions(dataset, layers)
    return tuple(traits[name] for name in TRAITS)


def _other_dimensions(dataset: Any, layers: list[Any]) -> str:
    """The indices of a frame along the dimensions that tell images apart, not slices of one."""
    content = _item(layers[0], "FrameContentSequence") if len(layers) > 1 else None
    indices = content.get("DimensionIndexValues") if content is not None else None
    dimensions = [item.get("DimensionIndexPointer") for item in dataset.get("DimensionIndexSequence") or []]
    indices = [indices] if isinstance(indices, int) else list(indices or [])
    if len(indices) != len(dimensions):
        return ""
    return "\\".join(str(index) for index, pointer in zip(indices, dimensions, strict=True) if pointer not in _IN_STACK)


def _spacing(layers: list[Any], placed: bool) -> Vector | None:
    """Mm between rows, between columns; None where it is not stated, or, for a picture that lies nowhere, cannot be."""
    for layer in layers:
        for place in (_item(layer, "PixelMeasuresSequence"), layer):
            if place is None or count_of(place, "PixelSpacing") == 0:
                continue
            spacing = vector(place, "PixelSpacing", 2)
            if spacing is not None and all(1e-6 < size < 1e4 for size in spacing):
                return spacing
            if not placed:
                return None
            stated = spoken(place, "PixelSpacing")
            msg = f"its geometry is damaged: PixelSpacing is {stated}; two positive numbers of mm are allowed. Correct the header."
            raise CasewiseError(msg)
    return None


def _thickness(layers: list[Any], keyword: str) -> float | None:
    """mm; None where it is not stated or cannot be: it matters to a single slice alone, the others lie where they say."""
    for layer in layers:
        for place in (_item(layer, "PixelMeasuresSequence"), layer):
            value = vector(place, keyword, 1) if place is not None else None
            if value is not None and _THICKNESS[0] <= abs(value[0]) <= _THICKNESS[1]:
                return abs(value[0])
    return None


def _sound(path: Path, orientation: Vector | None) -> Vector | None:
    """The orientation with its two directions made exactly of unit length; an error if they are not nearly perpendicular units."""
    if orientation is None:
        return None
    right, down = np.asarray(orientation[:3]), np.asarray(orientation[3:])
    lengths = np.linalg.norm(right), np.linalg.norm(down)
    if max(abs(length - 1) for length in lengths) > 1e-2 or abs(np.dot(right, down)) > 1e-2:
        raise UnreadableImageError(
            f"{path} has an orientation that is not of two perpendicular unit vectors: its geometry is damaged."
        )
    return tuple(float(x) for x in (*(right / lengths[0]), *(down / lengths[1])))


def found_vector(layers: list[Any], sequence: str, keyword: str, length: int) -> Vector | None:
    """Numbers of ``keyword`` from the first layer that has it: in ``sequence`` of a functional group, or in the data set itself.

    An element that is there but does not hold ``length`` numbers is an error: without it the image would seem to lie nowhere.
    """
    for layer in layers:
        holder = _item(layer, sequence)
        for place in (holder, layer):
            value = vector(place, keyword, length) if place is not None else None
            if value is not None:
                return value
            if place is not None and count_of(place, keyword):
                stated = spoken(place, keyword)
                raise CasewiseError(f"its geometry is damaged: {keyword} is {stated}; {length} numbers are allowed.")
    return None


def _item(layer: Any, sequence: str) -> Any:
    value = layer.get(sequence)
    return value[0] if value else None


def _trait(layers: list[Any], keyword: str) -> str:
    for holder in _holders(layers):
        value = text(holder, keyword)
        if value:
            return value
    return ""


def _holders(layers: list[Any]) -> Iterator[Any]:
    for layer in layers:
        if layer is not layers[-1] or len(layers) == 1:
            for sequence in _GROUPS if len(layers) > 1 else ():
                item = _item(layer, sequence)
                if item is not None:
                    yield item
                    inner = _item(item, "DiffusionGradientDirectionSequence")
                    if inner is not None:
                        yield inner
        if layer is layers[-1]:
            yield layer
