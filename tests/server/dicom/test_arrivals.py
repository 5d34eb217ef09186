"""From received files to one analysis: what is noted, when a study is complete, and what the job takes in, with both databases."""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import sqlalchemy as sa

from casewise.archive import Archive
from casewise.exchange.received import Instance, Spool
from casewise.exchange.settings import DicomSettings, Receive, Sender
from casewise.server.dicom import places, versions
from casewise.server.dicom.arrivals import Arrivals
from casewise.server.dicom.dispatcher import Dispatcher
from casewise.server.jobs import Job, Jobs
from casewise.server.network_tables import arrivals as table
from casewise.server.network_tables import instances as held
from casewise.server.network_tables import outbox
from casewise.server.settings import Settings
from casewise.server.store import Store
from casewise.server.work import receive
from casewise.server.worker import Worker
from tests.dicom_studies import Series, film, study

SETTINGS = DicomSettings(
    senders=(Sender("MODALITY", site="main building"),), receive=Receive(idle_seconds=0.3, picture_idle_seconds=0.1)
)


class Site:
    """An archive with what the process on the network does, called by hand."""

    def __init__(self, archive: Archive, store: Store) -> None:
        self.archive, self.store, self.jobs = archive, store, Jobs(store)
        self.spool = places.spool(archive.folder)
        self.sending: set[str] = set()
        self.begin()

    def begin(self, settings: DicomSettings = SETTINGS) -> None:
        """As a process does that was just started."""
        self.dispatcher = Dispatcher(self.store, self.spool, settings)
        self.dispatcher.sending = lambda: self.sending

    def send(self, *files: Path, title: str = "MODALITY") -> None:
        for file in files:
            self.dispatcher.arrived(self.keep(file, title))

    def keep(self, file: Path, title: str = "MODALITY") -> Instance:
        return self.spool.write(file.read_bytes(), title, "CASEWISE", "127.0.0.1")

    def ticks(self, seconds: float = 0.5) -> None:
        """Ticks until nothing receives."""
        until = time.monotonic() + 60
        self.dispatcher.tick()
        while self.rows(state="receiving"):
            assert time.monotonic() < until
            time.sleep(0.05)
            self.dispatcher.tick()

    def work(self) -> dict[str, int]:
        """Do what is queued; state → how many jobs that take in came to it."""
        before = {job.id: job.state for job in self.found("receive")}
        kinds = {"receive": receive.run, "analyse": lambda work: {}}
        Worker(self.archive, self.store, Settings(), kinds=kinds).run(once=True)
        ended = [job.state for job in self.found("receive") if before.get(job.id) != job.state]
        return {state: ended.count(state) for state in ended}

    def rows(self, **wanted: object) -> list[sa.Row[Any]]:
        query = sa.select(table).where(*(table.c[name] == value for name, value in wanted.items())).order_by(table.c.series_uid)
        with self.store.read() as connection:
            return list(connection.execute(query))

    def found(self, kind: str) -> list[Job]:
        return sorted(self.jobs.list(kinds=[kind]), key=lambda job: job.id)


@pytest.fixture
def site(archive_folder: Path, store: Store) -> Iterator[Site]:
    with Archive.open(archive_folder) as archive:
        yield Site(archive, store)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> list[Series]:
    return study(tmp_path_factory.mktemp("study"))


def mixed(series: list[Series]) -> list[Path]:
    files = [file for one in series for file in one.files]
    return [files[int(n)] for n in np.random.default_rng(0).permutation(len(files))]


def keys_of(site: Site, job: Job) -> set[str]:
    assert job.payload["network"] == site.rows()[0].study_uid
    return set(job.payload["cases"])


