"""Several sequences as one examination: the MR series of a received study, or the images that an archive holds of one patient."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from casewise.archive import Archive
from casewise.case import Case
from casewise.errors import CasewiseError
from casewise.examination.archived import examinations_in, name_of
from casewise.examination.examination import Examination, of_study
from casewise.examination.reading import Given, Source, Study, read_study
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


@dataclass(frozen=True, eq=False)
class ArchivedSequences:
    """own : a patient's images, by sequence. reference : the key of the one whose grid the others come to."""

    archive: Archive
    own: Mapping[str, Case]

    @property
    def reference(self) -> str:
        return self.own[reference_of(list(self.own))].key

    def examination(self, progress: Progress) -> tuple[Examination, set[str]]:
        """As :meth:`Sequences.examination`."""
        given = [self._given(name, case) for name, case in self.own.items()]
        made = of_study(Study(tuple(given), ()), Source(reference=reference_of(list(self.own))), progress=progress)
        return made, {self.own[channel.name].key for channel in made.channels}

    def _given(self, name: str, case: Case) -> Given:
        found = self.archive.found(case.key)
        return Given(name, case.image, found.path, found.member, "archive")


def archived_sequences(archive: Archive, key: str, wanted: Sequence[str]) -> ArchivedSequences | None:
    """The images of the patient of ``key`` that are of the sequences ``wanted``; None where the archive lacks one."""
    case, names = archive.case(key), [name_of(name) for name in wanted]
    if case.subject is None:
        return None
    of_patient = [other for other in archive.cases(site=case.site) if other.subject == case.subject and other.site == case.site]
    for own, _ in examinations_in(of_patient):
        if key in {other.key for other in own.values()} and set(names) <= set(own):
            return ArchivedSequences(archive, {name: own[name] for name in names})
    return None


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
