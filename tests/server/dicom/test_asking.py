"""A study is complete at once where the source says that all of it is here, with a real PACS as the source."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from casewise.exchange.node import Node
from casewise.exchange.wire import prepared
from casewise.server.dicom.asking import Asking
from tests.dicom_studies import study
from tests.orthanc import Orthanc, free_port, orthanc
from tests.server.dicom.serving import served
from tests.waiting import until


@pytest.fixture(scope="module")
def place() -> tuple[str, int]:
    return "CASEWISE", free_port()


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory, place: tuple[str, int]) -> Iterator[Orthanc]:
    with orthanc(tmp_path_factory.mktemp("orthanc"), {"casewise": place}) as running:
        yield running


def test_a_study_from_the_pacs_does_not_wait_until_nothing_comes(pacs: Orthanc, place: tuple[str, int], tmp_path: Path) -> None:
    three = study(tmp_path / "study")
    held = [pacs.add(*one.files) for one in three]
    settings = f"""
    [nodes.pacs]
    ae_title = "{pacs.title}"
    host = "127.0.0.1"
    port = {pacs.port}
    [receive]
    ask_source = "pacs"
    idle_seconds = 3000
    """
    with served(tmp_path / "archive", settings, port=place[1]) as serving:
        for instances in held[:2]:
            pacs.post("/modalities/casewise/store", instances)
        until(lambda: len([row for row in serving.rows() if row.expected == row.instances]) == 2)
        assert {row.state for row in serving.rows()} == {"receiving"}  # the third series is still to come
        pacs.post("/modalities/casewise/store", held[2])
        until(serving.quiet)
        assert {(row.state, row.version, row.expected == row.instances) for row in serving.rows()} == {("taken in", 1, True)}
        assert [len(job.payload["cases"]) for job in serving.jobs("analyse")] == [3]


def test_an_answer_counts_for_what_came_before_it_alone(pacs: Orthanc, tmp_path: Path) -> None:
    prepared()
    one = study(tmp_path / "study")[0]
    pacs.add(*one.files)
    asking = Asking(Node(pacs.title, "127.0.0.1", pacs.port), "CASEWISE")
    assert asking.expected(one.study_uid, 1000.0) is None
    asking.tick()
    assert asking.expected(one.study_uid, 1000.0) == {one.series_uid: len(one.files)}
    assert asking.expected(one.study_uid, 9e9) is None
    assert asking.expected("1.2.3", 1000.0) is None
    asking.tick()
    assert asking.expected("1.2.3", 1000.0) is None  # the source does not know it


def test_a_source_that_is_away_holds_up_nothing() -> None:
    prepared()
    asking = Asking(Node("NOBODY", "127.0.0.1", free_port()), "CASEWISE")
    asking.expected("1.2.3", 1000.0)
    asking.tick()
    asking.tick()
    assert asking.expected("1.2.3", 1000.0) is None
