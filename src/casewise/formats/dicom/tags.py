"""What a DICOM file itself says under keywords that name no patient: read when it is asked for, and kept nowhere."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from casewise.errors import CasewiseError
from casewise.formats.dicom.elements import text, vector
from casewise.formats.dicom.file import dataset_of
from casewise.formats.dicom.source_planes import slice_thickness
from casewise.formats.found import Kind
from casewise.image import Image

TEXTS = (
    "StudyDescription",
    "SeriesDescription",
    "ProtocolName",
    "RequestedProcedureDescription",
    "PerformedProcedureStepDescription",
    "InstitutionName",
    "InstitutionalDepartmentName",
    "StationName",
    "BodyPartExamined",
    "ViewPosition",
    "Laterality",
    "ImageLaterality",
    "PatientPosition",
    "ImageType",
    "Manufacturer",
    "ManufacturerModelName",
    "SequenceName",
    "ScanningSequence",
    "ContrastBolusAgent",
    "ConvolutionKernel",
    "SOPClassUID",
)
NUMBERS = ("SliceThickness", "MagneticFieldStrength", "KVP", "RepetitionTime", "EchoTime", "NumberOfFrames", "SeriesNumber")
# Of a file's meta header: who sent it, and to whom.
NETWORK = {"calling_ae": "SourceApplicationEntityTitle", "called_ae": "ReceivingApplicationEntityTitle"}
_MOST_FILES = 2000  # of a folder, until the one of the image is found


def stated(image: Image, names: Collection[str]) -> dict[str, str | float]:
    """What the file of a DICOM image says, by name; of a series one of its files.

    names : of ``TEXTS`` (several values are joined by a backslash), ``NUMBERS`` and ``NETWORK``. What the file does not say is
    left out; an image of another kind says nothing.
    """
    if not names or image.header.format != Kind.DICOM.value or image.source is None:
        return {}
    dataset = _file_of(Path(image.source), image.header.series)
    return {} if dataset is None else stated_in(dataset, names)


def stated_in(dataset: Any, names: Collection[str]) -> dict[str, str | float]:
    """The same of a data set that was read already (:func:`casewise.formats.dicom.file.dataset_of`)."""
    found: dict[str, str | float] = {}
    for name in names:
        value: str | float | None = None
        if name in NUMBERS:
            value = slice_thickness(dataset, None) if name == "SliceThickness" else _number(dataset, name)
        elif name in NETWORK:
            value = _text(getattr(dataset, "file_meta", None), NETWORK[name])
        elif name in TEXTS:
            value = _text(dataset, name)
        if value is not None and value != "":
            found[name] = value
    return found


def _file_of(source: Path, series: str | None) -> Any | None:
    """The header of a file, or of a folder's first file of the series."""
    try:
        files = sorted(path for path in source.iterdir() if path.is_file())[:_MOST_FILES] if source.is_dir() else [source]
        for path in files:
            dataset = _header(path)
            if dataset is not None and (series is None or len(files) == 1 or _text(dataset, "SeriesInstanceUID") == series):
                return dataset
    except OSError:
        return None
    return None


def _header(path: Path) -> Any | None:
    try:
        return dataset_of(path, pixels=False)
    except CasewiseError:
        return None


def _number(dataset: Any, keyword: str) -> float | None:
    value = vector(dataset, keyword, 1)
    return None if value is None else value[0]


def _text(dataset: Any, keyword: str) -> str:
    try:
        return "" if dataset is None else text(dataset, keyword)
    except (TypeError, ValueError, LookupError, NotImplementedError):
        return ""
