"""Where names are not shown, none leaves: not in answers, not in files, not by searching for one."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

import httpx
import pydicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from tests.dicom_studies import PATIENT, film, oblique_mr, with_element
from tests.server.dicomweb.conftest import Served
from tests.waiting import SECONDS

SECRETS = ("Müller", "HOSP-4711", "19570321", "ACC0001", "Doe^Jo", "Sister", "Ward 9", "in private", "Ann")


def _told(tmp_path: Path) -> tuple[str, str, list[Path]]:
    """A series that names its patient in every way that it can; with frames of a second kind of file."""
    request, other = Dataset(), Dataset()
    request.RequestedProcedureID, request.RequestedProcedureDescription = "Ward 9", "Head for Ann"
    other.OperatorsName, other.CodeMeaning = "Sister^Mary", "kept"
    made = oblique_mr(
        tmp_path / "files",
        3,
        OtherPatientIDs="HOSP-4711-B",
        PatientComments="Ann is afraid",
        StudyDescription="Head Müller",
        SeriesDescription="t2 for Ann",
        RequestAttributesSequence=Sequence([request]),
        ProcedureCodeSequence=Sequence([other]),
        PhysiciansOfRecord="Sister^Mary",
    )
    for file in made.files:
        data = pydicom.dcmread(file)
        block = data.private_block(0x0011, "MAKER", create=True)
        block.add_new(0x01, "LO", "in private")
        data.save_as(file)
    return made.study_uid, made.series_uid, made.files


def test_neither_json_nor_files_name_anybody(serve: Callable[..., Served], tmp_path: Path) -> None:
    study, series, files = _told(tmp_path)
    served = serve(tmp_path / "files")
    (found,) = served.client.search_for_studies()
    pseudonym = found["00100020"]["Value"][0]
    assert found["00100010"]["Value"] == [{"Alphabetic": pseudonym}] and len(pseudonym) == 16
    root = f"{served.url}/dicomweb/studies"
    paths = ["?includefield=all", f"/{study}/series?includefield=all", f"/{study}/series/{series}/metadata", f"/{study}/metadata"]
    for path in paths:
        text = httpx.get(root + path, headers=served.token, timeout=SECONDS).text
        assert "0020000D" in text
        assert not [secret for secret in SECRETS if secret in text], path
    file = httpx.get(f"{root}/{study}/series/{series}", headers=served.token, timeout=SECONDS).content
    assert not [secret for secret in SECRETS if secret.encode() in file]
    uid = pydicom.dcmread(files[0]).SOPInstanceUID
    one = httpx.get(
        f"{root}/{study}/series/{series}/instances/{uid}", headers={**served.token, "accept": "application/dicom"}, timeout=SECONDS
    )
    data, before = pydicom.dcmread(io.BytesIO(one.content)), pydicom.dcmread(files[0])
    assert (str(data.PatientName), data.PatientID, data.PatientBirthDate) == (pseudonym, pseudonym, "")
    assert data.SeriesDescription == "t2"  # the words of the archive's vocabulary
    assert data.ProcedureCodeSequence[0].CodeMeaning == "kept"
    assert data.ImagePositionPatient == before.ImagePositionPatient
    assert data.PixelData == before.PixelData


def test_a_person_is_searched_by_the_pseudonym(serve: Callable[..., Served], tmp_path: Path) -> None:
    first = oblique_mr(tmp_path / "files" / "a", 3)
    second = film(tmp_path / "files" / "b", rows=40, columns=30)
    film(tmp_path / "files" / "c", rows=40, columns=31, PatientID="another", PatientName="Some^One")
    client = serve(tmp_path / "files").client
    assert client.search_for_studies(search_filters={"PatientID": PATIENT["PatientID"]}) == []
    assert client.search_for_studies(search_filters={"PatientName": "Müller*"}) == []
    (one,) = client.search_for_studies(search_filters={"StudyInstanceUID": first.study_uid})
    mine = client.search_for_studies(search_filters={"PatientID": one["00100020"]["Value"][0]})
    assert {entry["0020000D"]["Value"][0] for entry in mine} == {first.study_uid, second.study_uid}


def test_group_lengths_and_unknown_elements_are_left_out_and_all_else_is_served(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    old = film(tmp_path / "files" / "old", rows=40, columns=30, ProcedureCodeSequence=Sequence([Dataset()]))
    new = film(tmp_path / "files" / "new", rows=40, columns=31)
    for tag in (0x00080000, 0x00100000, 0x00180000, 0x00200000):
        with_element(old.files[0], tag, "UL", struct.pack("<I", 100))
    with_element(old.files[0], 0x00100015, "LO", b"Doe^Jo")
    with_element(old.files[0], 0x00080F05, "PN", b"Sister^Mary ")
    with_element(old.files[0], 0x00081032, "LO", b"Ward 9")  # a sequence by the dictionary
    served = serve(tmp_path / "files")
    assert len(served.client.search_for_studies()) == 2
    with_element(old.files[0], 0x00081030, "US", b"Doe^Jo!")  # no number either; such a file is not imported, but may become so
    found = served.client.search_for_studies()
    assert {one["0020000D"]["Value"][0] for one in found} == {old.study_uid, new.study_uid}
    (header,) = served.client.retrieve_study_metadata(old.study_uid)
    assert header["00181164"]["Value"] == [0.14, 0.14]
    assert not [tag for tag in header if tag.endswith("0000") or tag in ("00100015", "00080F05", "00081032")]
    assert header["00081030"].get("Value", []) == []
    (file,) = served.client.retrieve_series(old.study_uid, old.series_uid)
    assert file.PixelData == pydicom.dcmread(old.files[0]).PixelData
    assert not [secret for secret in ("Doe^Jo", "Sister", "Ward 9") if secret in str(header) + str(file)]


def test_a_file_of_which_no_header_can_be_made_ends_nothing_for_others(serve: Callable[..., Served], tmp_path: Path) -> None:
    lost = film(tmp_path / "files" / "lost", rows=40, columns=30)
    kept = film(tmp_path / "files" / "kept", rows=40, columns=31)
    served = serve(tmp_path / "files")
    assert len(served.client.search_for_studies()) == 2
    with_element(lost.files[0], 0x00080018, "US", b"abc")  # damaged after the import
    (found,) = served.client.search_for_studies()
    assert found["0020000D"]["Value"] == [kept.study_uid]
    assert served.client.search_for_series(lost.study_uid) == []
    answer = httpx.get(f"{served.url}/dicomweb/studies/{lost.study_uid}/metadata", headers=served.token)
    assert (answer.status_code, "cannot be read" in answer.json()["detail"]) == (404, True)
