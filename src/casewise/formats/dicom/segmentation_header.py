"""What the header of a DICOM Segmentation says: its segments, and the series and instances that it was drawn on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from casewise.errors import UnreadableImageError
from casewise.formats.dicom.elements import text, whole
from casewise.formats.dicom.file import dataset_of
from casewise.formats.guard import BoundedFile, one_sentence

_BINARY_OR_FRACTIONAL, _LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"
# SNOMED CT's codes (CID 7150) of what is no sign of disease, and the older ones for them.
_NORMAL = {
    *(
        (code, "SCT")
        for code in ("91723000", "123037004", "85756007", "91720002", "309825002", "260787004", "246464006", "105590001")
    ),
    *((code, "SRT") for code in ("T-D0005", "T-D000A", "T-D0050", "T-D0080", "R-42018", "A-00004", "R-42019")),
}
CLASSES = (_BINARY_OR_FRACTIONAL, _LABEL_MAP)


@dataclass(frozen=True)
class SegmentSource:
    """What a segment is, and who made it.

    category : (code, scheme) of the kind of thing. algorithm : AUTOMATIC, SEMIAUTOMATIC, MANUAL. maker : name and version of what
    made it. tracking_uid : by which reports name it. Each is empty where nothing is stated.
    """

    category: tuple[str, str]
    algorithm: str
    maker: str
    tracking_uid: str

    @property
    def normal(self) -> bool:
        """Whether it is stated to be an organ, a tissue or something else that is no sign of disease."""
        return self.category in _NORMAL


@dataclass(frozen=True)
class Segmentation:
    """What the header of a segmentation says.

    segments : number → name as given, in the order of the numbers. series, instances : UIDs of the images that it names as its
    own. frame_of_reference : UID, "" if none. kind : BINARY, FRACTIONAL or LABELMAP. half : the stored value above which a
    fractional segment is taken. described : number → what the segment is.
    """

    path: Path
    segments: dict[int, str]
    series: tuple[str, ...]
    instances: frozenset[str]
    frame_of_reference: str
    kind: str
    half: float
    described: dict[int, SegmentSource]


def is_segmentation(dataset: Any) -> bool:
    """Whether a data set is a DICOM Segmentation, by its class."""
    return text(dataset, "SOPClassUID") in CLASSES


def is_segmentation_file(path: Path) -> bool:
    """Whether a file is a DICOM Segmentation, by its first kilobyte."""
    try:
        with BoundedFile(path) as file:
            head = file.read(1024)
    except (OSError, UnreadableImageError):
        return False
    return head[128:132] == b"DICM" and any(name.encode() + end in head for name in CLASSES for end in (b"\0", b"\x02"))


def segmentation_of(path: Path) -> Segmentation:
    """What a segmentation's header says. Raises UnreadableImageError where the file is none."""
    with one_sentence(path, "a DICOM segmentation", quote=False):
        return described(path, segmentation_dataset(path, pixels=False))


def segmentation_dataset(path: Path, pixels: bool = True) -> Any:
    """The pydicom data set of a segmentation's file. Raises UnreadableImageError where the file is none."""
    dataset = dataset_of(path, pixels)
    if not is_segmentation(dataset):
        raise UnreadableImageError(f"{path} is no DICOM segmentation.")
    return dataset


def described(path: Path, dataset: Any) -> Segmentation:
    """What a segmentation's data set says of its segments and of the images they were drawn on."""
    segments: dict[int, str] = {}
    sources: dict[int, SegmentSource] = {}
    for item in dataset.get("SegmentSequence") or []:
        number = whole(item, "SegmentNumber")
        if number:  # a label map's 0 is its background
            segments[number] = _name(dataset, item, number)
            sources[number] = _source(item)
    if not segments:
        raise UnreadableImageError(f"{path} is a DICOM segmentation that describes no segment.")
    series, instances = _sources(dataset)
    kind = text(dataset, "SegmentationType").upper() or "BINARY"
    if text(dataset, "SOPClassUID") == _LABEL_MAP:
        kind = "LABELMAP"
    largest = whole(dataset, "MaximumFractionalValue") or 1
    half = 0.5 * largest if kind == "FRACTIONAL" else 0.0
    reference = text(dataset, "FrameOfReferenceUID")
    return Segmentation(path, dict(sorted(segments.items())), series, instances, reference, kind, half, sources)


def _name(dataset: Any, item: Any, number: int) -> str:
    for keyword in ("SegmentLabel", "SegmentDescription"):
        name = text(item, keyword)
        if name:
            return _as_meant(name) if not text(dataset, "SpecificCharacterSet") else name
    kind = (item.get("SegmentedPropertyTypeCodeSequence") or [None])[0]
    meaning = text(kind, "CodeMeaning") if kind is not None else ""
    return meaning or f"segment_{number}"


def _source(item: Any) -> SegmentSource:
    category = (item.get("SegmentedPropertyCategoryCodeSequence") or [None])[0]
    key = (text(category, "CodeValue"), text(category, "CodingSchemeDesignator")) if category is not None else ("", "")
    named = (item.get("SegmentationAlgorithmIdentificationSequence") or [None])[0]
    words = (text(named, "AlgorithmName"), text(named, "AlgorithmVersion")) if named is not None else ()
    maker = " ".join(filter(None, words)) or text(item, "SegmentAlgorithmName")
    return SegmentSource(key, text(item, "SegmentAlgorithmType").upper(), maker, text(item, "TrackingUID"))


def _as_meant(name: str) -> str:
    """Text without a declared character set, which was read as Latin-1; many programs write UTF-8 without saying so."""
    try:
        return name.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return name


def _sources(dataset: Any) -> tuple[tuple[str, ...], frozenset[str]]:
    """UIDs of the series and instances that a segmentation names as those it was drawn on."""
    holders = [dataset, *(dataset.get("StudiesContainingOtherReferencedInstancesSequence") or [])]
    listed = [series for holder in holders for series in holder.get("ReferencedSeriesSequence") or []]
    named = [item for series in listed for item in series.get("ReferencedInstanceSequence") or []]
    named += list(dataset.get("SourceImageSequence") or [])
    groups = [*(dataset.get("SharedFunctionalGroupsSequence") or []), *(dataset.get("PerFrameFunctionalGroupsSequence") or [])]
    for group in groups:
        for derivation in group.get("DerivationImageSequence") or []:
            named += list(derivation.get("SourceImageSequence") or [])
    series = tuple(dict.fromkeys(uid for item in listed if (uid := text(item, "SeriesInstanceUID"))))
    return series, frozenset(uid for item in named if (uid := text(item, "ReferencedSOPInstanceUID")))
