"""Server-sent events: what listeners are sent, and when their streams end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from casewise.archive import Archive
from casewise.server.events import Events
from casewise.server.jobs import Job, Jobs
from casewise.server.store import Store
from tests.asynchronous import run as run_here
from tests.image_trees import picture


@pytest.fixture
def jobs(store: Store) -> Jobs:
    return Jobs(store)


async def said(stream: AsyncIterator[str], count: int) -> list[tuple[str, dict[str, object], str | None]]:
    """The next ``count`` events: (event, data, id)."""
    found: list[tuple[str, dict[str, object], str | None]] = []
    while len(found) < count:
        text = await asyncio.wait_for(anext(stream), 20)
        assert text.endswith("\n\n")
        fields = dict(line.split(": ", 1) for line in text.strip().splitlines())
        if "event" in fields:
            found.append((fields["event"], json.loads(fields["data"]), fields.get("id")))
    return found


async def states(stream: AsyncIterator[str], count: int) -> list[tuple[str, object]]:
    return [(event, data["state"]) for event, data, _ in await said(stream, count)]


def claimed(jobs: Jobs) -> Job:
    job = jobs.claim("w")
    assert job is not None
    return job


def test_the_jobs_that_are_asked_for_from_their_state_to_their_end(jobs: Jobs) -> None:
    async def listen() -> None:
        wanted, other = jobs.add("k", {}), jobs.add("k", {})
        stream = Events(jobs).stream([wanted])
        assert await states(stream, 1) == [("state", "waiting")]
        job = claimed(jobs)
        assert await states(stream, 1) == [("state", "running")]
        jobs.stop(other)
        jobs.heartbeat(job, 2, 5, "Reading")
        ((event, data, _),) = await said(stream, 1)
        assert (event, data["id"], data["progress"], data["message"]) == ("progress", wanted, [2, 5], "Reading")
        jobs.finish(job, {})
        assert await states(stream, 1) == [("state", "done")]

    run_here(listen())


def test_who_comes_back_is_sent_what_was_missed(jobs: Jobs) -> None:
    async def listen() -> None:
        events = Events(jobs)
        stream = events.stream()
        await anext(stream)  # from now on
        first = jobs.add("k", {})
        ((_, data, moment),) = await said(stream, 1)
        assert data["id"] == first and moment is not None
        await stream.aclose()
        second = jobs.add("k", {})
        numbers = [data["id"] for _, data, _ in await said(events.stream(after=float(moment)), 2)]
        assert numbers == [first, second]

    run_here(listen())


def test_a_slow_listener_is_given_the_newest_state_alone(jobs: Jobs) -> None:
    async def listen() -> None:
        stream = Events(jobs).stream()
        await anext(stream)
        jobs.add("k", {})
        await states(stream, 1)
        job = claimed(jobs)
        await asyncio.sleep(1)
        for done in range(5):
            jobs.heartbeat(job, done, 5)
        await asyncio.sleep(1)
        jobs.finish(job, {})
        await asyncio.sleep(1)
        assert await states(stream, 1) == [("state", "done")]

    run_here(listen())


def test_a_stream_does_not_outlast_its_time(jobs: Jobs) -> None:
    async def listen() -> None:
        events = Events(jobs)
        texts = [text async for text in events.stream(longest=0.3)]
        assert texts[0].startswith("retry") and all(text.startswith(":") for text in texts[1:])
        events.close()

    run_here(asyncio.wait_for(listen(), 20))


def test_images_that_arrive(jobs: Jobs, archive_folder: Path, tmp_path: Path) -> None:
    async def listen() -> None:
        with Archive.open(archive_folder) as archive:
            stream = Events(jobs, archive.newest).stream()
            await anext(stream)
            await asyncio.sleep(0.8)  # it has looked once
            archive.add(picture(tmp_path / "a.png", 1))
            ((event, data, _),) = await said(stream, 1)
            assert event == "arrived" and data["newest"] == archive.newest()

    run_here(listen())


def test_streams_end_with_the_server_and_nothing_asks_when_nobody_listens(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    async def listen() -> None:
        events, asked = Events(jobs), [0]
        look = jobs.changed_since
        monkeypatch.setattr(jobs, "changed_since", lambda since: asked.__setitem__(0, asked[0] + 1) or look(since))
        streams = [events.stream(), events.stream()]
        for stream in streams:
            await anext(stream)
        await asyncio.sleep(1.2)
        assert 1 <= asked[0] <= 4  # one task for both
        await streams[0].aclose()
        rest = asyncio.ensure_future(anext(streams[1], "end"))
        await asyncio.sleep(0)
        events.close()
        assert await asyncio.wait_for(rest, 5) == "end"
        before = asked[0]
        await asyncio.sleep(1.2)
        assert asked[0] == before

    run_here(listen())
