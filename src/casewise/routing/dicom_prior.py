"""What kind of image its DICOM tags say it is: a prior, which the pixels may contradict.

Tags are typed by people and copied by machines; a wrong one must not send an image to the wrong applications. A category that the
tags do not fit keeps ``DISBELIEF`` of its probability, so that pixels that are sure win over tags that are wrong.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from casewise.header import Header

DISBELIEF = 0.1
_XRAY = frozenset({"CR", "DX", "DR", "RG", "RF", "XR"})
_MODALITIES = {
    "xray": _XRAY,
    "radiograph": _XRAY,
    "ct": frozenset({"CT"}),
    "mr": frozenset({"MR"}),
    "mri": frozenset({"MR"}),
    "ultrasound": frozenset({"US"}),
    "us": frozenset({"US"}),
    "mammography": frozenset({"MG"}),
}
_PARTS = {  # what BodyPartExamined may say of each part of a category's name
    "chest": ("CHEST", "THORAX", "LUNG", "RIB", "MEDIASTIN"),
    "abdomen": ("ABDOM", "PELVI", "LIVER", "PANCREA", "KIDNEY", "SPLEEN", "COLON", "BOWEL", "BLADDER"),
    "head": ("HEAD", "BRAIN", "SKULL", "NEURO"),
    "brain": ("HEAD", "BRAIN", "SKULL", "NEURO"),
    "hand": ("HAND", "WRIST", "FINGER", "THUMB", "CARP"),
    "breast": ("BREAST", "MAMMA"),
    "cardiac": ("HEART", "CARD", "CHEST", "THORAX"),
    "heart": ("HEART", "CARD", "CHEST", "THORAX"),
    "prostate": ("PROSTAT", "PELVI"),
}


@dataclass(frozen=True)
class Prior:
    """modality, body_part : the tags, where the image has them.

    fits : the categories that they allow; None where they say nothing about any. contradicted : whether the pixels decided for
    something that the tags do not allow. sentence : both, in words.
    """

    modality: str | None = None
    body_part: str | None = None
    fits: tuple[str, ...] | None = None
    contradicted: bool = False
    sentence: str = "The image has no tags that say what it shows."

    def weight(self, category: str) -> float:
        """What the category's probability is multiplied by before all are made to sum to 1 again."""
        return 1.0 if self.fits is None or category in self.fits else DISBELIEF

    def decided(self, category: str, unknown: str) -> Prior:
        """The same with the sentence that says whether ``category``, which the router decided for, is what the tags say."""
        if self.fits is None:
            return self
        stated = " ".join(part for part in (self.modality, self.body_part) if part)
        if category == unknown:
            sentence = f"The tags say {stated}; the pixels are unlike any category."
            return Prior(self.modality, self.body_part, self.fits, bool(self.fits), sentence)
        if category in self.fits:
            return Prior(self.modality, self.body_part, self.fits, False, f"The tags say {stated}, and the pixels agree.")
        sentence = f"The tags say {stated} and the pixels show {category}: the pixels decided, and the tags may be wrong."
        return Prior(self.modality, self.body_part, self.fits, True, sentence)

    def to_json(self) -> dict[str, object]:
        return {
            "modality": self.modality,
            "body_part": self.body_part,
            "fits": None if self.fits is None else list(self.fits),
            "contradicted": self.contradicted,
            "sentence": self.sentence,
        }


def prior_of(header: Header, categories: Sequence[str]) -> Prior:
    """What ``modality`` and ``body_part`` of an image's header say about ``categories``.

    A category's name gives its modality and its part (``chest-xray``); of one that does not, the tags say nothing.
    """
    modality = _tag(header.modality)
    part = _tag(header.body_part)
    known_modality = modality if modality in set().union(*_MODALITIES.values()) or modality in _OTHERS else None
    known_part = part if part and any(word in part for words in _PARTS.values() for word in words) else None
    if known_modality is None and known_part is None:
        return Prior(modality, part)
    fits = tuple(name for name in categories if _fits(name, known_modality, known_part))
    return Prior(modality, part, fits)


_OTHERS = frozenset({"NM", "PT", "XA", "MG", "OP", "OPT", "SM", "GM", "ES", "ECG", "IVUS", "IVOCT", "SEG", "RTDOSE"})


def _tag(value: str | None) -> str | None:
    return (value or "").strip().upper() or None


def _fits(category: str, modality: str | None, part: str | None) -> bool:
    words = re.split(r"[^a-z]+", category.lower().replace("x-ray", "xray"))
    kinds = [_MODALITIES[word] for word in words if word in _MODALITIES]
    places = [_PARTS[word] for word in words if word in _PARTS]
    if modality is not None and kinds and not any(modality in kind for kind in kinds):
        return False
    return part is None or not places or any(word in part for names in places for word in names)
