"""What every DICOM object with results is made from: the planes of its image, its patient and study, and where the planes lie."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from casewise.errors import CasewiseError
from casewise.formats.dicom.origin import headers_of, origin
from casewise.formats.dicom.quiet import quiet
from casewise.formats.dicom.slices import Slice
from casewise.formats.dicom.source_planes import check_identified, frame_of_reference, references, slice_thickness, stand_ins
from casewise.image import Image


@dataclass(frozen=True, eq=False)
class ResultSource:
    """The planes that results of an image refer to.

    planes : in the order of the image's slices, or of a loop's frames; one for a picture. headers : of their files, each once, in
    that order. stand_ins : a small data set for each plane, with sound values of patient and study; see
    :func:`casewise.formats.dicom.source_planes.stand_ins`.
    """

    planes: list[Slice]
    headers: list[Any]
    stand_ins: list[Any]

    @classmethod
    def of(cls, image: Image) -> ResultSource:
        """Raises CasewiseError where the image is not from DICOM, its files are gone, or lack what results must name."""
        with quiet():
            planes = origin(image)
            headers = headers_of(planes)
            check_identified(headers, planes)
            return cls(planes, headers, stand_ins(planes, headers))

    @property
    def placed(self) -> bool:
        """Whether the planes lie in the patient; a radiograph lies nowhere."""
        return all(plane.placed for plane in self.planes)

    @property
    def frame_of_reference(self) -> str | None:
        """The UID that all files of placed planes state; None where one states none or another."""
        stated = {frame_of_reference(header) for header in self.headers}
        return next(iter(stated)) or None if self.placed and len(stated) == 1 else None

    @property
    def references(self) -> list[tuple[str, str, int | None]]:
        """(SOP class, SOP instance, frame number from 1 in a file of several) of each plane."""
        return references(self.planes, self.headers)

    def check_not_own(self, path: Path) -> None:
        """Raises CasewiseError where ``path`` is one of the image's own files."""
        if any(path.exists() and path.samefile(plane.file) for plane in self.planes):
            raise CasewiseError(f"{path} is a file of the image itself; choose another name for its results.")

    def geometry(self) -> dict[str, Any]:
        """For highdicom: where each frame lies, as its own plane states it, a tilted gantry's sheared stack included.

        Empty where the planes lie nowhere.
        """
        import highdicom

        if not self.placed:
            return {}
        first = self.planes[0]
        apart = [float(np.dot(np.subtract(b.position or (), a.position or ()), a.normal)) for a, b in pairwise(self.planes)]
        between = abs(float(np.mean(apart))) if apart else None
        return {
            "plane_positions": [highdicom.PlanePositionSequence("PATIENT", list(one.position or ())) for one in self.planes],
            "plane_orientation": highdicom.PlaneOrientationSequence("PATIENT", list(first.orientation or ())),
            "pixel_measures": highdicom.PixelMeasuresSequence(
                pixel_spacing=list(first.spacing or ()),
                # Where it is not stated, what a slice stands for is the distance to the next. Readers ask for a thickness even of
                # a single plane of which none is known; it is then as thick as in the image's affine.
                slice_thickness=slice_thickness(self.headers[0], first.frame) or between or first.thickness or 1.0,
                spacing_between_slices=between,
            ),
        }
