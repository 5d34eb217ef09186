"""Earlier studies of a received study's patient are in the archive before its analysis is queued, and never hinder it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from casewise.archive import Archive
from casewise.server.store import Store
from tests.dicom_studies import Series, ct, study
from tests.orthanc import Orthanc, free_port, orthanc
from tests.server.dicom.test_arrivals import Site

SETTINGS = """
senders = [{{ ae_title = "MODALITY", site = "main building" }}]
[nodes.pacs]
ae_title = "ORTHANC"
host = "127.0.0.1"
port = {port}
[receive]
priors = {priors}
priors_from = "pacs"
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Archive.open(tmp_path / "archive", create=True) as archive:
        store = Store.open(tmp_path / "archive")
        yield Site(archive, store)
        store.close()


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """Four earlier CTs of the patient, one of another, a later one, and the study itself is not there."""
    folder = tmp_path_factory.mktemp("pacs")
    with orthanc(folder / "orthanc") as running:
        for year in (2020, 2021, 2022, 2023, 2025):
            running.add(*ct(folder / str(year), 4, StudyDate=f"{year}0601", AccessionNumber=f"Y{year}").files)
        running.add(*ct(folder / "other", 4, StudyDate="20231231", PatientID="HOSP-1", AccessionNumber="OTHER").files)
        yield running


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> list[Series]:
    return study(tmp_path_factory.mktemp("study"), StudyDate="20240229")


def settings(site: Site, port: int, priors: int = 2) -> None:
    (site.archive.folder / "dicom.toml").write_text(SETTINGS.format(port=port, priors=priors))


def receive(site: Site, series: list[Series]) -> dict[str, object]:
    """The result of the job that takes a study in."""
    site.send(*(file for one in series for file in one.files))
    site.ticks()
    assert site.work() == {"done": 1}
    (job,) = site.found("receive")
    assert job.result is not None
    return dict(job.result)


def test_the_newest_are_there_before_the_analysis_and_are_not_analysed(site: Site, pacs: Orthanc, three: list[Series]) -> None:
    settings(site, pacs.port)
    result = receive(site, three)
    assert (result["priors"], result["priors_failed"], result["images"]) == (2, [], 3)
    (order,) = site.found("analyse")
    records = site.archive.images()
    fetched = [record for record in records if "fetched" in record.path]
    assert len(records) == 5
    assert len(fetched) == 2
    assert {record.site for record in records} == {"main building"}
    assert len({record.subject for record in records}) == 1
    assert not {record.key for record in fetched} & set(order.payload["cases"])


def test_one_that_was_received_itself_is_not_fetched_again(site: Site, pacs: Orthanc, three: list[Series]) -> None:
    received = [file for year in ("2023", "2022") for file in sorted((pacs.folder.parent / year).glob("*.dcm"))]
    site.send(*received)
    site.ticks()
    site.work()
    before = len(site.archive)
    settings(site, pacs.port)
    site.send(*(file for one in three for file in one.files))
    site.ticks()
    assert site.work() == {"done": 1}
    assert len(site.archive) == before + 3
    assert not list(site.archive.folder.glob("server/dicom/fetched/*/*.dcm"))


def test_a_pacs_that_is_away_is_a_reason_and_the_analysis_is_queued(
    site: Site, three: list[Series], caplog: pytest.LogCaptureFixture
) -> None:
    settings(site, free_port())
    result = receive(site, three)
    assert result["priors"] == 0
    assert "reach" in str(result["priors_failed"])
    assert len(site.found("analyse")) == 1
    for said in (str(result), caplog.text):
        assert "HOSP" not in said


def test_none_are_asked_for_by_default(site: Site, three: list[Series]) -> None:
    assert "priors" not in receive(site, three)
