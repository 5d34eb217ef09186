"""From a recorded result to objects in the outbox, and to a PACS."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from casewise.archive import Archive
from casewise.exchange.settings import DicomSettings
from casewise.server.dicom.delivery import queue
from casewise.server.dicom.outbox import Sender
from casewise.server.dicom.outbox_rows import Outbox, Row
from casewise.server.jobs import Job, Jobs
from casewise.server.network_tables import arrivals
from casewise.server.settings import Settings
from casewise.server.store import Store
from casewise.server.worker import Worker
from tests.dicom_studies import errors_in
from tests.orthanc import orthanc
from tests.server.dicom.analysed import Clinic, clinic
from tests.server.dicom.test_outbox_sending import counts
from tests.waiting import until

NODES = (
    "[nodes.pacs]\nae_title = 'ORTHANC'\nhost = '127.0.0.1'\nport = {port}\n[web.cloud]\nurl = 'https://pacs.example/dicom-web'\n"
)

Deliver = Callable[..., Job]


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Clinic]:
    with Archive.open(tmp_path / "archive", create=True) as archive:
        (archive.folder / "dicom.toml").write_text(NODES.format(port=4242))
        yield clinic(archive, tmp_path / "given")


@pytest.fixture
def store(held: Clinic) -> Iterator[Store]:
    opened = Store.open(held.archive.folder)
    yield opened
    opened.close()


@pytest.fixture
def deliver(held: Clinic, store: Store) -> Deliver:
    """Queue a delivery and have a worker do it; the job afterwards."""
    jobs = Jobs(store)

    def run(key: str, targets: Sequence[str] = ("pacs",), **more: Any) -> Job:
        number = queue(jobs, key, targets, **more)
        Worker(held.archive, store, Settings()).run(once=True)
        job = jobs.get(number)
        assert job is not None
        return job

    return run


def rows(store: Store) -> list[Row]:
    return list(reversed(Outbox(store).list()))


def test_a_film_goes_as_report_and_capture_and_a_volume_as_segmentation_and_report(
    held: Clinic, store: Store, deliver: Deliver
) -> None:
    for key in (held.film, held.mr):
        held.analyse(key)
        job = deliver(key, created_by="ann")
        assert (job.state, job.error) == ("done", None)
    assert [(row.kind, row.image_key, row.created_by) for row in rows(store)] == [
        ("sr", held.film, "ann"),
        ("capture", held.film, "ann"),
        ("seg", held.mr, "ann"),
        ("sr", held.mr, "ann"),
    ]
    for row in rows(store):
        path = held.archive.folder / row.path
        made, source = dcmread(path), dcmread(held.series[str(row.image_key)].files[0])
        assert (made.SOPInstanceUID, made.SOPClassUID) == (row.sop_uid, row.sop_class)
        assert (made.PatientID, made.StudyInstanceUID) == (source.PatientID, source.StudyInstanceUID)
        assert row.series_uid == source.SeriesInstanceUID and not row.superseded
        assert errors_in(path) == []


@pytest.mark.parametrize(("more", "name"), [({}, "nodule"), ({"mask_name": "nodules: nodule"}, "nodules: nodule")])
def test_a_mask_is_called_as_in_the_result(held: Clinic, store: Store, deliver: Deliver, more: dict[str, str], name: str) -> None:
    """It has its longer name where the model looked for the same and did not see it; results of before such names have none."""
    held.analyse(held.mr, **more)
    assert deliver(held.mr, kinds=["seg"]).state == "done"
    (row,) = rows(store)
    assert [one.SegmentLabel for one in dcmread(held.archive.folder / row.path).SegmentSequence] == [name]


def test_the_same_again_adds_nothing(held: Clinic, store: Store, deliver: Deliver) -> None:
    held.analyse(held.film)
    assert deliver(held.film, ["pacs", "cloud"]).result == {"objects": ["sr", "capture"], "targets": ["cloud", "pacs"], "queued": 4}
    before = [(row.id, row.sop_uid) for row in rows(store)]
    again = deliver(held.film, ["pacs", "cloud"]).result
    assert again is not None and again["queued"] == 0
    assert [(row.id, row.sop_uid) for row in rows(store)] == before
    held.analyse(held.film, job=2)  # another analysis that comes to the same
    assert deliver(held.film, ["pacs", "cloud"]).state == "done"
    assert [(row.id, row.sop_uid, row.superseded) for row in rows(store)] == [(*row, False) for row in before]
    assert {row.result for row in rows(store)} == {2}


def test_a_segmentation_of_a_film_goes_where_it_is_asked_for(held: Clinic, store: Store, deliver: Deliver) -> None:
    held.analyse(held.film)
    assert deliver(held.film, kinds=["seg"]).state == "done"
    assert [row.kind for row in rows(store)] == ["seg"]
    nothing = deliver(held.film, kinds=["map"])
    assert nothing.state == "failed" and "nothing that can be sent as map" in str(nothing.error)


def test_a_newer_result_supersedes_what_was_sent_and_says_so(held: Clinic, store: Store, deliver: Deliver) -> None:
    held.analyse(held.film, 0.81)
    deliver(held.film)
    held.analyse(held.film, 0.4, job=2)
    held.analyse(held.mr)
    deliver(held.film)
    deliver(held.mr)
    found = rows(store)
    assert [(row.kind, row.result, row.superseded) for row in found] == [
        ("sr", 1, True),
        ("capture", 1, True),
        ("sr", 2, False),
        ("capture", 2, False),
        ("seg", 3, False),
        ("sr", 3, False),
    ]
    report = dcmread(held.archive.folder / found[2].path)
    before = report.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert before.ReferencedSOPInstanceUID == found[0].sop_uid
    assert b"replaces an earlier one" in (held.archive.folder / found[2].path).read_bytes()
    assert errors_in(held.archive.folder / found[2].path) == []
    assert deliver(held.film, result=1).state == "done"  # on demand, the older one: it is sent already
    assert rows(store) == found


def test_a_former_version_of_a_series_is_superseded_and_its_other_images_are_not(
    held: Clinic, store: Store, deliver: Deliver
) -> None:
    """A late slice makes another image of the series, and nothing of the films beside it."""
    series = held.series[held.mr].series_uid
    held.analyse(held.mr)
    with store.write() as connection:
        about = {"study_uid": "1.2", "first": 0.0, "last": 0.0, "state": "taken in", "version": 2}
        connection.execute(arrivals.insert().values(series_uid=series, image_keys=[held.mr, "beside"], **about))

    def sent(number: int, key: str, result: int) -> dict[str, Any]:
        about = {"target": "pacs", "path": "gone.dcm", "sop_uid": f"1.2.{number}", "sop_class": "1.2", "kind": "sr"}
        return {**about, "image_key": key, "series_uid": series, "result": result, "created_by": None}

    Outbox(store).add([sent(1, "former", 99), sent(2, "beside", 99)])
    assert deliver(held.mr).state == "done"
    assert [(row.image_key, row.superseded) for row in rows(store)] == [
        ("former", True),
        ("beside", False),
        (held.mr, False),
        (held.mr, False),
    ]


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ({"key": "picture"}, "not read from DICOM"),
        ({"key": "mr"}, "was not analysed yet"),
        ({"key": "film", "targets": ["elsewhere"]}, "'elsewhere' is no system of dicom.toml (pacs, cloud)"),
        ({"key": "film", "result": 99}, "has no result 99"),
    ],
)
def test_what_cannot_be_sent_says_why(held: Clinic, store: Store, deliver: Deliver, order: dict[str, Any], words: str) -> None:
    held.analyse(held.film)
    held.analyse(held.picture)
    given = dict(order)
    job = deliver(getattr(held, given.pop("key")), **given)
    assert job.state == "failed" and words in str(job.error)
    assert rows(store) == []


def test_what_a_pacs_gets_is_in_the_study_of_its_image(held: Clinic, store: Store, deliver: Deliver, tmp_path: Path) -> None:
    with orthanc(tmp_path / "pacs") as pacs:
        (held.archive.folder / "dicom.toml").write_text(NODES.format(port=pacs.port))
        pacs.add(*held.series[held.mr].files)
        held.analyse(held.mr)
        deliver(held.mr)
        stop = threading.Event()
        sender = threading.Thread(target=Sender(store, store.folder, DicomSettings.load(store.folder)).run, args=(stop,))
        sender.start()
        try:
            until(lambda: counts(store) == {"sent": 2})
        finally:
            stop.set()
            sender.join()
        (study,) = pacs.found("Study")
        assert len(study["Series"]) == 3 and len(pacs.found("Patient")) == 1
