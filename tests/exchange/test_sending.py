"""Files sent to real systems: Orthanc, dcmtk's storescp; and to a node that breaks off."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, JPEG2000Lossless, MRImageStorage
from pynetdicom import AE, evt

from casewise.exchange.node import Node, WebNode
from casewise.exchange.sending import send
from casewise.formats.limits import SETTING
from tests import dicom_studies
from tests.orthanc import free_port, orthanc
from tests.storescp import storescp


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A film, and an MR of six slices."""
    folder = tmp_path_factory.mktemp("files")
    return [
        *dicom_studies.film(folder / "film", rows=64, columns=48).files,
        *dicom_studies.oblique_mr(folder / "mr", 6, rows=16, columns=20).files,
    ]


def test_a_node_and_a_web_service_get_each_file_as_it_is(files: list[Path], tmp_path: Path) -> None:
    with orthanc(tmp_path) as pacs:
        outcomes = send(Node("ORTHANC", "127.0.0.1", pacs.port), files[:4], "CASEWISE")
        outcomes += send(WebNode(f"{pacs.http}/dicom-web"), files[3:], "CASEWISE")
        assert {outcome.state for outcome in outcomes} == {"accepted"}
        assert not any(outcome.message for outcome in outcomes)
        held = [found["ID"] for found in pacs.found()]
        assert len(held) == len(files)
        (tmp_path / "got.dcm").write_bytes(pacs.get(f"/instances/{pacs.found(SOPInstanceUID=_uid(files[0]))[0]['ID']}/file"))
        assert dcmread(tmp_path / "got.dcm") == dcmread(files[0])


def test_a_node_that_takes_no_compressed_pixels_gets_them_uncompressed(files: list[Path], tmp_path: Path) -> None:
    film = dcmread(files[0])
    film.compress(JPEG2000Lossless, generate_instance_uid=False)
    film.save_as(tmp_path / "film.dcm")
    with storescp(tmp_path / "stored") as node:
        (outcome,) = send(node, [tmp_path / "film.dcm"], "CASEWISE")
        assert (outcome.state, outcome.message) == ("accepted", "")
    (stored,) = (tmp_path / "stored").iterdir()
    got = dcmread(stored)
    assert got.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert got.SOPInstanceUID == _uid(files[0])
    assert np.array_equal(got.pixel_array, dcmread(files[0]).pixel_array)


