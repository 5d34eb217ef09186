"""The calls on jobs: who may ask for what, and what is answered."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from casewise.server.services import Services
from tests.image_trees import picture
from tests.server.people import nobody, signed_in


@pytest.fixture
def shared(app: FastAPI) -> Services:
    found: Services = app.state.services
    return found


@pytest.fixture
def key(shared: Services, tmp_path: Path) -> str:
    return shared.archive.add(picture(tmp_path / "film.png", 1))


@pytest.fixture
def ann(app: FastAPI) -> TestClient:
    return signed_in(app, "annotator", "ann")


def test_an_analysis_is_queued_once(shared: Services, ann: TestClient, key: str) -> None:
    first = ann.post("/api/v1/jobs", json={"kind": "analyse", "cases": [key, key], "adapt": "similar", "priority": 3})
    assert first.status_code == 202
    line = first.json()
    assert (line["state"], line["title"], line["created_by"], line["priority"]) == ("waiting", "Analyse 1 case", "ann", 3)
    assert ann.get(line["url"]).json() == line
    job = shared.jobs.get(line["id"])
    assert job is not None and job.payload["cases"] == [key] and job.payload["adapt"] == "similar"
    assert ann.post("/api/v1/jobs", json={"cases": [key], "adapt": "similar"}).json()["id"] == line["id"]
    assert ann.post("/api/v1/jobs", json={"cases": [key]}).json()["id"] != line["id"]


@pytest.mark.parametrize(
    ("order", "status", "said"),
    [
        ({"cases": ["../../etc/passwd"]}, 404, "../../etc/passwd"),
        ({"cases": ["a", "b", "c"]}, 404, "a and 2 more"),
        ({"cases": []}, 422, "cases"),
        ({"cases": ["a"], "adapt": "much"}, 422, "adapt"),
        ({"cases": ["a"], "priority": 99}, 422, "priority"),
        ({"cases": ["a"], "colour": "red"}, 422, "colour"),
    ],
)
def test_what_cannot_be_queued_is_said(ann: TestClient, order: object, status: int, said: str) -> None:
    answer = ann.post("/api/v1/jobs", json=order)
    assert answer.status_code == status
    assert said in answer.json()["detail"]


def test_pages_of_jobs(shared: Services, ann: TestClient) -> None:
    numbers = [shared.jobs.add(kind, {"title": f"No. {n}"}) for n, kind in enumerate(["import", "analyse", "analyse"])]
    shared.jobs.hear_from("one")
    shared.jobs.stop(numbers[2])
    page = ann.get("/api/v1/jobs", params={"limit": 2}).json()
    assert [(job["id"], job["title"]) for job in page["jobs"]] == [(numbers[2], "No. 2"), (numbers[1], "No. 1")]
    assert page["counts"] == {"waiting": 2, "stopped": 1} and page["workers"] == ["one"] and page["next"] == numbers[1]
    assert page["images_an_hour"] is None and 0 < page["waited"] < 60
    rest = ann.get("/api/v1/jobs", params={"limit": 2, "after": page["next"]}).json()
    assert [job["id"] for job in rest["jobs"]] == [numbers[0]] and rest["next"] is None
    only = ann.get("/api/v1/jobs", params={"state": ["waiting", "running"], "kind": "analyse"}).json()
    assert [job["id"] for job in only["jobs"]] == [numbers[1]]
    assert ann.get("/api/v1/jobs", params={"state": "lost"}).status_code == 422


def test_stopping_and_running_again_is_for_whoever_queued_it_and_for_admins(
    app: FastAPI, shared: Services, ann: TestClient, key: str
) -> None:
    url = ann.post("/api/v1/jobs", json={"cases": [key]}).json()["url"]
    other, admin, reader = signed_in(app, "annotator", "bob"), signed_in(app, "admin", "eve"), signed_in(app, "reader", "rae")
    assert other.delete(url).status_code == 403 and "ann's" in other.delete(url).json()["detail"]
    assert reader.delete(url).status_code == 403 and reader.get(url).status_code == 200
    assert nobody(app).get(url).status_code == 401
    assert ann.delete(url).json()["state"] == "stopped"
    assert other.post(f"{url}/again").status_code == 403
    assert admin.post(f"{url}/again").json()["state"] == "waiting"
    again = ann.post(f"{url}/again")
    assert again.status_code == 409 and "is waiting" in again.json()["detail"]
    assert admin.delete(url).json()["state"] == "stopped"


@pytest.mark.parametrize("number", ["0", "-1", "x", str(2**70), "1e3"])
def test_numbers_that_are_none(ann: TestClient, number: str) -> None:
    assert ann.get(f"/api/v1/jobs/{number}").status_code == 422


def test_an_unknown_job(ann: TestClient) -> None:
    for answer in (ann.get("/api/v1/jobs/7"), ann.delete("/api/v1/jobs/7"), ann.post("/api/v1/jobs/7/again")):
        assert (answer.status_code, answer.json()["detail"]) == (404, "There is no job 7.")
