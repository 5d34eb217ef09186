"""How a structure is described in a DICOM Segmentation: its label, in any script, and the code of what it is."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from casewise import __version__

PRIVATE_SCHEME = "99CASEWISE"
_LONGEST, _LONGEST_CODE = 64, 16
_STRUCTURE = ("91723000", "SCT", "Anatomical Structure")
_ABNORMAL = ("49755003", "SCT", "Morphologically Abnormal Structure")
_CONCEPT = ("309825002", "SCT", "Spatial and Relational Concept")
# SNOMED CT codes of DICOM PS3.16's context groups; any other name gets a code of our own scheme.
_KNOWN = {
    "left_lung": (_STRUCTURE, ("44029006", "SCT", "Left Lung")),
    "right_lung": (_STRUCTURE, ("3341006", "SCT", "Right Lung")),
    "lung_side_unknown_1": (_STRUCTURE, ("39607008", "SCT", "Lung")),
    "lung_side_unknown_2": (_STRUCTURE, ("39607008", "SCT", "Lung")),
    # The label says which definition of the organ it is, and which clavicle.
    "left_lung_full": (_STRUCTURE, ("44029006", "SCT", "Left Lung")),
    "right_lung_full": (_STRUCTURE, ("3341006", "SCT", "Right Lung")),
    "lung_full_side_unknown_1": (_STRUCTURE, ("39607008", "SCT", "Lung")),
    "lung_full_side_unknown_2": (_STRUCTURE, ("39607008", "SCT", "Lung")),
    "left_clavicle": (_STRUCTURE, ("51299004", "SCT", "Clavicle")),
    "right_clavicle": (_STRUCTURE, ("51299004", "SCT", "Clavicle")),
    "clavicle_side_unknown_1": (_STRUCTURE, ("51299004", "SCT", "Clavicle")),
    "clavicle_side_unknown_2": (_STRUCTURE, ("51299004", "SCT", "Clavicle")),
    "lungs": (_STRUCTURE, ("39607008", "SCT", "Lung")),
    "heart": (_STRUCTURE, ("80891009", "SCT", "Heart")),
    "left_ventricle": (_STRUCTURE, ("87878005", "SCT", "Left Ventricle")),
    "right_ventricle": (_STRUCTURE, ("53085002", "SCT", "Right Ventricle")),
    "myocardium": (_STRUCTURE, ("74281007", "SCT", "Myocardium")),
    "hippocampus": (_STRUCTURE, ("5366008", "SCT", "Hippocampus")),
    "nodule": (_ABNORMAL, ("27925004", "SCT", "Nodule")),
    "cardiothoracic_ratio": (_CONCEPT, ("RATIO_LINES", PRIVATE_SCHEME, "Cardiothoracic Ratio, Lines Measured")),
    "lesion": (_ABNORMAL, ("52988006", "SCT", "Lesion")),
}


def described_segment(number: int, name: str, label: str, by_hand: bool) -> Any:
    """Describe the segment of this number (from 1) for highdicom, by a structure's name and the label that it goes by."""
    import highdicom
    from pydicom.sr.codedict import codes

    category, kind = known(name) or (_STRUCTURE, (own_code(name), PRIVATE_SCHEME, label))
    algorithm = highdicom.AlgorithmIdentificationSequence("casewise", codes.cid7162.ArtificialIntelligence, __version__)
    segment = highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=label,
        segmented_property_category=highdicom.sr.CodedConcept(*category),
        segmented_property_type=highdicom.sr.CodedConcept(*kind),
        algorithm_type="SEMIAUTOMATIC" if by_hand else "AUTOMATIC",
        algorithm_identification=algorithm,
    )
    if label != name:
        segment.SegmentDescription = printable(name)[:1024]
    return segment


def known(name: str) -> tuple[tuple[str, str, str], tuple[str, str, str]] | None:
    """DICOM's codes (value, scheme, meaning) for category and kind of a structure of this name; None where it has none.

    ``APPLICATION: LABEL`` is known by its label.
    """
    return _KNOWN.get(_plain(name.rsplit(": ", 1)[-1]))


def unique_labels(names: Sequence[str]) -> list[str]:
    """A segment label a name: the name itself as far as DICOM's LO can hold it (64 characters, no backslash), no two alike."""
    labels: list[str] = []
    for name in names:
        whole = printable(name).replace("\\", "/").strip() or "structure"
        label, number = whole[:_LONGEST].strip(), 1
        while label in labels:
            number += 1
            ending = f" ({number})"
            label = whole[: _LONGEST - len(ending)].strip() + ending
        labels.append(label)
    return labels


def own_code(name: str) -> str:
    """A code value of at most 16 characters: the name where it is plain ASCII and short, else a hash. Other names, other codes.

    Names that differ in case, blanks and underscores alone are one structure's and get one code.
    """
    plain = _plain(name)
    if re.fullmatch(r"[a-z0-9_]{1,16}", plain):
        return plain.upper()
    return hashlib.sha256(plain.encode("utf-8", "replace")).hexdigest()[:_LONGEST_CODE].upper()


def _plain(name: str) -> str:
    return re.sub(r"[\s_]+", "_", unicodedata.normalize("NFC", name).strip().casefold())


def printable(text: str) -> str:
    """In composed form and without control characters, which no DICOM text may hold."""
    return "".join(" " if unicodedata.category(letter) in ("Cc", "Cs") else letter for letter in unicodedata.normalize("NFC", text))
