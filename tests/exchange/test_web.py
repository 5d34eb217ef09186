"""QIDO-RS and WADO-RS: pages, streams, refusals, and services that answer what they should not."""

from __future__ import annotations

import http.server
import json
import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydicom import dcmread

from casewise.errors import UsageError
from casewise.exchange.asked import Query
from casewise.exchange.fetching import fetch, source_of
from casewise.exchange.found import Series, SourceError, Study
from casewise.exchange.node import WebNode
from casewise.exchange.received import Spool
from casewise.exchange.web import WebSource
from tests.dicom_studies import ct

STUDY, SERIES = "1.2.3", "1.2.3.4"
Reply = tuple[int, dict[str, str], Any]  # status, headers, body: bytes, or an iterator of them
QIDO = {"Content-Type": "application/dicom+json"}
PARTS = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=cut'}


@contextmanager
def service(reply: Callable[[str, dict[str, list[str]], Any], Reply]) -> Iterator[str]:
    """The address of a service that answers by ``reply(path, parameters, headers)``."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            status, headers, body = reply(parts.path, parse_qs(parts.query), self.headers)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            for chunk in [body] if isinstance(body, bytes) else body:
                self.wfile.write(chunk)

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/dicom-web"
    finally:
        server.shutdown()
        server.server_close()


def match(**values: object) -> dict[str, Any]:
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    return {f"{tag_for_keyword(name):08X}": {"vr": dictionary_VR(name), "Value": [value]} for name, value in values.items()}


def studies(count: int) -> list[dict[str, Any]]:
    return [match(StudyInstanceUID=f"1.2.{n}", StudyDate="20240101", PatientID="P") for n in range(count)]


def multipart(*files: bytes, end: bytes = b"\r\n--cut--\r\n") -> bytes:
    return b"".join(b"\r\n--cut\r\nContent-Type: application/dicom\r\n\r\n" + file for file in files) + end


def series_of(reply: Reply, files: list[Path]) -> Callable[[str, dict[str, list[str]], Any], Reply]:
    """A service that lists the instances of ``files``, and answers everything else with ``reply``."""
    uids = [str(dcmread(path).SOPInstanceUID) for path in files]
    listed = [match(StudyInstanceUID=STUDY, SeriesInstanceUID=SERIES, SOPInstanceUID=uid) for uid in uids]

    def answered(path: str, asked: dict[str, list[str]], headers: Any) -> Reply:
        if path.endswith("/instances"):
            first = int(asked["offset"][0])
            return 200, QIDO, json.dumps(listed[first:]).encode()
        return reply

    return answered


def fetched_from(url: str, spool: Spool, count: int) -> Any:
    with WebSource(WebNode(url)) as source:
        return fetch(source, Study(STUDY), Series(STUDY, SERIES, "CT", instances=count), spool, print)


@pytest.mark.parametrize("most", [500, 100, 7])
def test_every_page_is_asked_for_however_long_the_service_makes_them(most: int) -> None:
    held, asked = studies(230), []

    def reply(path: str, parameters: dict[str, list[str]], headers: Any) -> Reply:
        asked.append(parameters)
        first = int(parameters["offset"][0])
        return 200, QIDO, json.dumps(held[first : first + most]).encode()

    with service(reply) as url, WebSource(WebNode(url)) as source:
        assert [one.uid for one in source.studies(Query(dates="20240101"))] == [f"1.2.{n}" for n in range(230)]
    assert asked[0]["StudyDate"] == ["20240101"]
    assert "PatientName" not in str(asked)


def test_a_service_that_knows_no_pages_is_not_asked_for_ever() -> None:
    with service(lambda *_: (200, QIDO, json.dumps(studies(9)).encode())) as url, WebSource(WebNode(url)) as source:
        assert len(source.studies(Query(dates="20240101"))) == 9
        assert source.studies(Query(accession="X")) == []  # it ignores what it is asked for


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ((401, {}, b""), "credentials"),
        ((403, {}, b""), "administrator"),
        ((404, {}, b""), "address"),
        ((503, {}, b""), "503"),
        ((302, {"Location": "http://127.0.0.1:1/elsewhere"}, b""), "another address"),
        ((200, QIDO, b"<html>Anna Meier"), "DICOM JSON"),
        ((200, QIDO, b'[{"0020000D": 7}]'), "DICOM JSON"),
        ((200, QIDO, b'[{"0020000D": {"Value": ["../x"]}}]'), "StudyInstanceUID"),
    ],
)
def test_what_goes_wrong_is_one_sentence_without_what_was_answered(reply: Reply, reason: str) -> None:
    with service(lambda *_: reply) as url, WebSource(WebNode(url)) as source, pytest.raises(SourceError, match=reason) as caught:
        source.studies(Query(dates="20240101"))
    assert "\n" not in str(caught.value)
    assert "Meier" not in str(caught.value)


def test_secrets_go_to_the_service_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []

    def reply(path: str, asked: dict[str, list[str]], headers: Any) -> Reply:
        seen.append(headers["Authorization"])
        return 200, QIDO, b"[]"

    with service(reply) as url:
        node = WebNode(url, token_variable="PACS_TOKEN")
        with pytest.raises(UsageError, match="PACS_TOKEN"):
            source_of(node, "CASEWISE")
        monkeypatch.setenv("PACS_TOKEN", "s3cret")
        with source_of(node, "CASEWISE") as source:
            source.studies(Query(dates="20240101"))
    assert set(seen) == {"Bearer s3cret"}


def test_a_body_that_breaks_off_keeps_what_came_whole(tmp_path: Path) -> None:
    series = ct(tmp_path / "ct", 3, study_uid=STUDY, series_uid=SERIES)
    files = [path.read_bytes() for path in series.files]
    cut = multipart(*files)[: -len(files[2]) // 2]
    spool = Spool(tmp_path / "spool")
    with service(series_of((200, PARTS, cut), series.files)) as url:
        fetched = fetched_from(url, spool, 3)
    assert (fetched.present, fetched.expected) == (2, 3)
    assert fetched.reason is not None
    with service(series_of((200, PARTS, multipart(files[2])), series.files)) as url:
        fetched = fetched_from(url, spool, 3)
    assert (fetched.present, fetched.new, fetched.reason) == (3, 1, None)


def test_a_service_that_goes_away_is_not_asked_for_every_instance(tmp_path: Path) -> None:
    """Of nine missing instances it breaks off at the first, sends the second, and is away from then on."""
    series = ct(tmp_path / "ct", 10, study_uid=STUDY, series_uid=SERIES)
    held = {str(dcmread(path).SOPInstanceUID): path.read_bytes() for path in series.files}
    first, second = list(held)[1:3]
    spool, asked = Spool(tmp_path / "spool"), []
    spool.write(series.files[0].read_bytes())
    listing = series_of((404, {}, b""), series.files)

    def reply(path: str, parameters: dict[str, list[str]], headers: Any) -> Reply:
        uid = path.rpartition("/")[2]
        if uid not in held:
            return listing(path, parameters, headers)
        asked.append(uid)
        if uid == second:
            return 200, PARTS, multipart(held[uid])
        return 200, {**PARTS, "Content-Length": "1000000"}, b"\r\n--cut\r\n"

    with service(reply) as url:
        fetched = fetched_from(url, spool, 10)
    assert asked[:2] == [first, second]
    assert len(asked) == 1 + 1 + 3 + 3  # and once more, as one had come
    assert (fetched.present, fetched.away) == (2, True)


def test_an_object_that_is_no_part_is_taken(tmp_path: Path) -> None:
    series = ct(tmp_path / "ct", 2, study_uid=STUDY, series_uid=SERIES)
    body = series.files[0].read_bytes()
    with service(series_of((200, {"Content-Type": "application/dicom"}, body), series.files[:1])) as url:
        assert fetched_from(url, Spool(tmp_path / "spool"), 1).reason is None


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (PARTS, b"--cut\r\nthis is no header\r\n\r\nx"),
        (PARTS, multipart(b"no DICOM at all")),
        ({"Content-Type": "text/html"}, b"<html>sign in</html>"),
        ({"Content-Type": "multipart/related"}, b"no boundary"),
    ],
)
def test_what_is_no_dicom_is_refused(tmp_path: Path, headers: dict[str, str], body: bytes) -> None:
    series = ct(tmp_path / "ct", 2, study_uid=STUDY, series_uid=SERIES)
    spool = Spool(tmp_path / "spool")
    with service(series_of((200, headers, body), series.files)) as url:
        fetched = fetched_from(url, spool, 2)
    assert fetched.reason
    assert fetched.present == 0
    assert spool.series() == []


def test_objects_of_another_study_are_refused(tmp_path: Path) -> None:
    series = ct(tmp_path / "ct", 2, study_uid=STUDY, series_uid=SERIES)
    wrong = ct(tmp_path / "wrong", 2, study_uid="1.2.9", series_uid=SERIES)
    spool = Spool(tmp_path / "spool")
    body = multipart(series.files[0].read_bytes(), wrong.files[0].read_bytes(), series.files[1].read_bytes())
    with service(series_of((200, PARTS, body), series.files)) as url:
        fetched = fetched_from(url, spool, 2)
    assert "another study" in (fetched.reason or "")
    assert fetched.present == 1


def test_a_long_object_never_lies_in_memory_as_a_whole(tmp_path: Path) -> None:
    series = ct(tmp_path / "ct", 2, study_uid=STUDY, series_uid=SERIES)
    head = series.files[0].read_bytes()
    filler = b"\xfc\xff\xfc\xffOB\x00\x00" + (400 << 20).to_bytes(4, "little")  # Data Set Trailing Padding of 400 MiB

    def body() -> Iterator[bytes]:
        yield b"--cut\r\nContent-Type: application/dicom\r\n\r\n" + head + filler
        block = bytes(1 << 20)
        for _ in range(400):
            yield block
        yield b"\r\n--cut--\r\n"

    spool = Spool(tmp_path / "spool")
    with service(series_of((200, PARTS, body()), series.files[:1])) as url:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        fetched = fetched_from(url, spool, 1)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert fetched.reason is None
    assert spool.files(SERIES)[0].stat().st_size > 400 << 20
    assert grown < 150 << 10  # KiB
