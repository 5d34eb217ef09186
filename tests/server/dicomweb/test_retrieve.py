"""Retrieving by dicomweb-client: headers, files and frames, in every transfer syntax there is; what has gone; what is read once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import ExplicitVRLittleEndian, RLELossless, generate_uid

import casewise
from casewise.formats.dicom.frames import native_frame
from casewise.formats.dicom.stored import Stored, stored
from tests.dicom_studies import ct, film
from tests.server.dicomweb.conftest import Served
from tests.waiting import SECONDS

STORED = "multipart/related; type=application/octet-stream; transfer-syntax=*"


def test_frames_of_a_ct_are_the_voxels_that_casewise_reads(serve: Callable[..., Served], tmp_path: Path) -> None:
    made = ct(tmp_path / "files", 6)
    client = serve(tmp_path / "files").client
    image = casewise.read(tmp_path / "files")
    for number, file in enumerate(made.files):
        header = pydicom.dcmread(file)
        (frame,) = client.retrieve_instance_frames(made.study_uid, made.series_uid, header.SOPInstanceUID, [1])
        units = np.frombuffer(frame, "<u2").reshape(64, 64) * float(header.RescaleSlope) + float(header.RescaleIntercept)
        assert np.array_equal(units, image.array[0, ..., number])


def test_every_transfer_syntax(serve: Callable[..., Served], tmp_path: Path, shared_data: Path) -> None:
    """Headers as pydicom's, frames as stored and decoded, and whole files in both forms, of all that casewise reads."""
    folder = tmp_path / "files"
    folder.mkdir()
    for file in sorted((shared_data / "dicom-pydicom").glob("*.dcm")):
        _with_own_uids(file, folder / file.name)
    served = serve(folder)
    served.app.state.dicomweb.instances.update(60)
    seen = set()
    for record in served.archive.images():
        file = Path(record.path)
        header = pydicom.dcmread(file)
        where = header.StudyInstanceUID, header.SeriesInstanceUID, header.SOPInstanceUID
        syntax = header.file_meta.TransferSyntaxUID
        seen.add(syntax)
        count = int(header.get("NumberOfFrames") or 1)
        with stored(file) as opened:
            try:
                native = [native_frame(opened, number) for number in range(count)]
            except casewise.errors.UnreadableImageError:
                native = []
        answer = served.client.retrieve_instance_metadata(*where)
        assert answer["00280010"]["Value"] == [header.Rows]
        assert answer["00083002"]["Value"] == [syntax]
        url = f"{served.url}/dicomweb/studies/{where[0]}/series/{where[1]}/instances/{where[2]}"
        as_stored = httpx.get(f"{url}/frames/1", headers={**served.token, "accept": STORED}, timeout=SECONDS)
        assert as_stored.status_code == 200, file.name
        sent = str(syntax) if syntax.is_encapsulated else str(ExplicitVRLittleEndian)
        assert f"transfer-syntax={sent}\r\n".encode() in as_stored.content
        whole = httpx.get(url, headers={**served.token, "accept": "application/dicom; transfer-syntax=*"}, timeout=SECONDS)
        assert pydicom.dcmread(_in_memory(whole.content)).SOPInstanceUID == where[2]
        if not native:
            continue
        numbers = list(range(1, count + 1))
        assert served.client.retrieve_instance_frames(*where, numbers) == native, file.name
        if syntax.is_encapsulated:
            plain = httpx.get(url, headers={**served.token, "accept": "application/dicom"}, timeout=SECONDS)
            decoded = pydicom.dcmread(_in_memory(plain.content))
            assert decoded.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
            assert decoded.PixelData.rstrip(b"\0") == b"".join(native).rstrip(b"\0"), file.name
    one = served.client.retrieve_instance(*where)  # which takes what is stored
    assert one.file_meta.TransferSyntaxUID == syntax
    assert len(seen) >= 10, sorted(seen)


