"""What a DICOM header says of how a series was acquired: what its sequence is, whose it is, and of which study."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from casewise.errors import UnreadableImageError
from casewise.formats.dicom_header import about, pseudonym
from casewise.formats.dicom_slices import TRAITS, Slice, slices_of, text, whole
from casewise.formats.dicom_stacks import stacks_of
from casewise.formats.found import Found, Kind
from casewise.formats.guard import BoundedFile, one_sentence

# Where makers kept the b value before the standard had a place for it: Siemens, GE (with 1e9 added), Philips.
_B_VALUES = ((0x0019, 0x100C), (0x0043, 0x1039), (0x2001, 0x1003))
_B_OFFSET = 1_000_000_000
_B_NAME = re.compile(r"_b(\d+)(?:t|#\d+)?$")  # Siemens' sequence name: *ep_b800t; *ep_b50_800 is of two
_PLANES = ("sagittal", "coronal", "axial")


@dataclass(frozen=True)
class Acquisition:
    """How one image was acquired; None, empty or False where the header does not say.

    subject : a pseudonym. study : UID. image_type : DICOM's words, upper case. b_value : s/mm².
    echo_time, repetition_time, inversion_time : ms. gradient_echo : whether it is one, None if unknown.
    plane : axial, coronal or sagittal, whichever is nearest; empty for a picture that lies nowhere.
    order : series number, then time: the later of two repetitions is the larger.
    """

    modality: str
    description: str
    subject: str | None
    study: str
    image_type: tuple[str, ...]
    b_value: float | None
    contrast: bool
    echo_time: float | None
    repetition_time: float | None
    inversion_time: float | None
    gradient_echo: bool | None
    body_part: str
    plane: str
    slices: int
    order: tuple[int, str]


def acquisition(found: Found) -> Acquisition:
    """Of a DICOM image that :func:`casewise.formats.scan` found, by its first file's header.

    Raises UnreadableImageError for a file that is not DICOM, or that has changed since.
    """
    file = found.files[0]
    if found.kind is not Kind.DICOM:
        raise UnreadableImageError(f"{file} is a {found.kind} file, whose header says nothing of how it was acquired.")
    from pydicom import dcmread

    with one_sentence(file, "a DICOM file", quote=False):
        with BoundedFile(file) as opened:
            dataset = dcmread(opened, force=True, stop_before_pixels=True)
        slices = slices_of(file, dataset)
        if found.member is not None and found.member.startswith("stack="):
            slices = list(stacks_of(slices)[int(found.member.removeprefix("stack="))].slices)
        return _told(dataset, slices[0], max(len(found.files), len(slices)))


def _told(dataset: Any, first: Slice, slices: int) -> Acquisition:
    traits = dict(zip(TRAITS, first.traits, strict=True))
    header = about(dataset, [dataset])
    kinds = text(dataset, "ScanningSequence").upper().split("\\")
    return Acquisition(
        modality=text(dataset, "Modality").upper(),
        description=str(header.get("sequence", "")),
        subject=pseudonym(dataset),
        study=text(dataset, "StudyInstanceUID"),
        image_type=tuple((traits["ImageType"] or traits["FrameType"]).upper().split("\\")),
        b_value=_b_value(dataset, traits),
        contrast=bool(text(dataset, "ContrastBolusAgent") or dataset.get("ContrastBolusAgentSequence")),
        echo_time=_number(traits["EffectiveEchoTime"]) or _number(traits["EchoTime"]),
        repetition_time=_number(text(dataset, "RepetitionTime")),
        inversion_time=_number(traits["InversionTime"]),
        gradient_echo=("GR" in kinds and "SE" not in kinds) if kinds != [""] else None,
        body_part=text(dataset, "BodyPartExamined").upper(),
        plane=_PLANES[int(np.argmax(np.abs(first.normal)))] if first.placed else "",
        slices=slices,
        order=(whole(dataset, "SeriesNumber") or 0, text(dataset, "SeriesTime") or text(dataset, "AcquisitionTime")),
    )


def _b_value(dataset: Any, traits: dict[str, str]) -> float | None:
    standard = _number(traits["DiffusionBValue"])
    if standard is not None:
        return standard
    for tag in _B_VALUES:
        value = _private(dataset, tag)
        if value is not None and value >= 0:
            return value % _B_OFFSET
    named = _B_NAME.search(traits["SequenceName"])
    return float(named[1]) if named else None


def _private(dataset: Any, tag: tuple[int, int]) -> float | None:
    """The first number of a private element, which may come as bytes where its kind is not known."""
    element = dataset.get(tag)
    value = None if element is None else element.value
    if isinstance(value, bytes):
        value = value.decode("ascii", "ignore").strip("\x00 ").split("\\")[0]
    elif value is not None and not isinstance(value, (str, int, float)):
        value = value[0] if len(value) else None
    return _number(str(value)) if value is not None else None


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if np.isfinite(number) else None
