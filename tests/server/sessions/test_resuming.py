"""Sessions on disk: after the server is killed, or when memory is short, a person goes on with the mask that they saw."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from benchmarks._serving import serving
from casewise.archive import Archive
from casewise.errors import UsageError
from casewise.image import Image
from casewise.server.app import create_app
from casewise.server.sessions import Sessions, UnknownSessionError
from casewise.server.settings import Settings
from casewise.server.store import Store
from tests.asynchronous import run as run_here
from tests.server.people import signed_in
from tests.server.sessions.annotators import Annotator, picture, volume

NOTHING = np.zeros((0, 2), np.int64)


def test_a_server_that_is_killed_goes_on_with_the_identical_mask(archive: Archive) -> None:
    image = volume()
    key = archive.add(image)
    with serving(archive.folder) as server, server.client() as client:
        anna = Annotator(client)
        anna.open(key, "box", image.spatial_shape)
        anna.draw([(row, 18, 5) for row in range(16, 24)])
        anna.draw([(2, 2, 5), (3, 2, 5)])
        anna.draw([(20, 30, 5), (21, 30, 5)], "background")
        anna.order("erase", voxels=[[(2 * 36 + 2) * 12 + 5, 1]])
        before = [anna.mask.copy()]
        os.kill(server.child.pid, signal.SIGKILL)
        server.child.wait(120)
    with serving(archive.folder) as server, server.client() as client:
        again = Annotator(client)
        state = again.open(key, "box", image.spatial_shape)
        assert state["id"] == anna.state["id"] and again.round == anna.round
        assert (again.mask == before[0]).all()
        assert state["objects"][0]["strokes"] == 3
        again.order("undo")
        assert again.mask[2, 2, 5]
        again.draw([(5, 5, 5)])


def test_an_evicted_session_is_resumed(archive: Archive, tmp_path: Path) -> None:
    keys = [archive.add(picture(seed)) for seed in range(3)]
    store = Store.open(archive.folder)
    app = create_app(archive, store, Settings(sessions=2))
    people = [Annotator(signed_in(app, "annotator", "anna")) for _ in keys]
    for one, key in zip(people, keys, strict=True):
        one.open(key, "disc", (96, 96))
        one.draw([(50, 40)])
    sessions: Sessions = app.state.services.sessions
    assert list(sessions._held) == [one.state["id"] for one in people[1:]]
    assert (people[0].stored() == people[0].mask).all()
    people[0].draw([(80, 80)])
    assert people[0].mask[80, 80] and len(sessions._held) == 2
    store.close()


def test_sessions_are_held_by_what_they_take(archive: Archive) -> None:
    keys = [archive.add(picture(seed)) for seed in range(4)]
    store = Store.open(archive.folder)
    app = create_app(archive, store, Settings(session_bytes=400_000))
    for key in keys:
        one = Annotator(signed_in(app, "annotator", "anna"))
        one.open(key, "disc", (96, 96))
        one.draw([(50, 40)])
    sessions: Sessions = app.state.services.sessions
    assert 1 <= len(sessions._held) < 4
    store.close()


def test_one_that_works_is_never_given_up(app: FastAPI, archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the first one's round runs, others are opened beyond the bound."""
    sessions: Sessions = app.state.services.sessions
    monkeypatch.setattr(sessions, "settings", Settings(sessions=1))
    keys = [archive.add(picture(seed)) for seed in range(2)]

    async def run() -> None:
        first = await sessions.open(keys[0], "anna", "disc", begin="empty")
        strokes = asyncio.ensure_future(sessions.strokes(first.id, "anna", np.array([[50, 40]]), NOTHING))
        while not first.busy:
            await asyncio.sleep(0)
        await sessions.open(keys[1], "ben", "disc", begin="empty")
        answer = await strokes
        again = await sessions.get(first.id, "anna")
        assert again.drawing.round == 1 and (again.drawing.mask == answer.mask).all()

    run_here(run())


