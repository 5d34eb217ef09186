"""Structured reports with results of images: DICOM's TID 1500, and what computer-aided detection found (TID 4000, TID 4100)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from casewise.errors import UnreadableImageError
from casewise.formats.dicom.elements import text
from casewise.formats.dicom.file import dataset_of
from casewise.formats.dicom.report_content import Code, ImageReference, Item, content_of, listed_instances
from casewise.formats.guard import one_sentence

CLASSES = tuple(f"1.2.840.10008.5.1.4.1.1.88.{number}" for number in (11, 22, 33, 34, 35, 50, 65))
_GROUP, _SINGLE_FINDING = ("125007", "DCM"), ("111059", "DCM")
_EVALUATIONS = ("C0034375", "UMLS")
_FINDING, _CATEGORY, _SITE = ("121071", "DCM"), ("276214006", "SCT"), ("363698007", "SCT")
_LATERALITY, _TRACKING, _TRACKING_UID = ("272741003", "SCT"), ("112039", "DCM"), ("112040", "DCM")
_ALGORITHM, _VERSION, _DERIVATION = ("111001", "DCM"), ("111003", "DCM"), ("121401", "DCM")
_SEGMENT_KEYS = (("121191", "DCM"), ("121214", "DCM"))


@dataclass(frozen=True)
class Measurement:
    """A number. derivation : how it was derived of many (mean, maximum), where that is said."""

    name: Code
    value: float
    unit: Code | None = None
    derivation: Code | None = None


@dataclass(frozen=True)
class Evaluation:
    """A judgement in words: what is judged, and as what."""

    name: Code
    value: Code


@dataclass(frozen=True, eq=False)
class Place:
    r"""Coordinates. shape : POINT, MULTIPOINT, POLYLINE, POLYGON, CIRCLE, ELLIPSE or ELLIPSOID.

    points : of an image (n, 2), column and row in pixels, 0\0 at the corner of the first one; in the patient (n, 3), LPS mm.
    image : which image; None in the patient, where ``frame_of_reference`` is the UID of the coordinate system.
    """

    shape: str
    points: npt.NDArray[np.float64]
    image: ImageReference | None = None
    frame_of_reference: str = ""


@dataclass(frozen=True, eq=False)
class Group:
    """One thing that was found or measured.

    finding, category, site : what it is and lies in. tracking, tracking_uid : how it is called over time. segments : of DICOM
    Segmentations, its outline. images : all images that it names.
    """

    finding: Code | None = None
    category: Code | None = None
    site: Code | None = None
    laterality: Code | None = None
    tracking: str = ""
    tracking_uid: str = ""
    measurements: tuple[Measurement, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    places: tuple[Place, ...] = ()
    segments: tuple[ImageReference, ...] = ()
    images: tuple[ImageReference, ...] = ()


@dataclass(frozen=True, eq=False)
class MeasurementReport:
    """What a report says.

    title : of the document. groups : things with a place or measures. statements : judgements without a place, each as a group
    with one evaluation, of its own ``finding``. algorithms : names with versions. complete : what its completion flag says.
    instances : UIDs of all that it lists as evidence or names.
    """

    path: Path
    title: Code | None
    groups: tuple[Group, ...]
    statements: tuple[Group, ...]
    algorithms: tuple[str, ...]
    complete: bool
    instances: frozenset[str]


def read_measurement_report(path: Path) -> MeasurementReport:
    """A structured report's groups; none where it is of another kind. Raises UnreadableImageError where the file is no report."""
    with one_sentence(path, "a DICOM structured report", quote=False):
        dataset = dataset_of(path)
        if text(dataset, "SOPClassUID") not in CLASSES:
            raise UnreadableImageError(f"{path} is no DICOM structured report.")
        root = content_of(dataset)
        groups = [item for item in root.within() if _is_group(item)]
        statements = [item for container in root.within() if _has_statements(container) for item in container.items]
        listed = listed_instances(dataset)
        named = {found.instance for item in root.within() if (found := item.reference()) is not None}
        return MeasurementReport(
            path,
            root.name,
            tuple(map(_group, groups)),
            tuple(one for item in statements if (one := _statement(item)) is not None),
            tuple(dict.fromkeys(_algorithms(root))),
            text(dataset, "CompletionFlag").upper() != "PARTIAL",
            frozenset(named | {instance for _, _, instance in listed if instance}),
        )


def _is_group(item: Item) -> bool:
    key = item.name.key if item.name is not None else None
    return (item.kind == "CONTAINER" and key == _GROUP) or (item.kind == "CODE" and key == _SINGLE_FINDING)


def _has_statements(item: Item) -> bool:
    return item.kind == "CONTAINER" and item.is_named(*_EVALUATIONS)


def _statement(item: Item) -> Group | None:
    if item.kind != "CODE" or item.name is None or item.code is None:
        return None
    about = _group(item)
    return replace(about, finding=item.name, evaluations=(Evaluation(item.name, item.code), *about.evaluations))


def _group(item: Item) -> Group:
    """What a container holds at any depth; a CAD finding is itself the code of what was found."""
    below = [inner for inner in item.within() if inner is not item]
    codes = [(inner.name, inner.code) for inner in below if inner.kind == "CODE"]
    known = {name.key: code for name, code in reversed(codes) if name is not None and code is not None}
    texts = [(inner.name, inner.text) for inner in below if inner.kind in ("TEXT", "UIDREF") and inner.name is not None]
    said = {name.key: words for name, words in reversed(texts)}
    references = [(inner, found) for inner in below if (found := inner.reference()) is not None]
    segments = [found for inner, found in references if found.segments or (inner.name and inner.name.key in _SEGMENT_KEYS)]
    about = (_FINDING, _CATEGORY, _SITE, _LATERALITY, _DERIVATION)
    single = item.code if item.name is not None and item.name.key == _SINGLE_FINDING else None
    return Group(
        single or known.get(_FINDING),
        known.get(_CATEGORY),
        known.get(_SITE),
        known.get(_LATERALITY),
        said.get(_TRACKING, ""),
        said.get(_TRACKING_UID, ""),
        tuple(measured for inner in below if (measured := _measurement(inner)) is not None),
        tuple(
            Evaluation(inner.name, inner.code)
            for inner in item.items
            if inner.kind == "CODE" and inner.name is not None and inner.code is not None and inner.name.key not in about
        ),
        tuple(place for inner in below if (place := _place(inner)) is not None),
        tuple(segments),
        tuple(found for _, found in references if found not in segments),
    )


def _measurement(item: Item) -> Measurement | None:
    measured = item.number() if item.kind == "NUM" else None
    if measured is None or item.name is None:
        return None
    derivation = item.named(*_DERIVATION)
    return Measurement(item.name, measured[0], measured[1], derivation.code if derivation is not None else None)


def _place(item: Item) -> Place | None:
    shape = text(item.dataset, "GraphicType").upper()
    if item.kind == "SCOORD3D":
        return Place(shape, item.points(3), None, text(item.dataset, "ReferencedFrameOfReferenceUID"))
    if item.kind != "SCOORD":
        return None
    image = next((found for inner in item.items if (found := inner.reference()) is not None), None)
    return Place(shape, item.points(2), image) if image is not None else None


def _algorithms(root: Item) -> Iterator[str]:
    for item in root.within():
        name = item.named(*_ALGORITHM)
        if name is not None and name.text:
            version = item.named(*_VERSION)
            yield f"{name.text} {version.text}".strip() if version is not None else name.text
