"""The outbox's rows: what is claimed, when it is tried again, and how it ends; on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from casewise.server.dicom.outbox_rows import Outbox, Row
from casewise.server.network_tables import outbox as table
from casewise.server.problems import ConflictError
from casewise.server.store import Store


def order(number: int, target: str = "pacs", **more: Any) -> dict[str, Any]:
    about = {
        "path": f"results/a/{number}.dcm",
        "sop_uid": f"1.2.{number}",
        "sop_class": "1.2.840.10008.5.1.4.1.1.88.33",
        "kind": "sr",
    }
    return {"target": target, **about, "image_key": "a", "series_uid": "1.2", "result": 1, "created_by": None, **more}


def claimed(outbox: Outbox, target: str = "pacs") -> tuple[list[Row], float]:
    rows = list(outbox.claim(target))
    return rows, rows[0].lease_until or 0.0 if rows else 0.0


def states(outbox: Outbox) -> dict[str, int]:
    return {state: number for state, number in outbox.counts().items() if number}


def test_an_object_is_queued_once_for_a_target(store: Store) -> None:
    outbox = Outbox(store)
    assert outbox.add([order(1), order(2), order(1, "other")]) == 3
    assert outbox.add([order(1, path="elsewhere"), order(3)]) == 1
    assert [(row.target, row.sop_uid, row.path) for row in outbox.list()] == [
        ("pacs", "1.2.3", "results/a/3.dcm"),
        ("other", "1.2.1", "results/a/1.dcm"),
        ("pacs", "1.2.2", "results/a/2.dcm"),
        ("pacs", "1.2.1", "results/a/1.dcm"),
    ]
    assert outbox.due() == ["other", "pacs"]


def test_a_row_is_claimed_by_one_and_settled_by_that_one(store: Store) -> None:
    outbox, late = Outbox(store, (0.0,)), Outbox(store, (0.0,), lease=-1)
    outbox.add([order(1)])
    rows, lease = claimed(late)  # over at once
    (again,), new_lease = claimed(outbox)
    assert (again.id, again.tries, again.state) == (rows[0].id, 2, "sending")
    assert (
        not outbox.sent(rows[0], lease, "")
        and not outbox.failed(rows[0], lease, "No.")
        and not outbox.refused(rows[0], lease, "No.")
    )
    assert outbox.due() == [] and outbox.claim("pacs") == []
    assert outbox.sent(again, new_lease, "")
    assert states(outbox) == {"sent": 1}
    assert not outbox.sent(again, new_lease, "")


def test_an_extended_lease_is_held(store: Store) -> None:
    outbox = Outbox(store)
    outbox.add([order(1)])
    (row,), lease = claimed(outbox)
    until = outbox.extend([row.id], lease)
    assert until >= lease
    assert outbox.sent(row, until, "")


def test_each_further_try_has_its_pause_and_the_last_leaves_a_dead_letter(store: Store) -> None:
    outbox = Outbox(store, (30, 120))
    outbox.add([order(1)])
    pauses = []
    for _ in range(3):
        (row,), lease = claimed(outbox)
        assert outbox.failed(row, lease, "It is away.")
        now = outbox.get(row.id)
        assert now is not None and now.error == "It is away."
        pauses.append(round(now.run_after - now.changed))
        assert outbox.claim("pacs") == []
        _make_due(store)
    assert pauses == [30, 120, 0]
    assert states(outbox) == {"dead": 1}
    again = outbox.again(row.id)
    assert again is not None and (again.state, again.tries, again.error) == ("waiting", 0, None)
    assert [one.id for one in outbox.claim("pacs")] == [row.id]
    with pytest.raises(ConflictError, match="right now"):
        outbox.again(row.id)
    assert outbox.again(999) is None


def test_a_dead_letter_that_is_queued_again_is_sent_again_and_a_sent_one_is_not(store: Store) -> None:
    outbox = Outbox(store)
    outbox.add([order(1), order(2)])
    (first, second), lease = claimed(outbox)
    outbox.refused(first, lease, "It never takes it.")
    outbox.sent(second, lease, "")
    assert outbox.add([order(1, path="new"), order(2, path="new")]) == 1
    rows = {row.id: (row.state, row.path) for row in outbox.list()}
    assert rows == {first.id: ("waiting", "new"), second.id: ("sent", "results/a/2.dcm")}


def test_an_object_whose_sending_kills_the_sender_ends_as_a_dead_letter(store: Store) -> None:
    outbox = Outbox(store, (30,), lease=-1)
    outbox.add([order(1)])
    assert [len(outbox.claim("pacs")) for _ in range(3)] == [1, 1, 0]
    (dead,) = outbox.list(["dead"])
    assert "cut off 2 times" in str(dead.error)


def test_objects_whose_sender_was_killed_come_one_at_a_time_after_the_others(store: Store) -> None:
    outbox, killed = Outbox(store, (30,)), Outbox(store, (30,), lease=-1)
    outbox.add([order(1), order(2)])
    assert len(killed.claim("pacs")) == 2
    outbox.add([order(3), order(4)])
    assert [[row.sop_uid for row in outbox.claim("pacs")] for _ in range(4)] == [["1.2.3", "1.2.4"], ["1.2.1"], ["1.2.2"], []]


def test_what_was_not_tried_comes_before_what_was(store: Store) -> None:
    outbox = Outbox(store, (0, 0))
    outbox.add([order(1), order(2), order(3)])
    rows, lease = claimed(outbox)
    outbox.failed(rows[0], lease, "It broke off.")
    for row in rows[1:]:
        outbox.put_back(row, lease, "It broke off.", 0)
    assert [(row.sop_uid, row.tries) for row in outbox.claim("pacs")] == [("1.2.2", 1), ("1.2.3", 1), ("1.2.1", 2)]


def test_storage_commitment_ends_a_sent_row_once(store: Store) -> None:
    outbox = Outbox(store, (5,))
    outbox.add([order(n) for n in range(4)])
    rows, lease = claimed(outbox)
    for row in rows:
        outbox.sent(row, lease, "", "2.25.7", patience=0)
    sent = outbox.in_transaction("2.25.7")
    assert [row.id for row in sent] == [row.id for row in outbox.awaiting()] == [row.id for row in rows]
    assert outbox.due() == []
    assert outbox.committed(sent[0]) and outbox.lost(sent[1], "It does not have it.") and outbox.found(sent[2])
    assert outbox.wait_longer(sent[3], 100)
    assert not outbox.committed(sent[1])
    assert states(outbox) == {"committed": 1, "waiting": 1, "sent": 2}
    assert outbox.awaiting() == [] and [row.id for row in outbox.in_transaction("2.25.7")] == [rows[3].id]


def test_superseded_rows_are_marked_until_the_same_is_the_newest_again(store: Store) -> None:
    outbox = Outbox(store)
    outbox.add([order(1), order(2, image_key="b")])
    outbox.supersede(table.c.image_key == "a")
    assert _superseded(outbox.list()) == {"1.2.1": True, "1.2.2": False}
    outbox.add([order(1)])  # the older result, once more
    assert _superseded(outbox.list()) == {"1.2.1": True, "1.2.2": False}
    outbox.add([order(1, result=2)])
    assert _superseded(outbox.list()) == {"1.2.1": False, "1.2.2": False}


def test_listing_and_the_oldest_that_waits(store: Store) -> None:
    outbox = Outbox(store)
    assert outbox.waited() == 0
    outbox.add([order(n, image_key=f"k{n}") for n in range(3)])
    (newest, middle, _) = outbox.list()
    assert [row.id for row in outbox.list(after=newest.id, limit=1)] == [middle.id]
    assert [row.id for row in outbox.list(image_key="k1")] == [middle.id]
    assert outbox.list(["dead"]) == []
    with store.write() as connection:
        connection.exec_driver_sql("UPDATE server_outbox SET created = created - 100")
    assert 100 <= outbox.waited() < 200


def _superseded(rows: Sequence[Row]) -> dict[str, bool]:
    return {row.sop_uid: row.superseded for row in rows}


def _make_due(store: Store) -> None:
    with store.write() as connection:
        connection.exec_driver_sql("UPDATE server_outbox SET run_after = 0 WHERE state = 'waiting'")
