"""The spool of received objects: whole or not at all, on disk before it returns, whatever is sent."""

from __future__ import annotations

import io
import os
import resource
import signal
import zlib
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from casewise.errors import UnreadableImageError
from casewise.exchange.received import FullError, Spool, instance_at

SERIES = "1.2.3.4"


def file_of(number: int = 1, syntax: str = ExplicitVRLittleEndian, series: str = SERIES, pixels: bytes = b"\1\2" * 8) -> bytes:
    """A small CT slice as a DICOM file."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, f"1.2.3.9.{number}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.Modality = "1.2.3", series, "CT"
    dataset.PatientName, dataset.PatientID = "Doe^Jane", "77-Z"
    dataset.Rows = dataset.Columns = 4
    dataset.BitsAllocated, dataset.SamplesPerPixel, dataset.PixelRepresentation = 8, 1, 0
    dataset.add_new(0x7FE00010, "OB" if syntax != ImplicitVRLittleEndian else "OW", pixels)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def data_set(content: bytes) -> bytes:
    """What follows the file meta information."""
    length = int.from_bytes(content[140:144], "little")
    return content[144 + length :]


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_what_is_written_is_the_data_set_as_sent_and_who_sent_it(tmp_path: Path, syntax: str) -> None:
    sent = file_of(syntax=syntax)
    instance = Spool(tmp_path / "received").write(sent, "SCANNER", "CASEWISE", "10.1.2.3")
    assert instance.path == tmp_path / "received" / SERIES / "1.2.3.9.1.dcm"
    assert (instance.sop_class, instance.study_uid, instance.modality) == (CTImageStorage, "1.2.3", "CT")
    assert data_set(instance.path.read_bytes()) == data_set(sent)
    read = pydicom.dcmread(instance.path)
    assert read.file_meta.SourceApplicationEntityTitle == "SCANNER"
    assert read.file_meta.ReceivingApplicationEntityTitle == "CASEWISE"
    assert read.file_meta.TransferSyntaxUID == syntax
    assert read.PixelData == b"\1\2" * 8
    assert instance_at(instance.path) == instance
    spool = Spool(tmp_path / "received")
    assert spool.series() == [SERIES]
    assert list(spool.instances(SERIES)) == [instance]


def test_the_same_again_changes_nothing_and_other_content_leaves_hard_links_as_they_were(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "received")
    path = spool.write(file_of()).path
    kept = tmp_path / "version.dcm"
    kept.hardlink_to(path)
    before = path.stat()
    spool.write(io.BytesIO(file_of()), "ANOTHER")
    assert path.stat().st_ino == before.st_ino
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    spool.write(file_of(pixels=b"\3\4" * 8))
    assert pydicom.dcmread(path).PixelData == b"\3\4" * 8
    assert pydicom.dcmread(kept).PixelData == b"\1\2" * 8
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_large_private_element_before_the_uids_is_passed(tmp_path: Path) -> None:
    dataset = pydicom.dcmread(io.BytesIO(file_of()))
    dataset.add_new(0x00090010, "LO", "CREATOR")
    dataset.add_new(0x00091001, "OB", bytes(3 << 20))
    file = io.BytesIO()
    dataset.save_as(file)
    assert Spool(tmp_path).write(file.getvalue()).series_uid == SERIES


def _cut(content: bytes) -> bytes:
    return content[: content.index(SERIES.encode()) + 4]


def _bomb() -> bytes:
    """A deflated data set of which a megabyte unfolds to a gigabyte before its first UID."""
    head = file_of(syntax=DeflatedExplicitVRLittleEndian)
    packer = zlib.compressobj(9, wbits=-15)
    body = packer.compress(b"\x08\0\x01\0UN\0\0" + (1 << 30).to_bytes(4, "little")) + packer.flush(zlib.Z_FULL_FLUSH)
    zeros = packer.compress(bytes(1 << 24)) + packer.flush(zlib.Z_FULL_FLUSH)  # refers to nothing before it: the same each time
    body += zeros * 64 + packer.flush()
    return head[: len(head) - len(data_set(head))] + body


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no DICOM" * 50,
        file_of()[:300],
        file_of()[:154],
        _cut(file_of()),
        file_of(series="../../../etc"),
        file_of(series=".."),
        file_of(series="1." + "2" * 80),
        file_of(series=""),
        file_of()[:144] + b"\x02\0\x02\1OB\0\0\xff\xff\xff\xff" + file_of()[144:],
        _bomb(),
    ],
    ids=["empty", "text", "cut meta", "cut length", "cut uid", "path", "dots", "long", "no uid", "meta length", "bomb"],
)
def test_what_cannot_be_kept_is_refused_and_leaves_nothing(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(UnreadableImageError) as caught:
        Spool(tmp_path / "received").write(content, "SCANNER")
    assert "Doe" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.rglob("*")] == ["received"]


def test_a_full_disk_keeps_nothing_half_and_goes_on_when_there_is_space(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            spool = Spool(tmp_path / "received")
            spool.write(file_of(1))
            resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
            for number, series in ((2, SERIES), (3, "1.9")):
                try:
                    spool.write(file_of(number, series=series, pixels=bytes(10_000)))
                except FullError as error:
                    assert "free space" in str(error)
            assert [path.name for path in spool.folder.rglob("*")] == [SERIES, "1.2.3.9.1.dcm"]
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            spool.write(file_of(3, series="1.9", pixels=bytes(10_000)))
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert Spool(tmp_path / "received").series() == [SERIES, "1.9"]


def test_the_last_of_a_disk_is_left_to_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path / "received")
    real = os.statvfs(tmp_path)
    little = list(real)
    little[4] = (32 << 20) // real.f_frsize  # f_bavail
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(little))
    with pytest.raises(FullError):
        spool.write(file_of())
    assert not list(spool.folder.iterdir())
    monkeypatch.undo()
    spool.write(file_of())


def test_nothing_is_answered_before_file_and_folders_are_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        target = Path(f"/proc/self/fd/{descriptor}").readlink()
        events.append("part" if target.name.startswith(".part-") else target.name)
        fsync(descriptor)

    def renamed(self: Path, target: Path) -> Path:
        events.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    spool = Spool(tmp_path / "received")
    spool.write(file_of(1))
    assert events == ["part", "rename", SERIES, "received"]
    spool.write(file_of(2))
    assert events[4:] == ["part", "rename", SERIES]
    spool.write(file_of(2))
    assert events[7:] == [SERIES]


def test_what_a_killed_process_left_is_removed_an_hour_after(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    path = spool.write(file_of()).path
    new, old = tmp_path / ".part-1", tmp_path / ".part-2"
    new.touch()
    old.touch()
    os.utime(old, (0, 0))
    spool.tidy()
    assert sorted(spool.files(SERIES)) == [path]
    assert new.exists()
    assert not old.exists()
