"""What a person asks of an archive of some hundred images is answered from columns: cases are made of what is displayed."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from casewise.archive import Archive
from casewise.server import similar
from casewise.server.app import create_app
from casewise.server.store import Store
from casewise.server.work import segment, set_cases
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


def test_a_sets_jobs_make_cases_of_the_few_that_they_compare(asked, monkeypatch, tmp_path):
    _, counts = asked
    monkeypatch.setattr(set_cases, "encoder", MeanEncoder)
    with Archive.open(tmp_path / "archive") as archive:
        keys, rows, base = archive.vectors(MeanEncoder())
        cases = set_cases.SetCases(SimpleNamespace(id=1, structure="lung"), archive)
        counts.clear()
        found = [case.key for case in cases.most_alike(keys[7], 4)]
        assert counts["cases"] == 4
        vectors = base[rows] - base[rows].mean(axis=0)
        cosines = vectors @ vectors[7] / np.linalg.norm(vectors, axis=1)
        assert found == [keys[place] for place in np.argsort(-cosines, kind="stable") if place != 7][:4]
        assert cases.count == 200 and list(cases.held([keys[3], "f" * 32])) == [keys[3]]
        assert cases.axes([keys[3]]) == {keys[3]: 2}
        assert set_cases.SetCases(SimpleNamespace(id=1, structure="heart"), archive).most_alike(keys[7], 4) == []
        counts.clear()
        lists = {
            images: list(segment._keys(archive, segment._wanted(archive, images))) for images in ("all", "labeled", "unlabeled")
        }
        assert counts["cases"] == 0
        assert lists == {"all": [case.key for case in archive.cases()], "labeled": lists["all"], "unlabeled": []}


def test_desktop_clients(asked):
    client, counts = asked
    counts.clear()
    assert len(client.get("/datastore/", params={"output": "all"}).json()["objects"]) == 200
    for strategy in ("first", "unlike"):
        assert client.post(f"/activelearning/{strategy}", json={}).status_code == 200
    assert counts["cases"] == 0
