"""What those who keep a server running ask of it."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from fastapi import FastAPI

from casewise.server.services import Services
from tests.asynchronous import run as run_here
from tests.image_trees import picture
from tests.server.people import nobody, signed_in


def test_alive_and_ready_without_signing_in(app: FastAPI) -> None:
    anyone = nobody(app, address="10.0.0.9", url="http://10.0.0.1:8080")
    assert anyone.get("/healthz").json() == {"status": "alive"}
    assert (anyone.get("/readyz").status_code, anyone.get("/readyz").json()) == (200, {"status": "ready"})


def test_not_ready_with_a_full_disk(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(100, 95, 5))
    answer = nobody(app).get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"status": "not ready"})


def test_not_ready_without_its_archive(app: FastAPI) -> None:
    shared: Services = app.state.services
    shared.archive.folder.rename(shared.archive.folder.with_name("moved"))
    answer = nobody(app).get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"status": "not ready"})


def test_metrics(app: FastAPI) -> None:
    shared: Services = app.state.services
    number = shared.jobs.add("analyse", {"title": "of Doe"})
    shared.jobs.add("analyse", {})
    shared.jobs.add("train", {})
    job = shared.jobs.claim("w")
    assert job is not None and shared.jobs.finish(job, {})
    job = shared.jobs.claim("w")
    assert job is not None and shared.jobs.fail(job, "No.")
    shared.archive.record_result({"headline": "Nothing found"}, "a" * 32)
    client = signed_in(app, "reader")
    client.get(f"/api/v1/jobs/{number}")
    client.get("/api/v1/jobs/99")
    client.get("/no/such/Doe")
    client.request("FROBNICATE", "/")
    lines = client.get("/metrics").text.splitlines()
    for line in (
        'casewise_jobs{state="done"} 1.0',
        'casewise_jobs{state="waiting"} 1.0',
        "casewise_images_analysed_total 1.0",
        'casewise_jobs{state="dead"} 0.0',
        'casewise_job_seconds_count{kind="analyse"} 1.0',
        'casewise_job_failures{kind="analyse"} 1.0',
        'casewise_job_failures{kind="train"} 0.0',
        'casewise_requests_total{method="GET",route="/api/v1/jobs/{number}",status="200"} 1.0',
        'casewise_requests_total{method="GET",route="/api/v1/jobs/{number}",status="404"} 1.0',
        'casewise_requests_total{method="GET",route="other",status="404"} 1.0',
    ):
        assert line in lines
    ages = [float(line.split()[1]) for line in lines if line.startswith("casewise_queue_age_seconds ")]
    assert len(ages) == 1 and 0 < ages[0] < 60
    assert not any("Doe" in line or "FROBNICATE" in line for line in lines)


def test_metrics_are_for_this_machine_and_admins(app: FastAPI) -> None:
    def asked(role: str | None) -> int:
        client = nobody(app, address="10.0.0.9")
        if role is not None:
            client.headers["Authorization"] = signed_in(app, role, role).headers["Authorization"]
        return client.get("/metrics").status_code

    assert nobody(app).get("/metrics").status_code == 200
    assert (asked(None), asked("annotator"), asked("admin")) == (401, 403, 200)


def test_rounds_sessions_and_images_are_measured(app: FastAPI, tmp_path: Path) -> None:
    shared: Services = app.state.services
    key = shared.archive.add(picture(tmp_path / "film.png", 1))

    async def draw() -> None:
        session = await shared.sessions.open(key, "ann", "lung", begin="empty")
        await shared.sessions.strokes(session.id, "ann", np.array([[8, 8], [9, 9]]), np.array([[1, 1]]))

    run_here(draw())
    lines = nobody(app).get("/metrics").text.splitlines()
    for line in ("casewise_round_seconds_count 1.0", "casewise_sessions 1.0", "casewise_images_cached 1.0"):
        assert line in lines
