"""The sender with real systems: which objects arrive, when, and once."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from casewise.archive import Archive
from casewise.exchange.node import Node, WebNode
from casewise.exchange.settings import DicomSettings, OutboxTimes
from casewise.server.dicom.outbox import Sender
from casewise.server.dicom.outbox_rows import Outbox
from casewise.server.store import Store
from tests import dicom_studies
from tests.orthanc import free_port, orthanc
from tests.storescp import storescp
from tests.waiting import until


def settings(retry: tuple[float, ...] = (0.3,), **peers: Node | WebNode) -> DicomSettings:
    nodes = {name: peer for name, peer in peers.items() if isinstance(peer, Node)}
    web = {name: peer for name, peer in peers.items() if isinstance(peer, WebNode)}
    return DicomSettings(nodes=nodes, web=web, outbox=OutboxTimes(retry_seconds=retry))


@contextmanager
def sending(store: Store, chosen: DicomSettings, lease: float = 60.0) -> Iterator[Sender]:
    stop = threading.Event()
    sender = Sender(store, store.folder, chosen, lease=lease)
    thread = threading.Thread(target=sender.run, args=(stop,))
    thread.start()
    try:
        yield sender
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive()


def queue(store: Store, files: Sequence[Path], *targets: str) -> None:
    """The files as objects in the archive's folder, one row each and target."""
    rows: list[dict[str, Any]] = []
    for file in files:
        header = dcmread(file, stop_before_pixels=True)
        about = {"path": str(file.relative_to(store.folder)), "sop_uid": header.SOPInstanceUID, "sop_class": header.SOPClassUID}
        rows += [
            {"target": target, **about, "kind": "sr", "image_key": "a", "series_uid": header.SeriesInstanceUID, "result": 1}
            for target in targets
        ]
    Outbox(store).add(rows)


def counts(store: Store) -> dict[str, int]:
    return {state: number for state, number in Outbox(store).counts().items() if number}


def slices(folder: Path, number: int) -> list[Path]:
    return dicom_studies.oblique_mr(folder / "results", max(number, 6), rows=16, columns=20).files[:number]


def test_a_pacs_by_c_store_and_by_stow_gets_each_object_once(store: Store, tmp_path: Path) -> None:
    with orthanc(tmp_path / "one") as one, orthanc(tmp_path / "two") as two:
        peers = {"one": Node("ORTHANC", "127.0.0.1", one.port), "two": WebNode(f"{two.http}/dicom-web")}
        queue(store, slices(store.folder, 5), "one", "two")
        with sending(store, settings(**peers)):
            until(lambda: counts(store) == {"sent": 10})
        assert len(one.found()) == len(two.found()) == 5
        assert all(row.error is None and row.tries == 1 for row in Outbox(store).list())


def test_a_pacs_that_comes_back_gets_what_waited(archive: Store, tmp_path: Path) -> None:
    with orthanc(tmp_path / "pacs") as pacs:
        pacs.stop()
        queue(archive, slices(archive.folder, 4), "pacs")
        with sending(archive, settings((0.2,) * 1000, pacs=Node("ORTHANC", "127.0.0.1", pacs.port))):
            until(lambda: all(row.tries >= 2 for row in Outbox(archive).list()))
            waiting = Outbox(archive).list()[0]
            assert "cannot be reached" in str(waiting.error) and "ORTHANC" in str(waiting.error)
            pacs.start()
            until(lambda: counts(archive) == {"sent": 4})
        assert len(pacs.found()) == 4


def test_after_the_last_pause_an_object_is_a_dead_letter_that_can_be_sent_again(archive: Store, tmp_path: Path) -> None:
    port = free_port()
    queue(archive, slices(archive.folder, 2), "pacs")
    chosen = settings((0.2, 0.2), pacs=Node("ORTHANC", "127.0.0.1", port))
    with sending(archive, chosen):
        until(lambda: counts(archive) == {"dead": 2})
    assert {row.tries for row in Outbox(archive).list()} == {3}
    with _stored_at(port) as seen, sending(archive, chosen):
        (first, second) = Outbox(archive).list()
        Outbox(archive).again(first.id)
        until(lambda: counts(archive) == {"sent": 1, "dead": 1})
        assert seen == [first.sop_uid]
        Outbox(archive).again(second.id)
        until(lambda: counts(archive) == {"sent": 2})


def test_of_two_targets_one_that_is_away_holds_up_nothing(archive: Store, tmp_path: Path) -> None:
    """One target takes the connection and never answers; the other's 100 objects are sent meanwhile, in one go."""
    import socket

    with socket.socket() as deaf, storescp(tmp_path / "stored") as node:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        queue(archive, slices(archive.folder, 100), "deaf", "pacs")
        with sending(archive, settings(pacs=node, deaf=Node("DEAF", "127.0.0.1", deaf.getsockname()[1]))):
            until(lambda: len(Outbox(archive).list(["sent"])) > 0)
            assert {row.state for row in Outbox(archive).list(limit=200) if row.target == "deaf"} == {"sending"}
            until(lambda: len(Outbox(archive).list(["sent"], limit=200)) == 100)
            deaf.close()
    assert len(list((tmp_path / "stored").iterdir())) == 100


