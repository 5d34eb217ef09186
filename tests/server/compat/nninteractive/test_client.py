"""nnInteractive's own client: every prompt it has, undo to the bit, people apart, and sentences where it asks what cannot be."""

from __future__ import annotations

import gc
import shutil
import subprocess
import sys
import time
import weakref
from pathlib import Path

import httpx
import nibabel as nib
import numpy as np
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from nnInteractive.inference.remote import ServerAtCapacityError, SessionExpiredError
from nnInteractive.inference.remote import nnInteractiveRemoteInferenceSession as Client

from casewise.archive import Archive
from casewise.server import tokens, users
from casewise.server.app import create_app
from casewise.server.compat.nninteractive.leases import ALIVE_SECONDS, Leases
from casewise.server.store import Store
from casewise.server.store import sessions as sessions_table
from tests.server.compat.nninteractive.conftest import Connect, serving
from tests.waiting import SECONDS

SHAPE = (14, 60, 52)  # slices of thick voxels, as napari gives them
SPACING = (4.0, 1.0, 1.0)
CENTRE = (6, 30, 24)


def ball(radius: float = 11.0) -> np.ndarray:
    grid = np.indices(SHAPE)
    return sum(((grid[axis] - CENTRE[axis]) * SPACING[axis]) ** 2 for axis in range(3)) <= radius**2


def volume() -> np.ndarray:
    """A bright ball in noise."""
    return (ball() * 400 + np.random.default_rng(0).normal(100, 20, SHAPE)).astype(np.float32)


def begun(connect: Connect, image: np.ndarray | None = None) -> Client:
    client = connect()
    client.set_image((volume() if image is None else image)[None], {"spacing": SPACING})
    client.set_target_buffer(np.zeros(SHAPE if image is None else image.shape, np.uint8))
    return client


def dice(mask: np.ndarray, truth: np.ndarray) -> float:
    return float(2 * ((mask > 0) & truth).sum() / ((mask > 0).sum() + truth.sum()))


def marked(application: FastAPI) -> tuple[set[tuple[int, ...]], set[tuple[int, ...]]]:
    """(foreground, background): the voxels that the server holds as marked, of the one session there is."""
    (session,) = application.state.services.sessions._held.values()
    foreground, background = session.drawing.marked
    return {tuple(place) for place in foreground.tolist()}, {tuple(place) for place in background.tolist()}


def refused(action) -> str:  # type: ignore[no-untyped-def]
    with pytest.raises(httpx.HTTPStatusError) as caught:
        action()
    assert caught.value.response.status_code == 400
    return str(caught.value.response.json()["detail"])


def test_a_box_in_one_slice_finds_the_object_through_the_volume(connect: Connect) -> None:
    client = begun(connect)
    changed = client.add_bbox_interaction([[6, 7], [16, 45], [10, 39]], True)
    assert changed is not None
    assert dice(client.target_buffer, ball()) > 0.85
    outside = client.target_buffer.copy()
    outside[tuple(slice(low, high) for low, high in changed)] = 0
    assert not outside.any()


def test_without_auto_zoom_the_object_stays_in_its_slice(connect: Connect) -> None:
    client = begun(connect)
    client.set_do_autozoom(False)
    client.add_bbox_interaction([[6, 7], [16, 45], [10, 39]], True)
    assert np.flatnonzero(client.target_buffer.any(axis=(1, 2))).tolist() == [6]
    assert dice(client.target_buffer[6], ball()[6]) > 0.9


def test_a_box_of_three_axes(connect: Connect) -> None:
    client = begun(connect)
    client.add_bbox_interaction([[2, 11], [16, 45], [10, 39]], True)
    assert dice(client.target_buffer, ball()) > 0.85


def test_points_are_obeyed_where_they_are_set(connect: Connect, application: FastAPI) -> None:
    client = begun(connect)
    client.add_point_interaction((6, 30, 24), True)
    assert client.target_buffer[6, 30, 24] == 1
    client.add_point_interaction((6, 33, 27), False)
    assert client.target_buffer[6, 33, 27] == 0
    assert client.target_buffer[6, 30, 24] == 1
    assert marked(application) == ({(6, 30, 24)}, {(6, 33, 27)})


