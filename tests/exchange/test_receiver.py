"""The receiver, with dcmtk, pynetdicom and Orthanc as senders."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import UID, JPEG2000Lossless
from pynetdicom import evt

from casewise.errors import UsageError
from casewise.exchange.association import AssociationError, echo
from casewise.exchange.node import Node
from casewise.exchange.received import Spool
from casewise.exchange.receiver import Receiver
from casewise.exchange.settings import DicomSettings, Receive, Sender
from tests.certificates import Authority
from tests.dicom_studies import ct, film, study
from tests.exchange.receiving import data_set, receiving, rejection, statuses, storescu
from tests.orthanc import orthanc
from tests.waiting import until


def held(spool: Spool) -> dict[str, Path]:
    """SOP instance UID → file."""
    return {path.stem: path for series in spool.series() for path in spool.files(series)}


_NEWER = ("1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.102", "1.2.840.10008.1.2.4.110")


def _of_every_transfer_syntax(shared: Path, folder: Path) -> list[tuple[str, Path]]:
    """(SOP instance UID, file): the real ones, and HTJ2K, MPEG-4 and JPEG XL with pixels that are none."""
    files = []
    for path in sorted(path for name in ("dicom-pydicom", "dicom-more") for path in (shared / name).rglob("*.dcm")):
        if path.read_bytes()[128:132] != b"DICM":
            continue
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        uids = [str(dataset.get(name, "")) for name in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")]
        if all(UID(uid).is_valid for uid in uids) and dataset.file_meta.MediaStorageSOPInstanceUID == uids[0]:
            files.append((uids[0], path))
    source = pydicom.dcmread(next(path for _, path in files if "CTImage.dcm_JPEG2000Transfer" in path.name))
    for syntax in _NEWER:
        source.SOPInstanceUID = source.file_meta.MediaStorageSOPInstanceUID = f"{syntax}.1"
        source.file_meta.TransferSyntaxUID = syntax
        source.PixelData = encapsulate([syntax.encode() * 10])
        source.save_as(folder / f"{syntax}.dcm", implicit_vr=False, little_endian=True, enforce_file_format=True)
        files.append((f"{syntax}.1", folder / f"{syntax}.dcm"))
    return files


def test_every_transfer_syntax_arrives_as_it_was_sent(tmp_path: Path, shared_data: Path) -> None:
    waiting = _of_every_transfer_syntax(shared_data, tmp_path)
    syntaxes = set()
    spool = Spool(tmp_path / "received")
    with receiving(spool) as (_, port):
        while waiting:
            part = dict(reversed(waiting))  # of some objects there are several files, of which the last was sent last
            waiting = [one for one in waiting if one[1] not in part.values()]
            answers = zip(part.values(), statuses(port, *part.values()), strict=True)
            assert not {path.name: status for path, status in answers if status != 0}
            arrived = held(spool)
            for uid, path in part.items():
                assert data_set(arrived[uid]) == data_set(path), path.name
                sent, got = (pydicom.filereader.read_file_meta_info(one) for one in (path, arrived[uid]))
                assert got.TransferSyntaxUID == sent.TransferSyntaxUID
                syntaxes.add(got.TransferSyntaxUID)
    assert len(syntaxes) >= 20


def test_storescu_sends_plain_and_compressed_images(tmp_path: Path) -> None:
    series = ct(tmp_path / "ct")
    packed = pydicom.dcmread(series.files[0])
    packed.compress(JPEG2000Lossless, generate_instance_uid=False)
    packed.save_as(tmp_path / "packed.dcm")
    spool = Spool(tmp_path / "received")
    with receiving(spool) as (_, port):
        assert storescu(port, *series.files[1:]).returncode == 0
        assert storescu(port, "-xv", tmp_path / "packed.dcm").returncode == 0
    arrived = held(spool)
    assert arrived.keys() == {pydicom.dcmread(file).SOPInstanceUID for file in series.files}
    for file in series.files:
        sent, got = pydicom.dcmread(file), pydicom.dcmread(arrived[pydicom.dcmread(file).SOPInstanceUID])
        assert (got.pixel_array == sent.pixel_array).all()
        assert got.file_meta.SourceApplicationEntityTitle == "SCANNER"
        assert got.file_meta.ReceivingApplicationEntityTitle == "CASEWISE"
    assert {instance.address for instance in spool.instances(series.series_uid)} == {"127.0.0.1"}


def test_objects_of_private_and_unknown_classes_are_taken(tmp_path: Path) -> None:
    path = ct(tmp_path / "ct").files[0]
    for number, sop_class in enumerate(["1.3.12.2.1107.5.9.1", "1.2.840.10008.5.1.4.1.1.999"]):
        dataset = pydicom.dcmread(path)
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = sop_class
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
        dataset.save_as(tmp_path / f"{number}.dcm")
    spool = Spool(tmp_path / "received")
    with receiving(spool) as (_, port):
        assert statuses(port, tmp_path / "0.dcm", tmp_path / "1.dcm") == [0, 0]
    assert held(spool).keys() == {"1.2.3.0", "1.2.3.1"}


def test_titles_and_addresses_are_checked(tmp_path: Path) -> None:
    senders = (Sender("SCANNER", "127.0.0.1"), Sender("ELSEWHERE", "10.9.9.9"))
    settings = DicomSettings(senders=senders, nodes={"pacs": Node("ORTHANC", "127.0.0.1", 104)})
    spool = Spool(tmp_path / "received")
    with receiving(spool, settings) as (_, port):
        assert rejection(port) is None
        assert rejection(port, called="ANOTHER") == (1, 1, 7)
        assert rejection(port, calling="STRANGER") == (1, 1, 3)
        assert rejection(port, calling="ELSEWHERE") == (1, 1, 3)
        assert rejection(port, calling="ORTHANC") is None  # it may report, and be reported to
        path = ct(tmp_path / "ct").files[0]
        assert statuses(port, path, calling="ORTHANC") == [0x0124]
        assert held(spool) == {}
        assert statuses(port, path) == [0]
        echo(Node("CASEWISE", "127.0.0.1", port), "SCANNER")
    with socket.create_server(("127.0.0.1", 0)) as occupied, pytest.raises(UsageError, match="choose another port"):
        Receiver(DicomSettings(), spool, occupied.getsockname()[1], committed=lambda _: set()).start()


def test_tls_turns_clients_without_a_certificate_away(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path / "one"), Authority(tmp_path / "two")
    server, client = authority.issue("server"), authority.issue("client")
    spool = Spool(tmp_path / "received")
    path = ct(tmp_path / "ct").files[0]
    with receiving(spool, DicomSettings(tls=server)) as (_, port):
        silent = socket.create_connection(("127.0.0.1", port))  # speaks no TLS and keeps nobody waiting
        echo(Node("CASEWISE", "127.0.0.1", port, tls=client), "SCANNER")
        certificate = ["+tls", client.key, client.certificate, "+cf", client.ca]
        assert storescu(port, *certificate, path).returncode == 0
        assert storescu(port, "+tla", "+cf", client.ca, path).returncode != 0
        assert storescu(port, path).returncode != 0
        wrong = other.issue("client")
        assert storescu(port, "+tls", wrong.key, wrong.certificate, "+cf", client.ca, path).returncode != 0
        with pytest.raises(AssociationError):
            echo(Node("CASEWISE", "127.0.0.1", port), "SCANNER")
        silent.close()
    assert len(held(spool)) == 1


def test_orthanc_sends_three_series_mixed_out_of_order_and_twice(tmp_path: Path) -> None:
    parts = study(tmp_path / "study")
    spool = Spool(tmp_path / "received")
    with receiving(spool) as (_, port), orthanc(tmp_path / "orthanc", {"casewise": ("CASEWISE", port)}) as pacs:
        files = [file for part in parts for file in part.files]
        mixed = [files[(7 * number) % len(files)] for number in range(len(files))] if len(files) % 7 else files[::-1]
        identifiers = pacs.add(*mixed)
        for _ in range(2):
            answer = pacs.post("/modalities/casewise/store", identifiers)
            assert answer["FailedInstancesCount"] == 0
    arrived = held(spool)
    assert arrived.keys() == {pydicom.dcmread(file).SOPInstanceUID for file in files}
    assert spool.series() == sorted(part.series_uid for part in parts)
    for file in files:
        sent = pydicom.dcmread(file)
        assert (pydicom.dcmread(arrived[sent.SOPInstanceUID]).pixel_array == sent.pixel_array).all()
    assert not list(spool.folder.rglob(".part-*"))


def test_twenty_senders_at_once_lose_nothing(tmp_path: Path) -> None:
    sent = [ct(tmp_path / str(number)).files for number in range(20)]
    spool = Spool(tmp_path / "received")
    with receiving(spool) as (_, port), ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda files: storescu(port, *files).returncode, sent))
    assert answers == [0] * 20
    assert held(spool).keys() == {pydicom.dcmread(file).SOPInstanceUID for files in sent for file in files}


def test_more_associations_than_allowed_are_told_to_try_again(tmp_path: Path) -> None:
    from pynetdicom import AE
    from pynetdicom.presentation import build_context

    with receiving(Spool(tmp_path), DicomSettings(receive=Receive(most_associations=2))) as (_, port):
        context = [build_context("1.2.840.10008.1.1")]
        open_ones = [AE("SCANNER").associate("127.0.0.1", port, context, ae_title="CASEWISE") for _ in range(2)]
        assert rejection(port) == (2, 3, 2)
        for one in open_ones:
            one.release()
        until(lambda: rejection(port) is None)


def test_what_an_open_association_sends_is_known(tmp_path: Path) -> None:
    from pynetdicom import AE
    from pynetdicom.presentation import build_context

    series = ct(tmp_path / "ct")
    dataset = pydicom.dcmread(series.files[0])
    with receiving(Spool(tmp_path / "received")) as (receiver, port):
        assert receiver.sending() == set()
        context = [build_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)]
        association = AE("SCANNER").associate("127.0.0.1", port, context, ae_title="CASEWISE")
        assert association.send_c_store(dataset).Status == 0
        assert receiver.sending() == {series.study_uid}
        association.release()
        until(lambda: receiver.sending() == set())


def test_a_peer_that_falls_silent_is_closed_and_leaves_nothing(tmp_path: Path) -> None:
    from pynetdicom import AE
    from pynetdicom.presentation import build_context

    series = ct(tmp_path / "ct")
    spool = Spool(tmp_path / "received")
    with receiving(spool, silence_seconds=1.0) as (receiver, port):
        context = [build_context(pydicom.dcmread(series.files[0]).SOPClassUID, "1.2.840.10008.1.2.1")]
        association = AE("SCANNER").associate("127.0.0.1", port, context, ae_title="CASEWISE")
        assert association.send_c_store(series.files[0]).Status == 0
        connection = association.dul.socket.socket
        connection.sendall(b"\x04\0" + struct.pack(">I", 60_000) + b"half of a unit")
        until(lambda: receiver.sending() == set())
        assert rejection(port) is None
    assert len(held(spool)) == 1


def _unit(fragment: bytes) -> bytes:
    """A unit of data in the first presentation context."""
    value = b"\1" + fragment
    return b"\x04\0" + struct.pack(">II", len(value) + 4, len(value)) + value


_ENDLESS = {
    "a unit of gigabytes": [b"\x04\0\xff\xff\xff\xf0"],
    "a value longer than its unit": [b"\x04\0" + struct.pack(">II", 6, 600) + b"\1\3"],
    "a command without end": [_unit(b"\x01" + bytes(250_000))] * 80,
    "no command": [_unit(b"\x03" + b"rubbish" * 5)],
}


@pytest.mark.parametrize("units", _ENDLESS.values(), ids=_ENDLESS.keys())
def test_what_is_no_message_aborts_its_association_alone(tmp_path: Path, units: list[bytes]) -> None:
    from pynetdicom import AE
    from pynetdicom.presentation import build_context

    with receiving(Spool(tmp_path), silence_seconds=600.0) as (_, port):
        entity = AE("SCANNER")
        entity.network_timeout = None
        association = entity.associate("127.0.0.1", port, [build_context("1.2.840.10008.1.1")], ae_title="CASEWISE")
        with contextlib.suppress(OSError):  # the receiver may close before all is sent
            for unit in units:
                association.dul.socket.socket.sendall(unit)
        until(lambda: not association.is_established)
        assert rejection(port) is None


def test_a_connection_that_is_cut_leaves_nothing_half(tmp_path: Path) -> None:
    sent = film(tmp_path / "film", rows=3000, columns=2000).files[0]
    spool = Spool(tmp_path / "received")
    units: list[int] = []

    def cut(event: Any) -> None:
        units.append(1)
        if len(units) == 20:
            assert list(spool.folder.glob(".part-*"))  # it goes to disk as it comes
            event.assoc.dul.socket.socket.shutdown(socket.SHUT_RDWR)

    with receiving(spool) as (_, port):
        assert statuses(port, sent, handlers=[(evt.EVT_PDU_SENT, cut)]) == [None]
        until(lambda: not list(spool.folder.iterdir()))
        assert statuses(port, sent) == [0]
    assert data_set(next(iter(held(spool).values()))) == data_set(sent)


def test_an_object_larger_than_memory_should_be_costs_none(tmp_path: Path) -> None:
    sent = film(tmp_path / "film", rows=100, columns=100).files[0]
    dataset = pydicom.dcmread(sent)
    dataset.Rows, dataset.Columns, dataset.PixelData = 10_000, 15_000, bytes(300_000_000)
    dataset.save_as(sent)
    command = [sys.executable, "-c", _PROCESS, str(tmp_path / "received"), "0"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline())
        echo(Node("CASEWISE", "127.0.0.1", port), "SCANNER")
        before = _peak(process.pid)
        assert statuses(port, sent) == [0]
        assert _peak(process.pid) - before < 60_000_000
    finally:
        process.kill()
        process.wait(60)


def _peak(pid: int) -> int:
    """Bytes of memory that a process has had at most."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


