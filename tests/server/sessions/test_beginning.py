"""How an object begins: from the image's mask, from what the accepted cases give, or beside somebody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from fastapi import FastAPI

from casewise.archive import Archive
from casewise.interaction.session import interactive_model
from casewise.interaction.sets.guidance import Prepared
from casewise.interaction.simulation.user import Hand, stroke
from casewise.server import prepared
from casewise.server.app import create_app
from casewise.server.jobs import Jobs
from casewise.server.services import Services
from casewise.server.settings import Settings
from casewise.server.store import Store
from tests.asynchronous import run as run_here
from tests.server.people import signed_in
from tests.server.sessions.annotators import Annotator, dice, disc, picture

People = Callable[[str], Annotator]
SHAPE = (96, 96)


@pytest.fixture
def jobs(app: FastAPI) -> Jobs:
    shared: Services = app.state.services
    return shared.jobs


def kept(archive: Archive, key: str, mask: np.ndarray | None) -> None:
    """What a job that prepared the image leaves."""
    image = archive.case(key).image
    model = interactive_model(None, image)
    cases = tuple(archive.cases(["disc"]))
    prepared.save(archive, key, "disc", model, Prepared(model, mask, cases, "2 accepted cases of disc were compared."))


def test_without_accepted_cases_the_first_box_or_stroke_begins(annotator: People, archive: Archive, jobs: Jobs) -> None:
    state = annotator("anna").open(archive.add(picture()), "disc", SHAPE)
    assert "no mask of disc yet" in state["reason"] and not state["similar"]
    assert not jobs.list()


def test_the_images_own_mask_begins(annotator: People, archive: Archive) -> None:
    mask = disc()
    key = archive.add(picture(), {"disc": mask})
    anna = annotator("anna")
    anna.open(key, "disc", SHAPE, begin="mask")
    assert (anna.mask == mask).all() and "own mask" in anna.state["reason"]
    anna.draw([(90, 90)])
    assert anna.mask[90, 90] and (anna.mask[mask]).mean() > 0.9
    anna.client.post(f"{anna.url}/accept", json={})
    assert {label["name"] for label in archive.labels(key)} == {"disc", "disc@anna"}  # an imported mask is nobody's to replace
    again = annotator("anna")
    again.open(key, "disc", SHAPE, begin="mask")
    assert again.mask[90, 90]  # her own comes first


def test_what_was_prepared_begins(annotator: People, archive: Archive) -> None:
    others = [archive.add(picture(seed), {"disc": disc()}) for seed in (1, 2)]
    key = archive.add(picture())
    kept(archive, key, disc())
    anna = annotator("anna")
    state = anna.open(key, "disc", SHAPE)
    assert sorted(state["similar"]) == sorted(others) and state["reason"].startswith("2 accepted cases")
    assert dice(anna.mask, disc()) > 0.85
    anna.client.post(f"{anna.url}/accept", json={})
    assert not prepared.is_there(archive.folder, key, "disc")


def test_a_guess_that_is_not_ready_yet_arrives_later(annotator: People, archive: Archive, jobs: Jobs) -> None:
    archive.add(picture(1), {"disc": disc()})
    key = archive.add(picture())
    anna = annotator("anna")
    state = anna.open(key, "disc", SHAPE)
    assert "is being prepared" in state["reason"] and state["objects"][0]["mask"] is None
    (job,) = jobs.list()
    assert job.kind == "prepare" and job.payload == {"case": key, "structure": "disc"}
    assert anna.client.get(anna.url).json()["objects"][0]["mask"] is None
    kept(archive, key, disc())
    state = anna.client.get(anna.url).json()
    anna.take(state["objects"][0])
    assert dice(anna.mask, disc()) > 0.85 and anna.round == 0


def test_a_guess_that_arrives_after_the_first_stroke_changes_nothing(annotator: People, archive: Archive) -> None:
    archive.add(picture(1), {"disc": disc()})
    key = archive.add(picture())
    anna = annotator("anna")
    anna.open(key, "disc", SHAPE)
    anna.draw([(50, 40)])
    kept(archive, key, np.roll(disc(), 20, axis=1))
    state = anna.client.get(anna.url).json()
    before = anna.mask.copy()
    anna.take(state["objects"][0])
    assert (anna.mask == before).all() and anna.round == 1


def test_cases_whose_masks_do_not_fit_leave_the_beginning_to_the_person(annotator: People, archive: Archive) -> None:
    archive.add(picture(1), {"disc": disc()})
    key = archive.add(picture())
    kept(archive, key, None)
    anna = annotator("anna")
    anna.open(key, "disc", SHAPE)
    assert anna.state["objects"][0]["mask"] is None
    anna.order("box", box=[[25, 75], [15, 65]])
    assert dice(anna.mask, disc()) > 0.85


def test_what_was_prepared_is_given_up_where_strokes_refute_it_also_after_a_restart(annotator: People, archive: Archive) -> None:
    archive.add(picture(1), {"disc": disc()})
    key = archive.add(picture())
    initial = interactive_model(None, picture())
    nothing = {name: torch.zeros_like(tensor) for name, tensor in initial.weights.items() if name.startswith("head.")}
    deaf = replace(initial, name="deaf", weights={**initial.weights, **nothing, "head.answer.bias": torch.tensor([1.0, -1.0])})
    wrong = np.roll(disc(), 10, axis=1)
    prepared.save(archive, key, "disc", initial, Prepared(deaf, wrong, tuple(archive.cases(["disc"])), "1 accepted case began."))
    anna = annotator("anna")
    assert anna.open(key, "disc", SHAPE)["reason"] == "1 accepted case began."
    for _ in range(5):
        line, on = stroke(disc(), anna.mask, Hand(25, 2), (1.0, 1.0))
        anna.draw([tuple(place) for place in np.argwhere(line)], "foreground" if on else "background")
    state = anna.client.get(anna.url).json()
    assert "contradict the accepted masks of disc" in state["reason"] and dice(anna.mask, disc()) > 0.85

    store = Store.open(archive.folder)
    again = Annotator(signed_in(create_app(archive, store, Settings()), "annotator", "anna"))
    back = again.open(key, "disc", SHAPE)
    assert back["id"] == state["id"] and back["reason"] == state["reason"] and (again.mask == anna.mask).all()
    again.client.post(f"{again.url}/accept", json={})
    (origin,) = (label["origin"] for label in archive.labels(key) if label["origin"])
    assert origin["model"] == initial.key and origin["refined_on"] == []
    store.close()


def test_two_people_on_one_image_are_told_of_each_other(annotator: People, archive: Archive) -> None:
    key = archive.add(picture())
    anna, ben = annotator("anna"), annotator("ben")
    assert "ben" not in anna.open(key, "disc", SHAPE)["reason"]
    assert "anna outlines it here too" in ben.open(key, "disc", SHAPE)["reason"]
    anna.draw([(50, 40)])
    ben.draw([(80, 80)])
    assert not anna.stored()[80, 80] and not ben.stored()[50, 40]


def test_one_person_who_opens_an_image_twice_at_once_has_one_session(app: FastAPI, archive: Archive) -> None:
    shared: Services = app.state.services
    key = archive.add(picture())

    async def run() -> set[str]:
        opened = (shared.sessions.open(key, "anna", structure) for structure in ("disc", "disc", "rest", "disc"))
        return {session.id for session in await asyncio.gather(*opened)}

    assert len(run_here(run())) == 1
    held = next(iter(shared.sessions._held.values()))
    assert sorted(held.structures) == ["disc", "rest"]


def test_no_structure_is_called_as_another_persons_mask(annotator: People, archive: Archive) -> None:
    key = archive.add(picture())
    anna = annotator("anna")
    for more in ({"structure": "disc@ben"}, {"structure": "@"}):
        refused = anna.client.post("/api/v1/sessions", json={"case": key, **more})
        assert refused.status_code == 400 and "has no @" in refused.json()["detail"]
        assert anna.client.post("/api/v1/sets", json={"name": "x", **more}).status_code == 400
    anna.open(key, "disc", SHAPE)
    assert anna.client.post(f"{anna.url}/objects", json={"structure": "disc@ben"}).status_code == 400
    assert [one["structure"] for one in anna.client.get(anna.url).json()["objects"]] == ["disc"]


def test_an_unknown_model_or_beginning_is_refused(annotator: People, archive: Archive) -> None:
    key = archive.add(picture())
    anna = annotator("anna")
    for more in ({"model": "../../etc/passwd"}, {"model": "nothing"}, {"begin": "magic"}, {"box": [[0, 5]]}, {"structure": ""}):
        refused = anna.client.post("/api/v1/sessions", json={"case": key, "structure": "disc", **more})
        assert refused.status_code in (400, 422), refused.text
        assert "passwd" not in refused.text or refused.status_code == 400
