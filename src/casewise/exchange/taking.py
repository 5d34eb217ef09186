"""Taking in what a source sends: instances of the series asked for, of the patient that the source named, and nothing else."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

from casewise.errors import CasewiseError
from casewise.exchange.found import Series, SourceError, Study, dataset_values, plain
from casewise.exchange.identity import Identity
from casewise.exchange.quiet import quiet
from casewise.exchange.received import FullError, Instance, Spool

SUCCESS, FULL, REFUSED = 0x0000, 0xA700, 0xC000  # DICOM statuses of a C-STORE
_CHECKED = ("SpecificCharacterSet", "PatientID", "StudyInstanceUID", "SeriesInstanceUID")


@dataclass(frozen=True)
class Fetched:
    """What came of a series. present : instances that are there now, ``new`` of them came just now. expected : how many the source
    has; None where it does not say. reason : why the series is not complete; None where it is.
    """

    present: int
    new: int = 0
    expected: int | None = None
    reason: str | None = None


@dataclass(eq=False)
class Taker:
    """Keeps a series' instances in a spool.

    source : its name, for messages. arrived : called with the number of instances that were kept.
    taken : SOP instance UIDs. error : why nothing more is to be taken: what came is of another series, study or patient
    (SourceError), or the disk refuses it.
    """

    source: str
    study: Study
    series: Series
    spool: Spool
    arrived: Callable[[int], None]
    taken: set[str] = field(default_factory=set)
    error: CasewiseError | None = None

    def take(self, data: bytes | BinaryIO) -> int:
        """Keep one DICOM file; the status that says what came of it."""
        try:
            self.keep(data)
        except FullError:
            return FULL
        except CasewiseError:
            return REFUSED
        return SUCCESS

    def keep(
        self,
        data: bytes | BinaryIO,
        calling: str = "",
        called: str = "",
        address: str = "",
        *,
        arriving: Callable[[Identity], None] | None = None,
    ) -> Instance:
        """As :meth:`casewise.exchange.received.Spool.write`. After an error nothing more is kept, and the same error is raised."""
        if self.error is not None:
            raise self.error
        try:
            self._check(data)
            kept = self.spool.write(data, calling, called, address, arriving=arriving)
        except CasewiseError as error:
            self.error = error
            raise
        self.taken.add(kept.sop_uid)
        return kept

    def report(self) -> None:
        """Call ``arrived``: in the caller's own thread, which need not be that of :meth:`take`."""
        self.arrived(len(self.taken))

    def _check(self, data: bytes | BinaryIO) -> None:
        """Raises SourceError for an object that was not asked for; its values are not quoted."""
        from pydicom import dcmread

        file = io.BytesIO(data) if isinstance(data, bytes) else data
        with quiet():
            try:
                header = dcmread(file, stop_before_pixels=True, specific_tags=list(_CHECKED))
                values = dataset_values(header, _CHECKED)
            except Exception as error:  # pydicom raises of any kind for damaged files
                raise SourceError(f"{self.source} sent an object that is no whole DICOM file.") from error
        file.seek(0)
        if plain(values, "StudyInstanceUID") != self.study.uid or plain(values, "SeriesInstanceUID") != self.series.uid:
            raise SourceError(f"{self.source} sent an object of another study or series than was asked for; nothing of it is kept.")
        patient, said = plain(values, "PatientID"), self.study.patient.identifier
        if patient and said and patient != said:
            raise SourceError(f"{self.source} sent an object of another patient than the study is of; nothing of it is kept.")
