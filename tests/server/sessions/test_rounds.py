"""Rounds of a session over HTTP: strokes, undo, redo, erase, boxes, acceptance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from casewise.archive import Archive
from casewise.server.masks import runs
from casewise.server.schemas.sets import SetOrder
from casewise.server.store import efforts
from tests.server.sessions.annotators import CENTRE, Annotator, dice, disc, picture, volume

People = Callable[[str], Annotator]


@pytest.fixture
def anna(annotator: People, archive: Archive) -> Annotator:
    """Anna, who has opened a picture without a mask."""
    one = annotator("anna")
    one.open(archive.add(picture()), "disc", (96, 96))
    return one


def test_a_first_stroke_begins_without_a_box(anna: Annotator) -> None:
    assert anna.state["objects"][0]["mask"] is None
    answer = anna.draw([(50, column) for column in range(32, 49)])
    assert anna.mask[CENTRE] and answer["object"]["voxels"] == anna.mask.sum()
    assert dice(anna.mask, disc()) > 0.8
    assert (anna.stored() == anna.mask).all()


def test_undo_and_redo_go_by_round_and_to_nothing(anna: Annotator) -> None:
    masks = [anna.mask.copy()]
    for places in ([(50, 40), (51, 40)], [(34, 40)], [(80, 80)]):
        anna.draw(places)
        masks.append(anna.mask.copy())
    for before in reversed(masks[:-1]):
        anna.order("undo")
        assert (anna.mask == before).all() and (anna.stored() == before).all()
    for after in masks[1:]:
        anna.order("redo")
        assert (anna.mask == after).all()
    refused = anna.client.post(f"{anna.url}/redo", json={"after": anna.round})
    assert refused.status_code == 400 and "nothing to do again" in refused.json()["detail"]


def test_what_is_erased_was_never_drawn(anna: Annotator) -> None:
    anna.order("box", box=[[25, 75], [15, 65]])
    anna.draw([(50, 40), (50, 41)])
    without = anna.mask.copy()
    anna.draw([(28, 18), (28, 19)])
    with_both = anna.mask.copy()
    assert with_both[28, 18]
    anna.order("erase", voxels=[[28 * 96 + 18, 2]])
    assert (anna.mask == without).all() and anna.round == 3
    anna.order("undo")
    assert (anna.mask == with_both).all()


def test_an_order_on_another_round_is_refused_with_the_state(anna: Annotator) -> None:
    anna.draw([(50, 40)])
    refused = anna.client.post(f"{anna.url}/strokes", json={"after": 0, "foreground": [[0, 1]]})
    assert refused.status_code == 409
    assert refused.json()["session"]["objects"][0]["round"] == 1
    assert (anna.stored() == anna.mask).all()


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("strokes", {"foreground": [[96 * 96, 1]]}),
        ("strokes", {"foreground": [[5, 0]]}),
        ("strokes", {"foreground": [[5, 2]], "background": [[6, 1]]}),
        ("strokes", {"foreground": [[5, 2**62]]}),
        ("strokes", {"background": [[5, 2]]}),
        ("box", {"box": [[0, 10]]}),
        ("box", {"box": [[10, 10], [0, 5]]}),
        ("undo", {}),
        ("grow", {}),
        ("erase", {"voxels": [[3, 1]]}),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(anna: Annotator, what: str, body: dict[str, object]) -> None:
    refused = anna.client.post(f"{anna.url}/{what}", json={"after": 0, **body})
    assert refused.status_code == 400, refused.text
    assert refused.json()["detail"].endswith(".")


def test_strokes_that_cross_in_one_order_are_settled_and_it_is_said(anna: Annotator) -> None:
    line = np.array([(50, column) for column in range(30, 50)])
    wide = np.argwhere(np.ones((30, 4))) + np.array([40, 44])
    answer = anna.order("strokes", foreground=runs(line, (96, 96)), background=runs(wide, (96, 96)))
    assert "4 voxels were marked as the object and as the rest at once: the thinner stroke counts at 4 of them" in answer["reason"]
    assert anna.mask[50, 30:50].all() and not anna.mask[51, 44:48].any()
    assert "at once" in anna.client.get(anna.url).json()["reason"]
    later = anna.draw([(50, 45)], "background")
    assert not anna.mask[50, 45] and anna.mask[50, 44] and "at once" not in later["reason"]


def test_strokes_that_mark_nothing_are_no_round(anna: Annotator) -> None:
    answer = anna.order("strokes")
    assert answer["object"]["round"] == 0 and answer["patch"] is None and answer["changed"] == 0


def test_several_structures_in_one_image(anna: Annotator) -> None:
    anna.draw([(50, 40)])
    first = anna.mask.copy()
    state = anna.client.post(f"{anna.url}/objects", json={"structure": "rest"}).json()
    assert state["current"] == 1 and state["objects"][1]["mask"] is None
    anna.take(state["objects"][1])
    anna.draw([(80, 80)])
    state = anna.client.post(f"{anna.url}/objects", json={"number": 0}).json()
    anna.take(state["objects"][0])
    assert (anna.mask == first).all()
    for wrong in ({}, {"number": 7}, {"structure": "a", "number": 0}):
        assert anna.client.post(f"{anna.url}/objects", json=wrong).status_code == 400


def test_an_accepted_mask_is_in_the_archive_with_what_it_cost(anna: Annotator, archive: Archive) -> None:
    anna.order("box", box=[[25, 75], [15, 65]], seconds=2)
    anna.draw([(50, 40)])
    answer = anna.client.post(f"{anna.url}/accept", json={"seconds": 3}).json()
    assert answer["structures"] == ["disc"]
    assert (archive.case(answer["key"]).load_masks["disc"]() == anna.mask).all()
    (label,) = archive.labels(answer["key"])
    assert label["origin"]["user"] == "anna" and label["origin"]["strokes"] == 1 and label["origin"]["seconds"] == 5


def test_what_a_mask_cost_counts_once_however_often_it_is_accepted(anna: Annotator, archive: Archive, app: FastAPI) -> None:
    shared, key = app.state.services, anna.state["case"]
    number = shared.sets.create(SetOrder(name="discs", structure="disc", cases=[key]), "anna")

    def accepted(**body: object) -> tuple[dict[str, tuple[int, float]], list[int], list[float]]:
        """Structure → strokes and seconds in all; and those that the set's page displays."""
        assert anna.client.post(f"{anna.url}/accept", json=body).status_code == 200
        total = sa.select(efforts.c.structure, sa.func.sum(efforts.c.strokes), sa.func.sum(efforts.c.seconds))
        with shared.store.read() as connection:
            rows = connection.execute(total.group_by(efforts.c.structure)).all()
        line = anna.client.get(f"/api/v1/sets/{number}").json()
        return {name: (int(strokes), round(seconds, 1)) for name, strokes, seconds in rows}, line["strokes"], line["seconds"]

    anna.draw([(50, 40)], seconds=2.5)
    first = {"disc": (1, 3.5)}, [1], [3.5]
    assert accepted(seconds=1) == first and accepted() == first
    anna.draw([(80, 80)], seconds=4)
    second = {"disc": (2, 7.5)}, [2], [7.5]
    assert accepted() == second
    shared.sessions._held.clear()  # as after a restart
    assert accepted() == second
    anna.take(anna.client.post(f"{anna.url}/objects", json={"structure": "rest"}).json()["objects"][1])
    anna.draw([(80, 20)], seconds=1)
    assert accepted() == ({"disc": (2, 7.5), "rest": (1, 1.0)}, [2], [7.5])
    (label,) = (label for label in archive.labels(key) if label["name"] == "disc")
    assert (label["origin"]["strokes"], label["origin"]["seconds"]) == (2, 7.5)


