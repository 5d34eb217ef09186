"""Objects made of results are series of the study: those of the newest result alone, and none that a viewer cannot display."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from casewise.finding import Finding
from casewise.pipeline.recorded import results_folder
from casewise.reporting.dicom_objects import About, write_objects
from tests.dicom_studies import Series, film, oblique_mr
from tests.server.dicomweb.conftest import Served


def _analysed(served: Served, made: Series, job: int, label: str) -> set[str]:
    """Record a result with its objects; their series."""
    (record,) = served.archive.images()
    image = served.archive.case(record.key).image
    folder = results_folder(served.archive.folder, record.key, job)
    folder.mkdir(parents=True)
    written = write_objects(folder, image, [Finding("a", label, 0.8)], {label: made.mask}, ["seg", "sr"], about=About(label))
    served.archive.record_result({"headline": label, "job": job, "findings": []}, record.key)
    return {one.sop_uid for one in written}


def _found(served: Served, made: Series) -> dict[str, str]:
    """SOP instance UID → modality of what is beside the image's own series."""
    series = served.client.search_for_series(made.study_uid)
    others = [one for one in series if one["0020000E"]["Value"] != [made.series_uid]]
    found = {}
    for one in others:
        for entry in served.client.retrieve_series_metadata(made.study_uid, one["0020000E"]["Value"][0]):
            found[entry["00080018"]["Value"][0]] = entry["00080060"]["Value"][0]
    return found


def test_a_volume_has_those_of_its_newest_result(serve: Callable[..., Served], tmp_path: Path) -> None:
    made = oblique_mr(tmp_path / "files", 6)
    served = serve(tmp_path / "files")
    assert _found(served, made) == {}
    first = _analysed(served, made, 3, "nodule")
    assert set(_found(served, made)) == first
    second = _analysed(served, made, 5, "lesion")
    assert set(_found(served, made)) == second and not first & second
    assert sorted(_found(served, made).values()) == ["SEG", "SR"]
    (study,) = served.client.search_for_studies()
    assert (study["00201206"]["Value"], study["00201208"]["Value"]) == ([3], [8])
    (segmentation,) = [uid for uid, modality in _found(served, made).items() if modality == "SEG"]
    series = next(one for one in served.client.search_for_series(made.study_uid) if one["00080060"]["Value"] == ["SEG"])
    held = served.client.retrieve_instance(made.study_uid, series["0020000E"]["Value"][0], segmentation)
    assert held.SegmentSequence[0].SegmentLabel == "lesion" and str(held.PatientName) != "Müller^Änne"


def test_a_film_has_its_report_and_no_segmentation(serve: Callable[..., Served], tmp_path: Path) -> None:
    made = film(tmp_path / "files", rows=300, columns=250)
    served = serve(tmp_path / "files")
    _analysed(served, made, 3, "nodule")
    assert list(_found(served, made).values()) == ["SR"]
