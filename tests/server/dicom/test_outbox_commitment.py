"""Storage commitment of what the outbox sent to Orthanc, which reports back to casewise's receiver."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from casewise.archive import Archive
from casewise.exchange.node import Node
from casewise.exchange.received import Spool
from casewise.exchange.receiver import Receiver
from casewise.exchange.settings import DicomSettings, OutboxTimes
from casewise.server.dicom.outbox import Sender
from casewise.server.dicom.outbox_rows import Outbox, Row
from casewise.server.store import Store
from tests.orthanc import Orthanc, free_port, orthanc
from tests.server.dicom.test_outbox_sending import counts, queue, slices
from tests.waiting import until


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    Archive.open(tmp_path / "archive", create=True).close()
    opened = Store.open(tmp_path / "archive")
    yield opened
    opened.close()


def settings(pacs: Orthanc, commitment_seconds: float) -> DicomSettings:
    node = Node("ORTHANC", "127.0.0.1", pacs.port, commitment=True)
    times = OutboxTimes(retry_seconds=(0.2, 0.2), commitment_seconds=commitment_seconds)
    return DicomSettings(nodes={"pacs": node}, outbox=times)


@contextmanager
def running(store: Store, chosen: DicomSettings, port: int | None = None) -> Iterator[Sender]:
    """A sender; with a ``port`` also a receiver that hands reports on."""
    stop = threading.Event()
    sender = Sender(store, store.folder, chosen)
    spool = Spool(store.folder / "received")
    receiver = Receiver(chosen, spool, port or 0, committed=lambda _: set(), reported=sender.reported)
    receiver.start()
    thread = threading.Thread(target=sender.run, args=(stop,))
    thread.start()
    try:
        yield sender
    finally:
        stop.set()
        thread.join(60)
        receiver.stop()


SENT_AGAIN, FOUND = ("sent", 2, False), ("sent", 1, True)


def _too_late(store: Store) -> None:
    """The time in which a report could come is over."""
    with store.write() as connection:
        connection.exec_driver_sql("UPDATE server_outbox SET run_after = 0 WHERE state = 'sent'")


def rows(store: Store) -> list[Row]:
    return list(Outbox(store).list())


def test_a_target_that_reports_has_committed(store: Store, tmp_path: Path) -> None:
    port = free_port()
    with orthanc(tmp_path / "pacs", {"casewise": ("CASEWISE", port)}) as pacs:
        queue(store, slices(store.folder, 3), "pacs")
        with running(store, settings(pacs, 600), port):
            until(lambda: counts(store) == {"committed": 3})
    assert {(row.transaction_uid, row.tries, row.error) for row in rows(store)} == {(None, 1, None)}


def test_what_a_target_reports_as_missing_is_sent_again(store: Store, tmp_path: Path) -> None:
    with orthanc(tmp_path / "pacs") as pacs:  # it cannot report: it does not know where casewise is
        queue(store, slices(store.folder, 2), "pacs")
        with running(store, settings(pacs, 600)) as sender:
            until(lambda: counts(store) == {"sent": 2})
            first, second = rows(store)
            assert first.transaction_uid is not None and first.transaction_uid == second.transaction_uid
            sender.reported(first.transaction_uid, [second.sop_uid], [first.sop_uid])
            sender.reported("2.25.1", [], [second.sop_uid])  # of nobody's request
            until(lambda: counts(store) == {"sent": 1, "committed": 1})
    again = Outbox(store).get(first.id)
    assert again is not None and again.tries == 2 and again.transaction_uid != first.transaction_uid


def test_a_target_that_never_reports_is_asked_what_it_has(store: Store, tmp_path: Path) -> None:
    with orthanc(tmp_path / "pacs") as pacs:
        queue(store, slices(store.folder, 2), "pacs")
        with running(store, settings(pacs, 600)):
            until(lambda: counts(store) == {"sent": 2})
            (lost,) = pacs.found(SOPInstanceUID=rows(store)[0].sop_uid)
            pacs.delete(f"/instances/{lost['ID']}")
            _too_late(store)
            until(lambda: [(row.state, row.tries, row.transaction_uid is None) for row in rows(store)] == [SENT_AGAIN, FOUND])
            _too_late(store)
            until(lambda: all(row.transaction_uid is None and row.state == "sent" for row in rows(store)))
        assert len(pacs.found()) == 2
    assert [row.tries for row in rows(store)] == [2, 1]


def test_a_target_that_loses_an_object_every_time_gets_no_more_of_it(store: Store, tmp_path: Path) -> None:
    with orthanc(tmp_path / "pacs") as pacs:
        queue(store, slices(store.folder, 1), "pacs")
        with running(store, settings(pacs, 600)) as sender:
            for tries in range(1, 4):
                until(lambda: rows(store)[0].tries == tries and rows(store)[0].transaction_uid is not None)  # noqa: B023
                sender.reported(str(rows(store)[0].transaction_uid), [], [rows(store)[0].sop_uid])
            until(lambda: counts(store) == {"dead": 1})
    assert "does not have it" in str(rows(store)[0].error)
