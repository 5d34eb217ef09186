"""Heat maps of applications as DICOM parametric maps on the planes that their image was read from."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise.errors import CasewiseError
from casewise.formats.dicom.body_part import body_part_of
from casewise.formats.dicom.result_object import EQUIPMENT, building, save, uids_of
from casewise.formats.dicom.result_source import ResultSource
from casewise.formats.dicom.segment_descriptions import printable
from casewise.formats.dicom.source_planes import name_sources
from casewise.image import Array
from casewise.reporting import dicom_codes as codes

SUFFIX = ".map.dcm"


def write_map(path: Path, title: str, values: Array, source: ResultSource, *, series_number: int = 903) -> Path:
    """Write a map (*spatial) of placed planes as 32-bit floats; ``title`` : whose it is. A value that is no number becomes 0.

    A plane's position and orientation are those of its own instance. The same map of the same images gets the same UIDs.
    Raises CasewiseError for a map of another shape, and for what cannot be built or written.
    """
    source.check_not_own(path)
    shape = source.planes[0].shape
    expected = shape if len(source.planes) == 1 and values.ndim == 2 else (*shape, len(source.planes))
    if values.shape != expected:
        raise CasewiseError(
            f"The map {title!r} has the shape {values.shape}, its image {expected}; bring it onto the image's grid."
        )
    numbers = np.nan_to_num(np.asarray(values, np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    frames = numbers[None] if numbers.ndim == 2 else np.moveaxis(numbers, 2, 0)
    label = printable(title).encode("utf-8", "replace").decode()
    content = hashlib.sha256(np.ascontiguousarray(frames).tobytes()).hexdigest()
    references = [f"{instance} {frame}" for _, instance, frame in source.references]
    with building("a parametric map"):
        built = _built(np.ascontiguousarray(frames), label, source, series_number, ["map", *references, label, content])
    return save(built, path, SUFFIX)


def _built(frames: npt.NDArray[np.float32], title: str, source: ResultSource, series_number: int, identity: list[str]) -> Any:
    import highdicom

    low, high = float(frames.min()), float(frames.max())
    geometry = source.geometry()
    built = highdicom.pm.ParametricMap(
        source_images=source.stand_ins,
        pixel_array=frames,
        series_number=series_number,
        instance_number=1,
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[
            highdicom.pm.RealWorldValueMapping(
                lut_label="CASEWISE",
                lut_explanation=title[:64],
                unit=codes.concept(codes.NO_UNITS),
                value_range=(low, high),
                slope=1.0,
                intercept=0.0,
                quantity_definition=codes.concept(codes.own(title)),
            )
        ],
        voi_lut_transformations=[
            highdicom.VOILUTTransformation((low + high) / 2, max(high - low, 1e-6), voi_lut_function="LINEAR_EXACT")
        ],
        content_label="CASEWISE",
        content_description=title[:64],
        series_description=f"casewise map {title}"[:64],
        **uids_of(identity),
        **EQUIPMENT,
        **geometry,
    )
    name_sources(built, source.stand_ins, source.planes, source.headers)
    for keyword, value in body_part_of(source.headers[0]).items():
        setattr(built, keyword, value)
    # highdicom takes those of its source images, here of the stand-ins, where the planes agree.
    built.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence = geometry["pixel_measures"]
    return built