def test_a_target_that_is_away_is_called_once_in_a_while(archive: Store) -> None:
    """Objects that are queued meanwhile do not make it be called more often."""
    calls: list[float] = []
    files = slices(archive.folder, 8)
    with _counting(calls) as port, sending(archive, settings((2.0, 600.0), pacs=Node("PACS", "127.0.0.1", port))):
        began = time.monotonic()
        for file in files:
            queue(archive, [file], "pacs")
            time.sleep(0.3)
        until(lambda: all(row.tries for row in Outbox(archive).list()))
        passed = time.monotonic() - began
    assert 2 <= len(calls) <= 2 * (passed / 2.0 + 1)  # a second one asks what is wrong with the connection


def test_a_target_that_refuses_a_class_gets_the_rest(archive: Store, tmp_path: Path) -> None:
    film = dicom_studies.film(archive.folder / "film", rows=16, columns=16).files
    with storescp(tmp_path / "stored", classes={MRImageStorage: [ExplicitVRLittleEndian]}) as node:
        queue(archive, [*film, *slices(archive.folder, 3)], "pacs")
        with sending(archive, settings(pacs=node)):
            until(lambda: counts(archive) == {"sent": 3, "dead": 1})
    (dead,) = Outbox(archive).list(["dead"])
    assert dead.tries == 1 and "does not take objects of the class Digital X-Ray" in str(dead.error)


def test_a_target_that_is_no_longer_in_the_settings_says_so(archive: Store) -> None:
    queue(archive, slices(archive.folder, 1), "gone")
    with sending(archive, settings((0.1,))):
        until(lambda: counts(archive) == {"dead": 1})
    assert "'gone' is no system of dicom.toml" in str(Outbox(archive).list()[0].error)


def test_a_lease_is_kept_while_a_slow_target_takes_its_time(archive: Store) -> None:
    """Another sender would take what nobody has a lease on any more."""
    queue(archive, slices(archive.folder, 2), "slow")
    chosen = settings(slow=Node("SLOW", "127.0.0.1", port := free_port()))
    with _stored_at(port, pause=9.0) as seen, sending(archive, chosen, lease=6.0), sending(archive, chosen, lease=6.0):
        until(lambda: counts(archive) == {"sent": 2})
    assert len(seen) == 2 and {row.tries for row in Outbox(archive).list()} == {1}


def test_a_sender_that_is_killed_loses_nothing_and_another_one_goes_on(store: Store, tmp_path: Path) -> None:
    with orthanc(tmp_path / "pacs") as pacs:
        chosen = settings((0.3,) * 5, pacs=Node("ORTHANC", "127.0.0.1", pacs.port))
        (store.folder / "settings.json").write_bytes(msgspec.json.encode(chosen))
        queue(store, slices(store.folder, 60), "pacs")
        for _ in range(3):
            before = len(pacs.found())
            process = subprocess.Popen([sys.executable, "-m", "tests.server.dicom.one_sender", str(store.folder), "1.0"])
            until(lambda: len(pacs.found()) > before)  # noqa: B023
            process.send_signal(signal.SIGKILL)
            process.wait(120)
        with sending(store, chosen, lease=1.0):
            until(lambda: counts(store) == {"sent": 60})
        assert len(pacs.found()) == 60


def test_a_sender_that_is_to_stop_gives_back_what_it_did_not_send(archive: Store) -> None:
    queue(archive, slices(archive.folder, 10), "slow")
    with _stored_at(port := free_port(), pause=0.5) as seen:
        chosen = settings(slow=Node("SLOW", "127.0.0.1", port))
        with sending(archive, chosen):
            until(lambda: len(seen) >= 2)
        now = counts(archive)
        assert now["waiting"] + now["sent"] == 10 and now["waiting"] >= 5
        assert all(row.tries == 0 for row in Outbox(archive).list(["waiting"]))
        with sending(archive, chosen):
            until(lambda: counts(archive) == {"sent": 10})
    assert len(seen) == len(set(seen)) == 10


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Store]:
    """The store of an empty archive, on SQLite."""
    Archive.open(tmp_path / "archive", create=True).close()
    opened = Store.open(tmp_path / "archive")
    yield opened
    opened.close()


@contextmanager
def _stored_at(port: int, pause: float = 0.0) -> Iterator[list[str]]:
    """A node that takes everything; the UIDs that it was sent."""
    from pynetdicom import AE, evt

    seen: list[str] = []

    def take(event: evt.Event) -> int:
        time.sleep(pause)
        seen.append(str(event.request.AffectedSOPInstanceUID))
        return 0

    ae = AE("NODE")
    ae.add_supported_context(MRImageStorage, ExplicitVRLittleEndian)
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, take)])
    try:
        yield seen
    finally:
        server.shutdown()


@contextmanager
def _counting(calls: list[float]) -> Iterator[int]:
    """A port whose connections are counted and closed at once."""
    import socketserver

    class Closing(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            calls.append(time.monotonic())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Closing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()
