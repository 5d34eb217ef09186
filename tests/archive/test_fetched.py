"""Studies of another system in an archive: what of a plan is fetched, imported, and given up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from casewise.archive import Archive
from casewise.archive.fetched import FOLDER, bring
from casewise.exchange.asked import Query
from casewise.exchange.association import AssociationError
from casewise.exchange.found import Listed, Series, Study
from casewise.exchange.received import RECEIVED, Spool
from casewise.exchange.selection import Plan, Wanted
from casewise.exchange.taking import Taker
from tests.dicom_studies import Series as Made
from tests.dicom_studies import ct


class Files:
    """A source that has these series. away : asked from then on, it does not answer."""

    def __init__(self, *series: Made, away_after: int = 10**6) -> None:
        self.held = {one.series_uid: one for one in series}
        self.calls, self.away_after = 0, away_after

    def __enter__(self) -> Files:
        return self

    def __exit__(self, *_: object) -> None: ...

    def __str__(self) -> str:
        return "PACS"

    def studies(self, query: Query) -> list[Study]:
        raise NotImplementedError

    def series(self, study: str) -> list[Series]:
        raise NotImplementedError

    def instances(self, study: str, series: str) -> list[Listed]:
        self.calls += 1
        if self.calls > self.away_after:
            raise AssociationError("PACS cannot be reached.", passing=True)
        return []

    def bring(self, taker: Taker, classes: Sequence[str], uids: Sequence[str]) -> str | None:
        for file in self.held[taker.wanted.uid].files:
            taker.take(file.read_bytes())
            taker.report()
        return None

    def plan(self) -> Plan:
        wanted = [
            Wanted(f"A{n}", Study(one.study_uid), (Series(one.study_uid, uid, "CT", instances=len(one.files)),))
            for n, (uid, one) in enumerate(self.held.items())
        ]
        return Plan(wanted)


def made(folder: Path, count: int) -> list[Made]:
    return [ct(folder / str(n), 3, rows=8, columns=8) for n in range(count)]


def test_a_source_that_stops_answering_is_given_up_and_what_came_is_imported(tmp_path: Path) -> None:
    source = Files(*made(tmp_path, 9), away_after=2)
    with Archive.open(tmp_path / "archive", create=True) as archive:
        brought = bring(archive, source, source.plan(), site="here")
        assert (len(archive), brought.studies, brought.report.added) == (2, 2, 2)
    assert source.calls == 2 + 3
    assert [name for name, _ in brought.failed] == [f"A{n}" for n in range(2, 9)]
    assert ["Not tried" in reason for _, reason in brought.failed] == [False] * 3 + [True] * 4


def test_progress_counts_instances_up_to_the_whole(tmp_path: Path) -> None:
    source = Files(*made(tmp_path, 3))
    seen: list[tuple[int, int | None]] = []

    def progress(step: str, done: int, total: int | None = None, note: str = "") -> None:
        if step == "Fetching":
            seen.append((done, total))

    with Archive.open(tmp_path / "archive", create=True) as archive:
        bring(archive, source, source.plan(), site="here", progress=progress)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[0] == (0, 9)
    assert seen[-1] == (9, 9)


def test_a_series_that_was_received_whole_is_not_fetched(tmp_path: Path) -> None:
    one, half = made(tmp_path, 2)
    received = Spool(tmp_path / "archive" / RECEIVED)
    for file in (*one.files, half.files[0]):
        received.write(file.read_bytes(), "CT1")
    source = Files(one, half)
    with Archive.open(tmp_path / "archive", create=True) as archive:
        brought = bring(archive, source, source.plan(), site="here")
        assert Spool(archive.folder / FOLDER).series() == [half.series_uid]
    assert (brought.studies, brought.instances, brought.fetched) == (2, 6, 3)
