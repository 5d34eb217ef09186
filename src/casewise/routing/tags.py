"""What each DICOM tag says about a router's categories: which of them it fits, and how often such a tag is wrong.

**Modality.** DICOM ties it to the class of the object: a CT Image Storage object is a CT. Where class and Modality agree, or no
class is known (an image that is no DICOM file), it is taken as certain. A secondary capture may hold anything, so that its Modality
is as doubtful as a body part. Where class and Modality contradict each other, both are allowed and nothing else. In the DICOM files
that casewise is tested on, class and Modality agree in all 37 series whose class implies a modality (a rate of 8 % would still pass
for chance): that it is certain is a decision for safety, since what contradicts it becomes *unknown*, not an estimate.

**Values.** A file that is no DICOM has no Modality. Values in Hounsfield units, air at −1000, say CT; a phase image of MR may
reach as far below zero. No rate is known, and a body part's is taken.

**Body part.** Güld et al. 2002 (Quality of DICOM header information for image categorization, SPIE 4685, doi:10.1117/12.467017)
found BodyPartExamined wrong in 90 of 580 and in 15.3 % of 562 images of a hospital's routine, since it is copied from the protocol.
The rate is taken for every statement of a body part: a code, the tag, or words of a description, for which no rates are known.

**View.** Borisov et al. 2023 (doi:10.24835/1607-0763-1346) found 6 to 75 % of the tags of chest films missing and up to 70 % of the
filled ones wrong, depending on the tag; for want of a rate of its own, half is assumed.

**Image type.** A localizer is no diagnostic image, whatever it is of. That an image is derived says nothing of what it shows.

A missing tag says nothing: 28 of 48 such series have no BodyPartExamined, too few to say that a category lacks it more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from casewise.formats.dicom.region import region_meaning
from casewise.formats.dicom.sequence_words import PART_WORDS, modality_code
from casewise.header import Header
from casewise.routing.categories import Category, Table

PART_WRONG = 0.154  # (90 + 86) of 1142 images
VIEW_WRONG = 0.5
VALUES = "the values"  # name of what is no tag
_SILENT = frozenset({"OT", "HC", "DOC"})  # modalities that say nothing of what is seen
_XRAY = ("CR", "DX", "RG", "RF", "PX")
_CLASSES: tuple[tuple[str, tuple[str, ...]], ...] = (  # how the keyword of a class begins, and the modalities of its objects
    ("ComputedRadiography", _XRAY),
    ("DigitalXRay", _XRAY),
    ("DigitalMammography", ("MG",)),
    ("BreastTomosynthesis", ("MG",)),
    ("CTImage", ("CT",)),
    ("EnhancedCT", ("CT",)),
    ("LegacyConvertedEnhancedCT", ("CT",)),
    ("MRImage", ("MR",)),
    ("EnhancedMR", ("MR",)),
    ("LegacyConvertedEnhancedMR", ("MR",)),
    ("Ultrasound", ("US", "IVUS")),
    ("EnhancedUS", ("US",)),
    ("NuclearMedicine", ("NM",)),
    ("PositronEmission", ("PT",)),
    ("EnhancedPET", ("PT",)),
    ("XRayAngiographic", ("XA",)),
    ("EnhancedXA", ("XA",)),
    ("XRayRadiofluoroscopic", _XRAY),
    ("EnhancedXRF", _XRAY),
    ("OphthalmicPhotography", ("OP",)),
    ("WideFieldOphthalmic", ("OP",)),
    ("OphthalmicTomography", ("OPT", "OCT")),
    ("VLWholeSlide", ("SM",)),
    ("VLMicroscopic", ("GM", "SM")),
    ("VLSlideCoordinates", ("SM", "GM")),
    ("VLEndoscopic", ("ES",)),
    ("VLPhotographic", ("XC",)),
    ("Segmentation", ("SEG",)),
    ("RTDose", ("RTDOSE",)),
    ("RTImage", ("RTIMAGE",)),
)
_VIEWS = {
    "frontal": frozenset({"PA", "AP", "FRONTAL"}),
    "lateral": frozenset({"LL", "RL", "LAT", "LATERAL"}),
    "oblique": frozenset({"LAO", "RAO", "OBL", "OBLIQUE"}),
}
_TYPE_PARTS = {  # of an ultrasound image, what the third value of ImageType says of the body
    "ABDOMINAL": "ABDOMEN",
    "BREAST": "BREAST",
    "CARDIOLOGY": "HEART",
    "CHEST": "CHEST",
    "ENDORECTAL": "RECTUM",
    "ENDOVAGINAL": "UTERUS",
    "EPICARDIAL": "HEART",
    "FETAL HEART": "FETUS",
    "GYNECOLOGY": "UTERUS",
    "INTRACARDIAC": "HEART",
    "INTRAVASCULAR": "AORTA",
    "MUSCULOSKELETAL": "SHOULDER",
    "NEONATAL HEAD": "HEAD",
    "OBSTETRICAL": "FETUS",
    "OPHTHALMIC": "EYE",
    "PELVIC": "PELVIS",
    "RETROPERITONEAL": "KIDNEY",
    "SCROTAL": "TESTIS",
    "TEE": "HEART",
    "THYROID": "THYROID",
    "TRANSCRANIAL": "HEAD",
    "TTE": "HEART",
}
_EVERYWHERE = ("WHOLEBODY", "GANZKOERPER")


@dataclass(frozen=True)
class Tag:
    """name : DICOM's keyword, ``the description``, or ``the values``. value : what it says, with a remark in brackets.

    fits : the categories that it allows. wrong : how often such a tag is wrong; 0 where it is taken as certain.
    """

    name: str
    value: str
    fits: tuple[str, ...]
    wrong: float = 0.0

    def to_json(self) -> dict[str, object]:
        return {"name": self.name, "value": self.value, "fits": list(self.fits), "wrong": self.wrong}


class _Part(NamedTuple):
    """A statement of a part of the body. said : the tag's own value, where ``text`` is another word for it."""

    name: str
    text: str
    said: str = ""


