"""The process on the network, with dcmtk's storescu: cut connections, a killed receiver, late instances, several studies."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from casewise.archive import Archive
from casewise.errors import ArchiveError, UsageError
from casewise.exchange.settings import DicomSettings
from casewise.server import pages
from casewise.server.dicom.listening import listening_at
from casewise.server.dicom.process import Once, Part, run
from casewise.server.run import Address, serve
from tests.dicom_studies import Series, film, study
from tests.server.dicom.serving import Serving, served
from tests.waiting import until

SETTINGS = """
[receive]
idle_seconds = 3
picture_idle_seconds = 1
"""


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with served(tmp_path_factory.mktemp("served") / "archive", SETTINGS) as found:
        yield found


def mixed(series: list[Series], seed: int = 0) -> list[Path]:
    files = [file for one in series for file in one.files]
    return [files[int(n)] for n in np.random.default_rng(seed).permutation(len(files))]


def analyses(serving: Serving, study_uid: str) -> list[list[str]]:
    return [job.payload["cases"] for job in serving.jobs("analyse") if job.payload.get("network") == study_uid]


def test_out_of_order_twice_with_a_cut_connection_and_a_receiver_killed_in_between(serving: Serving, tmp_path: Path) -> None:
    three = study(tmp_path)
    study_uid = three[0].study_uid
    files = mixed(three)
    assert serving.send(files[:8])
    cut = serving.storescu(*files[8:])
    until(lambda: sum(row.instances for row in serving.rows(study_uid=study_uid)) > 8 or cut.poll() is not None)
    cut.kill()
    cut.wait()
    assert serving.send(files[:12])
    first = serving.receiver()
    first.kill()
    serving.send_until_accepted(files)  # as a sender does that was not answered
    assert serving.receiver().pid != first.pid
    assert serving.send(mixed(three, seed=1))
    until(serving.quiet)
    rows = {row.series_uid: row for row in serving.rows(study_uid=study_uid)}
    assert {uid: (row.state, row.version, row.instances, row.calling_ae) for uid, row in rows.items()} == {
        one.series_uid: ("taken in", 1, len(one.files), "MODALITY") for one in three
    }
    assert [sorted(keys) for keys in analyses(serving, study_uid)] == [
        sorted(key for row in rows.values() for key in row.image_keys)
    ]
    with Archive.open(serving.folder) as archive:
        shapes = {archive.case(rows[one.series_uid].image_keys[0]).image.spatial_shape for one in three}
    assert shapes == {one.mask.shape for one in three}


def test_a_late_instance_is_a_second_version(serving: Serving, tmp_path: Path) -> None:
    three = study(tmp_path)
    late = three[1].files[-1]
    assert serving.send([file for file in mixed(three) if file != late])
    until(lambda: len(analyses(serving, three[0].study_uid)) == 1 and serving.quiet())
    assert serving.send([late])
    until(lambda: len(analyses(serving, three[0].study_uid)) == 2 and serving.quiet())
    versions = {row.series_uid: row.version for row in serving.rows(study_uid=three[0].study_uid)}
    assert versions == {three[0].series_uid: 1, three[1].series_uid: 2, three[2].series_uid: 1}
    assert [len(keys) for keys in analyses(serving, three[0].study_uid)] == [3, 1]


def test_two_studies_in_one_association(serving: Serving, tmp_path: Path) -> None:
    ones = [study(tmp_path / name) for name in ("a", "b")]
    assert serving.send([file for pair in zip(mixed(ones[0]), mixed(ones[1]), strict=True) for file in pair])
    until(lambda: all(analyses(serving, one[0].study_uid) for one in ones) and serving.quiet())
    assert [[len(keys) for keys in analyses(serving, one[0].study_uid)] for one in ones] == [[3], [3]]


def test_an_association_that_stays_open_keeps_a_study_open(serving: Serving, tmp_path: Path) -> None:
    from pynetdicom import AE

    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    one, other = (film(tmp_path / name, rows=60, columns=50) for name in ("a", "b"))
    entity = AE(ae_title="ROOM1")
    entity.add_requested_context("1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.1.2.1")  # as the file is: it may be sent in pieces
    association = entity.associate("127.0.0.1", serving.port, ae_title="CASEWISE")
    assert association.send_c_store(one.files[0]).Status == 0
    assert serving.send(other.files)
    until(lambda: analyses(serving, other.study_uid))  # of which nobody sends any more
    assert [row.state for row in serving.rows(study_uid=one.study_uid)] == ["receiving"]
    association.release()
    until(lambda: analyses(serving, one.study_uid))


def test_a_watched_folder(tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    settings = f"{SETTINGS}watch = [{json.dumps(str(tmp_path / 'exports'))}]\n"
    with served(tmp_path / "archive", settings) as serving:
        one = film(tmp_path / "exports" / "today", rows=60, columns=50)
        until(lambda: analyses(serving, one.study_uid) and serving.quiet())
        assert [(row.state, row.instances) for row in serving.rows()] == [("taken in", 1)]
        assert one.files[0].exists()


def test_an_archive_that_receives_may_begin_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "new").mkdir()
    with served(tmp_path / "new", SETTINGS) as serving:
        assert serving.answers() and (tmp_path / "new" / "casewise.toml").is_file()
    (tmp_path / "page.js").touch()
    monkeypatch.setattr(pages, "STATIC", tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").touch()
    with pytest.raises(ArchiveError, match=r"holds no casewise\.toml"):
        serve(tmp_path / "other", Address(port=0), dicom_port=0)
    with pytest.raises(ArchiveError, match="There is no archive"):
        serve(tmp_path / "none", Address(port=0))


def test_an_error_of_one_part_never_ends_another() -> None:
    count = {"good": 0, "bad": 0}
    ending = threading.Event()

    def good() -> None:
        count["good"] += 1
        if count["good"] >= 20 and count["bad"] >= 2:
            ending.set()

    def bad() -> None:
        count["bad"] += 1
        raise ValueError("Doe^John")

    began = time.monotonic()
    run([Part("Good", good, 0.01), Part("Bad", bad, 0.01)], ending)
    assert count["good"] >= 20 and count["bad"] < count["good"] and time.monotonic() - began >= 1


def test_what_is_to_succeed_once_is_tried_until_it_does() -> None:
    tried: list[int] = []

    def action() -> None:
        tried.append(1)
        if len(tried) < 2:
            raise OSError

    once = Once(action)
    with pytest.raises(OSError):
        once()
    once()
    once()
    assert len(tried) == 2


def test_a_port_that_is_taken_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port}: address already in use. Give another --dicom-port"):
            listening_at(DicomSettings(), port)
    assert str(listening_at(DicomSettings(ae_title="ROOM"), port)) == f"ROOM@127.0.0.1:{port}"
