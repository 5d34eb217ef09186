"""From an upload's files to images of the archive."""

from __future__ import annotations

from dataclasses import dataclass

from casewise.archive import Archive
from casewise.names import legible
from casewise.progress import Progress, silent
from casewise.server.jobs import OPEN, Jobs
from casewise.server.spool import Spool, remove_old
from casewise.server.unnamed import Unnamed

SITE = "upload"  # of images of which nothing else is said: the names of folders may be those of people
_AT_ONCE_BYTES, _AT_ONCE_FILES = 64 << 20, 200  # what is taken in while the sender waits


@dataclass(frozen=True)
class Taken:
    """What became of an upload. keys : of its images. failed : (file's name as it was sent, reason). names : of all its files."""

    added: int
    known: int
    keys: list[str]
    failed: list[tuple[str, str]]
    names: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """For a job, which others see too: without the names of files that may be those of patients."""
        unnamed = Unnamed(self.names)
        failed = [
            {"path": unnamed.called(name, number), "reason": unnamed.sentence(why, name, number)}
            for number, (name, why) in enumerate(self.failed, start=1)
        ]
        return {"added": self.added, "known": self.known, "keys": self.keys, "failed": failed}


def small(spool: Spool) -> bool:
    """Whether it is taken in at once, and not by a job."""
    return spool.size <= _AT_ONCE_BYTES and len(spool.names) <= _AT_ONCE_FILES


def take_in(
    archive: Archive, spool: Spool, category: str | None = None, site: str | None = None, progress: Progress = silent
) -> Taken:
    """Copy the images of an upload into the archive, and remove the upload. Tables and masks among the files are used as
    ``casewise import`` uses them.
    """
    names = spool.placed()
    report = archive.import_paths([spool.folder], site=site or SITE, copy=True, progress=progress)
    if category is not None:
        archive.categorise(report.keys, category)
    failed = [(_sent(one.path, spool), spool.as_sent(one.reason)) for one in report.failed]
    spool.remove()
    return Taken(report.added, report.known, report.keys, failed, names)


def analysed(jobs: Jobs, keys: list[str], person: str | None) -> int:
    """Queue their analysis; returns the job's number."""
    title = "Analyse 1 case" if len(keys) == 1 else f"Analyse {len(keys)} cases"
    return jobs.add("analyse", {"cases": keys, "title": title}, created_by=person)


def clean(archive: Archive, jobs: Jobs) -> None:
    """Remove what broken uploads left behind."""
    waiting = jobs.list(OPEN, ["import"], limit=10_000)
    remove_old(archive.folder, {str(job.payload.get("upload")) for job in waiting})


def _sent(path: str, spool: Spool) -> str:
    return legible(spool.as_sent(path))
