"""Searching by dicomweb-client: studies, series, instances; pages of answers; what does not match."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.dicom_studies import PATIENT, ct, film, oblique_mr, study
from tests.server.dicomweb.conftest import Served
from tests.waiting import SECONDS


def values(answer: list[dict[str, Any]], tag: str) -> list[Any]:
    return [one[tag]["Value"][0] for one in answer]


def test_a_study_with_its_series_and_instances(serve: Callable[..., Served], tmp_path: Path) -> None:
    made = study(tmp_path / "files")
    client = serve(tmp_path / "files", show_names=True).client
    (found,) = client.search_for_studies()
    assert found["0020000D"]["Value"] == [made[0].study_uid]
    assert found["00100020"]["Value"] == [PATIENT["PatientID"]]
    assert found["00100010"]["Value"] == [{"Alphabetic": PATIENT["PatientName"]}]
    assert sorted(found["00080061"]["Value"]) == ["CT", "MR"]
    assert (found["00201206"]["Value"], found["00201208"]["Value"]) == ([3], [24])
    series = client.search_for_series(made[0].study_uid)
    assert values(series, "0020000E") == [one.series_uid for one in made]  # by their numbers
    assert values(series, "00201209") == [8, 6, 10]
    instances = client.search_for_instances(made[2].study_uid, made[2].series_uid)
    assert values(instances, "00200013") == list(range(1, 11))
    assert values(instances, "00280010") == [64] * 10
    assert len(client.search_for_instances(made[0].study_uid)) == 24


def test_attributes_that_must_match(serve: Callable[..., Served], tmp_path: Path) -> None:
    old = film(tmp_path / "files" / "a", rows=60, columns=50, StudyDate="20200101", PatientID="P1", PatientName="Ä^B")
    new = ct(tmp_path / "files" / "b", 4, StudyDate="20210301", PatientID="P2", PatientName="C^D")
    client = serve(tmp_path / "files", show_names=True).client

    def found(**wanted: str) -> set[str]:
        return set(values(client.search_for_studies(search_filters=wanted), "0020000D"))

    assert found(StudyInstanceUID=old.study_uid) == {old.study_uid}
    assert found(StudyInstanceUID=f"{old.study_uid},{new.study_uid}") == {old.study_uid, new.study_uid}
    assert found(PatientID="P1") == {old.study_uid}
    assert found(PatientID="P*") == {old.study_uid, new.study_uid}
    assert found(PatientName="ä*") == {old.study_uid}
    assert found(StudyDate="20210101-20211231") == {new.study_uid}
    assert found(StudyDate="-20201231") == {old.study_uid}
    assert found(ModalitiesInStudy="CT") == {new.study_uid}
    assert found(StudyDate="19990101") == set()
    assert client.search_for_series(new.study_uid, search_filters={"Modality": "MR"}) == []


def test_a_star_alone_matches_studies_without_the_attribute(serve: Callable[..., Served], tmp_path: Path) -> None:
    bare = film(tmp_path / "files" / "a", rows=40, columns=30, AccessionNumber=None, StudyDescription="")
    said = film(tmp_path / "files" / "b", rows=40, columns=31, AccessionNumber="A7")
    client = serve(tmp_path / "files", show_names=True).client

    def found(**wanted: str) -> set[str]:
        return set(values(client.search_for_studies(search_filters=wanted), "0020000D"))

    both = {bare.study_uid, said.study_uid}
    assert found(AccessionNumber="*") == found(StudyDescription="**") == both
    assert found(StudyInstanceUID="*") == found(StudyDate="*") == found(ModalitiesInStudy="*") == both
    assert found(AccessionNumber="A*") == found(AccessionNumber="?*") == {said.study_uid}
    assert found(AccessionNumber="*", StudyInstanceUID=bare.study_uid) == {bare.study_uid}
    assert client.search_for_series(bare.study_uid, search_filters={"BodyPartExamined": "*", "ProtocolName": "*"})
    assert all("00080070" in one for one in client.search_for_studies(search_filters={"Manufacturer": "*"}))  # asked for, so given


def test_a_name_is_found_by_each_of_its_groups(serve: Callable[..., Served], tmp_path: Path) -> None:
    whole = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    three = film(tmp_path / "files" / "a", rows=40, columns=30, PatientName=whole)
    two = film(tmp_path / "files" / "b", rows=40, columns=31, PatientName="=山田^花子")
    client = serve(tmp_path / "files", show_names=True).client

    def found(name: str) -> set[str]:
        return set(values(client.search_for_studies(search_filters={"PatientName": name}), "0020000D"))

    for name in (*whole.split("="), whole, "yamada^tarou", "Yamada*=山田*", "*たろう", "山田^太?"):
        assert found(name) == {three.study_uid}, name
    assert found("=山田^花子") == found("*花子") == {two.study_uid}
    assert found("山田*") == {three.study_uid, two.study_uid}
    assert found("Yamada") == found("太郎") == found("山田^太郎=Yamada^Tarou") == set()


def test_pages_of_answers_are_apart_and_whole(serve: Callable[..., Served], tmp_path: Path) -> None:
    made = {film(tmp_path / "files" / str(number), rows=40, columns=30 + number).study_uid for number in range(7)}
    client = serve(tmp_path / "files").client
    pages = [client.search_for_studies(limit=3, offset=offset) for offset in (0, 3, 6, 9)]
    assert [len(page) for page in pages] == [3, 3, 1, 0]
    assert {uid for page in pages for uid in values(page, "0020000D")} == made


def test_asked_fields_come_beside_the_usual_ones(serve: Callable[..., Served], tmp_path: Path) -> None:
    film(tmp_path / "files", rows=40, columns=30)
    client = serve(tmp_path / "files").client
    (usual,) = client.search_for_studies()
    (more,) = client.search_for_studies(fields=["Manufacturer", "00180015"])
    assert "00080070" not in usual
    assert more["00080070"]["Value"] == ["Maker"]
    assert more["00180015"]["Value"] == ["CHEST"]


def test_images_that_come_later_are_found(serve: Callable[..., Served], tmp_path: Path) -> None:
    served = serve()
    assert served.client.search_for_studies() == []
    made = oblique_mr(tmp_path / "files", 4)
    served.archive.import_paths([tmp_path / "files"])
    assert values(served.client.search_for_studies(), "0020000D") == [made.study_uid]


@pytest.mark.parametrize(
    "path",
    [
        "studies?limit=many",
        "studies?offset=-1",
        "studies?Nonsense=1",
        "studies?includefield=nonsense",
        "studies/..%2f..%2fetc/series",
        "studies/1.2;x/series",
        f"studies/{'1' * 65}/series",
        "studies/1.2/series/%2e%2e/instances",
        "studies/1.2/series/1.3/instances/x/metadata",
        "studies/1.2/series/1.3/instances/1.4/frames/0",
        "studies/1.2/series/1.3/instances/1.4/frames/1,x",
        "studies/1.2/series/1.3/instances/1.4/bulkdata/PixelData",
    ],
)
def test_what_is_no_uid_or_number_is_refused_with_a_sentence(serve: Callable[..., Served], path: str) -> None:
    served = serve()
    answer = httpx.get(f"{served.url}/dicomweb/{path}", headers=served.token, timeout=SECONDS)
    assert answer.status_code in (400, 404, 422), answer.text
    assert answer.json()["detail"]


def test_what_is_not_there_is_not_found(serve: Callable[..., Served], tmp_path: Path) -> None:
    made = film(tmp_path / "files", rows=40, columns=30)
    served = serve(tmp_path / "files")
    for path in (
        f"{made.study_uid}/series/1.2/metadata",
        "1.2.3/series",
        f"{made.study_uid}/series/{made.series_uid}/instances/9.9",
    ):
        assert httpx.get(f"{served.url}/dicomweb/studies/{path}", headers=served.token, timeout=SECONDS).status_code == 404
