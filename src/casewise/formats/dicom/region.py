"""What kind of object a DICOM file is, and which region of the body its codes and descriptions name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Any

from casewise.formats.dicom.elements import text
from casewise.formats.dicom.sequence_words import PART_WORDS, description_words, folded

# PS3.3 C.7.6.1.1.2 and the third value of CT, MR and ultrasound images (C.8.2.1.1.1, C.8.3.1.1.1, C.8.5.6.1.1, C.8.16.1.3).
_TYPES = frozenset({
    "ORIGINAL", "DERIVED", "PRIMARY", "SECONDARY", "AXIAL", "LOCALIZER", "MPR", "MIP", "MINIP", "PROJECTION",
    "SUBTRACTION", "MOSAIC", "DIFFUSION", "ADC", "TRACEW", "FA", "PERFUSION", "RCBF", "RCBV", "CBF", "CBV", "MTT", "TTP",
    "EPI", "OTHER", "VOLUME", "QUANTITY", "MASK", "ROI", "MIXED", "ABDOMINAL", "BREAST", "CHEST", "ENDOCAVITARY",
    "ENDORECTAL", "ENDOVAGINAL", "EPICARDIAL", "FETAL HEART", "GYNECOLOGY", "INTRACARDIAC", "INTRAOPERATIVE",
    "INTRAVASCULAR", "MUSCULOSKELETAL", "NEONATAL HEAD", "OBSTETRICAL", "OPHTHALMIC", "PEDIATRIC", "PELVIC",
    "RETROPERITONEAL", "SCROTAL", "SMALL PARTS", "TEE", "THYROID", "TRANSCRANIAL", "TTE", "CARDIOLOGY",
})  # fmt: skip
_GROUPS = ("cid4", "cid4030", "cid4031", "cid4209")  # regions: all, CT and MR, common ones, of eyes
_VALUE = re.compile(r"[A-Z0-9-]{3,18}")


def sop_class(dataset: Any) -> str | None:
    """DICOM's keyword of the object's class; None for a private or unknown one."""
    from pydicom.uid import UID

    return UID(text(dataset, "SOPClassUID")).keyword or None


def image_type(said: str) -> tuple[str, ...]:
    """The values of ``ImageType`` that DICOM defines, upper case, in their order."""
    return tuple(value for value in (part.strip().upper() for part in said.split("\\")) if value in _TYPES)


def region_code(dataset: Any) -> str | None:
    """``SCT:69536005``: the first code of AnatomicRegionSequence that DICOM's context groups of regions have; None without one.

    A code in the older SRT form becomes the one of SNOMED CT.
    """
    try:
        items = [item for item in dataset.get("AnatomicRegionSequence") or () if hasattr(item, "get")]
    except (TypeError, ValueError, LookupError, NotImplementedError, OverflowError):
        return None  # damaged
    for item in items:
        value, scheme = (text(item, keyword).strip().upper() for keyword in ("CodeValue", "CodingSchemeDesignator"))
        if _VALUE.fullmatch(value) and (found := _standard(value, scheme)) is not None:
            return f"SCT:{found[0]}"
    return None


def region_meaning(code: str) -> str:
    """What DICOM calls the region of a code that :func:`region_code` gives; empty for any other."""
    scheme, _, value = code.partition(":")
    found = _standard(value, scheme) if value else None
    return found[1] if found is not None else ""


def described_part(descriptions: Sequence[str], personal: AbstractSet[str] = frozenset()) -> str | None:
    """The parts of the body, upper case, that the first of the descriptions that names any names: ``CHEST ABDOMEN``.

    personal : words (folded) that are left out, as those of a patient's name.
    """
    for description in descriptions:
        words = (folded(word) for word in re.split(r"[\W_]+", description_words(description, personal)[0]))
        parts = [word for word in words if word in PART_WORDS]
        if parts:
            return " ".join(dict.fromkeys(part.upper() for part in parts))
    return None


@lru_cache(maxsize=256)
def _standard(value: str, scheme: str) -> tuple[str, str] | None:
    """(value, meaning) of SNOMED CT."""
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code

    given = Code(value, scheme, "")
    for group in _GROUPS:
        collection = getattr(codes, group)
        for name in dir(collection):
            code = getattr(collection, name)
            if isinstance(code, Code) and code == given:  # an SRT code is equal to its successor
                return str(code.value), str(code.meaning)
    return None
