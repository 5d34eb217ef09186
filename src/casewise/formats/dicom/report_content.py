"""The content tree of a DICOM structured report: its items' codes, numbers, places and references."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise.formats.dicom.elements import text

_DEEPEST, _MOST_ITEMS, _MOST_POINTS = 64, 200_000, 1_000_000
# What older documents call a code that SNOMED CT names otherwise.
_SAME = {
    ("G-C0E3", "SRT"): ("363698007", "SCT"),
    ("G-C171", "SRT"): ("272741003", "SCT"),
    ("G-C036", "SRT"): ("370129005", "SCT"),
}


@dataclass(frozen=True)
class Code:
    """A coded concept. value, scheme : what identifies it; meaning : its words."""

    value: str
    scheme: str
    meaning: str

    @property
    def key(self) -> tuple[str, str]:
        """(value, scheme), of older SNOMED codes the present ones."""
        return _SAME.get((self.value, self.scheme), (self.value, self.scheme))


@dataclass(frozen=True)
class ImageReference:
    """An object that an item names. frames : from 1; segments : numbers; both empty for all of it."""

    instance: str
    sop_class: str = ""
    frames: tuple[int, ...] = ()
    segments: tuple[int, ...] = ()


class Item:
    """An item of the tree. items : what it holds, in their order."""

    def __init__(self, dataset: Any, items: Sequence[Item] = (), relationship: str = "") -> None:
        self.dataset, self.items, self.relationship = dataset, tuple(items), relationship

    @property
    def kind(self) -> str:
        """``CONTAINER``, ``CODE``, ``NUM``, ``TEXT``, ``SCOORD``, …; empty for what points to another item."""
        return text(self.dataset, "ValueType").upper()

    @property
    def name(self) -> Code | None:
        return code_in(self.dataset, "ConceptNameCodeSequence")

    @property
    def code(self) -> Code | None:
        return code_in(self.dataset, "ConceptCodeSequence")

    def is_named(self, value: str, scheme: str = "DCM") -> bool:
        return self.name is not None and self.name.key == (value, scheme)

    def within(self) -> Iterator[Item]:
        """This item and all below it, each before what it holds."""
        waiting = [self]
        while waiting:
            item = waiting.pop()
            yield item
            waiting.extend(reversed(item.items))

    def named(self, value: str, scheme: str = "DCM") -> Item | None:
        """The first item that this one holds itself under that concept."""
        return next((item for item in self.items if item.is_named(value, scheme)), None)

    @property
    def text(self) -> str:
        """Of TEXT and UIDREF."""
        return text(self.dataset, "TextValue") or text(self.dataset, "UID")

    def number(self) -> tuple[float, Code | None] | None:
        """(value, unit) of a NUM; None where none was measured, or what stands there is no number."""
        measured = _first(self.dataset, "MeasuredValueSequence")
        if measured is None:
            return None
        try:
            value = float(measured.get("NumericValue"))
        except (TypeError, ValueError, OverflowError):
            return None
        return (value, code_in(measured, "MeasurementUnitsCodeSequence")) if np.isfinite(value) else None

    def reference(self) -> ImageReference | None:
        """Of IMAGE and COMPOSITE."""
        named = _first(self.dataset, "ReferencedSOPSequence")
        instance = text(named, "ReferencedSOPInstanceUID") if named is not None else ""
        if not instance:
            return None
        frames, segments = (numbers(named, key) for key in ("ReferencedFrameNumber", "ReferencedSegmentNumber"))
        return ImageReference(instance, text(named, "ReferencedSOPClassUID"), frames, segments)

    def points(self, axes: int) -> npt.NDArray[np.float64]:
        """(n, axes) of SCOORD (column, row) or SCOORD3D (x, y, z); (0, axes) where they are none."""
        nothing = np.zeros((0, axes))
        value = self.dataset.get("GraphicData")
        try:
            found = np.asarray([] if value is None else list(value)[:_MOST_POINTS], np.float64)
        except (TypeError, ValueError):
            return nothing
        return found.reshape(-1, axes) if found.size and found.size % axes == 0 and np.isfinite(found).all() else nothing


def content_of(dataset: Any) -> Item:
    """The root of a report's tree, where items that point to others (``by reference``) have them below as if they were their own.

    Raises ValueError for a tree that is nested deeper, or has more items, than reports have.
    """
    root = _item(dataset, 0, [0])
    _resolve(root, root)
    return root


def code_in(dataset: Any, keyword: str) -> Code | None:
    """The code in a sequence of one; None where there is none."""
    item = _first(dataset, keyword)
    if item is None:
        return None
    value = text(item, "CodeValue") or text(item, "LongCodeValue") or text(item, "URNCodeValue")
    return Code(value, text(item, "CodingSchemeDesignator"), text(item, "CodeMeaning"))


def numbers(dataset: Any, keyword: str) -> tuple[int, ...]:
    """Whole numbers of an element, one or several; () where it is absent or holds anything else."""
    value = dataset.get(keyword)
    if value is None or value == "":
        return ()
    try:
        return (int(value),) if isinstance(value, (int, str, float)) else tuple(int(number) for number in value)
    except (TypeError, ValueError, OverflowError):
        return ()


def listed_instances(dataset: Any) -> list[tuple[str, str, str]]:
    """(study, series, instance) UIDs of all that a report lists as its evidence."""
    found = []
    for keyword in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence"):
        for study in dataset.get(keyword) or []:
            for series in study.get("ReferencedSeriesSequence") or []:
                for named in series.get("ReferencedSOPSequence") or []:
                    uids = (text(study, "StudyInstanceUID"), text(series, "SeriesInstanceUID"))
                    found.append((*uids, text(named, "ReferencedSOPInstanceUID")))
    return found


def _first(dataset: Any, keyword: str) -> Any:
    return (dataset.get(keyword) or [None])[0]


def _item(dataset: Any, depth: int, count: list[int]) -> Item:
    count[0] += 1
    if depth > _DEEPEST or count[0] > _MOST_ITEMS:
        raise ValueError("the report is nested too deeply or too large")
    below = [_item(inner, depth + 1, count) for inner in dataset.get("ContentSequence") or []]
    return Item(dataset, below, text(dataset, "RelationshipType").upper())


def _resolve(item: Item, root: Item) -> None:
    for number, inner in enumerate(item.items):
        path = numbers(inner.dataset, "ReferencedContentItemIdentifier")
        target = _at(root, path) if path else None
        if target is not None:
            # What the target holds is left out: trees of references could unfold without end, or in a ring.
            items = list(item.items)
            items[number] = Item(target.dataset, (), inner.relationship)
            item.items = tuple(items)
        elif not path:
            _resolve(inner, root)


def _at(root: Item, path: Sequence[int]) -> Item | None:
    """The item at a path of positions from 1, of which the first is the root's."""
    item = root
    for position in path[1:]:
        if not 1 <= position <= len(item.items):
            return None
        item = item.items[position - 1]
    return item