def test_a_scribble_in_a_crop_is_obeyed_voxel_by_voxel(connect: Connect, application: FastAPI) -> None:
    client = begun(connect)
    scribble = np.zeros((1, 5, 9), np.uint8)
    scribble[0, 2, 1:8] = 1
    client.add_scribble_interaction(scribble, True, interaction_bbox=[[6, 7], [28, 33], [20, 29]])
    assert client.target_buffer[6, 30, 21:28].all()
    whole = np.zeros(SHAPE, np.uint8)
    whole[6, 4:8, 6] = 1
    client.add_scribble_interaction(whole, False)
    assert not client.target_buffer[6, 4:8, 6].any()
    assert marked(application) == ({(6, 30, column) for column in range(21, 28)}, {(6, row, 6) for row in range(4, 8)})


def test_a_lasso_holds_the_object(connect: Connect) -> None:
    client = begun(connect)
    lasso = np.hypot(*(np.indices((35, 35)) - 17)) <= 15
    bbox = [[6, 7], [13, 48], [7, 48]]
    crop = np.zeros((1, 35, 41), np.uint8)
    crop[0, :, :35] = lasso
    client.add_lasso_interaction(crop, True, interaction_bbox=bbox)
    assert dice(client.target_buffer[6], ball()[6]) > 0.85
    near = np.zeros(SHAPE[1:], bool)
    near[11:50, 5:44] = True
    assert not client.target_buffer[6][~near].any()


def test_a_second_box_adds_and_a_negative_one_takes_away(connect: Connect) -> None:
    client = begun(connect)
    client.add_bbox_interaction([[2, 11], [16, 45], [10, 39]], True)
    client.add_bbox_interaction([[6, 7], [48, 56], [40, 48]], True)
    assert client.target_buffer[6, 51:53, 43:45].all()
    client.add_bbox_interaction([[4, 9], [26, 30], [20, 24]], False)
    assert not client.target_buffer[4:9, 26:30, 20:24].any()


def test_undo_gives_back_every_voxel_one_prompt_at_a_time(connect: Connect) -> None:
    client = begun(connect)
    assert client.undo() is False
    steps = [
        lambda: client.add_bbox_interaction([[6, 7], [16, 45], [10, 39]], True),
        lambda: client.add_point_interaction((6, 20, 24), False),
        lambda: client.add_point_interaction((9, 30, 24), True),
    ]
    before = []
    for step in steps:
        before.append(client.target_buffer.copy())
        step()
        assert not np.array_equal(client.target_buffer, before[-1])
    for mask in reversed(before):
        assert client.undo() is True
        assert np.array_equal(client.target_buffer, mask)
    assert client.undo() is False
    assert client.add_point_interaction((6, 30, 24), True) is not None


def test_prompts_that_wait_are_answered_together(connect: Connect) -> None:
    client = begun(connect)
    client.add_bbox_interaction([[2, 11], [16, 45], [10, 39]], True, run_prediction=False)
    client.add_point_interaction((6, 30, 24), False, run_prediction=False)
    assert not client.target_buffer.any()
    assert client.undo() is True  # the point
    assert client._predict() is not None
    assert client.target_buffer[6, 30, 24] == 1
    assert client._predict() is None


def test_reset_begins_another_object_and_a_new_image_replaces_the_old(connect: Connect) -> None:
    client = begun(connect)
    client.add_point_interaction((6, 30, 24), True)
    client.reset_interactions()
    assert not client.target_buffer.any()
    assert client.undo() is False
    client.set_image(np.zeros((1, 1, 40, 30), np.uint8) + np.arange(30, dtype=np.uint8), None)
    client.set_target_buffer(np.zeros((1, 40, 30), bool))
    client.add_point_interaction((0, 20, 25), True)
    assert client.target_buffer[0, 20, 25]
    assert client.target_buffer.dtype == bool


def test_it_goes_on_from_a_segmentation_that_the_client_has(connect: Connect) -> None:
    client = begun(connect)
    held = ball(6).astype(np.uint8)
    client.add_initial_seg_interaction(held)
    assert np.array_equal(client.target_buffer, held)
    client.add_point_interaction((2, 5, 5), True)
    assert client.target_buffer[2, 5, 5] == 1
    assert client.target_buffer[held > 0].all()
    client.undo()
    assert np.array_equal(client.target_buffer, held)
    client.add_initial_seg_interaction(held, run_prediction=True)
    assert dice(client.target_buffer, ball()) > dice(held, ball()) - 0.05


