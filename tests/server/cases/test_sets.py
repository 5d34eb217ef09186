"""Sets over HTTP: who gets which image, by which strategy, and what is kept of the work."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
import sqlalchemy as sa

from casewise import formats
from casewise.archive import Archive
from casewise.image import Image
from casewise.server.app import create_app
from casewise.server.schemas.sets import SetOrder
from casewise.server.sets import LEASE
from casewise.server.store import Store, set_images
from casewise.server.vectors import encoder


def _make(client, **order):
    answer = client.post("/api/v1/sets", json={"name": "discs", "structure": "disc", "strategy": "first", **order})
    assert answer.status_code == 201, answer.text
    return answer.json()


def _next(client, number):
    answer = client.post(f"/api/v1/sets/{number}/next")
    assert answer.status_code == 200, answer.text
    return answer.json()


def _annotated(archive, key):
    """As the accepting of a session leaves it: the mask is in the archive."""
    image = archive.case(key).image
    archive.add(image, {"disc": np.asarray(image.array[0] > np.median(image.array))}, origin={"how": "interactive"})


def test_new_set_counts_masks_that_are_there(caller, keys):
    made = _make(caller(), category="film")
    assert made["counts"] == {"accepted": 2, "waiting": 1}
    assert made["strokes"] == [] and made["next"]["key"] == keys[2]
    assert [one["key"] for one in made["images"]] == keys[:3]
    assert [line["name"] for line in caller("reader").get("/api/v1/sets").json()] == ["discs"]


def test_new_set_counts_a_mask_that_is_accepted_while_it_is_made(caller, app, archive, keys, monkeypatch):
    shared = app.state.services
    looking, looked = shared.cases.worklist.keys, []

    def meanwhile(filters):
        """Ann accepts after the first look at which images have a mask: no set is there yet that could note it."""
        found = looking(filters)
        if filters.structure == "disc" and not looked:
            looked.append(found)
            archive.add_masks(keys[2], archive.case(keys[2]).image, {"disc": np.eye(48, dtype=bool)}, origin={"user": "ann"})
            shared.sets.accepted(keys[2], "disc", "ann", strokes=1, seconds=1.0)
        return found

    monkeypatch.setattr(type(shared.cases.worklist), "keys", lambda _, filters: meanwhile(filters))
    made = _make(caller(), category="film")
    assert looked == [keys[:2]] and made["counts"] == {"accepted": 3} and made["next"] is None


def test_what_no_set_can_be(caller, keys):
    client = caller()
    assert client.post("/api/v1/sets", json={"name": "x", "structure": "disc", "cases": ["nothing"]}).status_code == 400
    assert client.post("/api/v1/sets", json={"name": "x", "structure": "disc", "site": "nowhere"}).status_code == 400
    _make(client)
    assert client.post("/api/v1/sets", json={"name": "discs", "structure": "disc"}).status_code == 409
    for call in ("get", "patch"):
        assert client.request(call.upper(), "/api/v1/sets/77", json={} if call == "patch" else None).status_code == 404
    assert client.post("/api/v1/sets/77/next").status_code == 404
    assert client.get("/api/v1/sets/99999999999999999999").status_code == 422
    assert client.put("/api/v1/sets/1/images/nothing", json={"state": "skipped"}).status_code == 404
    assert caller("reader").post("/api/v1/sets", json={"name": "y", "structure": "disc"}).status_code == 403


def test_two_people_never_get_the_same_image(caller, app, keys):
    ann, ben = caller(name="ann"), caller(name="ben")
    number = _make(ann)["id"]
    first, other = _next(ann, number), _next(ben, number)
    assert first["key"] == keys[2]
    assert _next(ann, number)["key"] == first["key"], "what is open is given again"
    assert other["key"] not in {first["key"], None}
    app.state.services.sets.accepted(first["key"], "disc", "ann", strokes=3, seconds=20.5, set_id=number)
    assert other["key"] == keys[4], "the one after it is kept for ann, who has it prepared"
    assert _next(caller(name="cleo"), number)["key"] == keys[3], "unless nothing else is left"
    assert _next(ann, number) is None


def test_many_at_once_each_get_an_image_of_their_own(app, archive, tmp_path):
    """All begin at the same moment and are offered the same image: whoever is slower, again and again, gets another."""
    people = 16
    for number in range(200, 200 + 2 * people):
        archive.add(Image(_noise(number)), category="many")
    sets = app.state.services.sets
    number = sets.create(SetOrder(name="many", structure="disc", strategy="random", category="many"), "ann")
    together = Barrier(people)

    def given(person: int) -> str | None:
        together.wait()
        found = sets.next(number, f"person {person}")
        return None if found is None else found.key

    with ThreadPoolExecutor(people) as pool:
        keys = list(pool.map(given, range(people)))
    assert None not in keys and len(set(keys)) == people


def test_image_on_which_another_has_a_session_is_not_given(caller, app, store, archive, keys):
    number = _make(caller())["id"]
    opened = caller(name="ben").post("/api/v1/sessions", json={"case": keys[2], "structure": "disc", "begin": "empty"})
    assert opened.status_code == 201, opened.text
    assert _next(caller(name="ann"), number)["key"] == keys[3]


def test_image_is_given_to_another_once_its_person_has_gone(caller, store, keys):
    number = _make(caller())["id"]
    assert _next(caller(name="ann"), number)["key"] == keys[2]
    with store.write() as connection:
        connection.execute(sa.update(set_images).values(taken=set_images.c.taken - LEASE - 1))
    assert _next(caller(name="ben"), number)["key"] == keys[2]


def test_effort_is_kept_in_the_order_of_acceptance(caller, app, archive, keys):
    client = caller()
    number = _make(client)["id"]
    sets = app.state.services.sets
    for strokes, seconds in ((5, 60.0), (2, 21.5)):
        key = _next(client, number)["key"]
        _annotated(archive, key)
        sets.accepted(key, "disc", "ann", strokes=strokes, seconds=seconds, set_id=number)
    detail = client.get(f"/api/v1/sets/{number}").json()
    assert detail["strokes"] == [5, 2] and detail["seconds"] == [60.0, 21.5]
    assert detail["counts"] == {"accepted": 4, "waiting": 1}
    jobs = {job.kind for job in app.state.services.jobs.list()}
    assert jobs == {"score", "prepare"}


def test_skip_exclude_and_put_back(caller, keys):
    client = caller()
    number = _make(client)["id"]
    assert _next(client, number)["key"] == keys[2]
    skipped = client.put(f"/api/v1/sets/{number}/images/{keys[2]}", json={"state": "skipped"}).json()
    assert skipped["counts"] == {"accepted": 2, "skipped": 1, "waiting": 2}
    assert _next(client, number)["key"] == keys[3]
    client.put(f"/api/v1/sets/{number}/images/{keys[2]}", json={"state": "waiting"})
    client.put(f"/api/v1/sets/{number}/images/{keys[3]}", json={"state": "excluded"})
    client.put(f"/api/v1/sets/{number}/images/{keys[4]}", json={"state": "excluded"})
    assert _next(client, number)["key"] == keys[2]
    assert client.put(f"/api/v1/sets/{number}/images/{keys[2]}", json={"state": "accepted"}).status_code == 422


@pytest.mark.parametrize("state", ["waiting", "skipped", "excluded"])
def test_what_another_has_open_or_accepted_only_an_admin_changes(caller, app, keys, state):
    ann, ben, ada = caller(name="ann"), caller(name="ben"), caller("admin", "ada")
    number = _make(ann)["id"]
    address = f"/api/v1/sets/{number}/images/{_next(ann, number)['key']}"

    def now():
        return next(one for one in ann.get(f"/api/v1/sets/{number}").json()["images"] if one["key"] == keys[2])

    for before in ("open", "accepted"):
        if before == "accepted":
            app.state.services.sets.accepted(keys[2], "disc", "ann", strokes=1, seconds=1.0, set_id=number)
        refused = ben.put(address, json={"state": state})
        assert refused.status_code == 409 and "ask them or an admin" in refused.json()["detail"]
        assert (now()["state"], now()["user"]) == (before, "ann")
    assert ada.put(address, json={"state": state}).status_code == 200
    assert now()["state"] == state
    assert ben.put(f"/api/v1/sets/{number}/images/{keys[0]}", json={"state": state}).status_code == 200, (
        "nobody's since it was there"
    )
    assert ann.put(address, json={"state": "skipped"}).status_code == 200


def test_what_another_has_left_open_is_changed_unless_their_session_goes_on(caller, store, keys):
    ann, ben = caller(name="ann"), caller(name="ben")
    number = _make(ann)["id"]
    address = f"/api/v1/sets/{number}/images/{_next(ann, number)['key']}"
    opened = ann.post("/api/v1/sessions", json={"case": keys[2], "structure": "disc", "begin": "empty", "set": number})
    assert opened.status_code == 201, opened.text
    with store.write() as connection:
        connection.execute(sa.update(set_images).values(taken=set_images.c.taken - LEASE - 1))
    assert ben.put(address, json={"state": "skipped"}).status_code == 409
    assert ann.delete(f"/api/v1/sessions/{opened.json()['id']}").status_code == 204
    assert ben.put(address, json={"state": "skipped"}).status_code == 200


def test_most_doubtful_masks_come_first(caller, store, keys):
    number = _make(caller())["id"]
    with store.write() as connection:
        for key, doubt in ((keys[0], 0.1), (keys[1], 0.6)):
            connection.execute(sa.update(set_images).where(set_images.c.image_key == key).values(doubt=doubt))
    assert [one["key"] for one in caller().get(f"/api/v1/sets/{number}").json()["images"]] == [keys[1], keys[0], *keys[2:]]


def test_rename_and_other_strategy(caller, keys):
    client = caller()
    number = _make(client)["id"]
    _make(client, name="others")
    changed = client.patch(f"/api/v1/sets/{number}", json={"strategy": "random", "name": "new"}).json()
    assert (changed["strategy"], changed["name"]) == ("random", "new")
    assert client.patch(f"/api/v1/sets/{number}", json={"name": "others"}).status_code == 409
    assert client.patch(f"/api/v1/sets/{number}", json={"strategy": "best"}).status_code == 422


def test_random_is_the_same_each_time(caller, keys):
    first = _make(caller(), strategy="random")["next"]["key"]
    assert {caller(name=str(n)).get("/api/v1/sets/1").json()["next"]["key"] for n in range(3)} == {first}


def test_uncertainty_takes_the_most_uncertain(caller, store, keys):
    client = caller()
    number = _make(client, strategy="uncertainty")["id"]
    fallen_back = _next(client, number)
    assert "random" in fallen_back["reason"] and fallen_back["job"] is not None
    client.put(f"/api/v1/sets/{number}/images/{fallen_back['key']}", json={"state": "waiting"})
    with store.write() as connection:
        connection.execute(sa.update(set_images).values(user=None, taken=None))
        for key, value in ((keys[2], 0.2), (keys[4], 0.7)):
            connection.execute(sa.update(set_images).where(set_images.c.image_key == key).values(uncertainty=value))
    found = _next(client, number)
    assert found["key"] == keys[4] and "0.70" in found["reason"]


def test_unlike_without_vectors_says_so_and_has_them_made(caller, app, keys):
    found = _next(caller(), _make(caller(), strategy="unlike")["id"])
    assert "no vectors" in found["reason"]
    assert app.state.services.jobs.get(found["job"]).kind == "embed"


def _noise(number):
    """(1, 64, 64) uint8, a picture of its own."""
    return np.random.default_rng(number).integers(0, 256, (1, 64, 64), np.uint8)


@pytest.fixture
def kinds(tmp_path, shared_data):
    """An archive of five kinds of MedNIST's images, one of them common and four rare, with vectors."""
    folders = {"AbdomenCT": 24, "BreastMRI": 3, "CXR": 3, "ChestCT": 3, "Hand": 3}
    with Archive.open(tmp_path / "kinds", create=True) as archive:
        for name, count in folders.items():
            for file in sorted((shared_data / "mednist" / name).glob("*.jpeg"))[5 : 5 + count]:
                archive.add(formats.read(file), category=name)
        archive.embed(encoder("cpu"))
        yield archive


def _steps_to_all_categories(archive, store, strategy):
    """How many images a simulated annotator accepts until one of each category is among them."""
    sets = create_app(archive, store).state.services.sets
    categories = {record.key: record.category for record in archive.images()}
    structure = f"{strategy}-{hashlib.blake2b(str(len(sets.lines())).encode(), digest_size=3).hexdigest()}"
    order = {"name": structure, "structure": structure, "strategy": strategy}
    number = sets.create(SetOrder(**order), "ann")
    seen = set()
    for step in range(1, len(categories) + 1):
        key = sets.next(number, "ann").key
        seen.add(categories[key])
        if len(seen) == len(set(categories.values())):
            return step
        archive.add(archive.case(key).image, {structure: np.eye(64, dtype=bool)})
        sets.accepted(key, structure, "ann", strokes=1, seconds=1.0, set_id=number)
    raise AssertionError


@pytest.mark.shared
def test_unlike_covers_the_categories_faster_than_random(kinds):
    store = Store.open(kinds.folder)
    unlike = _steps_to_all_categories(kinds, store, "unlike")
    random = [_steps_to_all_categories(kinds, store, "random") for _ in range(5)]
    store.close()
    assert unlike <= 9
    assert unlike < 0.5 * np.mean(random), random