def test_a_study_out_of_order_and_twice_is_analysed_once(site: Site, three: list[Series]) -> None:
    site.send(*mixed(three))
    site.dispatcher.tick()
    assert {row.state for row in site.rows()} == {"receiving"} and not site.found("receive")
    site.send(*mixed(three)[::-1])
    site.ticks()
    assert {(row.state, row.version) for row in site.rows()} == {("complete", 1)}
    assert site.work() == {"done": 1}
    rows = {row.series_uid: row for row in site.rows()}
    assert {uid: (row.state, row.instances, row.site, row.error) for uid, row in rows.items()} == {
        one.series_uid: ("taken in", len(one.files), "main building", None) for one in three
    }
    (analysis,) = site.found("analyse")
    assert keys_of(site, analysis) == {key for row in rows.values() for key in row.image_keys}
    assert analysis.payload["network"] == three[0].study_uid
    shapes = {record.key: record for record in site.archive.images()}
    for one in three:
        (key,) = rows[one.series_uid].image_keys
        assert shapes[key].shape == one.mask.shape and shapes[key].site == "main building"
        with site.store.read() as connection:
            mine = sa.select(held.c.image_key).where(held.c.series_uid == one.series_uid)
            assert list(connection.scalars(mine)) == [key] * len(one.files)
        assert site.archive.case(key).image.array.shape[1:] == one.mask.shape
    site.send(*mixed(three))  # once more, long after
    site.ticks()
    assert not site.work() and len(site.found("analyse")) == 1


def test_a_late_instance_makes_a_version_and_supersedes_what_was_sent(site: Site, three: list[Series]) -> None:
    late = three[0].files[-1]
    site.send(*(file for file in mixed(three) if file != late))
    site.ticks()
    site.work()
    (before,) = site.rows(series_uid=three[0].series_uid)[0].image_keys
    others = {key for one in three[1:] for key in site.rows(series_uid=one.series_uid)[0].image_keys}
    sent(site, before, *others)
    site.send(late)
    site.ticks()
    site.work()
    row = site.rows(series_uid=three[0].series_uid)[0]
    assert (row.state, row.version, row.instances) == ("taken in", 2, len(three[0].files))
    (after,) = row.image_keys
    assert {one.version for one in site.rows()} == {1, 2}
    assert keys_of(site, site.found("analyse")[-1]) == {after} and len(site.found("analyse")) == 2
    assert set(site.found("analyse")[-1].payload["study_cases"]) == {after, *others}
    with site.store.read() as connection:
        marks = dict(connection.execute(sa.select(outbox.c.image_key, outbox.c.superseded)).tuples().all())
    assert marks == {before: True} | dict.fromkeys(others, False)
    assert site.archive.case(before).image.spatial_shape[2] == len(three[0].files) - 1  # its files are as they were
    assert site.archive.case(after).image.spatial_shape[2] == len(three[0].files)


def sent(site: Site, *keys: str) -> None:
    rows = [
        {"target": "pacs", "path": "x", "sop_uid": f"2.25.{n}", "sop_class": "1", "kind": "sr", "created": 0, "changed": 0}
        for n in range(len(keys))
    ]
    with site.store.write() as connection:
        connection.execute(sa.insert(outbox), [{**row, "image_key": key} for row, key in zip(rows, keys, strict=True)])


def test_another_content_under_the_same_name_reopens_and_leaves_the_former(site: Site, tmp_path: Path) -> None:
    one = film(tmp_path / "a", rows=60, columns=50)
    site.send(*one.files)
    site.ticks()
    site.work()
    (before,) = site.rows()[0].image_keys
    corrected = pydicom.dcmread(one.files[0])
    corrected.SeriesDescription = "Corrected"
    corrected.save_as(tmp_path / "b.dcm")
    site.send(tmp_path / "b.dcm")
    site.ticks()
    site.work()
    row = site.rows()[0]
    assert (row.state, row.version, row.instances) == ("taken in", 2, 1) and row.image_keys != [before]
    assert len(site.found("analyse")) == 2
    former, corrected_one = (site.archive.case(key).content["series_description"] for key in (before, *row.image_keys))
    assert former != corrected_one


def test_two_films_of_a_series_that_pause_are_analysed_once_each(site: Site, tmp_path: Path) -> None:
    first = film(tmp_path / "1", rows=60, columns=50)
    second = film(tmp_path / "2", rows=64, columns=50, study_uid=first.study_uid, series_uid=first.series_uid)
    for one in (first, second):
        site.send(*one.files)
        site.ticks()
        site.work()
    assert [len(job.payload["cases"]) for job in site.found("analyse")] == [1, 1]
    assert len({key for job in site.found("analyse") for key in job.payload["cases"]}) == 2