@pytest.mark.parametrize("codes", ["RAS", "LPS", "LAI"])
def test_a_voxel_of_a_flipped_volume_of_thick_slices_is_the_same_voxel(connect: Connect, application: FastAPI, codes: str) -> None:
    """As a client reads a NIfTI file: whatever its affine, what is marked in the array is marked in the file that it saves."""
    source = nib.Nifti1Image(np.moveaxis(volume(), 0, 2), np.diag([1.0, 1.0, 4.0, 1.0]))
    turning = nib.io_orientation(np.eye(4)) * np.array([[1, -1 if code in "LPI" else 1] for code in codes])
    turned = source.as_reoriented(turning)
    array = np.asarray(turned.dataobj)
    client = connect()
    client.set_image(array[None], {"spacing": np.asarray(turned.header.get_zooms(), np.float64)})
    client.set_target_buffer(np.zeros(array.shape, np.uint8))
    corner = (51, 8, 1)
    scribble = np.zeros(array.shape, np.uint8)
    scribble[corner] = 1
    client.add_scribble_interaction(scribble, True)
    assert marked(application) == ({corner}, set())
    (session,) = application.state.services.sessions._held.values()
    assert session.image.spacing == (1.0, 1.0, 4.0)
    assert np.array_equal(session.image.array[0], array)
    assert np.array_equal(client.target_buffer > 0, session.drawing.mask)
    truth = (
        np.asarray(nib.Nifti1Image(np.moveaxis(ball(), 0, 2).astype(np.uint8), source.affine).as_reoriented(turning).dataobj) > 0
    )
    client.reset_interactions()
    lower, upper = (end(np.argwhere(truth), axis=0) for end in (np.min, np.max))
    client.add_bbox_interaction([[low - 2, high + 3] for low, high in zip(lower, upper, strict=True)], True)
    assert dice(client.target_buffer, truth) > 0.9


def test_two_people_outline_apart(connect: Connect) -> None:
    one, other = begun(connect), begun(connect, volume()[:, ::-1].copy())
    one.add_bbox_interaction([[2, 11], [16, 45], [10, 39]], True)
    alone = one.target_buffer.copy()
    other.add_point_interaction((6, 29, 24), True)
    one.add_point_interaction((6, 30, 24), True)
    assert np.array_equal(one.target_buffer, alone)
    other.undo()
    assert not other.target_buffer.any()
    assert np.array_equal(one.target_buffer, alone)


def test_what_cannot_be_is_a_sentence_and_changes_nothing(connect: Connect) -> None:
    client = connect()
    assert "send one first" in refused(lambda: client.add_point_interaction((0, 0, 0), True))
    client = begun(connect)
    assert "mark the object first" in refused(lambda: client.add_point_interaction((6, 30, 24), False))
    assert "[14, 60, 52]" in refused(lambda: client.add_point_interaction((14, 0, 0), True))
    assert "holds no voxel" in refused(lambda: client.add_bbox_interaction([[70, 80], [0, 5], [0, 5]], True))
    assert "must be the same" in refused(lambda: client.set_target_buffer(np.zeros((3, 3, 3), np.uint8)))
    assert "must be the same" in refused(lambda: client.add_lasso_interaction(np.ones((1, 2, 3), np.uint8), True))
    assert "Nothing is marked" in refused(lambda: client.add_scribble_interaction(np.zeros(SHAPE, np.uint8), True))
    assert "three lengths" in refused(lambda: client.set_image(volume()[None], {"spacing": [1.0, 0.0, 1.0]}))
    holed = volume()
    holed[0, 0, 0] = np.nan
    assert "1 voxels" in refused(lambda: client.set_image(holed[None]))
    assert client.undo() is False
    client.set_target_buffer(np.zeros(SHAPE, np.uint8))
    assert client.add_bbox_interaction([[2, 11], [16, 45], [10, 39]], True) is not None


def test_leases_end_and_free_what_they_held(connect: Connect, application: FastAPI, folder: Path) -> None:
    leases: Leases = application.state.nninteractive
    sessions = application.state.services.sessions
    held = len(leases)
    client = begun(connect)
    client.add_point_interaction((6, 30, 24), True)
    assert client.heartbeat() > 0
    assert client.lease_status()["idle_timeout_seconds"] == leases.idle
    assert len(sessions._held) == 1
    assert any((folder / "server" / "sessions").iterdir())
    client.close()
    assert len(leases) == held
    assert len(sessions._held) == 0
    assert not any((folder / "server" / "sessions").iterdir())


def test_a_client_that_is_killed_loses_its_lease_and_its_memory_is_freed(address: str, application: FastAPI, folder: Path) -> None:
    leases: Leases = application.state.nninteractive
    sessions = application.state.services.sessions
    held = len(leases)
    client = subprocess.Popen([sys.executable, "-c", KILLED, address], stdout=subprocess.PIPE, text=True)
    assert client.stdout is not None
    assert client.stdout.readline() == "marked\n"
    image = weakref.ref(next(iter(sessions._held.values())).image)
    assert len(leases) == held + 1
    client.kill()
    client.wait()
    leases.alive = 0.3
    try:
        for _ in range(200):
            if len(leases) == held:
                break
            time.sleep(0.1)
    finally:
        leases.alive = ALIVE_SECONDS
    assert len(leases) == held
    assert not sessions._held
    assert not any((folder / "server" / "sessions").iterdir())
    gc.collect()
    assert image() is None


