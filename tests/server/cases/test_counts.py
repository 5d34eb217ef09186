"""What a person asks of an archive of some hundred images is answered from columns: cases are made of what is displayed."""

from __future__ import annotations

import pytest

from casewise.archive import Archive
from casewise.server import similar
from casewise.server.app import create_app
from casewise.server.store import Store
from tests.catalogue_counts import counted
from tests.image_trees import MeanEncoder, paired
from tests.server.people import signed_in


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """(a caller, the counts) of an archive of 200 films with masks."""
    data = paired(tmp_path / "films", 200)
    counts = counted(monkeypatch)
    monkeypatch.setattr(similar, "encoder", MeanEncoder)
    with Archive.open(tmp_path / "archive", create=True) as archive:
        archive.import_paths([data], encoder=MeanEncoder())
        store = Store.open(tmp_path / "archive")
        client = signed_in(create_app(archive, store))
        client.get("/api/v1/cases")  # what is kept from call to call
        yield client, counts
        store.close()


def test_similar_cases_and_a_page_of_the_worklist(asked):
    client, counts = asked
    key = client.get("/api/v1/cases", params={"limit": 1}).json()["cases"][0]["key"]
    client.get(f"/api/v1/cases/{key}/similar")
    counts.clear()
    found = client.get(f"/api/v1/cases/{key}/similar", params={"k": 4}).json()
    assert len(found) == 4 and all(case["latent"] is not None for case in found)
    assert counts["cases"] == 0 and counts["json"] < 40
    for query in ({}, {"structure": "lung"}, {"text": "p01"}, {"site": "films"}):
        counts.clear()
        assert len(client.get("/api/v1/cases", params={"limit": 10, **query}).json()["cases"]) == 10
        assert counts["cases"] == 0 and counts["json"] < 60, query


def test_desktop_clients(asked):
    client, counts = asked
    counts.clear()
    assert len(client.get("/datastore/", params={"output": "all"}).json()["objects"]) == 200
    for strategy in ("first", "unlike"):
        assert client.post(f"/activelearning/{strategy}", json={}).status_code == 200
    assert counts["cases"] == 0
