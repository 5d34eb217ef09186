"""Whatever the description of the calls allows, and what it does not, is answered as described and never with a 500."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from casewise.archive import Archive
from casewise.formats import write
from casewise.image import Image
from casewise.server.app import create_app
from casewise.server.dicom.outbox_rows import Outbox
from casewise.server.network_tables import arrivals
from casewise.server.settings import Settings
from casewise.server.store import Store
from tests.server.people import signed_in
from tests.waiting import SECONDS

CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance]
EXAMPLES = {"admin": 4, "annotator": 6, "reader": 1, None: 1}
ENDLESS = {"/api/v1/events"}
OBJECTS = {"/dicomweb/studies", "/dicomweb/studies/{study}"}  # whose POST takes DICOM objects; schemathesis makes none


@dataclass
class Served:
    """known : parameter of a path → values that lead somewhere."""

    url: str
    operations: list[Any]
    tokens: dict[str | None, dict[str, str]]
    known: dict[str, list[Any]]

    def session(self, role: str) -> str:
        """An open session of the person of this role."""
        order = {"case": self.known["case"][0], "structure": "spot", "begin": "mask"}
        answer = httpx.post(f"{self.url}/api/v1/sessions", json=order, headers=self.tokens[role], timeout=SECONDS)
        return answer.raise_for_status().json()["id"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of a small archive, over real HTTP."""
    folder = tmp_path_factory.mktemp("schema")
    with Archive.open(folder / "archive", create=True) as archive:
        keys = _filled(archive, folder)
        store = Store.open(archive.folder)
        app = create_app(archive, store, Settings(requests_per_second=1_000_000))
        tokens: dict[str | None, dict[str, str]] = {None: {}}
        for role in ("admin", "annotator", "reader"):
            tokens[role] = {"Authorization": signed_in(app, role, f"the-{role}").headers["Authorization"]}
        made = signed_in(app, "annotator", "the-annotator")
        numbers = [made.post("/api/v1/sets", json={"name": "spots", "structure": "spot", "cases": keys}).json()["id"]]
        numbers.append(made.post("/api/v1/jobs", json={"cases": keys[:1]}).json()["id"])
        finding = {"application": "films", "label": "nodule", "kind": "finding", "probability": 0.7}
        archive.record_result({"headline": "A nodule", "findings": [finding]}, keys[0])
        result = made.get(f"/api/v1/results/{keys[0]}").json()["id"]
        _on_the_network(store, keys[0])
        known = {
            **{"key": keys, "case": keys, "cases": [keys], "structure": ["spot"], "name": ["spot", "somebody", "pacs"]},
            **{
                "number": numbers,
                "job": [1],
                "result": [result],
                "after": [0, 1],
                "finding": [0],
                "begin": ["mask"],
                "set": [None, 1],
            },
            **{
                "targets": [["pacs"]],
                "foreground": [[[3, 2]], [[-1, 2]], [[0, 10**9]]],
                "voxels": [[[0, 1]]],
                "box": [[[2, 9], [3, 9]], [[5, 2], [0, 99]]],
            },
        }
        schema = schemathesis.openapi.from_dict(_plain(app.openapi()))
        operations = [found.ok() for found in schema.get_all_operations()]
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield Served(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", operations, tokens, known)
        server.should_exit = True
        thread.join()
        store.close()


def _on_the_network(store: Store, key: str) -> None:
    """A system that is away, an object for it, and a series that arrived."""
    (store.folder / "dicom.toml").write_text("[nodes.pacs]\nae_title = 'PACS'\nhost = '127.0.0.1'\nport = 1\n")
    about = {"path": "results/1.dcm", "sop_uid": "1.2", "sop_class": "1.2", "kind": "sr", "series_uid": "1.2", "created_by": None}
    Outbox(store).add([{"target": "pacs", "image_key": key, "result": 1, **about}])
    with store.write() as connection:
        connection.execute(arrivals.insert().values(series_uid="1.2", study_uid="1.1", first=1.0, last=2.0, image_keys=[key]))


def _plain(document: Any) -> Any:
    """The description with its pairs as lists of two: schemathesis mistakes the parts of a tuple for a wrong schema."""
    if isinstance(document, dict):
        document = {name: _plain(value) for name, value in document.items()}
        if "prefixItems" in document:
            document["items"] = document.pop("prefixItems")[0]
        return document
    return [_plain(value) for value in document] if isinstance(document, list) else document


def _filled(archive: Archive, folder: Path) -> list[str]:
    random = np.random.default_rng(1)
    keys = []
    for number in range(3):
        path = folder / f"film-{number}.png"
        write(path, Image(random.integers(0, 255, (1, 24, 20), np.uint8)))
        keys.append(archive.add(path, {"spot": np.eye(24, 20, dtype=bool)}, category="film", site="north", name=path.name))
    path = folder / "volume.nii.gz"
    write(path, Image(random.integers(0, 900, (1, 10, 12, 6)).astype(np.int16), np.diag([1.0, 1.0, 2.0, 1.0])))
    keys.append(archive.add(path, name=path.name))
    return keys


@pytest.mark.parametrize("role", EXAMPLES)
def test_every_call_answers_as_described(served: Served, role: str | None) -> None:
    problems: list[str] = []
    for operation in served.operations:
        if operation.path not in ENDLESS and not (operation.method == "post" and operation.path in OBJECTS):
            _ask(served, operation, role, problems)
    assert not problems, "\n\n".join(problems)


def _ask(served: Served, operation: Any, role: str | None, problems: list[str]) -> None:
    """Make some calls of one operation. Problems are collected: after other calls, the same one may do better a second time."""
    if "{identity}" in operation.path and role in {"admin", "annotator"}:
        served.known["identity"] = [served.session(role)]

    @settings(max_examples=EXAMPLES[role], derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=st.one_of([operation.as_strategy(generation_mode=mode) for mode in schemathesis.GenerationMode]), data=st.data())
    def ask(case: schemathesis.Case, data: st.DataObject) -> None:
        body = case.body if isinstance(case.body, dict) else {}
        for values in (case.path_parameters or {}, body):
            for name in values:
                if name in served.known and data.draw(st.booleans(), label=name):
                    values[name] = data.draw(st.sampled_from(served.known[name]))
        answer = case.call(base_url=served.url, headers=served.tokens[role], timeout=SECONDS)
        try:
            case.validate_response(answer, checks=CHECKS)
        except FailureGroup as group:
            problems.extend(f"{operation.label}: {failure}" for failure in group.exceptions)

    ask()
