"""The planes of a DICOM source as highdicom is given them: cleaned of what a result may not repeat, and set right again afterwards.

highdicom copies patient and study from the first source image and checks them strictly, it looks up the source's IOD, and it asks
for attributes that de-identified files lack. So each plane becomes a small data set of its own with sound values in UTF-8 and a
temporary instance UID; in the finished object the references are put back to the instances and frames that they stand for.
"""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

from casewise.errors import CasewiseError
from casewise.formats.dicom.elements import text, vector
from casewise.formats.dicom.slices import Slice

_PLACED, _UNPLACED = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.1"  # MR Image, Computed Radiography Image
_SEXES = ("M", "F", "O")
_IDENTIFIERS = ("StudyInstanceUID", "SeriesInstanceUID")
_ESCAPE = re.compile(r"\x1b[\x20-\x2f]+[\x30-\x7e]")
_DATE = re.compile(r"(\d{4})[-./]?(\d{2})[-./]?(\d{2})")
_TIME = re.compile(r"(\d{2}):?(\d{2})?:?(\d{2})?(\.\d{1,6})?")


def stand_ins(planes: Sequence[Slice], headers: Sequence[Any]) -> list[Any]:
    """One single-frame data set a plane, in the order of the planes. ``headers``: the planes' files, each once, in that order.

    A plane in patient space keeps its position, orientation and spacing. One that lies nowhere (a radiograph) gets none, nor a
    frame of reference, whatever its header has of these. Placed planes whose header names no frame of reference share one that is
    named after their series.

    """
    owners = dict(zip(dict.fromkeys(plane.file for plane in planes), headers, strict=True))
    placed = all(plane.placed for plane in planes)
    study = _study(owners[planes[0].file])
    return [_stand_in(number, plane, owners[plane.file], study, placed) for number, plane in enumerate(planes)]


def name_sources(built: Any, sources: Sequence[Any], planes: Sequence[Slice], headers: Sequence[Any]) -> None:
    """Put the true instances, classes and frame numbers in the place of the temporary ones in a finished object."""
    named = references(planes, headers)
    true = {str(source.SOPInstanceUID): name for source, name in zip(sources, named, strict=True)}
    for group in built.PerFrameFunctionalGroupsSequence:
        for derivation in group.get("DerivationImageSequence", ()):
            for item in derivation.get("SourceImageSequence", ()):
                _rename(item, true, with_frame=True)
    seen: dict[str, Any] = {}
    for item in built.SourceImageSequence:
        _rename(item, true, with_frame=False)
        seen.setdefault(str(item.ReferencedSOPInstanceUID), item)
    built.SourceImageSequence = list(seen.values())
    for series in built.ReferencedSeriesSequence:
        series.ReferencedInstanceSequence = list(seen.values())


def references(planes: Sequence[Slice], headers: Sequence[Any]) -> list[tuple[str, str, int | None]]:
    """(SOP class, SOP instance, frame number from 1 in a file of several) of each plane."""
    classes = dict(zip(dict.fromkeys(plane.file for plane in planes), map(_class_of, headers), strict=True))
    return [(classes[plane.file], plane.instance, None if plane.frame is None else plane.frame + 1) for plane in planes]


def frame_of_reference(header: Any) -> str:
    """As the header states it; empty where it states none."""
    return _uid(header, "FrameOfReferenceUID")


def check_identified(headers: Sequence[Any], planes: Sequence[Slice]) -> None:
    """Raise CasewiseError where a source lacks the identifiers by which results refer to it."""
    for header, file in zip(headers, dict.fromkeys(plane.file for plane in planes), strict=True):
        lacking = [name for name in (*_IDENTIFIERS, "SOPInstanceUID") if not _uid(header, name)]
        lacking += [] if _class_of(header) else ["SOPClassUID"]
        if lacking:
            raise CasewiseError(
                f"{file} has no {' and no '.join(lacking)}, which an object with results must name; export it again."
            )


def slice_thickness(header: Any, frame: int | None) -> float | None:
    """SliceThickness in mm as the header states it for this frame; None where it does not, or states what cannot be."""
    groups = header.get("PerFrameFunctionalGroupsSequence") or []
    number = frame or 0
    for layer in (*groups[number : number + 1], *(header.get("SharedFunctionalGroupsSequence") or [])[:1], header):
        for holder in (*(layer.get("PixelMeasuresSequence") or [])[:1], layer):
            value = vector(holder, "SliceThickness", 1)
            if value is not None and 1e-3 < abs(value[0]) < 1e3:
                return abs(value[0])
    return None


def _rename(item: Any, true: dict[str, tuple[str, str, int | None]], with_frame: bool) -> None:
    known = true.get(str(item.ReferencedSOPInstanceUID))
    if known is None:
        return
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = known[0], known[1]
    if with_frame and known[2] is not None:
        item.ReferencedFrameNumber = known[2]


