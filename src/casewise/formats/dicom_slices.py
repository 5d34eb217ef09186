"""What a DICOM header says of each slice: where it lies, which series it is of, what tells it from others at the same place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from casewise.errors import UnreadableImageError

Vector = tuple[float, ...]

# What can differ between slices at one position, the likeliest first; a multi-frame file has them in its functional groups.
TRAITS = (
    "ReferencedSegmentNumber",
    "DiffusionBValue",
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
)
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
    frame : index from 0 in a multi-frame file, None in a file of one frame.
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

    @property
    def placed(self) -> bool:
        """Whether position, orientation and spacing are all known."""
        return self.position is not None and self.orientation is not None and self.spacing is not None

    @property
    def normal(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Unit normal of the plane (column direction × row direction), LPS."""
        if self.orientation is None:
            raise UnreadableImageError(f"{self.file} does not say how its plane is oriented.")
        return np.cross(self.orientation[:3], self.orientation[3:])


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
    offsets = vector(dataset, "GridFrameOffsetVector", frames) if frames > 1 else None
    slices = []
    for frame in range(frames):
        layers = [layer for layer in (per_frame[frame] if frame < len(per_frame) else None, shared, dataset) if layer is not None]
        slices.append(_slice(path, dataset, layers, frame if frames > 1 else None, offsets))
    return slices


def _slice(path: Path, dataset: Any, layers: list[Any], frame: int | None, offsets: Vector | None) -> Slice:
    position = found_vector(layers, "PlanePositionSequence", "ImagePositionPatient", 3)
    orientation = _sound(path, found_vector(layers, "PlaneOrientationSequence", "ImageOrientationPatient", 6))
    if frame is not None and len(layers) == 1:
        # Without functional groups one position stands for all frames, unless a dose grid gives each its offset.
        position = _offset(position, orientation, offsets[frame]) if offsets and position and orientation else None
    spacing = found_vector(layers, "PixelMeasuresSequence", "PixelSpacing", 2)
    if spacing is not None and not all(1e-6 < size < 1e4 for size in spacing):
        raise UnreadableImageError(f"{path} claims a pixel of {spacing[0]:g} × {spacing[1]:g} mm, which cannot be.")
    thickness = found_vector(layers, "PixelMeasuresSequence", "SpacingBetweenSlices", 1)
    thickness = thickness or found_vector(layers, "PixelMeasuresSequence", "SliceThickness", 1)
    return Slice(
        file=path,
        frame=frame,
        series=text(dataset, "SeriesInstanceUID"),
        instance=text(dataset, "SOPInstanceUID"),
        shape=(whole(dataset, "Rows") or 0, whole(dataset, "Columns") or 0),
        colour=(whole(dataset, "SamplesPerPixel") or 1) > 1,
        position=position,
        orientation=orientation,
        spacing=spacing,
        thickness=abs(thickness[0]) if thickness and thickness[0] else None,
        localizer="LOCALIZER" in text(dataset, "ImageType").upper(),
        stack=_trait(layers, "StackID"),
        traits=tuple(_trait(layers, keyword) for keyword in TRAITS),
        order=frame if frame is not None else whole(dataset, "InstanceNumber") or 0,
    )


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


def _offset(position: Vector, orientation: Vector, offset: float) -> Vector:
    normal = np.cross(orientation[:3], orientation[3:])
    return tuple(float(x) for x in np.asarray(position) + offset * normal)


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
            if place is not None and place.get(keyword) not in (None, "", []):
                raise UnreadableImageError(f"A damaged header: {keyword} does not hold {length} numbers.")
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
        if layer is layers[-1]:
            yield layer


def vector(dataset: Any, keyword: str, length: int) -> Vector | None:
    """``length`` finite numbers of an element; None where it is absent, empty or not so."""
    try:
        value = dataset.get(keyword)
        values = [value] if isinstance(value, (int, float, str)) else list(value or [])
        numbers = tuple(float(x) for x in values)
    except (TypeError, ValueError, NotImplementedError):
        return None
    return numbers if len(numbers) == length and np.isfinite(numbers).all() else None


def whole(dataset: Any, keyword: str) -> int | None:
    """An integer element; None where it is absent or no number."""
    try:
        return int(dataset.get(keyword))
    except (TypeError, ValueError, OverflowError):
        return None


def text(dataset: Any, keyword: str) -> str:
    """An element as text, several values joined by a backslash; empty where it is absent."""
    value = dataset.get(keyword)
    if value is None:
        return ""
    many = isinstance(value, Sequence) and not isinstance(value, (str, bytes))
    joined = "\\".join(str(x) for x in value) if many else str(value)
    return joined.strip().strip("\x00")


def class_name(dataset: Any) -> str:
    """The name of a data set's SOP class, for messages."""
    uid = dataset.get("SOPClassUID")
    name = getattr(uid, "name", "") or ""
    return name if name and not name[0].isdigit() else "of no known class"
