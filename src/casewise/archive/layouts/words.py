"""What names of files and folders say: roles (image, mask), structures, sequences, modalities."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

from casewise.formats.sequence_words import derived_word

MASK_WORDS = frozenset({
    "mask", "masks", "label", "labels", "seg", "segs", "segmentation", "segmentations", "gt", "groundtruth", "roi", "rois",
    "annotation", "annotations", "annot", "manualmask",
})  # fmt: skip
IMAGE_WORDS = frozenset({
    "image", "images", "img", "imgs", "data", "scan", "scans", "picture", "pictures", "volume", "volumes", "raw",
    "orig", "original",
})  # fmt: skip
_FILLER = frozenset({"gold", "standard", "ground", "truth", "manual", "expert", "consensus", "final"})
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
_SPLIT = re.compile(r"[^A-Za-z0-9]+")


def words(text: str) -> list[str]:
    """The parts of a name in lower case: ``T1_N4 (3)`` → t1, n4, 3."""
    return [part.lower() for part in _SPLIT.split(text) if part]


def is_mask_name(text: str) -> bool:
    """Whether a file's stem or a folder's name says that it holds masks."""
    parts = words(text)
    return any(part in MASK_WORDS for part in parts) or any(pair in _PAIRS for pair in pairwise(parts))


def without_role(parts: Iterable[str]) -> list[str]:
    """The words that are not about being a mask."""
    return [part for part in parts if part not in MASK_WORDS and part not in _FILLER]


def structure_of_folder(name: str) -> str | None:
    """``lung_masks`` → lung, ``Lesions masks`` → lesion, ``masks`` → None (the folder's name says no structure)."""
    rest = without_role(words(name))
    return "_".join([*rest[:-1], singular(rest[-1])]) if rest else None


def singular(word: str) -> str:
    """``lungs`` → lung, ``vertebrae`` stays; ``pelvis`` and ``glass`` are no plurals."""
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is", "as")):
        return word[:-3] + "y" if word.endswith("ies") else word[:-1]
    return word


def structure_name(text: str) -> str:
    """A structure's name as the catalogue has it: ``Left Lung`` → left_lung."""
    return "_".join(words(text)) or text.strip()


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
