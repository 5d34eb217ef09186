"""From a worker's answer to an outcome: checked in this process, its files copied to where they stay."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from casewise.applications.isolated.answers import checked, clean, parse
from casewise.applications.isolated.directory import Directory, copied, listed
from casewise.applications.outcome import ApplicationError, Done, Failure, Job, refused
from casewise.errors import UsageError
from casewise.files import claim, holds_marked, own_folder, wrote

IN_ITS_PLACE = "put something else in the place of {}, which is not followed"
# Whatever a worker answers with must end its own part alone.
EXPECTED = (ApplicationError, OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError, MemoryError)
_STDERR = "-stderr.txt"
_LONGEST_REASON = 1000


def read_answer(content: bytes, name: str) -> dict[str, object]:
    """A worker's JSON. Raises ApplicationError, a clause, also where it is the worker that says so."""
    answer = parse(content, name)
    if not isinstance(answer, dict):
        raise ApplicationError("returned an invalid result")
    if "failure" in answer:
        error = ApplicationError(str(answer["failure"]))
        error.log, error.sound = str(answer.get("log", "")), answer.get("sound") is True
        raise error
    return answer


def adopted(answer: dict[str, object], name: str, job: Job, out: Directory, began: float) -> Done:
    """The answer, checked once more on this side, with the application's files copied to where they stay."""
    found, notes = answer.get("findings"), answer.get("notes")
    if not isinstance(found, list) or not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
        raise ApplicationError("returned an invalid result")
    left = listed(out)
    place = job.folder / name
    checked(found, name, job.image.spatial_shape, out.path, left.files)
    for item in found:
        for key in ("mask", "map"):
            if item.get(key):
                item[key] = os.path.relpath(out.path / item[key], out.path)
    findings = checked(found, name, job.image.spatial_shape, place, left.files)
    kept: list[Path] = []
    if left.files:
        own_folder(job.folder)
        if holds_marked(job.folder):
            _claim(place.joinpath(*one) for one in left.files)
        with Directory.open(job.folder) as folder, folder.ensured(name) as target:
            kept = copied(left.files, out, target)
    others = [f"It wrote {left.others} links or other things than files, which were left behind."] if left.others else []
    return Done(name, tuple(findings), since(began), tuple(kept), (*(clean(note) for note in notes), *others))


def _claim(paths: Iterable[Path]) -> None:
    """Raises ApplicationError, a clause, where a person's file lies in the place of one."""
    for path in paths:
        try:
            claim(path)
        except UsageError as error:
            raise refused(f"has an answer whose files cannot be kept: {error}") from error


def failure_of(error: BaseException, name: str, job: Job, began: float, stderr_tail: str) -> Failure:
    """One of ``EXPECTED`` as an outcome. stderr_tail : of the process, kept in a file where it failed without a log."""
    log = ""
    if isinstance(error, ApplicationError):
        reason, log = str(error), error.log or ("" if error.sound else stderr_tail)
    elif isinstance(error, OSError):
        place = f" ({error.filename})" if error.filename else ""
        reason = f"cannot be run: {(error.strerror or str(error)).lower()}{place}"
    else:
        reason = f"returned a result that cannot be used ({type(error).__name__})"
    reason = clean(reason, _LONGEST_REASON).rstrip(".")
    return Failure(name, f"{name} {reason}.", since(began), _kept(log, job.folder, name))


def since(began: float) -> float:
    """Seconds of :func:`time.perf_counter`, to a tenth of a millisecond."""
    return round(time.perf_counter() - began, 4)


def _kept(log: str, folder: Path, name: str) -> Path | None:
    """A file that only this user may read: it may name the patient."""
    if not log.strip():
        return None
    try:
        own_folder(folder)
        path = folder / f"{name}{_STDERR}"
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(log.encode("utf-8", errors="backslashreplace"))
        wrote(path)
    except OSError:
        return None
    return path
