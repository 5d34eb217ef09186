"""Inputs behind public bug reports, and what is right of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from casewise.archive import Archive
from casewise.archive.ingest.report import ImportReport
from casewise.case import Case


@pytest.fixture
def reported(shared_data: Path, tmp_path: Path):
    """Import one of the reports' folders: its cases by file, and the report."""
    root = shared_data / "bug-reports"
    if not root.is_dir():
        pytest.skip("needs the inputs of public bug reports")

    def run(name: str) -> tuple[dict[str, Case], ImportReport]:
        with Archive.open(tmp_path / "archive", create=True) as archive:
            report = archive.import_paths([root / name])
            return {str(Path(case.name).relative_to(root / name)): case for case in archive.cases()}, report

    return run


def drawn(case: Case, ending: str = "mask") -> np.ndarray:
    path = Path(case.name)
    return np.asarray(Pillow.open(path.with_name(f"{path.stem}_{ending}.png"))) > 127


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "images", "left_out"),
    [
        ("masks/uni_cjk", {"患者甲.png", "患者乙.png", "患者丙.png"}, set()),
        ("masks/uni_cyr", {"Иванов.png", "Петров.png"}, set()),
        ("masks/mask_without_image_number", {"scan_1.png", "scan_3.png"}, {"scan_2_mask.png"}),
        ("masks/mask_without_image", {"anna.png", "carla.png"}, {"berta_mask.png"}),
    ],
)
def test_every_image_has_its_own_mask(name: str, images: set[str], left_out: set[str], reported) -> None:
    cases, report = reported(name)
    assert cases.keys() == images
    for case in cases.values():
        assert list(case.load_masks) == ["mask"]
        assert np.array_equal(case.load_masks["mask"](), drawn(case))
    assert {Path(one.path).name for one in report.failed} == {Path(one.path).name for one in report.left_out} == left_out


@pytest.mark.shared
def test_structures_are_called_as_their_files(reported) -> None:
    cases, report = reported("masks/uni_structures")
    for case in cases.values():
        assert set(case.load_masks) == {"左肺", "右肺"}
        for structure in case.load_masks:
            assert np.array_equal(case.load_masks[structure](), drawn(case, f"{structure}_mask"))
    assert report.masks == {"左肺": 2, "右肺": 2}


@pytest.mark.shared
def test_each_row_is_of_its_own_image(reported) -> None:
    cases, report = reported("tables/chexpert_like")
    known = {
        name.split("/")[1]: (case.content["age"], case.content["sex"], case.content["pathology"]) for name, case in cases.items()
    }
    assert known == {"patient00001": (30, "F", "Edema"), "patient00002": (55, "M", "Normal"), "patient00003": (80, "F", "Fracture")}
    assert [(table.rows, table.used) for table in report.tables] == [(3, 3)]


@pytest.mark.shared
@pytest.mark.parametrize("name", ["tables/utf16", "tables/backslash"])
def test_tables_of_windows(name: str, reported) -> None:
    cases, report = reported(name)
    known = {Path(path).stem: (case.content["age"], case.content["sex"], case.category) for path, case in cases.items()}
    assert known == {"a": (40, "M", "x"), "b": (50, "F", "y"), "c": (60, "M", "x")}
    assert report.skipped == []


@pytest.mark.shared
def test_a_patients_folder_is_no_category(reported) -> None:
    cases, _ = reported("dicom/patient_folders")
    assert len(cases) == 3
    assert {case.category for case in cases.values()} == {None}
    assert "Smith" not in str([(case.category, case.site, case.subject, dict(case.content)) for case in cases.values()])
