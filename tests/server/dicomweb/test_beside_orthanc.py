"""The same study in Orthanc and in casewise: their DICOMweb says the same of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dicomweb_client import DICOMwebClient

from tests.dicom_studies import film, study
from tests.orthanc import orthanc
from tests.server.dicomweb.conftest import Served

# What each says of itself, not of the study: addresses, availability, when it came. Orthanc has no charset but UTF-8 either.
_OF_THE_SERVER = {"00081190", "00080056", "00080054", "00083002", "00080005", "00080201", "7FE00010"}

_OF_STUDY = (
    *("0020000D", "00100010", "00100020", "00100030", "00100040"),
    *("00080020", "00080030", "00080050", "00201206", "00201208"),
)
_OF_SERIES = ("0020000E", "00080060", "0008103E", "00200011", "00201209")
_OF_INSTANCE = ("00080016", "00080018", "00200013", "00280010", "00280011", "00280100")
_OCTETS = (("application/octet-stream", "1.2.840.10008.1.2.1"),)


def _said(model: dict[str, Any]) -> dict[str, Any]:
    """Values in one form: numbers as numbers, without elements that are empty."""
    found = {}
    for tag, entry in model.items():
        values = [_plain(value, entry["vr"]) for value in entry.get("Value", [])]
        if tag not in _OF_THE_SERVER and any(value not in (None, "", {}) for value in values):
            found[tag] = values
    return found


def _plain(value: Any, vr: str) -> Any:
    if vr == "SQ":
        return _said(value)
    return float(value) if vr in ("DS", "IS", "US", "SS", "UL", "SL", "FL", "FD") and value is not None else value


@pytest.fixture
def both(serve: Callable[..., Served], tmp_path: Path) -> Any:
    made = study(tmp_path / "files")
    film(tmp_path / "files" / "film", rows=60, columns=50, study_uid=made[0].study_uid, series_number=7)
    with orthanc(tmp_path / "orthanc") as pacs:
        pacs.add(*sorted((tmp_path / "files").rglob("*.dcm")))
        yield serve(tmp_path / "files", show_names=True).client, DICOMwebClient(f"{pacs.http}/dicom-web"), made


def test_headers_and_searches_are_the_same(both: Any) -> None:
    ours, theirs, made = both
    uid = made[0].study_uid
    for one in made:
        mine = {entry["00080018"]["Value"][0]: _said(entry) for entry in ours.retrieve_series_metadata(uid, one.series_uid)}
        other = {entry["00080018"]["Value"][0]: _said(entry) for entry in theirs.retrieve_series_metadata(uid, one.series_uid)}
        assert mine == other
    searches = (
        (_OF_STUDY, lambda client: client.search_for_studies(search_filters={"StudyInstanceUID": uid})),
        (_OF_SERIES, lambda client: client.search_for_series(uid)),
        (_OF_INSTANCE, lambda client: client.search_for_instances(uid, made[0].series_uid)),
    )
    for tags, search in searches:
        mine, other = (sorted(str([_said(one).get(tag) for tag in tags]) for one in search(client)) for client in (ours, theirs))
        assert mine == other


def test_frames_and_files_are_the_same(both: Any) -> None:
    ours, theirs, made = both
    uid = made[0].study_uid
    for one in made:
        for entry in theirs.retrieve_series_metadata(uid, one.series_uid)[:3]:
            where = uid, one.series_uid, entry["00080018"]["Value"][0]
            mine, other = (client.retrieve_instance_frames(*where, [1], media_types=_OCTETS) for client in (ours, theirs))
            assert mine == other
            assert ours.retrieve_instance(*where) == theirs.retrieve_instance(*where)
