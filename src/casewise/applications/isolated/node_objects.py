"""What a DICOM node sent: which objects are results of the image, and what kind each is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from casewise.applications.isolated.node_files import Sent
from casewise.errors import UnreadableImageError
from casewise.formats.dicom.elements import text
from casewise.formats.dicom.file import dataset_of
from casewise.formats.dicom.measurement_report import CLASSES as REPORTS
from casewise.formats.dicom.segmentation_header import CLASSES as SEGMENTATIONS
from casewise.formats.guard import one_sentence

SEG, SR, CAPTURE, OTHER = "seg", "sr", "capture", "other"
_CAPTURES = tuple(f"1.2.840.10008.5.1.4.1.1.7{ending}" for ending in ("", ".1", ".2", ".3", ".4"))
_INSTANCES = ("ReferencedInstanceSequence", "ReferencedSOPSequence")
_OTHER_IMAGES = "that name other images than those that were sent"
_OTHER_PATIENT = "of another patient"
_OTHER_STUDY = "of another study that name no image"
_NO_OBJECT = "that cannot be read"


@dataclass(frozen=True)
class Received:
    """An object. references : UIDs of all instances and series that it names."""

    path: Path
    kind: str
    uid: str
    study: str
    patient: str
    references: frozenset[str]


def received(path: Path) -> Received | None:
    """What a file's header says; None where it is no DICOM object that can be read."""
    try:
        with one_sentence(path, "a DICOM object", quote=False):
            dataset = dataset_of(path, pixels=False)
            sop_class = text(dataset, "SOPClassUID")
            references = frozenset(_references(dataset))
    except UnreadableImageError:
        return None
    kind = SEG if sop_class in SEGMENTATIONS else SR if sop_class in REPORTS else CAPTURE if sop_class in _CAPTURES else OTHER
    uid, study, patient = (text(dataset, key) for key in ("SOPInstanceUID", "StudyInstanceUID", "PatientID"))
    return Received(path, kind, uid, study, patient, references)


class Gathered:
    """The objects that came so far, each read once."""

    def __init__(self, sent: Sent) -> None:
        self._sent = sent
        self._seen: dict[tuple[Path, int, int], Received | None] = {}

    def look(self, files: Iterable[Path]) -> bool:
        """Take in what is new among the files; whether there was anything."""
        there, new = {}, False
        for path in files:
            about = path.stat()
            key = (path, about.st_mtime_ns, about.st_ino)
            new = new or key not in self._seen
            there[key] = self._seen[key] if key in self._seen else received(path)
        self._seen = there
        return new

    def results(self) -> list[Received]:
        """Those of the sent images, as they came: they name one of them, or an object that does, or, naming nothing, are of their
        study; and are of no other patient.
        """
        return [found for found in self._judged() if self._refusal(found) is None]

    def refusals(self) -> list[str]:
        """A sentence for each reason for which objects are none of the image's results."""
        reasons = Counter(reason for found in self._judged() if (reason := self._refusal(found)) is not None)
        reasons += Counter({_NO_OBJECT: sum(found is None for found in self._seen.values())})
        return [f"Results {reason} were refused ({count})." for reason, count in reasons.items() if count]

    def _judged(self) -> list[Received]:
        return [found for found in self._seen.values() if found is not None]

    def _refusal(self, found: Received) -> str | None:
        if found.patient and self._sent.patients and found.patient not in self._sent.patients:
            return _OTHER_PATIENT
        if not found.references:
            return None if found.study in self._sent.studies else _OTHER_STUDY
        own = set(self._sent.instances | self._sent.series)
        while True:  # a report may name a segmentation alone, which names the images
            more = {other.uid for other in self._judged() if other.references & own and other.uid not in own}
            if not more:
                return None if found.references & own else _OTHER_IMAGES
            own |= more


def _references(dataset: Any) -> Iterable[str]:
    """UIDs of all instances that a data set names at any depth, and of series that it names without their instances."""
    waiting = [dataset]
    while waiting:
        item = waiting.pop()
        for element in item:
            if element.VR == "SQ":
                waiting.extend(element.value)
            elif element.value and (element.keyword == "ReferencedSOPInstanceUID" or _names_series(element, item, dataset)):
                yield str(element.value)


def _names_series(element: Any, item: Any, dataset: Any) -> bool:
    whole = item is not dataset and not any(keyword in item for keyword in _INSTANCES)
    return element.keyword == "SeriesInstanceUID" and whole
