"""Worklist, sets and verdicts on each kind of database."""

from __future__ import annotations

import pytest

from casewise.archive import Archive
from casewise.image import Image
from casewise.server.app import create_app
from casewise.server.store import Store
from tests.server.cases.conftest import disc, picture
from tests.server.people import signed_in


@pytest.fixture
def served(archive_folder):
    """The server of an archive of four pictures, the first with a mask."""
    store = Store.open(archive_folder)
    with Archive.open(archive_folder) as archive:
        for number in range(4):
            archive.add(Image(picture(number)[None]), {"disc": disc(number)} if number == 0 else {}, category=f"kind {number % 2}")
        yield create_app(archive, store)
    store.close()


def test_worklist_filters_orders_and_counts(served):
    archive, client = served.state.services.archive, signed_in(served)
    keys = [record.key for record in archive.images()]
    for key, probability in zip(keys[:3], (0.2, 0.9, None), strict=True):
        finding = {"label": "nodule", "probability": probability, "kind": "finding"}
        archive.record_result({"headline": "Nodule", "findings": [finding]}, key)
    client.put(f"/api/v1/cases/{keys[3]}/assignment", json={"state": "done"})
    archive.add_masks(keys[2], archive.case(keys[2]).image, {"disc": disc(2)}, origin={"how": "interactive"})

    def listed(**query):
        answer = client.get("/api/v1/cases", params=query)
        assert answer.status_code == 200, answer.text
        return [case["key"] for case in answer.json()["cases"]]

    assert listed(order="finding") == [keys[1], keys[0], keys[3], keys[2]]
    assert listed(order="finding", after=client.get("/api/v1/cases?order=finding&limit=1").json()["next"])[0] == keys[0]
    assert listed(finding="nodule", category="kind 0") == [keys[2], keys[0]]
    assert listed(text="KIND 1") == [keys[3], keys[1]]
    assert [listed(state=state) for state in ("new", "analysed", "annotated", "done")] == [[], keys[1::-1], [keys[2]], [keys[3]]]
    counts = client.get("/api/v1/cases").json()["counts"]
    assert counts["state"] == {"analysed": 2, "annotated": 1, "done": 1} and counts["finding"] == {"nodule": 3}


def test_sets_and_verdicts(served):
    archive, client = served.state.services.archive, signed_in(served)
    keys = [record.key for record in archive.images()]
    number = client.post("/api/v1/sets", json={"name": "discs", "structure": "disc", "strategy": "first"}).json()["id"]
    assert client.post("/api/v1/sets", json={"name": "discs", "structure": "disc"}).status_code == 409
    assert client.post(f"/api/v1/sets/{number}/next").json()["key"] == keys[1]
    served.state.services.sets.accepted(keys[1], "disc", "local", strokes=2, seconds=3.0, set_id=number)
    assert client.post(f"/api/v1/sets/{number}/next").json()["key"] == keys[2]
    assert client.get(f"/api/v1/sets/{number}").json()["strokes"] == [2]
    archive.record_result({"findings": [{"label": "nodule", "application": "a"}]}, keys[0])
    result = client.get(f"/api/v1/results/{keys[0]}").json()["id"]
    for agree in (True, False):
        client.post(f"/api/v1/results/{keys[0]}/verdict", json={"result": result, "finding": 0, "agree": agree})
    assert client.get("/api/v1/verdicts").json() == [{"application": "a", "label": "nodule", "agree": 0, "disagree": 1}]
