"""Take a complete received study into the archive, and queue its analysis: once for each version, whatever is killed in between.

Each series becomes a folder of hard links to what was received, which is imported where it lies. What was taken in, which earlier
results are superseded, and the analysis are written in one transaction: a job that is run again either finds all of it or none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import sqlalchemy as sa

from casewise.archive.failures import disk_sentence
from casewise.archive.ingest.report import ImportReport
from casewise.errors import ArchiveError
from casewise.server.clock import now
from casewise.server.dicom.arrivals import PRIORITY
from casewise.server.dicom.facts import priority_of
from casewise.server.dicom.not_images import is_image
from casewise.server.dicom.places import spool
from casewise.server.dicom.priors import bring_priors
from casewise.server.dicom.versions import version
from casewise.server.network_tables import arrivals as table
from casewise.server.network_tables import instances, outbox
from casewise.server.work.context import Work

_MOST_NAMED = 3  # files that one series' sentence names
_AT_ONCE = 300


@dataclass
class _Taken:
    """What came of a series. keys : of its images. key_of : SOP instance UID → the image that it is part of."""

    keys: list[str] = field(default_factory=list)
    key_of: dict[str, str] = field(default_factory=dict)
    images: bool = False  # whether it has any, readable or not
    error: str | None = None
    site: str | None = None
    priority: int | None = None  # of its analysis, where a rule says


def run(work: Work) -> dict[str, object]:
    """payload: ``study`` and ``versions``, series UID → which version of it is complete."""
    study, versions = str(work.payload["study"]), {str(uid): int(n) for uid, n in work.payload["versions"].items()}
    taken: dict[str, _Taken] = {}
    try:
        for uid, number in versions.items():
            work.progress("Taking in", len(taken), len(versions))
            row = _current(work, uid, number)
            if row is not None:
                taken[uid] = _take_in(work, row)
    except (ArchiveError, OSError) as error:
        sentence = disk_sentence(error) if isinstance(error, OSError) else str(error)
        _waits(work, versions, sentence)
        raise ArchiveError(f"{sentence} The study is kept as it was received, and is tried again every minute.") from error
    return _with_priors(work, taken) | _conclude(work, study, versions, taken)


def _with_priors(work: Work, taken: dict[str, _Taken]) -> dict[str, object]:
    """Earlier studies are there before this one is analysed."""
    images = [uid for uid, one in taken.items() if one.keys]
    files = [spool(work.archive.folder).files(uid)[0] for uid in images]
    return bring_priors(work.archive, files, taken[images[0]].site, work.progress) if images else {}


def _current(work: Work, uid: str, number: int) -> sa.Row[Any] | None:
    """The row of a series whose version is still to be taken in; None where it was, or a newer one takes its place."""
    mine = (table.c.series_uid == uid, table.c.version == number, table.c.state.in_(("complete", "receiving")))
    with work.store.read() as connection:
        return connection.execute(sa.select(table).where(*mine)).one_or_none()


def _take_in(work: Work, row: sa.Row[Any]) -> _Taken:
    left_out = _no_images(work, row.series_uid)
    files = [path for path in spool(work.archive.folder).files(row.series_uid) if path.stem not in left_out]
    if not files:
        return _Taken()
    folder = version(work.archive.folder, row.series_uid, row.version, files)
    report = work.archive.import_paths([folder], site=row.site)
    taken = _Taken(report.keys, images=True, error=_sentence(report, folder), site=row.site)
    sender = {"site": row.site, "calling_ae": row.calling_ae or None, "called_ae": row.called_ae or None}
    taken.priority = priority_of(work.archive.folder, files[0], sender)
    for record in work.archive.images(report.keys):
        names = record.files or (PurePosixPath(record.path).name,)
        taken.key_of |= {PurePosixPath(name).stem: record.key for name in names}
    if len(report.keys) == 1:  # its files may have been imported before, under other names
        taken.key_of |= {path.stem: report.keys[0] for path in files}
    return taken


def _no_images(work: Work, uid: str) -> set[str]:
    """Of a series: what is no image, and what casewise made itself and a system sent back."""
    with work.store.read() as connection:
        rows = connection.execute(sa.select(instances.c.sop_uid, instances.c.sop_class).where(instances.c.series_uid == uid)).all()
        own: set[str] = set()
        uids = [row.sop_uid for row in rows]
        for first in range(0, len(uids), _AT_ONCE):
            query = sa.select(outbox.c.sop_uid).where(outbox.c.sop_uid.in_(uids[first : first + _AT_ONCE]))
            own.update(connection.scalars(query))
    return own | {row.sop_uid for row in rows if not is_image(row.sop_class)}


def _sentence(report: ImportReport, folder: Path) -> str | None:
    """Why some of a series is not in the archive; files are called as they were received."""
    refused = [*report.failed, *report.skipped]
    if not refused:
        return None
    reasons = list(dict.fromkeys(one.reason.replace(f"{folder}/", "").replace(str(folder), "the series") for one in refused))
    more = f" And {len(reasons) - _MOST_NAMED} more." if len(reasons) > _MOST_NAMED else ""
    return " ".join(reasons[:_MOST_NAMED])[:1500] + more


def _waits(work: Work, versions: dict[str, int], sentence: str) -> None:
    """Say at the series why they are not taken in yet. They stay complete, and the dispatcher has the job run again."""
    with work.store.write() as connection:
        for uid, number in versions.items():
            mine = (table.c.series_uid == uid, table.c.version == number, table.c.state == "complete")
            connection.execute(sa.update(table).where(*mine).values(error=sentence))


def _conclude(work: Work, study: str, versions: dict[str, int], taken: dict[str, _Taken]) -> dict[str, object]:
    new: list[str] = []
    number: int | None = None
    with work.store.write() as connection:
        for uid, one in taken.items():
            mine = (table.c.series_uid == uid, table.c.version == versions[uid])
            row = connection.execute(sa.select(table).where(*mine).with_for_update()).one_or_none()
            if row is None or row.state == "taken in":  # a newer version is on its way, or another worker was faster
                continue
            new += [key for key in one.keys if key not in row.image_keys]
            _supersede(connection, set(row.image_keys) - set(one.keys))
            state = "failed" if one.images and not one.keys else "taken in"
            later = {"state": state} if row.state == "complete" else {}  # something came since
            connection.execute(sa.update(table).where(*mine).values(image_keys=one.keys, error=one.error, **later))
            for sop_uid, key in one.key_of.items():
                connection.execute(sa.update(instances).where(instances.c.sop_uid == sop_uid).values(image_key=key))
        new = list(dict.fromkeys(new))
        if new:
            every = connection.scalars(sa.select(table.c.image_keys).where(table.c.study_uid == study))
            known = sorted({key for keys in every for key in keys})
            title = "Analyse 1 received image" if len(new) == 1 else f"Analyse {len(new)} received images"
            order = {"cases": new, "network": study, "study_cases": known, "title": title}
            priority = max((one.priority for one in taken.values() if one.priority is not None), default=PRIORITY)
            number = work.jobs.add("analyse", order, priority=priority, created_by=work.created_by, within=connection)
    failed = [{"series": uid, "reason": one.error} for uid, one in taken.items() if one.error]
    return {"images": len(new), "analyse": number, "failed": failed}


def _supersede(connection: sa.Connection, keys: set[str]) -> None:
    """What was sent of results of former versions is superseded; it is never taken back."""
    if keys:
        mine = outbox.c.image_key.in_(list(keys))
        connection.execute(sa.update(outbox).where(mine).values(superseded=True, changed=now(connection)))