def test_pixels_are_those_of_pydicom(shared_data: Path) -> None:
    """The oracle of the test above: what pydicom decodes, of files in which a frame is whole bytes of grey values."""
    checked = 0
    for file in sorted((shared_data / "dicom-pydicom").glob("*.dcm")):
        header = pydicom.dcmread(file, force=True)
        if (header.get("PhotometricInterpretation"), header.get("BitsAllocated")) != ("MONOCHROME2", 16):
            continue
        with stored(file) as opened:
            mine = np.frombuffer(native_frame(opened, 0), f"<{'i' if header.PixelRepresentation else 'u'}2")
        theirs = pydicom.pixels.pixel_array(file, index=0, raw=True) if header.BitsStored == 16 else None
        if theirs is not None:
            assert np.array_equal(mine.reshape(theirs.shape), theirs), file.name
            checked += 1
    assert checked >= 4


def test_headers_of_300_slices_are_read_once(serve: Callable[..., Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []

    def noted(path: Path) -> AbstractContextManager[Stored]:
        opened.append(path)
        return stored(path)

    monkeypatch.setattr("casewise.server.dicomweb.headers.stored", noted)
    made = ct(tmp_path / "files", 300, rows=16, columns=16)
    served = serve(tmp_path / "files")
    served.app.state.dicomweb.instances.update(60)
    url = f"{served.url}/dicomweb/studies/{made.study_uid}/series/{made.series_uid}/metadata"
    for _ in range(2):
        answer = httpx.get(url, headers=served.token, timeout=SECONDS)
        assert len(answer.json()) == 300
    assert len(opened) == len(set(opened)) == 300


def test_a_frame_is_sent_once_while_it_does_not_change(serve: Callable[..., Served], tmp_path: Path) -> None:
    made = film(tmp_path / "files", rows=40, columns=30)
    served = serve(tmp_path / "files")
    uid = pydicom.dcmread(made.files[0]).SOPInstanceUID
    url = f"{served.url}/dicomweb/studies/{made.study_uid}/series/{made.series_uid}/instances/{uid}/frames/1"
    first = httpx.get(url, headers=served.token, timeout=SECONDS)
    assert first.headers["cache-control"] == "private, no-cache"
    again = httpx.get(url, headers={**served.token, "if-none-match": first.headers["etag"]}, timeout=SECONDS)
    assert (again.status_code, again.content) == (304, b"")
    other = httpx.get(url, headers={**served.token, "if-none-match": first.headers["etag"], "accept": STORED}, timeout=SECONDS)
    assert other.status_code == 200


def test_what_the_client_cannot_take_is_refused(serve: Callable[..., Served], tmp_path: Path) -> None:
    made = film(tmp_path / "files", rows=40, columns=30)
    served = serve(tmp_path / "files")
    uid = pydicom.dcmread(made.files[0]).SOPInstanceUID
    url = f"{served.url}/dicomweb/studies/{made.study_uid}/series/{made.series_uid}/instances/{uid}"
    for path, accept in (("/frames/1", "image/png"), ("", "text/html"), ("/frames/1", "multipart/related; type=image/jpeg")):
        answer = httpx.get(url + path, headers={**served.token, "accept": accept}, timeout=SECONDS)
        assert answer.status_code == 406
        assert "Accepted must be" in answer.json()["detail"]
    assert httpx.get(f"{url}/frames/2", headers=served.token, timeout=SECONDS).status_code == 404


def test_files_that_have_gone_are_left_out(serve: Callable[..., Served], tmp_path: Path) -> None:
    made = ct(tmp_path / "files", 4)
    served = serve(tmp_path / "files")
    assert len(served.client.retrieve_series_metadata(made.study_uid, made.series_uid)) == 4
    lost = pydicom.dcmread(made.files[0]).SOPInstanceUID
    made.files[0].unlink()
    assert len(served.client.retrieve_series_metadata(made.study_uid, made.series_uid)) == 3
    url = f"{served.url}/dicomweb/studies/{made.study_uid}/series/{made.series_uid}/instances/{lost}"
    answer = httpx.get(f"{url}/frames/1", headers=served.token, timeout=SECONDS)
    assert answer.status_code == 404
    assert str(tmp_path) not in answer.text
    shutil.rmtree(tmp_path / "files")
    assert served.client.search_for_studies() == []


def test_a_file_that_was_overwritten_is_not_sent_as_the_instance_that_it_was(serve: Callable[..., Served], tmp_path: Path) -> None:
    made = ct(tmp_path / "files", 4)
    served = serve(tmp_path / "files")
    assert len(served.client.retrieve_series_metadata(made.study_uid, made.series_uid)) == 4
    lost = pydicom.dcmread(made.files[0]).SOPInstanceUID
    url = f"{served.url}/dicomweb/studies/{made.study_uid}/series/{made.series_uid}/instances/{lost}"
    parts = ("", "/frames/1", "/bulkdata/7FE00010", "/metadata")
    assert {httpx.get(f"{url}{part}", headers=served.token, timeout=SECONDS).status_code for part in parts} == {200}
    shutil.copyfile(ct(tmp_path / "other", 4).files[0], made.files[0])
    assert {httpx.get(f"{url}{part}", headers=served.token, timeout=SECONDS).status_code for part in parts} == {404}
    every = {"accept": "multipart/related; type=application/dicom; transfer-syntax=*", **served.token}
    rest = httpx.get(f"{served.url}/dicomweb/studies/{made.study_uid}", headers=every, timeout=SECONDS)
    assert rest.status_code == 206 and lost not in {one.SOPInstanceUID for one in _parts(rest)} and len(_parts(rest)) == 3


def _with_own_uids(file: Path, target: Path) -> None:
    """A copy of a file with UIDs that no other has; not of those that name none, or one that pydicom does not know."""
    data = pydicom.dcmread(file, force=True)
    syntax = getattr(data, "file_meta", {}).get("TransferSyntaxUID")
    if syntax is None or not syntax.is_transfer_syntax:
        return
    data.StudyInstanceUID = generate_uid()
    data.SeriesInstanceUID, data.SOPInstanceUID = generate_uid(), generate_uid()
    data.SOPClassUID = data.get("SOPClassUID") or "1.2.840.10008.5.1.4.1.1.7"
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    pydicom.dcmwrite(target, data, enforce_file_format=True)


def _in_memory(content: bytes) -> object:
    import io

    return io.BytesIO(content)


def test_what_cannot_be_read_of_a_study_is_left_out_and_said(serve: Callable[..., Served], tmp_path: Path) -> None:
    """The others come whole, as 206 Partial Content: also where the first file is the damaged one."""
    made = ct(tmp_path / "files", 4)
    for show in (True, False):
        served = serve(tmp_path / "files", show_names=show)
        url = f"{served.url}/dicomweb/studies/{made.study_uid}"
        every = {"accept": "multipart/related; type=application/dicom; transfer-syntax=*", **served.token}
        whole = httpx.get(url, headers=every, timeout=SECONDS)
        assert (whole.status_code, len(_parts(whole))) == (200, 4)
        uids = [one.SOPInstanceUID for one in _parts(whole)]
        for damaged in (0, 3):
            file = next(file for file in made.files if pydicom.dcmread(file).SOPInstanceUID == uids[damaged])
            content = file.read_bytes()
            file.write_bytes(content[:200])
            part = httpx.get(url, headers=every, timeout=SECONDS)
            left = [uid for uid in uids if uid != uids[damaged]]
            assert (part.status_code, [one.SOPInstanceUID for one in _parts(part)]) == (206, left)
            file.write_bytes(content)
        file.unlink()
        assert httpx.get(f"{url}/series/{made.series_uid}", headers=every, timeout=SECONDS).status_code == 206
        file.write_bytes(content)
    for file in made.files:
        file.write_bytes(file.read_bytes()[:200])
    none = httpx.get(url, headers=every, timeout=SECONDS)
    assert none.status_code == 406 and "The instance's file" in none.json()["detail"]


def _compressed(file: Path) -> str:
    """Packs a file's pixels by RLE, as three equal frames. Gives its UID."""
    data = pydicom.dcmread(file)
    data.NumberOfFrames = 3
    data.PixelData = data.PixelData * 3
    data.compress(RLELossless)
    data.save_as(file)
    return str(data.SOPInstanceUID)


def _break_off(file: Path, frame: int) -> None:
    """Half of one frame is gone."""
    data = pydicom.dcmread(file)
    packed = list(generate_frames(data.PixelData, number_of_frames=3))
    packed[frame] = packed[frame][: len(packed[frame]) // 4 * 2]
    data.PixelData = encapsulate(packed)
    data.save_as(file)


@pytest.mark.parametrize("show_names", [True, False])
def test_an_instance_that_cannot_be_decoded_is_left_out_of_those_that_are_sent_decoded(
    serve: Callable[..., Served], tmp_path: Path, show_names: bool
) -> None:
    """Its header is whole, and its pixels break off: the first, the last, one in the middle, one frame of several."""
    made = ct(tmp_path / "files", 4)
    uids = [_compressed(file) for file in made.files]
    served = serve(tmp_path / "files", show_names=show_names)
    url = f"{served.url}/dicomweb/studies/{made.study_uid}"
    every = {"accept": "multipart/related; type=application/dicom", **served.token}
    whole = httpx.get(url, headers=every, timeout=SECONDS)
    assert (whole.status_code, len(_parts(whole))) == (200, 4)
    for number, frame in ((0, 0), (2, 1), (3, 2)):
        file = made.files[number]
        content = file.read_bytes()
        _break_off(file, frame)
        part = httpx.get(url, headers=every, timeout=SECONDS)
        left = {uid for uid in uids if uid != uids[number]}
        assert (part.status_code, {one.SOPInstanceUID for one in _parts(part)}) == (206, left)
        alone = f"{url}/series/{made.series_uid}/instances/{uids[number]}"
        for path in ("", "/frames/1,2,3", "/bulkdata/7FE00010"):
            accept = every["accept"] if path == "" else "multipart/related; type=application/octet-stream"
            answer = httpx.get(alone + path, headers={**served.token, "accept": accept}, timeout=SECONDS)
            assert answer.status_code == 406 and "The instance's file cannot be decoded" in answer.json()["detail"]
        sound = httpx.get(f"{alone}/frames/{(frame + 1) % 3 + 1}", headers=served.token, timeout=SECONDS)
        assert sound.status_code == 200
        file.write_bytes(content)


@pytest.mark.parametrize("show_names", [True, False])
def test_a_damaged_photometric_interpretation_is_told(serve: Callable[..., Served], tmp_path: Path, show_names: bool) -> None:
    made = ct(tmp_path / "files", 2)
    served = serve(tmp_path / "files", show_names=show_names)
    where = made.study_uid, made.series_uid
    assert len(served.client.retrieve_series_metadata(*where)) == 2
    file = made.files[0]
    uid = pydicom.dcmread(file).SOPInstanceUID
    content = file.read_bytes()
    place = content.index(b"\x28\x00\x04\x00CS")
    file.write_bytes(content[: place + 4] + b"ZZ" + content[place + 6 :])
    url = f"{served.url}/dicomweb/studies/{where[0]}/series/{where[1]}/instances/{uid}"
    for path in ("/frames/1", "/bulkdata/7FE00010", "/bulkdata/00280004"):
        answer = httpx.get(url + path, headers=served.token, timeout=SECONDS)
        assert 400 <= answer.status_code < 500, path
        assert str(tmp_path) not in answer.text
    assert "damaged" in httpx.get(f"{url}/frames/1", headers=served.token, timeout=SECONDS).json()["detail"]
    every = {"accept": "multipart/related; type=application/dicom; transfer-syntax=*", **served.token}
    answer = httpx.get(f"{served.url}/dicomweb/studies/{where[0]}", headers=every, timeout=SECONDS)
    # Whole files go out as they are: the client may make something of it.
    assert (answer.status_code, answer.content.count(b"Content-Location")) == (200, 2)


def _parts(answer: httpx.Response) -> list[pydicom.Dataset]:
    """The files of a multipart answer that has come whole."""
    boundary = answer.headers["content-type"].split("boundary=")[1].encode()
    first, *parts, end = answer.content.split(b"--" + boundary)
    assert (first, end) == (b"", b"--\r\n")
    return [pydicom.dcmread(_in_memory(part.split(b"\r\n\r\n", 1)[1])) for part in parts]
