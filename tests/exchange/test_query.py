"""C-FIND: asked of a real PACS, and of nodes that answer what they should not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydicom import config
from pydicom.dataset import Dataset

from casewise.errors import UsageError
from casewise.exchange.asked import Query
from casewise.exchange.association import AssociationError
from casewise.exchange.found import SourceError
from casewise.exchange.node import Node
from casewise.exchange.query import Finder
from tests.exchange.odd_scp import answer, odd_scp
from tests.exchange.pacs_studies import TITLE, Held, fill
from tests.orthanc import free_port, orthanc


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, Held]]:
    folder = tmp_path_factory.mktemp("pacs")
    with orthanc(folder / "orthanc") as pacs:
        yield Node(pacs.title, "127.0.0.1", pacs.port), fill(pacs, folder)


def test_studies_are_found_by_what_is_asked_for(filled: tuple[Node, Held]) -> None:
    node, held = filled
    now, before, earliest = held.now[0].study_uid, held.before.study_uid, held.earliest.study_uid
    with Finder(node, TITLE) as finder:
        (found,) = finder.studies(Query(accession="A1"))
        assert (found.uid, found.accession, found.date, found.modalities) == (now, "A1", "20240229", {"CT", "MR"})
        assert found.patient.identifier == "HOSP-4711"
        for query, uids in [
            (Query(accession="A"), set()),
            (Query(study=before), {before}),
            (Query(patient="HOSP-4711"), {now, before, earliest}),
            (Query(patient="HOSP-4711", dates="-20230630"), {before, earliest}),
            (Query(dates="20230101"), {before}),
            (Query(dates="20230101-20230601"), {before, held.other.study_uid}),
            (Query(dates="20200101-", modality="MR"), {now}),
        ]:
            assert {one.uid for one in finder.studies(query)} == uids, query


def test_series_and_instances_are_those_of_the_study(filled: tuple[Node, Held]) -> None:
    node, held = filled
    with Finder(node, TITLE) as finder:
        series = {one.uid: one for one in finder.series(held.now[0].study_uid)}
        assert {uid: one.instances for uid, one in series.items()} == {one.series_uid: len(one.files) for one in held.now}
        volume = held.now[0]
        assert (series[volume.series_uid].modality, series[volume.series_uid].description) == ("MR", "Thorax nüchtern")
        listed = finder.instances(volume.study_uid, volume.series_uid)
        assert len({one.uid for one in listed}) == len(volume.files)
        assert {one.sop_class for one in listed} == {"1.2.840.10008.5.1.4.1.1.4"}


def test_nothing_of_a_patient_is_in_what_is_shown(filled: tuple[Node, Held]) -> None:
    with Finder(filled[0], TITLE) as finder:
        query = Query(patient="HOSP-4711", accession="A1")
        (found,) = finder.studies(query)
    for said in (repr(found), repr(query)):
        assert "HOSP" not in said
        assert "A1" not in said
        assert "1957" not in said


def test_a_node_that_ignores_what_is_asked_for_answers_with_nothing() -> None:
    everybody = [
        answer(StudyInstanceUID=f"1.2.{n}", AccessionNumber=f"X{n}", PatientID=f"P{n}", StudyDate="20240101") for n in range(3)
    ]
    with odd_scp(lambda asked: everybody) as node, Finder(node, TITLE) as finder:
        assert [one.uid for one in finder.studies(Query(accession="X1"))] == ["1.2.1"]
        assert finder.studies(Query(patient="P9")) == []
        assert finder.studies(Query(dates="20250101-")) == []
        assert finder.studies(Query(study="1.2.9")) == []


def test_a_uid_that_is_a_path_is_refused_and_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config.settings, "writing_validation_mode", config.IGNORE)
    monkeypatch.setattr(config.settings, "reading_validation_mode", config.IGNORE)
    odd = answer(StudyInstanceUID="../../etc/passwd", AccessionNumber="X1")
    refused = pytest.raises(SourceError, match="StudyInstanceUID")
    with odd_scp(lambda asked: [odd]) as node, Finder(node, TITLE) as finder, refused as caught:
        finder.studies(Query(accession="X1"))
    assert "passwd" not in str(caught.value)


@pytest.mark.parametrize("named", ["ISO_IR 192", "ISO_IR 999", "ISO 2022 IR 87", None])
def test_a_wrong_character_set_spoils_neither_the_answer_nor_the_program(
    named: str | None, recwarn: pytest.WarningsRecorder
) -> None:
    def find(asked: Dataset) -> list[Dataset]:
        found = answer(StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.4", Modality="CT", NumberOfSeriesRelatedInstances="7")
        found.add_new("SeriesDescription", "LO", "M\xfcller \x1b nüchtern".encode("latin-1"))
        if named:
            found.add_new("SpecificCharacterSet", "CS", named)
        return [found]

    with odd_scp(find) as node, Finder(node, TITLE) as finder:
        (found,) = finder.series("1.2.3")
    assert (found.uid, found.modality, found.instances) == ("1.2.3.4", "CT", 7)
    assert "\x1b" not in found.description
    assert not [one for one in recwarn if "ller" in str(one.message)]


def test_letters_beyond_ascii_are_asked_for_in_utf_8() -> None:
    asked: list[Dataset] = []

    def find(identifier: Dataset) -> list[Dataset]:
        asked.append(identifier)
        return [answer(SpecificCharacterSet="ISO_IR 192", StudyInstanceUID="1.2.3", AccessionNumber="Ä-17", PatientName="Frau^X")]

    with odd_scp(find) as node, Finder(node, TITLE) as finder:
        assert len(finder.studies(Query(accession="Ä-17"))) == 1
    assert asked[0].SpecificCharacterSet == "ISO_IR 192"
    assert asked[0].AccessionNumber == "Ä-17"
    assert "PatientName" not in asked[0]


@pytest.mark.parametrize("value", ["A*", "A?", "A\\B", "", "  ", "A" * 65, "A\nB"])
def test_a_pattern_is_no_accession_number(value: str) -> None:
    with pytest.raises(UsageError, match="accession number"):
        Query(accession=value)


@pytest.mark.parametrize("value", ["2024", "20240230", "20240102-20240101", "-", "20240101-20240102-20240103", "yesterday"])
def test_what_is_no_range_of_days_is_refused(value: str) -> None:
    with pytest.raises(UsageError, match="range of dates"):
        Query(dates=value)


def test_a_node_that_is_not_there_is_named() -> None:
    node = Node("GONE", "127.0.0.1", free_port())
    with Finder(node, TITLE) as finder, pytest.raises(AssociationError, match=r"GONE@127\.0\.0\.1"):
        finder.studies(Query(accession="A1"))


def test_a_question_after_the_node_closed_the_association_opens_another(filled: tuple[Node, Held]) -> None:
    with Finder(filled[0], TITLE) as finder:
        finder.studies(Query(accession="A1"))
        finder._association.abort()
        assert len(finder.studies(Query(accession="A2"))) == 1