def test_nothing_is_complete_while_an_association_sends(site: Site, three: list[Series]) -> None:
    site.sending = {three[0].study_uid}
    site.send(*three[0].files)
    site.dispatcher.tick()
    time.sleep(0.4)  # longer than it may be idle
    site.dispatcher.tick()
    assert site.rows()[0].state == "receiving"
    site.sending = set()
    site.dispatcher.tick()
    assert site.rows()[0].state == "complete"


def test_two_studies_in_one_association_are_two_analyses(site: Site, tmp_path: Path) -> None:
    ones = [study(tmp_path / name) for name in ("a", "b")]
    for pair in zip(mixed(ones[0]), mixed(ones[1]), strict=True):
        site.send(*pair)
    site.ticks()
    assert site.work() == {"done": 2}
    assert {job.payload["network"]: len(job.payload["cases"]) for job in site.found("analyse")} == {
        one[0].study_uid: 3 for one in ones
    }


def test_what_a_killed_process_had_not_noted_is_noted_by_the_next(site: Site, three: list[Series]) -> None:
    files = mixed(three)
    site.send(*files[:10])
    site.dispatcher.tick()
    for file in files[10:20]:
        site.keep(file)  # acknowledged, and the process was killed
    site.begin()
    site.dispatcher.tick()
    assert sum(row.instances for row in site.rows()) == 20
    site.send(*files[20:])
    site.ticks()
    site.work()
    assert [len(job.payload["cases"]) for job in site.found("analyse")] == [3]
    site.keep(film_of(three[0], site.archive.folder.parent))
    site.begin()  # after days: what is noted and has not changed is not read again
    site.ticks()
    site.work()
    assert [len(job.payload["cases"]) for job in site.found("analyse")] == [3, 1]


def film_of(series: Series, folder: Path) -> Path:
    return film(folder / "late", rows=60, columns=50, study_uid=series.study_uid).files[0]


def test_lost_tables_are_made_again_from_the_files(site: Site, three: list[Series]) -> None:
    site.send(*mixed(three))
    site.ticks()
    site.work()
    keys = {row.series_uid: row.image_keys for row in site.rows()}
    with site.store.write() as connection:
        for one in (table, held):
            connection.execute(sa.delete(one))
    site.begin()
    site.ticks()
    site.work()
    assert {row.series_uid: row.image_keys for row in site.rows()} == keys
    assert {row.version for row in site.rows()} == {2}


def test_a_study_whose_job_was_not_queued_is_queued_at_the_next_start(site: Site, three: list[Series]) -> None:
    site.send(*three[0].files)
    site.ticks()
    site.jobs.stop(site.found("receive")[0].id)
    with site.store.write() as connection:  # as if the process had been killed before
        connection.exec_driver_sql("DELETE FROM server_jobs")
    site.begin()
    site.dispatcher.tick()
    assert site.work() == {"done": 1} and len(site.found("analyse")) == 1


def test_a_killed_worker_repeats_nothing(site: Site, three: list[Series], monkeypatch: pytest.MonkeyPatch) -> None:
    site.send(*three[0].files)
    site.ticks()

    class Killed(BaseException):
        pass

    def killed(*_: object, **__: object) -> None:
        raise Killed

    for place in ("_take_in", "_supersede"):
        with monkeypatch.context() as patched, pytest.raises(Killed):
            patched.setattr(receive, place, killed)
            site.work()
        release(site)
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(Jobs, "finish", killed)  # all is done but for saying so
        site.work()
    release(site, tries=1)
    assert site.work() == {"done": 1}
    assert len(site.found("analyse")) == 1 and site.rows()[0].state == "taken in"


def release(site: Site, tries: int = 0) -> None:
    """The lease of a killed worker has run out."""
    with site.store.write() as connection:
        connection.exec_driver_sql(f"UPDATE server_jobs SET lease_until = 0, tries = {tries} WHERE state = 'running'")