def tags_of(header: Header, categories: Sequence[str], table: Table, hounsfield: bool = False) -> tuple[Tag, ...]:
    """The tags of an image that say something about ``categories``. hounsfield : whether its values are Hounsfield units."""
    entries = {name: table[name] for name in categories}
    found = (
        _modality(header, entries) or _values(hounsfield, entries),
        _part(header, entries),
        _view(header, entries),
        _image_type(header),
    )
    return tuple(tag for tag in found if tag is not None)


def modality_of(header: Header) -> str | None:
    """The Modality that an image states, where DICOM has it and it says something of what is seen."""
    code = modality_code(header.modality or "")
    return None if code in _SILENT else code


def is_capture(header: Header) -> bool:
    """Whether the image is a secondary capture: a screenshot, a digitised film, another program's picture."""
    return "SecondaryCapture" in (header.sop_class or "")


def _modality(header: Header, entries: dict[str, Category]) -> Tag | None:
    stated, implied = modality_of(header), implied_modalities(header)
    if stated is None and not implied:
        return None
    contradiction = bool(implied) and stated is not None and stated not in implied
    allowed = {*implied, *([stated] if stated is not None else [])} if contradiction or stated is None else {stated}
    fits = _fitting(entries, lambda entry: not entry.modalities or bool(allowed & set(entry.modalities)))
    value = stated or f"{implied[0]} (by the object's class)"
    if contradiction:
        value += f" ({implied[0]} by the object's class)"
    elif is_capture(header):
        value += " (a secondary capture)"
    return Tag("Modality", value, fits, PART_WRONG if is_capture(header) else 0.0)


def _values(hounsfield: bool, entries: dict[str, Category]) -> Tag | None:
    """Of a file without a Modality, such as NIfTI."""
    fits = _fitting(entries, lambda entry: not entry.modalities or "CT" in entry.modalities)
    return Tag(VALUES, "CT (they are Hounsfield units)", fits, PART_WRONG) if hounsfield else None


def implied_modalities(header: Header) -> tuple[str, ...]:
    """The modalities that the class of the object implies; empty where it may be of any."""
    keyword = header.sop_class or ""
    return next((codes for start, codes in _CLASSES if keyword.startswith(start)), ())


def _image_type(header: Header) -> Tag | None:
    return Tag("ImageType", "LOCALIZER", ()) if "LOCALIZER" in header.image_type else None


def _part(header: Header, entries: dict[str, Category]) -> Tag | None:
    """Of code and BodyPartExamined what either allows; a description speaks only where they are missing."""
    stated = [_Part("BodyPartExamined", text) for text in (_plain(header.body_part), _plain(region_meaning(header.region or "")))]
    parts = [part for part in stated if _names_part(part.text, entries)]
    parts = parts or [part for part in _descriptions(header) if _names_part(part.text, entries)][:1]
    texts = [part.text for part in parts]
    if not texts or any(word in text.replace(" ", "") for text in texts for word in _EVERYWHERE):
        return None

    def fit(entry: Category) -> bool:
        if not entry.parts and not entry.regions:
            return True
        return header.region in entry.regions or any(word in text for text in texts for word in entry.parts)

    said = " and ".join(dict.fromkeys(part.said or part.text for part in parts))
    return Tag(parts[0].name, said, _fitting(entries, fit), PART_WRONG)


def _descriptions(header: Header) -> tuple[_Part, ...]:
    kinds = [value for value in header.image_type if value in _TYPE_PARTS] if modality_of(header) == "US" else []
    described = _Part("the description", _plain(header.described_part))
    return (*(_Part("ImageType", _TYPE_PARTS[kind], kind) for kind in kinds), described)


def _plain(text: str | None) -> str:
    return " ".join(re.split(r"[^A-Z]+", (text or "").upper())).strip()


def _names_part(text: str, entries: dict[str, Category]) -> bool:
    """Whether a text names a part of the body at all; what does not says nothing."""
    known = any(word in text for entry in entries.values() for word in entry.parts)
    return bool(text) and (known or any(word.lower() in PART_WORDS for word in text.split()))


def _view(header: Header, entries: dict[str, Category]) -> Tag | None:
    """Only of projections: a category without a view of its own takes every one."""
    if modality_of(header) not in _XRAY:
        return None
    words = set(_plain(header.view).split())
    view = next((name for name, said in _VIEWS.items() if words & said), None)
    if view is None and header.directions is not None:
        along = set(header.directions)
        view = "frontal" if along & {"L", "R"} and along & {"H", "F"} else "lateral" if along & {"A", "P"} else None
    if view is None:
        return None
    fits = _fitting(entries, lambda entry: entry.view not in _VIEWS or entry.view == view)
    return Tag("ViewPosition" if words else "PatientOrientation", f"({view} view)", fits, VIEW_WRONG)


def _fitting(entries: dict[str, Category], fit: Callable[[Category], bool]) -> tuple[str, ...]:
    return tuple(name for name, entry in entries.items() if fit(entry))
