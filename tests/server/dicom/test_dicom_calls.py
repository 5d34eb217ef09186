"""The calls on the network: what they give, what they set off, and what the audit log says of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from casewise.archive import Archive
from casewise.exchange.node import Node
from casewise.server import audit
from casewise.server.app import create_app
from casewise.server.dicom.outbox_rows import Outbox
from casewise.server.network_tables import arrivals
from casewise.server.settings import Settings
from casewise.server.store import Store
from casewise.server.worker import Worker
from tests.orthanc import free_port, orthanc
from tests.server.dicom.analysed import Clinic, clinic
from tests.server.people import signed_in

SETTINGS = """
ae_title = "READER"
[[senders]]
ae_title = "CT1"
site = "north"
[nodes.pacs]
ae_title = "ORTHANC"
host = "127.0.0.1"
port = {port}
commitment = true
[web.cloud]
url = "{url}"
[results]
send = ["pacs"]
"""


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Clinic]:
    with Archive.open(tmp_path / "archive", create=True) as archive:
        _settings(archive.folder)
        yield clinic(archive, tmp_path / "given")


@pytest.fixture
def store(held: Clinic) -> Iterator[Store]:
    opened = Store.open(held.archive.folder)
    yield opened
    opened.close()


@pytest.fixture
def app(held: Clinic, store: Store) -> FastAPI:
    return create_app(held.archive, store, node=Node("READER", "127.0.0.1", 11112))


@pytest.fixture
def caller(app: FastAPI) -> Callable[..., TestClient]:
    return lambda role="annotator": signed_in(app, role, f"the-{role}")


def test_the_state_of_the_network(caller: Callable[..., TestClient]) -> None:
    answer = caller("reader").get("/api/v1/dicom").json()
    assert (answer["ae_title"], answer["port"], answer["outbox"]["dead"], answer["arrivals"]["failed"]) == ("READER", 11112, 0, 0)
    assert answer["senders"] == [{"ae_title": "CT1", "address": None, "site": "north"}]
    assert [(one["name"], one["kind"], one["commitment"], one["usual"]) for one in answer["systems"]] == [
        ("pacs", "dicom", True, True),
        ("cloud", "web", False, False),
    ]


def test_settings_that_cannot_be_used_are_named(held: Clinic, caller: Callable[..., TestClient]) -> None:
    (held.archive.folder / "dicom.toml").write_text("ae = 1")
    answer = caller("reader").get("/api/v1/dicom")
    assert answer.status_code == 400 and "dicom.toml cannot be used" in answer.json()["detail"]


def test_arrivals_come_page_by_page(held: Clinic, store: Store, caller: Callable[..., TestClient]) -> None:
    with store.write() as connection:
        for number in range(5):
            more = {"state": "failed", "error": "It cannot be read."} if number == 3 else {"image_keys": [held.film]}
            times = {"first": 1.0, "last": float(number // 2)}
            about = {"study_uid": "1.2", "calling_ae": "CT1", "modality": "CT", "instances": 7}
            connection.execute(arrivals.insert().values(series_uid=f"1.2.{number}", **about, **times, **more))
    reader = caller("reader")
    seen, after = [], None
    for _ in range(3):
        page = reader.get("/api/v1/dicom/arrivals", params={"limit": 2, **({"after": after} if after else {})}).json()
        seen += [one["series_uid"] for one in page["arrivals"]]
        after = page["next"]
    assert seen == ["1.2.4", "1.2.3", "1.2.2", "1.2.1", "1.2.0"] and after is None
    assert page["counts"] == {"receiving": 4, "complete": 0, "taken in": 0, "failed": 1}
    (failed,) = reader.get("/api/v1/dicom/arrivals?state=failed").json()["arrivals"]
    assert (failed["error"], failed["sender"], failed["cases"]) == ("It cannot be read.", "CT1", [])


def test_results_are_sent_and_the_audit_log_says_who_sent_what_where(
    held: Clinic, store: Store, caller: Callable[..., TestClient]
) -> None:
    held.analyse(held.film)
    annotator = caller()
    answer = annotator.post(f"/api/v1/cases/{held.film}/send", json={"targets": ["pacs"], "kinds": ["sr"]})
    assert answer.status_code == 202 and answer.json()["kind"] == "deliver"
    Worker(held.archive, store, Settings()).run(once=True)
    page = annotator.get("/api/v1/dicom/outbox", params={"case": held.film}).json()
    (line,) = page["objects"]
    assert (line["target"], line["kind"], line["state"], line["created_by"]) == ("pacs", "sr", "waiting", "the-annotator")
    assert page["counts"]["waiting"] == 1 and annotator.get("/api/v1/dicom/outbox?state=dead").json()["objects"] == []
    assert annotator.post(f"/api/v1/dicom/outbox/{line['id']}/again").status_code == 202
    assert annotator.post("/api/v1/dicom/outbox/99/again").status_code == 404
    noted = [(one.user, one.action, one.object) for one in audit.entries(store, limit=50) if one.outcome == "done"]
    assert ("the-annotator", "order cases/send", f"{held.film} to pacs") in noted
    assert ("the-annotator", "order dicom/outbox/again", f"{line['id']} sr of {held.film} to pacs") in noted


@pytest.mark.parametrize(
    ("key", "order", "status", "words"),
    [
        ("picture", {"targets": ["pacs"]}, 409, "not read from DICOM"),
        ("mr", {"targets": ["pacs"]}, 409, "not analysed yet"),
        ("film", {"targets": ["elsewhere"]}, 400, "'elsewhere' is no system of dicom.toml (pacs, cloud)"),
        ("film", {"targets": ["EVIL@10.0.0.1:104"]}, 400, "is no system of dicom.toml"),
        ("film", {"targets": []}, 422, "targets"),
        ("film", {"targets": ["pacs"], "kinds": ["pdf"]}, 422, "kinds"),
    ],
)
def test_what_cannot_be_sent_is_refused_at_once(
    held: Clinic, caller: Callable[..., TestClient], key: str, order: dict[str, object], status: int, words: str
) -> None:
    held.analyse(held.film)
    held.analyse(held.picture)
    answer = caller().post(f"/api/v1/cases/{getattr(held, key)}/send", json=order)
    assert answer.status_code == status and words in answer.json()["detail"]


def test_dead_letters_are_sent_again_together(held: Clinic, store: Store, caller: Callable[..., TestClient]) -> None:
    outbox = Outbox(store)
    about = {
        "path": "1.dcm",
        "sop_class": "1.2",
        "kind": "sr",
        "image_key": held.film,
        "series_uid": "1.2",
        "result": 1,
        "created_by": None,
    }
    outbox.add([{"target": target, "sop_uid": f"1.2.{n}", **about} for n in range(3) for target in ("pacs", "cloud")])
    for target in ("pacs", "cloud"):
        for row in outbox.claim(target):
            outbox.refused(row, row.lease_until or 0.0, "No.")
    assert caller().post("/api/v1/dicom/outbox/again", json={"target": "pacs"}).json() == {"objects": 3}
    assert outbox.counts()["waiting"] == outbox.counts()["dead"] == 3
    assert caller().post("/api/v1/dicom/outbox/again", json={}).json() == {"objects": 3}


def test_a_connection_is_tested(held: Clinic, caller: Callable[..., TestClient], tmp_path: Path) -> None:
    admin = caller("admin")
    with orthanc(tmp_path / "pacs") as pacs:
        _settings(held.archive.folder, pacs.port, f"{pacs.http}/dicom-web")
        for name in ("pacs", "cloud"):
            answer = admin.post(f"/api/v1/dicom/echo/{name}").json()
            assert answer["answers"] and answer["sentence"].endswith("answers."), answer
        _settings(held.archive.folder, pacs.port, f"{pacs.http}/elsewhere")
        assert "HTTP status 404" in admin.post("/api/v1/dicom/echo/cloud").json()["sentence"]
    for name in ("pacs", "cloud"):
        answer = admin.post(f"/api/v1/dicom/echo/{name}").json()
        assert not answer["answers"] and "cannot be reached" in answer["sentence"]
    assert admin.post("/api/v1/dicom/echo/other").status_code == 404
    assert caller("annotator").post("/api/v1/dicom/echo/pacs").status_code == 403


def test_the_measures_have_the_network(held: Clinic, store: Store, caller: Callable[..., TestClient]) -> None:
    about = {
        "path": "1.dcm",
        "sop_class": "1.2",
        "kind": "sr",
        "image_key": held.film,
        "series_uid": "1.2",
        "result": 1,
        "created_by": None,
    }
    Outbox(store).add([{"target": "pacs", "sop_uid": "1.2.3", **about}])
    with store.write() as connection:
        connection.exec_driver_sql("UPDATE server_outbox SET created = created - 500")
    text = caller("admin").get("/metrics").text
    assert 'casewise_outbox_objects{state="waiting"} 1.0' in text and 'casewise_outbox_objects{state="dead"} 0.0' in text
    assert 'casewise_dicom_series{state="receiving"} 0.0' in text
    (age,) = [float(line.split()[1]) for line in text.splitlines() if line.startswith("casewise_outbox_age_seconds ")]
    assert 500 <= age < 700


def _settings(folder: Path, port: int | None = None, url: str | None = None) -> None:
    url = url or f"http://127.0.0.1:{free_port()}/dicom-web"
    (folder / "dicom.toml").write_text(SETTINGS.format(port=port or free_port(), url=url))