def test_a_session_that_was_closed_is_gone(archive: Archive, annotator: Callable[[str], Annotator], app: FastAPI) -> None:
    anna = annotator("anna")
    anna.open(archive.add(picture()), "disc", (96, 96))
    anna.draw([(50, 40)])
    sessions: Sessions = app.state.services.sessions
    place = sessions.saved.place(anna.state["id"])
    assert place.is_dir()
    assert anna.client.delete(anna.url).status_code == 204
    assert anna.client.get(anna.url).status_code == 404 and not place.exists()
    assert anna.client.post(f"{anna.url}/strokes", json={"after": 1, "foreground": [[0, 1]]}).status_code == 404


def test_after_acceptance_another_session_begins(archive: Archive, annotator: Callable[[str], Annotator]) -> None:
    anna = annotator("anna")
    key = archive.add(picture())
    anna.open(key, "disc", (96, 96))
    anna.draw([(50, 40)])
    anna.client.post(f"{anna.url}/accept", json={})
    accepted, first = anna.mask.copy(), anna.state["id"]
    anna.open(key, "disc", (96, 96), begin="mask")
    assert anna.state["id"] != first and (anna.mask == accepted).all()
    anna.draw([(80, 80)])
    anna.client.post(f"{anna.url}/accept", json={})
    assert [label["name"] for label in archive.labels(key)] == ["disc"]  # one's own mask is replaced
    assert archive.case(key).load_masks["disc"]()[80, 80]


def test_a_damaged_file_lets_a_new_session_begin(archive: Archive, app: FastAPI, annotator: Callable[[str], Annotator]) -> None:
    anna = annotator("anna")
    key = archive.add(picture())
    anna.open(key, "disc", (96, 96))
    anna.draw([(50, 40)])
    sessions: Sessions = app.state.services.sessions
    (sessions.saved.place(anna.state["id"]) / "0.npz").write_bytes(b"PK nothing")
    sessions._held.clear()
    first = anna.state["id"]
    anna.open(key, "disc", (96, 96))
    assert anna.state["id"] != first and anna.round == 0


def test_an_image_that_a_client_sent_is_kept_and_taken_in_when_accepted(archive: Archive, app: FastAPI) -> None:
    sessions: Sessions = app.state.services.sessions
    image = Image(volume().array.astype(np.float64) / 3, np.diag([2.0, 1.0, 1.0, 1.0]))

    async def run() -> None:
        session = await sessions.open_image(image, "anna", "box")
        await sessions.strokes(session.id, "anna", np.array([[20, 18, 5]]), np.zeros((0, 3), np.int64))
        mask = session.drawing.mask
        sessions._held.clear()
        again = await sessions.get(session.id, "anna")
        assert (again.image.array == image.array).all() and (again.drawing.mask == mask).all()
        with pytest.raises(UnknownSessionError):
            await sessions.get(session.id, "ben")
        assert len(archive) == 0
        accepted = await sessions.accept(session.id, "anna")
        case = archive.case(accepted.key)
        assert (case.load_masks["box"]() == mask).all() and np.allclose(case.image.affine, image.affine)

    run_here(run())


def test_an_image_that_a_client_sent_keeps_the_masks_that_the_archive_has_of_it(archive: Archive, app: FastAPI) -> None:
    sessions: Sessions = app.state.services.sessions
    bens = np.zeros((96, 96), bool)
    bens[:9] = True
    key = archive.add(picture(), {"disc": bens}, origin={"user": "ben"})

    async def run() -> np.ndarray:
        session = await sessions.open_image(picture(), "anna", "disc")
        await sessions.strokes(session.id, "anna", np.array([[50, 40]]), NOTHING)
        assert (await sessions.accept(session.id, "anna")).key == key
        return session.drawing.mask

    annas = run_here(run())
    masks = archive.case(key).load_masks
    assert (masks["disc"]() == bens).all() and (masks["disc@anna"]() == annas).all()


def test_a_folder_that_cannot_be_made_is_told(archive: Archive, app: FastAPI, annotator: Callable[[str], Annotator]) -> None:
    anna = annotator("anna")
    anna.open(archive.add(picture()), "disc", (96, 96))
    sessions: Sessions = app.state.services.sessions
    place = sessions.saved.place(anna.state["id"])
    place.rmdir()
    place.touch()
    order = {"after": 0, "foreground": [[50 * 96 + 40, 1]]}
    refused = anna.client.post(f"{anna.url}/strokes", json=order)
    assert refused.status_code == 400 and "File exists" in refused.json()["detail"]
    place.unlink()
    anna.take(anna.client.get(anna.url).json()["objects"][0])  # what was drawn is there, and is saved with the next round
    anna.draw([(60, 45)])
    sessions._held.clear()
    assert (anna.stored() == anna.mask).all() and anna.mask[50, 40]


