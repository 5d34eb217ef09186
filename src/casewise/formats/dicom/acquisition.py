"""What a DICOM header says of how a series was acquired: what its sequence is, whose it is, and of which study."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from casewise.errors import UnreadableImageError
from casewise.formats.dicom.elements import text, whole
from casewise.formats.dicom.file import dataset_of
from casewise.formats.dicom.header import about, pseudonym
from casewise.formats.dicom.identity import patient_of
from casewise.formats.dicom.private import number
from casewise.formats.dicom.sequence_words import derived_word, description_words
from casewise.formats.dicom.slices import TRAITS, Slice, slices_of
from casewise.formats.dicom.stacks import stacks_of
from casewise.formats.found import Found, Kind
from casewise.formats.guard import one_sentence

_COMPUTED_TYPES = frozenset({
    "MIP", "MINIP", "MNIP", "MPR_THICK", "SUB", "SUBTRACTION", "FA", "TENSOR", "TENSOR_B0", "EXP", "EADC", "PHASE", "PHASE MAP",
    "P", "P_FFE", "P_SE", "P_IR", "I", "IMAGINARY", "I_FFE", "I_SE", "I_IR", "VELOCITY MAP", "T1 MAP", "T1_MAP", "T2 MAP",
    "T2_MAP", "T2_STAR_MAP", "T2STAR MAP", "PD MAP", "B0 MAP", "B0_MAP", "PROJECTION IMAGE", "SEGMENTATION", "LABELMAP", "MASK",
    "ROI", "TTP", "MTT", "CBF", "CBV", "RCBF", "RCBV", "PBP", "GBP", "RELCBF", "RELCBV", "RELMTT", "MOSAIC_MIP", "FAT_FRACTION",
})  # fmt: skip
_PLANES = ("sagittal", "coronal", "axial")


@dataclass(frozen=True)
class Acquisition:
    """How one image was acquired; None, empty or False where the header does not say.

    derived : the word that says that it is a mask or computed from others (``SUB``, ``ROI``); empty for an image as it was taken.
    subject : a pseudonym. patient : tells one patient from another in this process. study : UID.
    image_type : DICOM's words, upper case. b_value : s/mm².
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
    derived: str = ""
    patient: str | None = None


def acquisition(found: Found) -> Acquisition:
    """Of a DICOM image that :func:`casewise.formats.scan` found, by its first file's header.

    Raises UnreadableImageError for a file that is not DICOM, or that has changed since.
    """
    file = found.files[0]
    if found.kind is not Kind.DICOM:
        raise UnreadableImageError(f"{file} is a {found.kind} file, whose header says nothing of how it was acquired.")
    with one_sentence(file, "a DICOM file", quote=False):
        dataset = dataset_of(file, pixels=False)
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
        derived=_derived(dataset, traits["ImageType"] or traits["FrameType"]),
        subject=pseudonym(dataset),
        patient=patient_of(dataset),
        study=text(dataset, "StudyInstanceUID"),
        image_type=tuple((traits["ImageType"] or traits["FrameType"]).upper().split("\\")),
        b_value=number(traits["b value"]),
        contrast=bool(text(dataset, "ContrastBolusAgent") or dataset.get("ContrastBolusAgentSequence")),
        echo_time=number(traits["EffectiveEchoTime"]) or number(traits["EchoTime"]),
        repetition_time=number(text(dataset, "RepetitionTime")),
        inversion_time=number(traits["InversionTime"]),
        gradient_echo=("GR" in kinds and "SE" not in kinds) if kinds != [""] else None,
        body_part=str(header.get("body_part", "")).upper(),
        plane=_PLANES[int(np.argmax(np.abs(first.normal)))] if first.placed else "",
        slices=slices,
        order=(whole(dataset, "SeriesNumber") or 0, text(dataset, "SeriesTime") or text(dataset, "AcquisitionTime")),
    )


def _derived(dataset: Any, image_type: str) -> str:
    kinds = [kind for kind in image_type.upper().split("\\")[2:] if kind in _COMPUTED_TYPES]
    said = derived_word(text(dataset, "SeriesDescription"))
    # Only the word that was found leaves the header, and it is of the vocabulary.
    return kinds[0] if kinds else description_words(said)[0] if said else ""