def test_pixels_that_unfold_beyond_the_limit_are_not_decoded(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = dcmread(files[0])
    film.compress(JPEG2000Lossless, generate_instance_uid=False)
    film.save_as(tmp_path / "film.dcm")
    monkeypatch.setenv(SETTING, "1000")
    with storescp(tmp_path / "stored") as node:
        (outcome,) = send(node, [tmp_path / "film.dcm"], "CASEWISE")
    assert outcome.state == "refused"
    assert SETTING in outcome.message


def test_classes_that_are_not_taken_are_refused_for_good_and_block_nothing(files: list[Path], tmp_path: Path) -> None:
    with storescp(tmp_path / "stored", classes={MRImageStorage: [ExplicitVRLittleEndian]}) as node:
        film, *slices = send(node, files, "CASEWISE")
    assert film.state == "refused"
    assert film.message == f"{node} does not take objects of the class Digital X-Ray Image Storage - For Presentation."
    assert {outcome.state for outcome in slices} == {"accepted"}
    assert len(list((tmp_path / "stored").iterdir())) == 6


def test_a_node_that_takes_none_of_the_classes_says_so(files: list[Path], tmp_path: Path) -> None:
    with storescp(tmp_path / "stored", classes={DigitalXRayImageStorageForPresentation: [ExplicitVRLittleEndian]}) as node:
        outcomes = send(node, files[1:], "CASEWISE")
    assert {(outcome.state, outcome.message) for outcome in outcomes} == {
        ("refused", f"{node} does not take objects of the class MR Image Storage.")
    }


def test_systems_that_are_away_fail_and_raise_nothing(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node("NOBODY", "127.0.0.1", free_port())
    service = WebNode(f"http://127.0.0.1:{free_port()}/dicom-web")
    for outcome in [*send(node, files, "CASEWISE"), *send(service, files, "CASEWISE")]:
        assert (outcome.state, outcome.tried) == ("failed", False)
        assert outcome.message.endswith(".")
    monkeypatch.delenv("PACS_TOKEN", raising=False)
    (locked,) = send(WebNode("https://pacs.example/dicom-web", token_variable="PACS_TOKEN"), files[:1], "CASEWISE")
    assert "PACS_TOKEN" in locked.message and locked.state == "failed"


def test_what_is_no_dicom_file_is_refused_and_the_rest_is_sent(files: list[Path], tmp_path: Path) -> None:
    other, bare = tmp_path / "other.dcm", tmp_path / "bare.dcm"
    other.write_bytes(b"no DICOM")
    bare.write_bytes(bytes(128) + b"DICM")
    with storescp(tmp_path / "stored") as node:
        outcomes = send(node, [other, bare, *files[1:]], "CASEWISE")
    assert [outcome.state for outcome in outcomes] == ["refused", "refused", *["accepted"] * 6]


def test_an_object_at_which_a_node_breaks_off_holds_up_no_other(files: list[Path]) -> None:
    poison = _uid(files[3])

    def answer(event: evt.Event) -> int:
        if event.request.AffectedSOPInstanceUID == poison:
            event.assoc.abort()
        return 0

    with _node(answer) as node:
        outcomes = send(node, files, "CASEWISE")
    assert [outcome.state for outcome in outcomes] == [*["accepted"] * 3, "failed", *["accepted"] * 3]
    assert outcomes[3].tried


def test_a_node_that_always_breaks_off_is_called_three_times(files: list[Path]) -> None:
    with _node(lambda event: event.assoc.abort() or 0) as node:
        outcomes = send(node, files, "CASEWISE")
    assert [outcome.tried for outcome in outcomes] == [*[True] * 3, *[False] * 4]
    assert {outcome.state for outcome in outcomes} == {"failed"}


@pytest.mark.parametrize(
    ("status", "state", "words"),
    [
        (0x0000, "accepted", ""),
        (0x0111, "accepted", ""),
        (0xB000, "accepted", "it changed some values"),
        (0xA700, "failed", "out of resources"),
        (0x0110, "failed", "an error of its own"),
        (0xA900, "refused", "does not fit its class"),
        (0xC123, "failed", "cannot understand"),
        (0x0122, "refused", "does not take objects of this class"),
    ],
)
def test_the_status_says_whether_trying_again_helps(files: list[Path], status: int, state: str, words: str) -> None:
    with _node(lambda _: status) as node:
        (outcome,) = send(node, files[:1], "CASEWISE")
    assert outcome.state == state
    assert words in outcome.message and bool(words) == bool(outcome.message)


def test_a_service_gets_the_token_and_says_why_it_refuses(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACS_TOKEN", "secret")

    def failed(reason: int) -> str:
        item = {"00081155": {"vr": "UI", "Value": [_uid(files[0])]}, "00081197": {"vr": "US", "Value": [reason]}}
        return json.dumps({"00081198": {"vr": "SQ", "Value": [item]}})

    answers = [(409, failed(0xA900)), (200, failed(0xA700)), (503, ""), (401, ""), (302, "")]
    with _service(answers) as (url, seen):
        outcomes = [send(WebNode(url, token_variable="PACS_TOKEN"), files[:1], "CASEWISE")[0] for _ in answers]
    assert [outcome.state for outcome in outcomes] == ["refused", "failed", "failed", "failed", "failed"]
    assert [request["Authorization"] for request in seen] == ["Bearer secret"] * len(answers)  # and no redirection was followed
    assert "0xA900" in outcomes[0].message and "HTTP 401" in outcomes[3].message


def _uid(file: Path) -> str:
    return str(dcmread(file, stop_before_pixels=True).SOPInstanceUID)


@contextmanager
def _node(answer: Callable[[evt.Event], int]) -> Iterator[Node]:
    ae = AE("NODE")
    for uid in (MRImageStorage, DigitalXRayImageStorageForPresentation):
        ae.add_supported_context(uid, ExplicitVRLittleEndian)
    port = free_port()
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, answer)])
    try:
        yield Node("NODE", "127.0.0.1", port)
    finally:
        server.shutdown()


@contextmanager
def _service(answers: list[tuple[int, str]]) -> Iterator[tuple[str, list[dict[str, str]]]]:
    seen: list[dict[str, str]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, body = answers[len(seen)]
            seen.append(dict(self.headers))
            self.send_response(status)
            self.send_header("Content-Type", "application/dicom+json")
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
