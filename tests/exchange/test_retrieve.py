"""Fetching series by C-GET, C-MOVE and WADO-RS: whole, as the PACS keeps them, only what is missing, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from casewise.errors import UsageError
from casewise.exchange.asked import Query
from casewise.exchange.fetching import fetch, source_of
from casewise.exchange.found import Patient, Series, Study
from casewise.exchange.moving import MoveTo
from casewise.exchange.node import Node, WebNode
from casewise.exchange.received import FullError, Spool
from casewise.exchange.settings import DicomSettings
from casewise.exchange.source import Source
from casewise.exchange.taking import Fetched
from tests.dicom_studies import ct
from tests.exchange.dcmtk_archive import dcmtk_archive
from tests.exchange.odd_scp import answer, odd_scp
from tests.exchange.pacs_studies import TITLE, Held, fill
from tests.orthanc import Orthanc, free_port, orthanc

Opened = Callable[[], Source]


@dataclass(frozen=True)
class Filled:
    pacs: Orthanc
    held: Held
    move_port: int

    def source(self, way: str) -> Source:
        node = Node(self.pacs.title, "127.0.0.1", self.pacs.port)
        if way == "web":
            return source_of(WebNode(f"{self.pacs.http}/dicom-web"), TITLE)
        return source_of(node, TITLE, MoveTo(DicomSettings(), self.move_port) if way == "move" else None)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    folder, port = tmp_path_factory.mktemp("pacs"), free_port()
    with orthanc(folder / "orthanc", {"casewise": (TITLE, port)}) as pacs:
        yield Filled(pacs, fill(pacs, folder), port)


def named(source: Source, accession: str, uid: str) -> tuple[Study, Series]:
    (study,) = source.studies(Query(accession=accession))
    return study, next(one for one in source.series(study.uid) if one.uid == uid)


def data_set(path: Path) -> bytes:
    """As it lies in the file, without its file meta information."""
    read = dcmread(path, defer_size=1)
    with path.open("rb") as file:
        return file.read()[132 + 12 + read.file_meta[0x00020000].value :]


@pytest.mark.parametrize("way", ["get", "move", "web"])
def test_a_series_comes_whole_as_the_pacs_keeps_it(filled: Filled, tmp_path: Path, way: str) -> None:
    spool, counts = Spool(tmp_path / "spool"), []
    wanted = filled.held.now[2]
    with filled.source(way) as source:
        study, series = named(source, "A1", wanted.series_uid)
        fetched = fetch(source, study, series, spool, counts.append)
    assert fetched == Fetched(10, 10, 10)
    assert counts[-1] == 10
    sent = {str(dcmread(path, stop_before_pixels=True).SOPInstanceUID): path for path in wanted.files}
    came = {path.stem: path for path in spool.files(wanted.series_uid)}
    assert sent.keys() == came.keys()
    for uid, path in sent.items():
        assert data_set(path) == data_set(came[uid])
        assert dcmread(path).file_meta.TransferSyntaxUID == dcmread(came[uid]).file_meta.TransferSyntaxUID
    assert spool.series() == [wanted.series_uid]


@pytest.mark.parametrize("way", ["get", "move", "web"])
def test_only_what_is_missing_is_sent(filled: Filled, tmp_path: Path, way: str) -> None:
    spool = Spool(tmp_path / "spool")
    uid = filled.held.now[0].series_uid
    with filled.source(way) as source:
        study, series = named(source, "A1", uid)
        assert fetch(source, study, series, spool, print).new == 8
        for path in spool.files(uid)[2:5]:
            path.unlink()
        kept = {path: path.stat().st_mtime_ns for path in spool.files(uid)}
        assert fetch(source, study, series, spool, print) == Fetched(8, 3, 8)
        assert fetch(source, study, series, spool, print) == Fetched(8, 0, 8)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_what_the_pacs_has_no_longer_does_not_count_for_what_it_has(filled: Filled, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    uid = filled.held.before.series_uid
    with filled.source("get") as source:
        study, series = named(source, "A2", uid)
        fetch(source, study, series, spool, print)
        one = spool.files(uid)[0]
        one.rename(spool.path(uid, "1.2.3.4.5"))
        assert fetch(source, study, series, spool, print).new == 1
        assert one.exists()


@pytest.mark.parametrize("way", ["get", "move"])
def test_dcmtks_archive_is_a_source_too(tmp_path: Path, way: str) -> None:
    series, other = ct(tmp_path / "ct", 6, AccessionNumber="D1"), ct(tmp_path / "other", 2, AccessionNumber="D2")
    spool, port = Spool(tmp_path / "spool"), free_port()
    move = MoveTo(DicomSettings(), port) if way == "move" else None
    with (
        dcmtk_archive(tmp_path / "dcmtk", [*series.files, *other.files], TITLE, port) as node,
        source_of(node, TITLE, move) as source,
    ):
        study, found = named(source, "D1", series.series_uid)
        assert fetch(source, study, found, spool, print) == Fetched(6, 6, 6)
        for path in spool.files(series.series_uid)[:2]:
            path.unlink()
        assert fetch(source, study, found, spool, print) == Fetched(6, 2, 6)
        assert source.studies(Query(accession="D3")) == []


def test_a_node_that_does_not_know_where_to_send_says_so(filled: Filled, tmp_path: Path) -> None:
    node = Node(filled.pacs.title, "127.0.0.1", filled.pacs.port)
    with source_of(node, "STRANGER", MoveTo(DicomSettings(), free_port())) as source:
        study, series = named(source, "A2", filled.held.before.series_uid)
        fetched = fetch(source, study, series, Spool(tmp_path / "spool"), print)
    assert fetched.present == 0
    assert fetched.reason is not None
    assert "refuses to send" in fetched.reason or "register" in fetched.reason


def test_a_service_is_not_moved_from() -> None:
    with pytest.raises(UsageError, match="WADO-RS"):
        source_of(WebNode("https://pacs.example/dicom-web"), TITLE, MoveTo(DicomSettings(), 1))


def test_a_pacs_that_goes_away_is_a_reason_and_what_came_stays(filled: Filled, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    uid = filled.held.now[0].series_uid
    for way in ("get", "web"):
        with filled.source(way) as source:
            study, series = named(source, "A1", uid)
            assert filled.pacs.process is not None
            filled.pacs.process.kill()  # asked to end, it waits for associations that are open
            filled.pacs.stop()
            try:
                fetched = fetch(source, study, series, spool, print)
                assert fetched.reason is not None
                assert "cannot be reached" in fetched.reason
            finally:
                filled.pacs.start()
            assert fetch(source, study, series, spool, print).reason is None


STUDY, SERIES = "1.2.3", "1.2.3.4"


def odd_answers(files: list[Path]) -> Callable[[Dataset], list[Dataset]]:
    """C-FIND for the instances of these files."""

    def find(asked: Dataset) -> list[Dataset]:
        return [
            answer(StudyInstanceUID=STUDY, SeriesInstanceUID=SERIES, SOPInstanceUID=one.SOPInstanceUID, SOPClassUID=one.SOPClassUID)
            for one in map(dcmread, files)
        ]

    return find


@pytest.mark.parametrize("way", ["get", "move"])
@pytest.mark.parametrize(
    ("what", "tags"),
    [
        ("study", {"study_uid": "1.2.9"}),
        ("series", {"series_uid": "1.2.3.9"}),
        ("patient", {"PatientID": "SOMEBODY ELSE"}),
    ],
)
def test_objects_of_another_study_or_patient_are_refused(tmp_path: Path, what: str, tags: dict[str, str], way: str) -> None:
    right = ct(tmp_path / "right", 3, study_uid=STUDY, series_uid=SERIES)
    wrong = ct(tmp_path / "wrong", 2, **{"study_uid": STUDY, "series_uid": SERIES, **tags})
    spool = Spool(tmp_path / "spool")
    study, series = Study(STUDY, patient=Patient("HOSP-4711")), Series(STUDY, SERIES, "CT", instances=4)
    sent = [dcmread(path) for path in (*right.files[:2], wrong.files[0], right.files[2])]
    port = free_port()
    scp = odd_scp(odd_answers([*right.files, *wrong.files]), lambda asked: sent, port)
    with scp as node, source_of(node, TITLE, MoveTo(DicomSettings(), port) if way == "move" else None) as source:
        fetched = fetch(source, study, series, spool, print)
    assert fetched.reason is not None
    assert f"another {what}" in fetched.reason or f"or {what}" in fetched.reason
    assert "SOMEBODY" not in fetched.reason
    assert spool.series() == [SERIES]
    kept = {path.stem for path in spool.files(SERIES)}
    assert kept == {str(dcmread(path).SOPInstanceUID) for path in right.files[:2]}


def test_a_node_that_sends_less_than_it_has_is_named_with_what_is_missing(tmp_path: Path) -> None:
    right = ct(tmp_path / "right", 3, study_uid=STUDY, series_uid=SERIES)
    study, series = Study(STUDY), Series(STUDY, SERIES, "CT", instances=3)
    sent = [dcmread(path) for path in right.files[:2]]
    with odd_scp(odd_answers(right.files), lambda asked: sent) as node, source_of(node, TITLE) as source:
        fetched = fetch(source, study, series, Spool(tmp_path / "spool"), print)
    assert (fetched.present, fetched.expected) == (2, 3)
    assert str(dcmread(right.files[2]).SOPInstanceUID) in (fetched.reason or "")


def test_a_node_that_does_not_list_instances_is_believed_by_its_number(tmp_path: Path) -> None:
    right = ct(tmp_path / "right", 3, study_uid=STUDY, series_uid=SERIES)
    study = Study(STUDY)
    sent = [dcmread(path) for path in right.files]
    with odd_scp(lambda asked: [], lambda asked: sent) as node, source_of(node, TITLE) as source:
        spool = Spool(tmp_path / "spool")
        assert fetch(source, study, Series(STUDY, SERIES, "CT", instances=3), spool, print).reason is None
        fetched = fetch(source, study, Series(STUDY, SERIES, "CT", instances=5), spool, print)
        assert (fetched.present, fetched.expected) == (3, 5)
        assert "5" in (fetched.reason or "")


def test_a_full_disk_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = ct(tmp_path / "right", 3, study_uid=STUDY, series_uid=SERIES)
    sent = [dcmread(path) for path in right.files]
    spool = Spool(tmp_path / "spool")

    def full(*_: object, **__: object) -> None:
        raise FullError("The disk is full: the object was not kept; free space there.")

    monkeypatch.setattr(Spool, "keep", full)
    scp = odd_scp(odd_answers(right.files), lambda asked: sent)
    with scp as node, source_of(node, TITLE) as source, pytest.raises(FullError):
        fetch(source, Study(STUDY), Series(STUDY, SERIES, "CT", instances=3), spool, print)
    assert spool.series() == []