@pytest.mark.parametrize("number", [0, -1, 7, 2**31, 2**70])
def test_a_set_that_there_is_not_is_refused_before_anything_is_drawn(anna: Annotator, number: int) -> None:
    order = {"case": anna.state["case"], "structure": "disc", "begin": "empty", "set": number}
    refused = anna.client.post("/api/v1/sessions", json=order)
    assert (refused.status_code, "set" in refused.json()["detail"]) == (404 if number == 7 else 422, True)
    assert anna.client.get(anna.url).json()["set"] is None


def test_a_second_persons_mask_stands_beside_the_first(annotator: People, archive: Archive) -> None:
    key = archive.add(picture())
    masks = {}
    for user, place in (("anna", (50, 40)), ("ben", (80, 80))):
        one = annotator(user)
        one.open(key, "disc", (96, 96), begin="empty")
        one.draw([place])
        masks[user] = one.mask.copy()
        assert one.client.post(f"{one.url}/accept", json={}).status_code == 200
    held = archive.case(key).load_masks
    assert (held["disc"]() == masks["anna"]).all() and (held["disc@ben"]() == masks["ben"]).all()


def test_a_session_is_its_own_persons(annotator: People, archive: Archive) -> None:
    key = archive.add(picture())
    anna, ben = annotator("anna"), annotator("ben")
    anna.open(key, "disc", (96, 96))
    assert ben.client.get(f"/api/v1/sessions/{anna.state['id']}").status_code == 404
    assert anna.client.get("/api/v1/sessions/..%2F..%2Fetc").status_code == 404
    assert anna.client.post("/api/v1/sessions", json={"case": "none", "structure": "disc"}).status_code == 404


def test_a_volume_from_one_stroke_in_one_slice(annotator: People, archive: Archive) -> None:
    image = volume()
    one = annotator("anna")
    one.open(archive.add(image), "box", image.spatial_shape)
    one.draw([(row, 18, 5) for row in range(16, 24)])
    truth = np.zeros(image.spatial_shape, bool)
    truth[12:28, 10:26, 3:9] = True
    assert dice(one.mask, truth) > 0.8


def test_what_is_accepted_is_answered_where_others_take_the_next_images_of_the_set(
    annotator: People, archive: Archive, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (archive.add(picture(seed)) for seed in range(2))
    sets = app.state.services.sets
    number = sets.create(SetOrder(name="discs", structure="disc", strategy="first"), "anna")
    assert sets.next(number, "anna").key == first
    anna = annotator("anna")
    anna.open(first, "disc", (96, 96), set=number)
    anna.draw([(48, 48), (49, 48), (50, 48)])
    with monkeypatch.context() as hurried:
        hurried.setattr("casewise.server.sets._TRIES", 0)
        answer = anna.client.post(f"{anna.url}/accept", json={})
        assert anna.client.post(f"/api/v1/sets/{number}/next").status_code == 400
    assert (answer.status_code, answer.json()["next"]) == (200, None)
    assert archive.case(first).load_masks["disc"]().any()
    assert sets.line(number).counts == {"accepted": 1, "waiting": 1}
    assert sets.next(number, "anna").key == second
