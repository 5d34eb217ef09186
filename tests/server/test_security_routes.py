"""Every call there is, without and with each role. A new route fails here until it is listed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient

from casewise.archive import Archive
from casewise.server.access import ROLES
from casewise.server.app import create_app
from casewise.server.settings import Settings
from casewise.server.store import Store
from tests.server.people import in_browser, nobody, signed_in

# Lowest role → the calls that it may make. "-" needs no sign-in: it gives away nothing of the archive.
TABLE = {
    "-": """
        GET / /cases/{} /annotate /annotate/{} /sets /sets/{} /jobs /dicom /models /admin /help
        GET /ohif /ohif/{} /cases/{}/ohif
        GET /login /login.css /login/once/{} /login/oidc /login/oidc/back /login/password
        POST /login /login/password /api/v1/login /auth/token
        GET /auth/ /healthz /readyz /nninteractive/healthz
    """,
    "reader": """
        GET /openapi.json /api/v1/me /api/v1/events
        POST /api/v1/logout
        GET /api/v1/tokens
        POST /api/v1/tokens
        DELETE /api/v1/tokens/{}
        GET /api/v1/cases /api/v1/cases/{} /api/v1/cases/{}/voxels /api/v1/cases/{}/thumbnail /api/v1/cases/{}/masks/{}
        GET /api/v1/cases/{}/nifti /api/v1/cases/{}/masks/{}.nii.gz /api/v1/cases/{}/segmentation.dcm
        GET /api/v1/cases/{}/similar /api/v1/cases/{}/agreement /api/v1/models
        GET /api/v1/jobs /api/v1/jobs/{}
        GET /api/v1/sets /api/v1/sets/{}
        GET /api/v1/results/{} /api/v1/results/{}/masks/{} /api/v1/results/{}/report /api/v1/verdicts
        GET /info/ /auth/token/valid /datastore/ /datastore/image /datastore/image/info /datastore/label /datastore/label/info
        HEAD /datastore/image /datastore/label
        GET /dicomweb/studies /dicomweb/studies/{} /dicomweb/studies/{}/metadata /dicomweb/studies/{}/instances
        GET /dicomweb/studies/{}/series /dicomweb/studies/{}/series/{} /dicomweb/studies/{}/series/{}/metadata
        GET /dicomweb/studies/{}/series/{}/instances /dicomweb/studies/{}/series/{}/instances/{}
        GET /dicomweb/studies/{}/series/{}/instances/{}/metadata /dicomweb/studies/{}/series/{}/instances/{}/frames/{}
        GET /dicomweb/studies/{}/series/{}/instances/{}/bulkdata/{}
        GET /api/v1/dicom /api/v1/dicom/arrivals /api/v1/dicom/outbox
        GET /session/{} /train/ /batch/infer/ /batch/infer /scoring/ /model/info/{} /model/{} /logs/ /logs/gpu
    """,
    "annotator": """
        POST /api/v1/cases /dicomweb/studies /dicomweb/studies/{}
        PUT /api/v1/cases /api/v1/cases/{}/assignment
        POST /api/v1/sessions
        GET /api/v1/sessions/{} /api/v1/sessions/{}/mask
        POST /api/v1/sessions/{}/strokes /api/v1/sessions/{}/erase /api/v1/sessions/{}/box /api/v1/sessions/{}/undo
        POST /api/v1/sessions/{}/redo /api/v1/sessions/{}/grow /api/v1/sessions/{}/objects /api/v1/sessions/{}/accept
        DELETE /api/v1/sessions/{}
        POST /api/v1/jobs /api/v1/jobs/{}/again
        DELETE /api/v1/jobs/{}
        POST /api/v1/sets /api/v1/sets/{}/next
        PATCH /api/v1/sets/{}
        GET /api/v1/sets/{}/export /api/v1/sets/{}/export/{}
        POST /api/v1/sets/{}/export
        PUT /api/v1/sets/{}/images/{}
        POST /api/v1/results/{}/verdict /api/v1/cases/{}/send /api/v1/dicom/outbox/again /api/v1/dicom/outbox/{}/again
        POST /infer/{} /activelearning/{} /train/ /train/{} /batch/infer/{} /scoring/{}
        PUT /datastore/ /datastore/image /datastore/image/info /datastore/label /datastore/label/info /datastore/updatelabelinfo
        PUT /session/ /model/{}
        DELETE /datastore/image /datastore/label /session/{} /train/ /batch/infer/ /batch/infer /scoring/ /model/{}
        GET /nninteractive/capabilities /nninteractive/lease_status
        POST /nninteractive/claim /nninteractive/release /nninteractive/heartbeat /nninteractive/set_image
        POST /nninteractive/set_target_buffer /nninteractive/set_do_autozoom /nninteractive/reset_interactions
        POST /nninteractive/undo /nninteractive/predict /nninteractive/add_bbox_interaction
        POST /nninteractive/add_point_interaction /nninteractive/add_scribble_interaction
        POST /nninteractive/add_lasso_interaction /nninteractive/add_initial_seg_interaction
    """,
    "admin": """
        GET /metrics /api/v1/verdicts/export.csv /api/v1/users /api/v1/audit /api/v1/audit/check /api/v1/audit/export /api/v1/server
        PUT /api/v1/users/{} /api/v1/cases/{}/final
        POST /api/v1/models/train /api/v1/dicom/echo/{}
    """,
}
# Refused although the role would do: these never remove what was accepted, whoever asks.
NEVER = {"DELETE /datastore/image"}
STREAMS = {"GET /api/v1/events"}  # answers until the client goes
AWAY = "10.1.2.3"  # another machine than the server's


def listed() -> dict[str, str]:
    found = {}
    for role, text in TABLE.items():
        for line in text.strip().splitlines():
            method, *paths = line.split()
            for path in paths:
                assert f"{method} {path}" not in found
                found[f"{method} {path}"] = role
    return found


def routes(app: FastAPI) -> set[str]:
    found = set()
    for context in iter_route_contexts(app.routes):
        path = re.sub(r"\{[a-z_:]+\}", "{}", context.path)
        if path != "/static":  # the page's files
            found |= {f"{method} {path}" for method in context.methods}
    return found


@pytest.fixture
def app(tmp_path: Path) -> Iterator[FastAPI]:
    with Archive.open(tmp_path / "archive", create=True) as archive:
        store = Store.open(archive.folder)
        yield create_app(archive, store, Settings(requests_per_second=1_000_000))
        store.close()


@pytest.fixture
def clients(app: FastAPI) -> Iterator[dict[str, TestClient]]:
    """From another machine, at a server that has users: nobody, and a program of each role."""
    with nobody(app, address=AWAY) as stranger:  # the application lives as long as one client is open
        found = {"-": stranger}
        for role in ROLES:
            found[role] = nobody(app, address=AWAY)
            found[role].headers["Authorization"] = signed_in(app, role, f"the-{role}").headers["Authorization"]
        yield found


def ask(client: TestClient, call: str) -> int:
    method, path = call.split()
    return client.request(method, path.replace("{}", "1")).status_code


def test_every_route_is_listed(app: FastAPI) -> None:
    assert routes(app) == set(listed())


def test_each_call_takes_its_role_and_those_above_it_alone(clients: dict[str, TestClient]) -> None:
    ranks = ["-", *ROLES]
    wrong = []
    for call, needed in listed().items():
        for role, client in clients.items():
            allowed = ranks.index(role) >= ranks.index(needed)
            if call in STREAMS and allowed:
                continue
            status = ask(client, call)
            refusal = 401 if role == "-" else 403
            if (status == refusal) if allowed and needed != "-" and call not in NEVER else (not allowed and status != refusal):
                wrong.append((call, role, status))
            if status >= 500 and call != "GET /readyz":
                wrong.append((call, role, status))
    assert wrong == []


def test_calls_without_a_sign_in_give_away_nothing_of_the_archive(app: FastAPI, clients: dict[str, TestClient]) -> None:
    for call, needed in listed().items():
        if needed == "-" and call.startswith("GET"):
            text = clients["-"].get(call.split()[1].replace("{}", "1")).text
            assert str(app.state.services.archive.folder) not in text and "the-admin" not in text, call


def test_with_a_cookie_no_call_that_changes_anything_works_from_another_page(app: FastAPI) -> None:
    browser = in_browser(app, "admin", "the-admin")
    for name in ("X-Casewise", "Origin"):
        browser.headers.pop(name)
    for call, needed in listed().items():
        if needed != "-" and not call.startswith(("GET", "HEAD")):
            assert ask(browser, call) == 403, call
            method, path = call.split()
            forged = {"Origin": "http://evil.example", "X-Casewise": "1"}
            assert browser.request(method, path.replace("{}", "1"), headers=forged).status_code == 403, call


def test_no_call_answers_a_method_that_it_does_not_have(clients: dict[str, TestClient]) -> None:
    known = listed()
    for call in sorted(known):
        path = call.split()[1]
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"):
            if f"{method} {path}" not in known:
                assert ask(clients["admin"], f"{method} {path}") in {404, 405}, f"{method} {path}"