@pytest.mark.parametrize(("change", "status"), [("class", 0xA900), ("instance", 0xA900), ("series", 0xC000), ("cut", 0xC000)])
def test_what_cannot_be_kept_is_refused_without_a_patient_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: str, status: int
) -> None:
    path = ct(tmp_path / "ct").files[0]
    dataset = pydicom.dcmread(path)
    name = str(dataset.PatientName)
    if change == "class":
        dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    elif change == "instance":
        dataset.SOPInstanceUID = "1.2.3"
    elif change == "series":
        del dataset.SeriesInstanceUID
    meta = dataset.file_meta.copy()
    dataset.save_as(path)
    if change == "cut":
        content = path.read_bytes()
        path.write_bytes(content[: content.index(dataset.StudyInstanceUID.encode()) + 3])
    assert pydicom.filereader.read_file_meta_info(path).MediaStorageSOPInstanceUID == meta.MediaStorageSOPInstanceUID
    spool = Spool(tmp_path / "received")
    with caplog.at_level(logging.DEBUG), receiving(spool) as (_, port):
        assert statuses(port, path) == [status]
    assert held(spool) == {}
    assert len([record for record in caplog.records if record.name == "casewise.dicom"]) == 1
    assert f"0x{status:04X}" in caplog.text
    for secret in (name, name.split("^")[0], str(dataset.PatientID), str(dataset.PatientBirthDate)):
        assert secret not in caplog.text


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path | None]:
    """A file system of 4 MB; None where this user may mount none."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0 or subprocess.run([mount, "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder]).returncode:
        yield None
        return
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_is_refused_and_nothing_acknowledged_is_lost(
    tmp_path: Path, small_disk: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [film(tmp_path / str(number), rows=1000, columns=500).files[0] for number in range(6)]
    spool = Spool((small_disk or tmp_path) / "received")
    if small_disk is None:
        fsync = os.fsync

        def until_full(descriptor: int) -> None:
            if sum(path.stat().st_size for path in spool.folder.rglob("*") if path.is_file()) > 4 << 20:
                raise OSError(errno.ENOSPC, "No space left on device")
            fsync(descriptor)

        monkeypatch.setattr(os, "fsync", until_full)
    with receiving(spool) as (_, port):
        answers = statuses(port, *files)
        assert set(answers) == {0, 0xA700}
        kept = [file for file, answer in zip(files, answers, strict=True) if answer == 0]
        arrived = held(spool)
        assert arrived.keys() == {pydicom.dcmread(file).SOPInstanceUID for file in kept}
        for file in kept:
            assert data_set(arrived[pydicom.dcmread(file).SOPInstanceUID]) == data_set(file)
        assert {path.suffix for path in spool.folder.rglob("*") if path.is_file()} == {".dcm"}
        for path in arrived.values():
            path.unlink()
        again = [file for file, answer in zip(files, answers, strict=True) if answer != 0]
        assert statuses(port, *again) == [0] * len(again)


_PROCESS = """
import sys, time
from pathlib import Path
from casewise.exchange.received import Spool
from casewise.exchange.receiver import Receiver
from casewise.exchange.settings import DicomSettings
receiver = Receiver(DicomSettings(), Spool(Path(sys.argv[1])), int(sys.argv[2]), committed=lambda _: set())
print(receiver.start(), flush=True)
sys.stdin.read()
"""


def test_what_was_acknowledged_survives_a_killed_receiver(tmp_path: Path) -> None:
    files = [file for number in range(8) for file in ct(tmp_path / f"ct{number}").files]
    spool = Spool(tmp_path / "received")
    acknowledged: set[Path] = set()

    def receiver() -> tuple[subprocess.Popen[str], int]:
        command = [sys.executable, "-c", _PROCESS, str(spool.folder), "0"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        return process, int(process.stdout.readline())

    def send(part: list[Path], port: int, started: threading.Event) -> None:
        for file in part:
            try:
                if statuses(port, file) == [0]:
                    acknowledged.add(file)
            except AssertionError:
                return
            if len(acknowledged) >= 5:
                started.set()

    for _ in range(2):
        process, port = receiver()
        started = threading.Event()
        missing = [file for file in files if file not in acknowledged]
        senders = [threading.Thread(target=send, args=(missing[n::4], port, started)) for n in range(4)]
        for sender in senders:
            sender.start()
        assert started.wait(120)
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        for sender in senders:
            sender.join(180)
        arrived = held(spool)
        for file in acknowledged:
            assert data_set(arrived[pydicom.dcmread(file).SOPInstanceUID]) == data_set(file)
        for path in arrived.values():
            assert pydicom.dcmread(path).pixel_array.size  # nothing half is visible
    process, port = receiver()
    assert set(statuses(port, *files)) == {0}
    assert held(spool).keys() == {pydicom.dcmread(file).SOPInstanceUID for file in files}
    process.kill()
    process.wait(60)
