"""What names of files and folders say: roles (image, mask), structures, sequences, modalities.

Names are Unicode text in NFC: every letter, digit and mark of every script counts. What compares whole names
(:mod:`casewise.archive.ingest.layouts.matching`) takes them character by character; the words here only give the meaning
of a part of a name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from itertools import pairwise

from casewise.formats.dicom.sequence_words import derived_word
from casewise.names import legible, nfc

MASK_WORDS = frozenset({
    "mask", "masks", "label", "labels", "seg", "segs", "segmentation", "segmentations", "gt", "groundtruth", "roi", "rois",
    "annotation", "annotations", "annot", "manualmask", "labelmap", "labelmaps", "contour", "contours", "labelstr", "labelsts",
    "labelsval", "maske", "masken", "segmentierung", "masque", "masques", "máscara", "máscaras", "mascara", "mascaras", "maschera",
    "maschere", "segmentación", "segmentação", "segmentazione", "маска", "маски", "разметка", "сегментация", "掩膜", "掩码", "蒙版",
    "标注", "标签", "分割", "マスク", "ラベル", "마스크", "라벨",
})  # fmt: skip
IMAGE_WORDS = frozenset({
    "image", "images", "img", "imgs", "data", "scan", "scans", "picture", "pictures", "volume", "volumes", "raw",
    "orig", "original",
})  # fmt: skip
FILLER = frozenset({"gold", "standard", "ground", "truth", "manual", "expert", "consensus", "final"})
_PAIRS = (("gold", "standard"), ("ground", "truth"))
SEQUENCES = {
    "t1": "T1", "t1w": "T1", "t2": "T2", "t2w": "T2", "flair": "FLAIR", "t2flair": "FLAIR", "t1post": "T1POST", "t1c": "T1POST",
    "t1ce": "T1POST", "t1gd": "T1POST", "t1gad": "T1POST", "dwi": "DWI", "diff": "DWI", "diffusion": "DWI", "adc": "ADC",
    "pd": "PD", "pdw": "PD", "swi": "SWI", "mprage": "T1",
    "bold": "BOLD", "dce": "DCE", "t2star": "T2STAR", "t2starw": "T2STAR",
}  # fmt: skip
MODALITIES = {
    "ct": "CT", "mr": "MR", "mri": "MR", "xray": "DX", "cxr": "DX", "us": "US", "ultrasound": "US", "pet": "PT", "mg": "MG",
}  # fmt: skip
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[0-9])(?=[A-Z][a-z])")


def spans(text: str) -> list[tuple[int, int]]:
    """Where the words of a name begin and end: runs of letters, digits and marks of any script, parted at ``aB``."""
    found: list[tuple[int, int]] = []
    start = 0
    for place in range(len(text) + 1):
        inside = place < len(text) and in_word(text[place])
        if not inside or (place > start and _CAMEL.match(text, place)):
            if place > start:
                found.append((start, place))
            start = place if inside else place + 1
    return found


def in_word(character: str) -> bool:
    """Whether a character is part of a word: a letter, a digit or a mark on one."""
    return character.isalnum() or unicodedata.category(character).startswith("M")


def words(text: str) -> list[str]:
    """The parts of a name in lower case: ``T1_N4 (3)`` → t1, n4, 3."""
    text = nfc(text)
    found: list[str] = []
    start = None
    for place, character in enumerate(text + " "):
        if in_word(character):
            start = place if start is None else start
        elif start is not None:
            found.append(text[start:place].lower())
            start = None
    return found


def camel_words(text: str) -> list[str]:
    """As :func:`words`, with ``labelsTr`` and ``leftLung`` parted as well."""
    text = nfc(text)
    return [text[start:end].lower() for start, end in spans(text)]


def is_role(word: str) -> bool:
    """Whether a word of a name says that it is a mask: ``mask``, also with a number (``mask2``)."""
    return word in MASK_WORDS or word.rstrip("0123456789") in MASK_WORDS


def is_mask_name(text: str) -> bool:
    """Whether a file's stem or a folder's name says that it holds masks."""
    for parts in (words(text), camel_words(text)):
        if any(is_role(part) for part in parts) or any(pair in _PAIRS for pair in pairwise(parts)):
            return True
    return False


def without_role(parts: Iterable[str]) -> list[str]:
    """The words that are not about being a mask."""
    return [part for part in parts if part not in MASK_WORDS and part not in FILLER]


def without_roles(text: str) -> str:
    """A name without its words for mask: ``left lung_masks`` → ``left lung``; empty for ``masks``."""
    text = nfc(text)
    kept: list[str] = []
    last = None
    for start, end in spans(text):
        if not without_role([text[start:end].lower()]):
            last = None
            continue
        joint = "" if last is None else text[last:start]
        kept.append(f"{joint if last is not None or not kept else '_'}{text[start:end]}")
        last = end
    return "".join(kept)


def structure_of_folder(name: str) -> str | None:
    """``lung_masks`` → lung, ``Lesions masks`` → Lesion, ``masks`` → None (the folder's name says no structure)."""
    rest = without_roles(name)
    start, end = spans(rest)[-1] if rest else (0, 0)
    return structure_name(rest[:start] + singular(rest[start:end]) + rest[end:]) or None


def singular(word: str) -> str:
    """``lungs`` → lung, ``vertebrae`` stays; ``pelvis`` and ``glass`` are no plurals."""
    lower = word.lower()
    if len(word) > 3 and lower.endswith("s") and not lower.endswith(("ss", "us", "is", "as")):
        return word[:-3] + "y" if lower.endswith("ies") else word[:-1]
    return word


def structure_name(text: str) -> str:
    """A structure's name as it was given, in NFC, without blanks around it."""
    return legible(nfc(text)).strip(" \t\r\n_")


def sequence_in(text: str) -> str | None:
    """The MR sequence that a name speaks of, if any; none for a mask or a computed image (FLAIR_ROI, T2 subtraction, T1map)."""
    if derived_word(text):
        return None
    named = [SEQUENCES[part] for part in words(text) if part in SEQUENCES]
    # A map computed from a sequence is named after both: ``ep2d_diff_ADC``.
    return "ADC" if "ADC" in named else next(iter(named), None)


def modality_in(text: str) -> str | None:
    """The modality that a name speaks of, if any: by itself, or because a sequence is MR's."""
    named = next((MODALITIES[part] for part in words(text) if part in MODALITIES), None)
    return named or ("MR" if sequence_in(text) else None)
