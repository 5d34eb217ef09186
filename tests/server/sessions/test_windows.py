"""Two windows of one person on one image: each works on the object that it shows, and accepts what it shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from casewise.archive import Archive
from casewise.server.masks import runs
from tests.server.sessions.annotators import Annotator, picture

People = Callable[[str], Annotator]
SHAPE = (96, 96)


@pytest.fixture
def key(archive: Archive) -> str:
    return archive.add(picture())


@pytest.fixture
def lung(annotator: People, key: str) -> Annotator:
    """The first window: one round of strokes on the lung."""
    one = annotator("anna")
    one.open(key, "lung", SHAPE, box=[[4, 30], [4, 90]], begin="empty")
    one.draw([(16, 40)], number=0)
    return one


@pytest.fixture
def heart(annotator: People, key: str, lung: Annotator) -> Annotator:
    """The second window: one round of strokes on the heart, in the same session."""
    one = annotator("anna")
    one.open(key, "heart", SHAPE, box=[[60, 90], [4, 90]], begin="empty")
    one.draw([(75, 40)], number=1)
    assert one.state["id"] == lung.state["id"]
    return one


def at(*places: tuple[int, int]) -> list[tuple[int, int]]:
    return runs(np.array(places), SHAPE)


def objects(one: Annotator, number: int | None = None) -> Any:
    query = "" if number is None else f"?number={number}"
    return one.client.get(f"{one.url}{query}").json()


def test_strokes_land_in_the_object_that_they_name(lung: Annotator, heart: Annotator) -> None:
    before = objects(lung)["objects"][1]
    answer = lung.draw([(20, 40)], number=0)
    assert (answer["object"]["number"], answer["object"]["structure"], answer["object"]["round"]) == (0, "lung", 2)
    assert lung.mask[20, 40]
    assert objects(lung)["objects"][1] == before, "the heart is as its window left it"


ORDERS: dict[str, dict[str, Any]] = {
    "undo": {},
    "redo": {},
    "erase": {"voxels": at((16, 40))},
    "box": {"box": [[2, 40], [2, 90]]},
    "strokes": {"background": at((10, 50))},
}


@pytest.mark.parametrize("what", ORDERS)
def test_every_order_is_for_the_object_that_it_names_and_leaves_the_current_one(
    what: str, lung: Annotator, heart: Annotator
) -> None:
    if what == "redo":
        lung.order("undo", number=0)
    before = objects(lung)
    answer = lung.order(what, number=0, **ORDERS[what])
    after = objects(lung)
    assert answer["object"]["number"] == 0 and after["objects"][0]["version"] == before["objects"][0]["version"] + 1
    assert after["objects"][1] == before["objects"][1]
    assert before["current"] == after["current"] == 1, "a client that names no object goes on with the one it chose"


def test_an_order_for_an_object_that_is_not_there_or_has_moved_on_is_refused(lung: Annotator, heart: Annotator) -> None:
    before = objects(lung)
    for order, said in (
        ({"after": 1, "number": 2}, "the objects 0 to 1; the order names 2"),
        ({"after": 0, "number": 0}, "lung has changed since: this was drawn on round 0, and it is at round 1"),
    ):
        for what, body in {**ORDERS, "grow": {}}.items():
            refused = lung.client.post(f"{lung.url}/{what}", json={**body, **order})
            assert refused.status_code == 409 and said in refused.json()["detail"], what
    assert refused.json()["session"]["current"] == 0, "the session as this window sees it"
    assert objects(lung) == before


def test_without_a_number_an_order_is_for_the_object_chosen_last(lung: Annotator, heart: Annotator) -> None:
    assert heart.draw([(80, 40)])["object"]["structure"] == "heart"
    heart.client.post(f"{heart.url}/objects", json={"number": 0}).raise_for_status()
    heart.round = 1
    assert heart.draw([(18, 40)])["object"]["structure"] == "lung"


def test_a_session_is_told_about_the_object_that_is_asked_for(lung: Annotator, heart: Annotator) -> None:
    assert (objects(lung)["current"], objects(lung, 0)["current"]) == (1, 0)
    assert lung.client.get(f"{lung.url}?number=2").status_code == 404


def test_only_masks_that_were_seen_are_accepted(lung: Annotator, heart: Annotator, archive: Archive, key: str) -> None:
    seen = [one["version"] for one in objects(lung)["objects"]]
    for stale in (seen[:1], [seen[0], seen[1] - 1], [*seen, 0]):
        refused = lung.client.post(f"{lung.url}/accept", json={"number": 0, "seen": stale, "seconds": 5})
        assert refused.status_code == 409 and "accept again" in refused.json()["detail"]
        assert refused.json()["session"]["current"] == 0
    heart.order("undo", number=1)
    heart.draw([(80, 40)], number=1)  # at the same round as before, and another mask
    assert lung.client.post(f"{lung.url}/accept", json={"number": 0, "seen": seen}).status_code == 409
    assert archive.labels(key) == [] and objects(lung)["objects"][0]["seconds"] == 0, "nothing is kept, nothing counts"
    seen = [one["version"] for one in objects(lung)["objects"]]
    answer = lung.client.post(f"{lung.url}/accept", json={"number": 0, "seen": seen, "seconds": 5})
    assert answer.status_code == 200 and sorted(answer.json()["structures"]) == ["heart", "lung"]
    masks = archive.case(key).load_masks
    assert (masks["lung"]() == lung.mask).all() and (masks["heart"]() == heart.mask).all()
    assert [one["seconds"] for one in objects(lung)["objects"]] == [5, 0]


def test_a_client_that_says_nothing_of_what_it_saw_accepts_all(lung: Annotator, heart: Annotator) -> None:
    assert sorted(heart.client.post(f"{heart.url}/accept", json={}).json()["structures"]) == ["heart", "lung"]
