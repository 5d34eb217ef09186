"""Taking in what a source sends: instances of the series asked for, of the patient that the source named, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from casewise.errors import CasewiseError
from casewise.exchange.found import Series, SourceError, Study, dataset_values, plain
from casewise.exchange.identity import Identity
from casewise.exchange.incoming import FullError, Incoming
from casewise.exchange.quiet import quiet
from casewise.exchange.received import Instance, Spool

SUCCESS, FULL, REFUSED = 0x0000, 0xA700, 0xC000  # DICOM statuses of a C-STORE
_CHECKED = ("SpecificCharacterSet", "PatientID", "StudyInstanceUID", "SeriesInstanceUID")


@dataclass(frozen=True)
class Fetched:
    """What came of a series. present : instances that are there now, ``new`` of them came just now. expected : how many the source
    has; None where it does not say. reason : why the series is not complete; None where it is.
    away : whether the source did not answer.
    """

    present: int
    new: int = 0
    expected: int | None = None
    reason: str | None = None
    away: bool = False


class Taker(Spool):
    """A spool for the instances of one series of a study, and for nothing else.

    source : its name, for messages. arrived : called with the number of instances that were kept.
    taken : SOP instance UIDs. error : why nothing more is to be taken: what came is of another series, study or patient
    (SourceError), or the disk refuses it.
    """

    def __init__(self, source: str, study: Study, series: Series, folder: Path, arrived: Callable[[int], None]) -> None:
        super().__init__(folder)
        self.study, self.wanted = study, series
        self.taken: set[str] = set()
        self.error: CasewiseError | None = None
        self._source = source
        self._arrived = arrived

    def take(self, data: bytes | BinaryIO) -> int:
        """Keep one DICOM file; the status that says what came of it."""
        try:
            self.write(data)
        except FullError:
            return FULL
        except CasewiseError:
            return REFUSED
        return SUCCESS

    def keep(self, incoming: Incoming, arriving: Callable[[Identity], None] | None = None) -> Instance:
        """As of a spool: all that is kept goes this way. After an error nothing more is, and the same error is raised."""
        try:
            if self.error is not None:
                raise self.error
            self._check(incoming)
            kept = super().keep(incoming, arriving)
        except CasewiseError as error:
            self.error = self.error or error
            raise
        finally:
            incoming.drop()
        self.taken.add(kept.sop_uid)
        return kept

    def report(self) -> None:
        """Call ``arrived``: in the caller's own thread, which need not be that of :meth:`keep`."""
        self._arrived(len(self.taken))

    def _check(self, incoming: Incoming) -> None:
        """Raises SourceError for an object that was not asked for; its values are not quoted."""
        from pydicom import dcmread

        with incoming.opened() as file, quiet():
            try:
                header = dcmread(file, stop_before_pixels=True, specific_tags=list(_CHECKED))
                values = dataset_values(header, _CHECKED)
            except Exception as error:  # pydicom raises of any kind for damaged files
                raise SourceError(f"{self._source} sent an object that is no whole DICOM file.") from error
        if plain(values, "StudyInstanceUID") != self.study.uid or plain(values, "SeriesInstanceUID") != self.wanted.uid:
            msg = f"{self._source} sent an object of another study or series than was asked for; nothing of it is kept."
            raise SourceError(msg)
        patient, said = plain(values, "PatientID"), self.study.patient.identifier
        if patient and said and patient != said:
            raise SourceError(f"{self._source} sent an object of another patient than the study is of; nothing of it is kept.")
