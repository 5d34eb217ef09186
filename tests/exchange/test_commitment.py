"""Storage commitment with Orthanc, both ways, and with a requester that is known by its association alone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import generate_uid

from casewise.exchange import commitment
from casewise.exchange.association import AssociationError
from casewise.exchange.commitment import ask
from casewise.exchange.node import Node
from casewise.exchange.received import Spool
from casewise.exchange.receiver import Receiver
from casewise.exchange.settings import DicomSettings
from tests.dicom_studies import ct
from tests.exchange.receiving import receiving, statuses
from tests.orthanc import Orthanc, free_port, orthanc
from tests.waiting import until

MISSING = ("1.2.840.10008.5.1.4.1.1.2", "1.2.3.4.5")


def references(files: list[Path]) -> list[tuple[str, str]]:
    return [(str(dataset.SOPClassUID), str(dataset.SOPInstanceUID)) for dataset in map(pydicom.dcmread, files)]


def orthanc_asks(pacs: Orthanc, objects: list[tuple[str, str]]) -> dict[str, Any]:
    """Orthanc's own account of what it was reported."""
    instances = [{"SOPClassUID": one, "SOPInstanceUID": uid} for one, uid in objects]
    path = pacs.post("/modalities/casewise/storage-commitment", {"DicomInstances": instances})["Path"]
    until(lambda: pacs.get(path)["Status"] != "Pending")
    answer: dict[str, Any] = pacs.get(path)
    return answer


def test_orthanc_asks_casewise_and_casewise_asks_orthanc(tmp_path: Path) -> None:
    files = ct(tmp_path / "ct").files
    objects = references(files)
    reports: list[tuple[str, list[str], list[str]]] = []
    pacs_port = free_port()
    settings = DicomSettings(nodes={"pacs": Node("ORTHANC", "127.0.0.1", pacs_port)})
    spool = Spool(tmp_path / "received")
    with (
        receiving(spool, settings, reported=lambda *report: reports.append(report)) as (_, port),
        orthanc(tmp_path / "orthanc", {"casewise": ("CASEWISE", port)}, DicomPort=pacs_port) as pacs,
    ):
        assert statuses(port, *files) == [0] * len(files)
        answer = orthanc_asks(pacs, objects)
        assert answer["Status"] == "Success"
        assert {one["SOPInstanceUID"] for one in answer["Success"]} == {uid for _, uid in objects}
        answer = orthanc_asks(pacs, [objects[0], MISSING])
        assert answer["Status"] == "Failure"
        assert [(one["SOPInstanceUID"], one["FailureReason"]) for one in answer["Failures"]] == [(MISSING[1], 274)]

        pacs.add(*files)
        transaction = generate_uid()
        ask(settings.nodes["pacs"], [*objects, MISSING], transaction, "CASEWISE")
        until(lambda: reports)
        assert reports[0][0] == transaction
        assert sorted(reports[0][1]) == sorted(uid for _, uid in objects)
        assert reports[0][2] == [MISSING[1]]


def test_a_report_is_tried_again_until_the_requester_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = commitment.Committing.__init__
    monkeypatch.setattr(commitment.Committing, "__init__", lambda *given: original(*given, pauses=(0.0, *[0.2] * 200)))
    files = ct(tmp_path / "ct").files
    requester = free_port()
    settings = DicomSettings(nodes={"asker": Node("ASKER", "127.0.0.1", requester)})
    with receiving(Spool(tmp_path / "received"), settings) as (_, port):
        statuses(port, *files)
        transaction = generate_uid()
        ask(Node("CASEWISE", "127.0.0.1", port), references(files), transaction, "ASKER")
        time.sleep(1.0)  # in which nobody listens
        reports: list[tuple[str, list[str], list[str]]] = []
        asker = DicomSettings(ae_title="ASKER")
        monkeypatch.setattr(commitment.Committing, "__init__", original)
        other = Receiver(asker, Spool(tmp_path / "other"), requester, committed=set, reported=lambda *one: reports.append(one))
        other.start()
        try:
            until(lambda: reports)
        finally:
            other.stop()
    assert reports == [(transaction, [uid for _, uid in references(files)], [])]


def test_a_requester_that_is_no_node_gets_its_report_on_its_own_association(tmp_path: Path) -> None:
    files = ct(tmp_path / "ct").files
    reports: list[tuple[str, list[str], list[str]]] = []
    with receiving(Spool(tmp_path / "received")) as (_, port):
        statuses(port, *files)
        ask(
            Node("CASEWISE", "127.0.0.1", port),
            [*references(files), MISSING],
            "1.2.3.4",
            "SOMEONE",
            reported=lambda *one: reports.append(one),
            wait_seconds=60,
        )
    assert reports == [("1.2.3.4", [uid for _, uid in references(files)], [MISSING[1]])]


def test_a_system_without_storage_commitment_is_one_sentence(tmp_path: Path) -> None:
    with orthanc(tmp_path / "orthanc") as pacs:
        with pytest.raises(AssociationError, match="storage commitment") as caught:  # it does not know CASEWISE
            ask(Node("ORTHANC", "127.0.0.1", pacs.port), [MISSING], "1.2.3", "CASEWISE")
        assert "\n" not in str(caught.value)