def test_a_session_that_cannot_be_freed_keeps_its_place_and_is_tried_again(
    address: str, application: FastAPI, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases: Leases = application.state.nninteractive
    sessions = application.state.services.sessions
    held = len(leases)
    begun(connect).add_point_interaction((6, 30, 24), True)
    close, tries = sessions.close, []

    async def fails_once(*arguments: str) -> None:
        tries.append(arguments)
        if len(tries) == 1:
            raise OSError("the disk is busy")
        await close(*arguments)

    monkeypatch.setattr(sessions, "close", fails_once)
    token = next(reversed(leases._held))
    first = httpx.post(f"{address}/release", headers={"X-Lease-Token": token}, timeout=SECONDS)
    assert first.status_code == 500
    assert len(leases) == held + 1
    assert httpx.post(f"{address}/release", headers={"X-Lease-Token": token}, timeout=SECONDS).status_code == 200
    assert len(leases) == held
    assert not sessions._held


KILLED = """
import sys, time
import numpy as np
from nnInteractive.inference.remote import nnInteractiveRemoteInferenceSession as Client
client = Client(sys.argv[1])
client.set_image(np.random.default_rng(0).random((1, 8, 40, 40), np.float32))
client.set_target_buffer(np.zeros((8, 40, 40), np.uint8))
client.add_point_interaction((4, 20, 20), True)
print("marked", flush=True)
time.sleep(600)
"""


def test_what_a_killed_server_left_is_removed_when_the_next_one_starts(tmp_path: Path) -> None:
    with Archive.open(tmp_path / "archive", create=True) as archive:
        store = Store.open(archive.folder)
        first = create_app(archive, store)
        with serving(first) as url, Client(f"{url}/nninteractive") as client:
            client.set_image(volume()[None])
            client.add_point_interaction((6, 30, 24), True)
            left = tmp_path / "left"
            shutil.copytree(archive.folder / "server" / "sessions", left)
            with store.read() as connection:
                rows = [dict(row._mapping) for row in connection.execute(sa.select(sessions_table))]
        assert len(rows) == 1
        shutil.copytree(left, archive.folder / "server" / "sessions", dirs_exist_ok=True)
        with store.write() as connection:
            connection.execute(sa.insert(sessions_table), rows)
        with serving(create_app(archive, store)):
            assert not any((archive.folder / "server" / "sessions").iterdir())
            with store.read() as connection:
                assert connection.scalar(sa.select(sa.func.count()).select_from(sessions_table)) == 0
        store.close()


def test_with_users_a_client_needs_a_token_and_sees_its_own_session_alone(tmp_path: Path) -> None:
    with Archive.open(tmp_path / "archive", create=True) as archive:
        store = Store.open(archive.folder)
        for name, role in (("anna", "admin"), ("ben", "annotator"), ("carl", "reader")):
            users.save(store, name, role, password="a long enough password")
        keys = {name: tokens.issue_token(store, name, role, 1.0)[0] for name, role in ROLES.items()}
        with serving(create_app(archive, store)) as url:
            for key, status in ((None, 401), ("nonsense", 401), (keys["carl"], 403)):
                with pytest.raises(httpx.HTTPStatusError) as caught:
                    Client(f"{url}/nninteractive", api_key=key)
                assert caught.value.response.status_code == status
            with Client(f"{url}/nninteractive", api_key=keys["ben"]) as client:
                assert client.ping()
                client.set_image(volume()[None])
                assert client.add_point_interaction((6, 30, 24), True) is None  # no buffer to write to yet
                client._http.headers["Authorization"] = f"Bearer {keys['anna']}"
                with pytest.raises(SessionExpiredError):
                    client.undo()
        store.close()


ROLES = {"anna": "annotator", "ben": "annotator", "carl": "reader"}


def test_a_full_server_says_so(connect: Connect) -> None:
    for _ in range(4):
        connect()
    with pytest.raises(ServerAtCapacityError, match="4 people"):
        connect()


def test_an_unknown_lease_has_expired(connect: Connect) -> None:
    client = begun(connect)
    client._http.headers["X-Lease-Token"] = "0" * 32
    with pytest.raises(SessionExpiredError, match="connect again"):
        client.add_point_interaction((6, 30, 24), True)
