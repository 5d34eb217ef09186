"""Studies of another system in an archive: their files in ``server/dicom/fetched/``, imported where they lie.

The files say how far it came. A series that is whole is not fetched again, and one that is not is not imported. One that was
received whole from a sender is in the archive already, or about to be.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from casewise.archive.archive import Archive
from casewise.archive.ingest.report import ImportReport, Refused
from casewise.encoder import Encoder
from casewise.exchange.fetching import fetch
from casewise.exchange.found import MOST_SILENT, Series
from casewise.exchange.received import RECEIVED, SUFFIX, Spool
from casewise.exchange.selection import Plan, Wanted, not_tried
from casewise.exchange.source import Source
from casewise.progress import Progress, silent

FOLDER = RECEIVED.with_name("fetched")
_STEP = "Fetching"


@dataclass
class Brought:
    """What came of a plan.

    studies, series, instances : that are whole in the archive's folder now, received ones too. fetched : instances that came just
    now. failed : (what was asked for, why not all of it is there). report : of the import of all series that were fetched.
    silent : how many times in a row, up to now, the source did not answer.
    """

    studies: int = 0
    series: int = 0
    instances: int = 0
    fetched: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    report: ImportReport = field(default_factory=ImportReport)
    silent: int = 0

    def to_json(self) -> dict[str, object]:
        """As of an import, with what was fetched."""
        document = self.report.to_json()
        failed = [Refused(name, reason).to_json() for name, reason in self.failed]
        counts = {"studies": self.studies, "series": self.series, "instances": self.instances, "fetched": self.fetched}
        return {**document, "failed": [*failed, *(one.to_json() for one in sorted(self.report.failed))], **counts}


def bring(
    archive: Archive, source: Source, plan: Plan, *, site: str, encoder: Encoder | None = None, progress: Progress = silent
) -> Brought:
    """Fetch what the archive lacks of a plan, and import it study by study. site, encoder, progress : as of ``import_paths``.

    Raises FullError where the disk takes no more. What a stopped call has fetched and imported stays.
    """
    Spool(archive.folder / FOLDER).tidy()
    brought = Brought(failed=list(plan.failed))
    whole: list[Path] = []
    added, done = 0, 0
    for number, wanted in enumerate(plan.studies):
        if brought.silent == MOST_SILENT:
            brought.failed += [(one.name, not_tried(source)) for one in plan.studies[number:]]
            break
        folders = _fetched(source, wanted, archive.folder, brought, progress, done, plan.instances)
        done += sum(series.instances or 0 for series in wanted.series)
        if folders:
            added += archive.import_paths(folders, site=site, encoder=encoder, progress=progress).added
            whole += folders
    progress(_STEP, done, plan.instances)
    if whole:  # known by now; this gives what there is of all of them together
        brought.report = archive.import_paths(whole, site=site, encoder=encoder)
        brought.report.added, brought.report.known = added, brought.report.known - added
    return brought


def _fetched(
    source: Source, wanted: Wanted, folder: Path, brought: Brought, progress: Progress, done: int, total: int
) -> list[Path]:
    """The folders of a study's series that are whole. folder : the archive's."""
    spool = Spool(folder / FOLDER)
    folders: list[Path] = []
    reasons: dict[str, None] = {}
    for series in wanted.series:
        start = done + sum(one.instances or 0 for one in wanted.series[: wanted.series.index(series)])

        def arrived(count: int, start: int = start) -> None:
            progress(_STEP, min(start + count, total), total)

        arrived(0)
        if brought.silent == MOST_SILENT:
            reasons[not_tried(source)] = None
            break
        if count := _received(folder, series):
            brought.series += 1
            brought.instances += count
            continue
        fetched = fetch(source, wanted.study, series, spool, arrived)
        brought.fetched += fetched.new
        brought.silent = brought.silent + 1 if fetched.away else 0
        if fetched.reason is None:
            folders.append(spool.folder / series.uid)
            brought.series += 1
            brought.instances += fetched.present
        else:
            reasons[fetched.reason] = None
    brought.studies += not reasons
    if reasons:
        brought.failed.append((wanted.name, " ".join(reasons)))
    return folders


def _received(folder: Path, series: Series) -> int:
    """How many instances of a series were received, where that is all of it; else 0."""
    try:
        count = sum(path.suffix == SUFFIX for path in (folder / RECEIVED / series.uid).iterdir())
    except OSError:
        return 0
    return count if series.instances and count >= series.instances else 0
