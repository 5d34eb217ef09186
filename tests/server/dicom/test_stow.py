"""STOW-RS into the received objects: by dicomweb-client against a server that runs, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from casewise.archive import Archive
from casewise.exchange.node import Node
from casewise.exchange.received import FullError, Spool
from casewise.server.app import create_app
from casewise.server.dicom.places import RECEIVED
from casewise.server.network_tables import arrivals
from casewise.server.settings import Settings
from casewise.server.store import Store
from casewise.server.tokens import issue_token
from tests.dicom_studies import film, study
from tests.server.dicom.serving import served
from tests.server.people import signed_in
from tests.waiting import until

BOUNDARY = "xyz"
KIND = {"Content-Type": f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[FastAPI]:
    folder = tmp_path / "archive"
    with Archive.open(folder, create=True) as archive:
        opened = Store.open(folder)
        yield create_app(archive, opened, Settings(upload_bytes=1 << 20), Node("CASEWISE", "127.0.0.1", 11112))
        opened.close()


def body(*contents: bytes) -> bytes:
    parts = [f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode() + content + b"\r\n" for content in contents]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def rows(app: FastAPI) -> list[sa.Row[Any]]:
    with app.state.services.store.read() as connection:
        return list(connection.execute(sa.select(arrivals)))


def test_a_study_by_dicomweb_client_is_analysed_once(tmp_path: Path) -> None:
    from dicomweb_client.api import DICOMwebClient
    from dicomweb_client.session_utils import create_session

    three = study(tmp_path / "study")
    with served(tmp_path / "archive", "[receive]\nidle_seconds = 2\n") as serving:
        session = create_session()
        session.headers["Authorization"] = f"Bearer {issue_token(serving.store, 'local', 'annotator', 1.0)[0]}"
        client = DICOMwebClient(f"{serving.url}/dicomweb", session=session)
        for one in three:
            answer = client.store_instances([pydicom.dcmread(file) for file in one.files], three[0].study_uid)
            assert len(answer.ReferencedSOPSequence) == len(one.files) and "FailedSOPSequence" not in answer
        client.store_instances([pydicom.dcmread(three[0].files[0])])
        until(serving.quiet)
        assert {(row.state, row.version, row.site) for row in serving.rows()} == {("taken in", 1, "STOW-RS")}
        assert [len(job.payload["cases"]) for job in serving.jobs("analyse")] == [3]


def test_each_object_is_answered_for(app: FastAPI, tmp_path: Path) -> None:
    good, other = (film(tmp_path / name, rows=60, columns=50) for name in ("a", "b"))
    client = signed_in(app, "annotator")
    contents = [good.files[0].read_bytes(), other.files[0].read_bytes(), b"no DICOM at all"]
    answer = client.post(f"/dicomweb/studies/{good.study_uid}", content=body(*contents), headers=KIND)
    assert answer.status_code == 202 and answer.headers["content-type"] == "application/dicom+json"
    document = answer.json()
    (kept,) = document["00081199"]["Value"]
    assert kept["00081155"]["Value"] == [pydicom.dcmread(good.files[0]).SOPInstanceUID]
    assert kept["00081190"]["Value"][0].startswith(f"http://127.0.0.1:8080/dicomweb/studies/{good.study_uid}/series/")
    failed = [(one.get("00081155", {}).get("Value"), one["00081197"]["Value"]) for one in document["00081198"]["Value"]]
    assert failed == [([pydicom.dcmread(other.files[0]).SOPInstanceUID], [0xA900]), (None, [0xC000])]
    assert [(row.study_uid, row.instances, row.calling_ae) for row in rows(app)] == [(good.study_uid, 1, "STOW-RS")]
    assert client.post("/dicomweb/studies", content=body(contents[2]), headers=KIND).status_code == 409
    assert client.post("/dicomweb/studies", content=body(contents[0]), headers=KIND).status_code == 200


def test_a_full_disk_keeps_nothing_and_says_so(app: FastAPI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise FullError("The disk is full.")

    monkeypatch.setattr(Spool, "keep", full)
    content = body(film(tmp_path / "a", rows=60, columns=50).files[0].read_bytes())
    answer = signed_in(app, "annotator").post("/dicomweb/studies", content=content, headers=KIND)
    assert (answer.status_code, answer.json()["00081198"]["Value"][0]["00081197"]["Value"]) == (503, [0xA700])
    assert rows(app) == [] and not list((tmp_path / "archive" / RECEIVED).rglob("*"))


def test_what_is_kept_of_a_request_that_breaks_off_is_noted(app: FastAPI, tmp_path: Path) -> None:
    one, other = (film(tmp_path / name, rows=60, columns=50) for name in ("a", "b"))
    content = body(one.files[0].read_bytes(), other.files[0].read_bytes())
    answer = signed_in(app, "annotator").post("/dicomweb/studies", content=content[:-900], headers=KIND)
    assert answer.status_code == 400 and "broke off" in answer.json()["detail"]
    assert [row.study_uid for row in rows(app)] == [one.study_uid]


def test_who_may_and_what_is_taken(app: FastAPI, tmp_path: Path) -> None:
    content = body(film(tmp_path / "a", rows=60, columns=50).files[0].read_bytes())
    reader, annotator = signed_in(app, "reader", "ann"), signed_in(app, "annotator", "bob")
    assert reader.post("/dicomweb/studies", content=content, headers=KIND).status_code == 403
    assert annotator.post("/dicomweb/studies", content=content, headers={"Content-Type": "application/dicom"}).status_code == 415
    assert annotator.post("/dicomweb/studies/..%2f..", content=content, headers=KIND).status_code in (400, 404)
    assert annotator.post("/dicomweb/studies/a", content=content, headers=KIND).status_code == 400
    assert annotator.post("/dicomweb/studies", content=body(b"0" * (2 << 20)), headers=KIND).status_code == 413
    assert annotator.post("/dicomweb/studies", content=body(), headers=KIND).status_code == 400
    assert rows(app) == []


def test_without_a_receiver_nothing_is_taken(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    with Archive.open(folder, create=True) as archive:
        opened = Store.open(folder)
        client = signed_in(create_app(archive, opened), "annotator")
        answer = client.post("/dicomweb/studies", content=body(b""), headers=KIND)
        assert answer.status_code == 409 and "--dicom-port" in answer.json()["detail"]
        opened.close()