def test_a_session_of_which_a_file_is_gone_is_told_and_begun_anew(
    archive: Archive, app: FastAPI, annotator: Callable[[str], Annotator]
) -> None:
    anna, key = annotator("anna"), archive.add(picture())
    anna.open(key, "disc", (96, 96))
    anna.draw([(50, 40)])
    sessions: Sessions = app.state.services.sessions
    place = sessions.saved.place(anna.state["id"])
    (place / "0.npz").unlink()
    sessions._held.clear()
    refused = anna.client.get(anna.url)
    assert refused.status_code == 400 and "What was saved of disc" in refused.json()["detail"]
    assert str(place) not in refused.text
    former = anna.state["id"]
    anna.open(key, "disc", (96, 96))
    assert anna.state["id"] != former and not anna.mask.any()


def test_a_damaged_session_can_be_closed(archive: Archive, app: FastAPI, annotator: Callable[[str], Annotator]) -> None:
    anna = annotator("anna")
    anna.open(archive.add(picture()), "disc", (96, 96))
    anna.draw([(50, 40)])
    sessions: Sessions = app.state.services.sessions
    place = sessions.saved.place(anna.state["id"])
    (place / "0.npz").write_bytes(b"PK nothing")
    sessions._held.clear()
    assert annotator("ben").client.delete(anna.url).status_code == 404 and place.exists()
    assert anna.client.delete(anna.url).status_code == 204 and not place.exists()
    assert anna.client.delete(anna.url).status_code == 404


def test_a_sent_image_is_not_kept_where_its_session_cannot_begin(
    archive: Archive, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions: Sessions = app.state.services.sessions

    def full(*given: object) -> None:
        raise OSError(28, "No space left on device")

    async def run() -> None:
        monkeypatch.setattr("casewise.server.sessions.saved._document", full)
        with pytest.raises(OSError, match="No space"):
            await sessions.open_image(volume(), "anna", "box")
        assert not list((archive.folder / "server" / "sessions").iterdir()) and not len(sessions)

    run_here(run())


def test_what_nobody_can_go_on_with_is_removed_when_a_server_starts(archive: Archive, app: FastAPI) -> None:
    sessions: Sessions = app.state.services.sessions
    key = archive.add(picture())

    async def begin() -> list[str]:
        unnamed = await sessions.open_image(volume(), "anna", "box")
        named = await sessions.open_image(volume(), "anna", "box", sent="a name")
        drawn = await sessions.open(key, "anna", "disc", begin="empty")
        return [unnamed.id, named.id, drawn.id]

    unnamed, *kept = run_here(begin())
    folder = archive.folder / "server" / "sessions"
    (folder / ("0" * 32)).mkdir()  # of a server that was killed before it wrote the session down
    (folder / ("0" * 32) / "image.npz").touch()
    with TestClient(app):
        assert {place.name for place in folder.iterdir() if any(place.iterdir())} == {kept[0]}
        assert sessions.saved.row(unnamed) is None and all(sessions.saved.row(one) is not None for one in kept)


def test_an_empty_mask_is_accepted_only_where_it_is_meant(archive: Archive, annotator: Callable[[str], Annotator]) -> None:
    anna = annotator("anna")
    key = archive.add(picture())
    anna.open(key, "disc", (96, 96))
    refused = anna.client.post(f"{anna.url}/accept", json={})
    assert refused.status_code == 400 and "No object has a mask" in refused.json()["detail"]


def test_saving_where_nothing_can_be_written_is_told(archive: Archive, app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    sessions: Sessions = app.state.services.sessions
    key = archive.add(picture())

    def full(*given: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    async def run() -> None:
        session = await sessions.open(key, "anna", "disc", begin="empty")
        monkeypatch.setattr("casewise.interaction.session_file.np.savez_compressed", full)
        with pytest.raises(UsageError, match="cannot be written"):
            await sessions.strokes(session.id, "anna", np.array([[50, 40]]), NOTHING)

    run_here(run())
