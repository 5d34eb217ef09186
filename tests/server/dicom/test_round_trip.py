"""Orthanc → casewise → Orthanc, with everything real: results of a study are in the PACS once, whatever happens on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from casewise.server.dicom.outbox_rows import Outbox
from tests.dicom_studies import film, study
from tests.orthanc import Orthanc, free_port, orthanc
from tests.server.dicom.serving import Serving, served
from tests.waiting import until

RULES = """
[[rule]]
name = "what is quick"
remove = ["chest-regions", "cardiothoracic-ratio", "irregularities"]
"""


@pytest.fixture
def place() -> tuple[str, int]:
    return "CASEWISE", free_port()


@pytest.fixture
def pacs(tmp_path: Path, place: tuple[str, int]) -> Iterator[Orthanc]:
    with orthanc(tmp_path / "orthanc", {"casewise": place}) as running:
        yield running


@pytest.fixture
def serving(tmp_path: Path, pacs: Orthanc, place: tuple[str, int]) -> Iterator[Serving]:
    settings = f"""
    [nodes.pacs]
    ae_title = "{pacs.title}"
    host = "127.0.0.1"
    port = {pacs.port}
    [receive]
    idle_seconds = 3
    picture_idle_seconds = 1
    [results]
    volumes = ["sr"]
    radiographs = ["sr", "capture"]
    send = ["pacs"]
    [outbox]
    retry_seconds = [1, 1, 1, 2, 2, 2, 5, 5, 5, 5, 5, 5]
    """
    with served(tmp_path / "archive", settings, port=place[1]) as found:
        (found.folder / "applications.toml").write_text(RULES)
        yield found


def results(pacs: Orthanc, study_uid: str) -> list[dict[str, Any]]:
    """The objects in the PACS that casewise made."""
    made: list[dict[str, Any]] = []
    for one in pacs.found(StudyInstanceUID=study_uid):
        tags = pacs.get(f"/instances/{one['ID']}/simplified-tags")
        if tags["Modality"] in ("SR", "SEG", "OT") or "casewise" in str(tags.get("Manufacturer", "")).lower():
            made.append(tags)
    return made


def all_sent(serving: Serving) -> bool:
    counts = Outbox(serving.store).counts()
    return serving.quiet() and counts["sent"] > 0 and counts["waiting"] == counts["sending"] == counts["dead"] == 0


def test_a_study_sent_twice_with_a_receiver_killed_has_its_results_once(serving: Serving, pacs: Orthanc, tmp_path: Path) -> None:
    three = study(tmp_path / "study")
    held = [instance for one in three[::-1] for instance in pacs.add(*one.files)]
    store = {"Resources": held[: len(held) // 2], "Synchronous": True}
    pacs.post("/modalities/casewise/store", store)
    serving.receiver().kill()
    until(lambda: accepted(pacs, held))
    assert accepted(pacs, held[::-1])
    until(lambda: all_sent(serving))
    rows = {row.series_uid: row for row in serving.rows()}
    assert {uid: (row.state, row.version, row.instances) for uid, row in rows.items()} == {
        one.series_uid: ("taken in", 1, len(one.files)) for one in three
    }
    assert [len(job.payload["cases"]) for job in serving.jobs("analyse")] == [3]
    found = results(pacs, three[0].study_uid)
    assert Counter(one["Modality"] for one in found) == {"SR": 3}
    assert {one["PatientID"] for one in found} == {"HOSP-4711"}
    returned = [one["ID"] for one in pacs.found(StudyInstanceUID=three[0].study_uid)]
    assert accepted(pacs, returned)  # the whole study again, with casewise's own results, as a PACS does that forwards everything
    until(lambda: len(serving.rows()) > 3 and all_sent(serving))
    assert [len(job.payload["cases"]) for job in serving.jobs("analyse")] == [3]
    assert len(results(pacs, three[0].study_uid)) == 3


def accepted(pacs: Orthanc, instances: list[str]) -> bool:
    """Whether casewise took them from the PACS."""
    try:
        done = pacs.post("/modalities/casewise/store", {"Resources": instances, "Synchronous": True})
    except OSError:
        return False
    return done["FailedInstancesCount"] == 0


def test_a_film_goes_there_and_back_and_a_pacs_that_was_down_gets_the_results_later(
    serving: Serving, pacs: Orthanc, tmp_path: Path
) -> None:
    one = film(tmp_path / "a", rows=300, columns=250)
    pacs.add(*one.files)
    assert accepted(pacs, [found["ID"] for found in pacs.found(StudyInstanceUID=one.study_uid)])
    until(lambda: all_sent(serving))
    assert Counter(tags["Modality"] for tags in results(pacs, one.study_uid))["SR"] == 1
    pacs.stop()
    other = film(tmp_path / "b", rows=310, columns=250)
    assert serving.send(other.files)
    until(lambda: any(row.state == "waiting" and row.error for row in Outbox(serving.store).list()))
    pacs.start()
    until(lambda: all_sent(serving))
    found = results(pacs, other.study_uid)
    assert Counter(tags["Modality"] for tags in found)["SR"] == 1 and len({tags["SOPInstanceUID"] for tags in found}) == len(found)


def test_a_late_instance_has_a_report_that_replaces_the_former(serving: Serving, pacs: Orthanc, tmp_path: Path) -> None:
    one = study(tmp_path / "study")[2]
    assert serving.send(one.files[:-1])
    until(lambda: all_sent(serving))
    assert serving.send(one.files[-1:])
    until(lambda: len(serving.jobs("analyse")) == 2 and all_sent(serving))
    found = results(pacs, one.study_uid)
    assert len(found) == 2
    assert sum("PredecessorDocumentsSequence" in tags for tags in found) == 1
    assert Counter(row.superseded for row in Outbox(serving.store).list()) == {True: 1, False: 1}
