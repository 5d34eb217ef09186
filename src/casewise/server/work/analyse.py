"""Analyse cases: each image's results in a folder of its own below the archive, and recorded in its catalogue.

Rules say which applications see an image, with which model, and where its results go (:mod:`casewise.applications.rules`). A case
that this job has a result of already is not analysed again, so a job that was cut off goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from casewise.errors import CasewiseError, UsageError
from casewise.pipeline.analyzer import Analyzer, Failure
from casewise.pipeline.archived import load_case
from casewise.pipeline.recorded import results_folder
from casewise.prefetch import LoadedImage, ResultPlace
from casewise.result import Result
from casewise.server.cases import Cases
from casewise.server.dicom.facts import sender_of
from casewise.server.work.context import Work
from casewise.server.work.examinations import ArchivedSequences, Sequences, archived_sequences, sequences_of
from casewise.server.work.kept_analyzer import KEPT, Options
from casewise.server.work.recording import Recording
from casewise.server.worklist import Row, Worklist

_STEP = "Analysing"
_ALONE = "The sequences of its study could not be put together, and it was analysed alone. {}"
_AT_ONCE = 200  # rows of the catalogue


def run(work: Work) -> dict[str, object]:
    """payload: ``cases``, and ``application``, ``model``, ``adapt`` as of :func:`casewise.analyze`, which come before what rules
    say; ``network``: the study that the cases were received with, and ``study_cases``, all that are known of it.
    """
    keys = list(dict.fromkeys(str(key) for key in work.payload.get("cases", ())))
    if not keys:
        raise UsageError("There is no case to analyse; name some.")
    names = (work.payload.get(name) for name in ("application", "model", "adapt"))
    worklist = Worklist(work.archive, work.store)
    cases = Cases(work.archive, work.store, work.settings, worklist)
    try:
        analysis = _Analysis(work, cases, keys)
        done, failed = analysis.run(Options(*(None if name is None else str(name) for name in names)))
    finally:
        worklist.close()
    if failed and not done:
        reason = failed[0]["reason"]
        raise CasewiseError(reason if len(keys) == 1 else f"None of the {len(keys)} cases could be analysed. The first: {reason}")
    return {"analysed": done, "failed": failed, "skipped": analysis.skipped}


class _Analysis:
    def __init__(self, work: Work, cases: Cases, keys: Sequence[str]) -> None:
        self._work, self._cases, self._keys = work, cases, keys
        self._rows: dict[str, Row] = {}
        self._failed: list[dict[str, str]] = []
        self._done = 0
        self._due: list[str] = []
        self._named: dict[str, str] = {}  # by the name under which its result is written
        self._parts: dict[str, set[str]] = {}  # by the key of an examination's reference: its other sequences
        self._sequences: Sequences | None = None
        self._alone: dict[str, str] = {}  # by key: why there is no examination
        self._networked = work.payload.get("network") is not None
        self._recording = Recording(work, self._networked)
        self.skipped: list[dict[str, str]] = []  # by rules

    def run(self, options: Options) -> tuple[int, list[dict[str, str]]]:
        """(how many of the cases have a result of this job, the others with the reason)."""
        had = self._recording.done(self._keys)
        for key in had:
            self._recording.send_again(key)
        left = [key for key in self._keys if key not in had]
        self._done = len(had)
        for first in range(0, len(left), _AT_ONCE):
            self._rows |= {row.key: row for row in self._cases.worklist.rows(left[first : first + _AT_ONCE])}
        self._failed += [{"key": key, "reason": "The archive has no such case."} for key in left if key not in self._rows]
        self._progress("")
        self._due = list(self._rows)
        if self._networked:
            self._sequences = sequences_of(self._work, self._due)
        with self._recording:
            while self._due:
                self._work.give_way()
                with KEPT.analyzer(self._work.archive.folder, options, self._inner, networked=self._networked) as analyzer:
                    for answer in analyzer.loaded(self._images(analyzer)):
                        self._take(answer)
        return self._done, self._failed

    def _images(self, analyzer: Analyzer) -> Iterator[tuple[Path, LoadedImage | CasewiseError]]:
        while self._due:
            if self._work.jobs.outranked(self._work.job):
                return  # what is under way ends, and the analyzer stays for when the job goes on
            key = self._due[0]
            if self._sequences is not None and key in self._sequences.keys.values():
                found, self._sequences = self._sequences, None
                try:
                    yield from self._together(analyzer, found)
                except CasewiseError as error:
                    self._alone[found.reference] = _ALONE.format(self._cases.without_places(str(error), None))
                continue
            self._due.remove(key)
            try:
                loaded = self._loaded(analyzer, key)
                wanted = analyzer.sequences_of_model(loaded)
                of_patient = archived_sequences(self._work.archive, key, wanted) if wanted else None
                if of_patient is not None:
                    yield from self._together(analyzer, of_patient)
                else:
                    yield Path(key), loaded
            except CasewiseError as error:
                yield Path(key), error

    def _loaded(self, analyzer: Analyzer, key: str) -> LoadedImage:
        """An image with its route. Raises CasewiseError where it cannot be read."""
        row = self._rows[key]
        place = results_folder(self._work.archive.folder, key, self._work.job.id)
        results = ResultPlace(place, self._cases.name(row))
        loaded = load_case(self._work.archive, key, analyzer, results, row.site)
        self._named[results.name] = key
        known = {**loaded.known, **sender_of(self._work.store, loaded.image.header.series)}
        return replace(loaded, known=known, notes=(self._alone[key],) if key in self._alone else ())

    def _together(self, analyzer: Analyzer, sequences: Sequences | ArchivedSequences) -> Iterator[tuple[Path, LoadedImage]]:
        """The sequences as one image, the reference's; nothing where neither model nor application takes several.

        Images that are no part of it stay due. Raises CasewiseError where they cannot be put together.
        """
        key = sequences.reference
        self._rows |= {row.key: row for row in self._cases.worklist.rows([key])}
        loaded = self._loaded(analyzer, key)
        if not analyzer.wants_sequences(loaded):
            return
        examination, keys = sequences.examination(self._inner)
        self._parts[key] = keys - {key}
        self._due = [other for other in self._due if other not in keys]
        yield Path(key), replace(loaded, examination=examination)

    def _take(self, answer: Result | Failure) -> None:
        if isinstance(answer, Failure):
            key = answer.image if answer.image in self._rows else self._named.get(answer.image, "")
            for one in (key, *self._parts_of(key)):
                self._fail(one, answer)
        elif answer.report is not None:
            key = answer.report.parent.parent.name
            parts = self._parts_of(key)
            self._recording.result(key, answer, self._parts.get(key, ()))
            for part in parts:
                self._recording.part(part, self._cases.name(self._rows[key]))
            self._done += len(parts) + (key in self._keys)
        self._progress("")

    def _parts_of(self, key: str) -> list[str]:
        """Those of the job's images that are sequences of an examination, beside its reference."""
        return [part for part in self._keys if part in self._parts.get(key, ())]

    def _fail(self, key: str, failure: Failure) -> None:
        reason = {"key": key, "reason": self._cases.without_places(failure.reason, self._rows.get(key))}
        if failure.decision is None:
            self._failed.append(reason)
        else:
            self._recording.skipped(key, failure.decision)
            self.skipped.append(reason)
            self._done += 1

    def _inner(self, step: str, done: int, total: int | None = None, note: str = "", /) -> None:
        """How far one image is."""
        self._progress(f"{step} {done}/{total}" if total else step)

    def _progress(self, note: str) -> None:
        self._work.progress(_STEP, self._done + len(self._failed), len(self._keys), note)
