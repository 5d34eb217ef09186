"""Strokes that wait for a round are answered by one, and none of them is lost."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI

from casewise.archive import Archive
from casewise.errors import UsageError
from casewise.server.sessions import Answered, Session, Sessions, StaleRoundError
from tests.asynchronous import run as run_here
from tests.server.sessions.annotators import picture

NOTHING = np.zeros((0, 2), np.int64)


def at(*places: tuple[int, int]) -> np.ndarray:
    return np.array(places, np.int64)


@pytest.fixture
def sessions(app: FastAPI) -> Sessions:
    found: Sessions = app.state.services.sessions
    return found


def while_busy(sessions: Sessions, key: str, ask: Callable[[Session], list[Awaitable[Any]]]) -> tuple[Session, list[Any]]:
    """What is answered to orders that come one after the other while every thread of the pool is busy, so that all of them wait."""
    queued = []
    ordered = sessions._ordered

    async def noted(*given: Any, **more: Any) -> Answered:
        queued.append(given)
        return await ordered(*given, **more)

    async def run() -> tuple[Session, list[Any]]:
        session = await sessions.open(key, "anna", "disc", begin="empty", box=[[20, 80], [10, 70]])
        free = threading.Event()
        for _ in range(sessions._pool._max_workers):
            sessions._pool.submit(free.wait)
        sessions._ordered = noted  # type: ignore[method-assign]
        asked = []
        for number, one in enumerate(ask(session), start=1):
            asked.append(asyncio.ensure_future(one))
            while len(queued) + sum(other.done() for other in asked) < number:
                await asyncio.sleep(0)
        free.set()
        return session, await asyncio.gather(*asked, return_exceptions=True)

    return run_here(run())


def test_strokes_that_wait_are_one_round(sessions: Sessions, archive: Archive) -> None:
    places = [(30 + n, 40) for n in range(8)]
    session, answers = while_busy(
        sessions,
        archive.add(picture()),
        lambda s: [sessions.strokes(s.id, "anna", at(place), NOTHING, after=0, seconds=1) for place in places],
    )
    assert all(isinstance(one, Answered) for one in answers), answers
    # The first was taken at once; the others waited for it together.
    assert sorted(one.merged for one in answers) == [1] + [7] * 7
    drawing = session.drawing
    assert {tuple(place) for place in drawing.marked[0].tolist()} == set(places)
    assert all(drawing.mask[place] for place in places)
    assert (drawing.round, drawing.strokes, drawing.seconds) == (2, 8, 8)


def test_a_patch_brings_whoever_waited_to_the_mask_of_now(sessions: Sessions, archive: Archive) -> None:
    masks: list[np.ndarray] = []

    def ask(session: Session) -> list[Awaitable[Any]]:
        masks.append(session.drawing.mask)
        return [
            sessions.strokes(session.id, "anna", at((25, 15)), NOTHING, after=0),
            sessions.strokes(session.id, "anna", NOTHING, at((25, 15), (50, 40)), after=0),
        ]

    session, answers = while_busy(sessions, archive.add(picture()), ask)
    for answer in answers:
        seen = masks[0].copy()
        if answer.patch is not None:
            seen[answer.patch.box.slices] = answer.patch.bits
        assert (seen == answer.mask).all() or answer.round == 1
    assert not session.drawing.mask[25, 15] and not session.drawing.mask[50, 40]


def test_of_strokes_that_meet_the_newer_counts(sessions: Sessions, archive: Archive) -> None:
    session, _ = while_busy(
        sessions,
        archive.add(picture()),
        lambda s: [
            sessions.strokes(s.id, "anna", at((90, 90)), NOTHING),
            sessions.strokes(s.id, "anna", at((40, 40), (41, 40)), NOTHING),
            sessions.strokes(s.id, "anna", NOTHING, at((41, 40), (42, 40))),
        ],
    )
    assert session.drawing.mask[40, 40] and session.drawing.mask[90, 90]
    assert not session.drawing.mask[41, 40] and not session.drawing.mask[42, 40]


def test_an_undo_between_strokes_keeps_its_place(sessions: Sessions, archive: Archive) -> None:
    session, answers = while_busy(
        sessions,
        archive.add(picture()),
        lambda s: [
            sessions.strokes(s.id, "anna", at((30, 40)), NOTHING),
            sessions.strokes(s.id, "anna", at((31, 40)), NOTHING),
            sessions.undo(s.id, "anna"),
        ],
    )
    assert all(isinstance(one, Answered) for one in answers), answers
    assert session.drawing.marked[0].tolist() == [[30, 40]] and session.round == 1
    assert session.drawing.can_redo


def test_a_wrong_stroke_spoils_none_that_waits_beside_it(sessions: Sessions, archive: Archive) -> None:
    session, answers = while_busy(
        sessions,
        archive.add(picture()),
        lambda s: [
            sessions.strokes(s.id, "anna", at((30, 40)), NOTHING),
            sessions.strokes(s.id, "anna", at((300, 40)), NOTHING),
            sessions.strokes(s.id, "anna", at((32, 40)), NOTHING),
        ],
    )
    assert [type(one) for one in answers] == [Answered, UsageError, Answered]
    assert session.drawing.marked[0].tolist() == [[30, 40], [32, 40]]


def test_a_round_goes_on_when_nobody_waits_for_it(sessions: Sessions, archive: Archive) -> None:
    key = archive.add(picture())

    async def run() -> Session:
        session = await sessions.open(key, "anna", "disc", begin="empty")
        asked = asyncio.ensure_future(sessions.strokes(session.id, "anna", at((50, 40)), NOTHING))
        while session.task is None or not session.drawing.version:
            await asyncio.sleep(0.005)
            if session.busy and not asked.cancelled():
                asked.cancel()  # as a browser does that is closed
        if session.task is not None:
            await session.task
        return session

    session = run_here(run())
    assert session.drawing.mask[50, 40]
    row = sessions.saved.row(session.id)
    assert row is not None and row.data["objects"][0]["begun"]


def test_strokes_on_another_round_are_refused_and_change_nothing(sessions: Sessions, archive: Archive) -> None:
    key = archive.add(picture())

    async def run() -> Session:
        session = await sessions.open(key, "anna", "disc", begin="empty", box=[[20, 80], [10, 70]])
        await sessions.strokes(session.id, "anna", at((50, 40)), NOTHING, after=0)
        with pytest.raises(StaleRoundError):
            await sessions.strokes(session.id, "anna", at((51, 40)), NOTHING, after=0)
        await sessions.strokes(session.id, "anna", at((52, 40)), NOTHING)  # a client that counts no rounds
        return session

    assert run_here(run()).drawing.marked[0].tolist() == [[50, 40], [52, 40]]