def _stand_in(number: int, plane: Slice, header: Any, study: dict[str, object], placed: bool) -> Any:
    from pydicom.dataset import Dataset
    from pydicom.uid import generate_uid
    from pydicom.valuerep import format_number_as_ds

    source = Dataset()
    source.SpecificCharacterSet = "ISO_IR 192"
    for keyword, value in study.items():
        setattr(source, keyword, value)
    source.SOPClassUID = _PLACED if placed else _UNPLACED
    source.SOPInstanceUID = generate_uid(entropy_srcs=[plane.instance, str(number)])
    source.SeriesInstanceUID = _uid(header, "SeriesInstanceUID")
    source.Rows, source.Columns = plane.shape
    source.Modality = text(header, "Modality")[:16] or "OT"
    for keyword in ("Manufacturer", "ManufacturerModelName"):
        if value := _line(header, keyword):
            setattr(source, keyword, value[:64])
    if text(header, "LossyImageCompression") == "01":
        source.LossyImageCompression = "01"
        for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            if header.get(keyword):
                setattr(source, keyword, header.get(keyword))
    if placed:
        source.FrameOfReferenceUID = _uid(header, "FrameOfReferenceUID") or generate_uid(
            entropy_srcs=["frame of reference", str(source.SeriesInstanceUID)]
        )
        source.PositionReferenceIndicator = _line(header, "PositionReferenceIndicator")[:64]
        source.ImagePositionPatient = [format_number_as_ds(float(x)) for x in plane.position or ()]
        source.ImageOrientationPatient = [format_number_as_ds(float(x)) for x in plane.orientation or ()]
        source.SliceThickness = "1"  # asked for by highdicom, not written
        source.PixelSpacing = [format_number_as_ds(float(x)) for x in plane.spacing or ()]
    return source


def _study(header: Any) -> dict[str, object]:
    """Patient and study as results have them: present, empty where the source has nothing sound; identifiers as they are."""
    sex = _line(header, "PatientSex").upper()
    values: dict[str, object] = {
        "PatientName": _line(header, "PatientName"),
        "PatientID": _line(header, "PatientID"),
        "PatientBirthDate": _date(_line(header, "PatientBirthDate")),
        "PatientSex": sex if sex in _SEXES else "",
        "StudyInstanceUID": _uid(header, "StudyInstanceUID"),
        "StudyDate": _date(_line(header, "StudyDate")),
        "StudyTime": _time(_line(header, "StudyTime")),
        "StudyID": _line(header, "StudyID"),
        "AccessionNumber": _line(header, "AccessionNumber"),
        "ReferringPhysicianName": _line(header, "ReferringPhysicianName"),
    }
    for keyword in ("IssuerOfPatientID", "StudyDescription"):
        if value := _line(header, keyword):
            values[keyword] = value
    removed, method = _line(header, "PatientIdentityRemoved"), _line(header, "DeidentificationMethod")
    if removed in ("YES", "NO"):
        values["PatientIdentityRemoved"] = removed
        if method or removed == "YES":
            values["DeidentificationMethod"] = method or "Not stated"  # DICOM asks for one
    return values


def _line(header: Any, keyword: str) -> str:
    """An element's text as pydicom decodes it by the header's character set; empty where it cannot be decoded."""
    # pydicom leaves some escape sequences of ISO 2022 (those of IR 58) in the text that it has decoded by them.
    value = _ESCAPE.sub("", _safely(lambda: text(header, keyword)))
    # Neither control characters nor lone surrogates can stand in DICOM text; ideographic blanks and joiners can.
    kept = "".join(letter for letter in value if unicodedata.category(letter) not in ("Cc", "Cs"))
    return kept.strip()


def _uid(header: Any, keyword: str) -> str:
    return _safely(lambda: text(header, keyword)).strip("\0 ")


def _class_of(header: Any) -> str:
    """The SOP class that the data set names, else that of its file."""
    meta = getattr(header, "file_meta", None)
    return _uid(header, "SOPClassUID") or (_uid(meta, "MediaStorageSOPClassUID") if meta is not None else "")


def _safely(read: Callable[[], str]) -> str:
    """What is read, or nothing where pydicom cannot make sense of the element."""
    try:
        return read()
    except Exception:
        return ""


def _date(value: str) -> str:
    """YYYYMMDD, also of the older YYYY.MM.DD and the like; empty for what is no day."""
    match = _DATE.fullmatch(value)
    if match is None:
        return ""
    try:
        return datetime.date(int(match[1]), int(match[2]), int(match[3])).strftime("%Y%m%d") if int(match[1]) >= 1000 else ""
    except ValueError:
        return ""


def _time(value: str) -> str:
    """HHMMSS.FFFFFF as far as it is given, also of HH:MM:SS; empty for what is no time of a day."""
    match = _TIME.fullmatch(value)
    if match is None or (match[4] and not match[3]):
        return ""
    hour, minute, second = (int(part) if part else 0 for part in match.groups()[:3])
    if hour > 23 or minute > 59 or second > 59:
        return ""
    return "".join(part or "" for part in match.groups())
