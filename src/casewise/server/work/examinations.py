"""The MR series of one received study as one examination, for applications that take several sequences."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from casewise.errors import CasewiseError
from casewise.examination.examination import Examination, of_study
from casewise.examination.reading import read_study
from casewise.examination.sequences import named, reference_of
from casewise.formats.dicom.acquisition import Acquisition, acquisition
from casewise.formats.found import Found, Kind
from casewise.progress import Progress
from casewise.server.work.context import Work

_CALLED = Path("The study")  # in sentences, which name no folder of the server


@dataclass(frozen=True, eq=False)
class Sequences:
    """keys : of the images that are sequences of one study, at least two. reference : the one whose grid the others come to."""

    reference: str
    keys: Mapping[Found, str]

    def examination(self, progress: Progress) -> tuple[Examination, set[str]]:
        """Registered to the reference, and the keys of the images that are part of it. Raises CasewiseError, one sentence."""
        made = of_study(read_study(_CALLED, list(self.keys), [], progress), progress=progress)
        by_place = {(found.path, found.member): key for found, key in self.keys.items()}
        return made, {by_place[channel.given.path, channel.given.member] for channel in made.channels}


def sequences_of(work: Work, keys: Collection[str]) -> Sequences | None:
    """The sequences among the images of the job's study; None where it has fewer than two. Only headers are read.

    keys : of the job's images. Those of the study that were analysed before (``study_cases``) are looked at too: a series may have
    come later.
    """
    entries: list[tuple[Found, Acquisition]] = []
    of_found: dict[Found, str] = {}
    for record in work.archive.images(sorted({*keys, *(str(key) for key in work.payload.get("study_cases", ()))})):
        if record.kind != Kind.DICOM.value or record.modality != "MR":
            continue
        try:
            found = work.archive.found(record.key)
            entries.append((found, acquisition(found)))
        except CasewiseError:  # it fails by itself, with its own sentence
            continue
        of_found[found] = record.key
    series, _ = named(entries)
    if len(series) < 2:
        return None
    chosen = reference_of([entry.name for entry in series])
    (reference,) = (of_found[entry.found] for entry in series if entry.name == chosen)
    return Sequences(reference, {entry.found: of_found[entry.found] for entry in series})
