"""Which body part, and of which side, an object with results says that it is of: as its source does, where that is sound."""

from __future__ import annotations

from typing import Any

from casewise.formats.dicom.elements import text

# Of DICOM PS3.16, annex L: those that come once. Of any other, DICOM asks for a side, which may be empty where it is not known.
_WORDS = (
    "ABDOMEN ABDOMENPELVIS AORTA BLADDER BRAIN CHEST CHESTABDOMEN CHESTABDPELVIS COCCYX COLON CSPINE CTSPINE DUODENUM "
    "ESOPHAGUS FACE GALLBLADDER HEAD HEADNECK HEART ILEUM JEJUNUM LARYNX LIVER LSPINE LSSPINE MEDIASTINUM MOUTH NECK "
    "NECKCHEST NECKCHESTABDOMEN NOSE PANCREAS PELVIS PHARYNX PROSTATE RECTUM SKULL SPINE SPLEEN STERNUM STOMACH THYMUS "
    "THYROID TLSPINE TONGUE TRACHEA TSPINE UTERUS VAGINA WHOLEBODY"
)
_UNPAIRED = frozenset(_WORDS.split())


def body_part_of(header: Any) -> dict[str, str]:
    """``BodyPartExamined`` and ``Laterality`` for an object made of a source with this header."""
    part, side = text(header, "BodyPartExamined").strip().upper(), text(header, "Laterality").strip().upper()
    if part in _UNPAIRED:
        return {"BodyPartExamined": part}
    return {"Laterality": side if side in ("L", "R") else ""}