def test_a_full_disk_loses_nothing_and_is_tried_again(site: Site, three: list[Series], monkeypatch: pytest.MonkeyPatch) -> None:
    site.send(*three[0].files)
    site.ticks()

    def full(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(versions, "_link", full)
        assert site.work() == {"failed": 1}
    row = site.rows()[0]
    assert row.state == "complete" and "disk is full" in row.error
    assert not list((site.archive.folder / places.VERSIONS).rglob("*.dcm")) and len(site.archive) == 0
    Arrivals(site.store, SETTINGS).queue_complete(waiting_for_room=True)
    assert site.work() == {"done": 1}
    assert (site.rows()[0].state, site.rows()[0].error) == ("taken in", None) and len(site.found("analyse")) == 1


def test_copies_where_there_are_no_hard_links(site: Site, three: list[Series], monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr("os.link", none)
    site.send(*three[0].files)
    site.ticks()
    assert site.work() == {"done": 1}
    assert len(list((site.archive.folder / places.VERSIONS).rglob("*.dcm"))) == len(three[0].files)


def test_what_cannot_be_read_is_said_and_what_is_no_image_is_kept(site: Site, three: list[Series], tmp_path: Path) -> None:
    broken = film(tmp_path / "a", rows=60, columns=50, PixelData=b"12")
    report = pydicom.dcmread(three[0].files[0])
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.33"
    report.SOPInstanceUID = report.file_meta.MediaStorageSOPInstanceUID = "2.25.77"
    report.SeriesInstanceUID, report.Modality = "2.25.78", "SR"
    del report.PixelData
    report.save_as(tmp_path / "sr.dcm")
    site.send(*broken.files, tmp_path / "sr.dcm", *three[1].files)
    site.ticks()
    site.work()
    row = {one.series_uid: one for one in site.rows()}
    assert row[broken.series_uid].state == "failed" and row[broken.series_uid].error
    assert str(site.archive.folder) not in row[broken.series_uid].error and "Müller" not in row[broken.series_uid].error
    assert (row["2.25.78"].state, row["2.25.78"].image_keys, row["2.25.78"].error) == ("taken in", [], None)
    (analysis,) = site.found("analyse")
    assert analysis.payload["cases"] == row[three[1].series_uid].image_keys


def test_casewise_s_own_objects_that_come_back_are_not_analysed(site: Site, tmp_path: Path) -> None:
    one = film(tmp_path / "a", rows=60, columns=50, sop_uid="2.25.0")
    sent(site, "k")
    site.send(*one.files)
    site.ticks()
    site.work()
    assert site.rows()[0].state == "taken in" and not site.found("analyse")


def test_a_sender_without_a_site_is_one_by_its_title(site: Site, tmp_path: Path) -> None:
    site.send(*film(tmp_path / "a", rows=60, columns=50).files, title="ROOM2")
    site.ticks()
    site.work()
    assert [record.site for record in site.archive.images()] == ["ROOM2"]


def test_a_rule_says_how_soon_a_study_is_analysed(site: Site, tmp_path: Path) -> None:
    rule = '[[rule]]\npriority = 7\nwhen = [{ field = "calling_ae", operator = "is", value = "ER" }]\n'
    site.archive.folder.joinpath("applications.toml").write_text(rule)
    for title in ("ER", "WARD"):
        site.send(*film(tmp_path / title, rows=60, columns=50).files, title=title)
        site.ticks()
        site.work()
    assert [job.priority for job in site.found("analyse")] == [7, 2]


def test_an_archive_that_was_moved_finds_what_it_received(tmp_path: Path, three: list[Series]) -> None:
    folder = tmp_path / "archive"
    with Archive.open(folder, create=True) as archive:
        store = Store.open(folder)
        site = Site(archive, store)
        site.send(*three[0].files)
        site.ticks()
        site.work()
        store.close()
    shutil.move(folder, tmp_path / "elsewhere")
    with Archive.open(tmp_path / "elsewhere") as archive:
        (case,) = archive.cases()
        assert case.image.spatial_shape == three[0].mask.shape


def test_ticks_read_nothing_of_what_is_settled(site: Site, three: list[Series], monkeypatch: pytest.MonkeyPatch) -> None:
    site.send(*mixed(three))
    site.ticks()
    site.work()

    def read(*_: object) -> None:
        raise AssertionError("a file was looked at")

    monkeypatch.setattr(Spool, "instances", read)
    monkeypatch.setattr(Spool, "series", read)
    site.dispatcher.tick()
    with site.store.write() as connection:
        mark = "UPDATE server_meta SET value = '9e12' WHERE name = 'dicom_noted'"
        assert connection.exec_driver_sql(mark).rowcount == 1
    monkeypatch.setattr(Spool, "series", lambda spool: sorted(one.series_uid for one in three))
    site.begin()
    site.dispatcher.tick()
