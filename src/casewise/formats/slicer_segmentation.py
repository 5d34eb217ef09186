"""3D Slicer's segmentations (``.seg.nrrd``): a label map, or several layers of them, with a name for each segment.

The file covers only the part of the image in which something is drawn; its own origin says where that lies, and so does
``Segmentation_ReferenceImageExtentOffset`` in voxels of the image.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from casewise.errors import UnreadableImageError
from casewise.formats.itk import read_layers
from casewise.formats.nrrd import nrrd_header
from casewise.image import Image

_KEY = re.compile(r"Segment(\d+)_(ID|Name|Layer|LabelValue)")
_MEANING = re.compile(r"TerminologyEntry:[^~]*~[^~]*~[^\^]*\^[^\^]*\^([^~]+)")


@dataclass(frozen=True)
class Segment:
    """A segment: its number in the file (from 0), name, layer and value there."""

    number: int
    name: str
    layer: int
    value: int


@dataclass(frozen=True, eq=False)
class SlicerSegmentation:
    """image : (layer, i, j, k), the stored part. offset : of its first voxel in the image, if stated."""

    segments: tuple[Segment, ...]
    image: Image
    offset: tuple[int, int, int] | None


def is_slicer_segmentation(path: Path) -> bool:
    """Whether an NRRD file describes segments."""
    return any(_KEY.fullmatch(key) for key in nrrd_header(path).pairs)


def read_slicer_segmentation(path: Path) -> SlicerSegmentation:
    """The segments of a file and where they lie. Raises UnreadableImageError for a segment of a layer that is not there."""
    pairs = nrrd_header(path).pairs
    image = read_layers(path)
    if image.array.dtype.kind not in "iu":
        raise UnreadableImageError(
            f"{path} is a segmentation of values that are not whole numbers, such as fractions; save it binary."
        )
    offset = [
        int(word) for word in pairs.get("Segmentation_ReferenceImageExtentOffset", "").split() if word.lstrip("-").isdecimal()
    ]
    segments = _segments(path, pairs, image.channels)
    return SlicerSegmentation(segments, image, (offset[0], offset[1], offset[2]) if len(offset) == 3 else None)


def _segments(path: Path, pairs: Mapping[str, str], layers: int) -> tuple[Segment, ...]:
    numbers = sorted({int(match[1]) for key in pairs if (match := _KEY.fullmatch(key))})
    segments = []
    for place, number in enumerate(numbers):
        said = {name: pairs.get(f"Segment{number}_{name}", "").strip() for name in ("ID", "Name", "Tags", "Layer", "LabelValue")}
        meaning = _MEANING.search(said["Tags"])
        name = said["Name"] or (meaning[1] if meaning else "") or said["ID"] or f"segment_{number}"
        # Files of before Slicer 4.11 give each segment a layer of its own, with the value 1, and say neither.
        layer = _number(path, said["Layer"], place if layers == len(numbers) else 0)
        value = _number(path, said["LabelValue"], 1 if layers == len(numbers) else place + 1)
        if not 0 <= layer < layers or value == 0:
            raise UnreadableImageError(
                f"{path} has a damaged header: its segment {name!r} is of layer {layer} with the value {value}."
            )
        segments.append(Segment(number, name, layer, value))
    return tuple(segments)


def _number(path: Path, text: str, default: int) -> int:
    if not text:
        return default
    if not text.isdecimal():
        raise UnreadableImageError(f"{path} has a damaged header: a segment's layer or value is {text[:20]!r}; expected a number.")
    return int(text)
