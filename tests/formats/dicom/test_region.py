"""What leaves a DICOM header of the kind of object and of the body's region: DICOM's own words and codes, and no free text."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import MRImageStorage

from casewise import formats
from casewise.formats.dicom.header import about
from casewise.formats.dicom.region import image_type, region_code, region_meaning


def dataset(**elements: object) -> Dataset:
    made = Dataset()
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def region(value: str, scheme: str) -> Dataset:
    return dataset(AnatomicRegionSequence=[dataset(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning="John Doe's")])


@pytest.mark.parametrize(
    ("value", "scheme", "code"),
    [
        ("12738006", "SCT", "SCT:12738006"),
        ("T-A0100", "SRT", "SCT:12738006"),
        ("T-A0100", "99LOCAL", None),
        ("DOE^JOHN", "SCT", None),
        ("", "", None),
    ],
)
def test_a_region_is_a_code_of_dicoms_lists_or_nothing(value: str, scheme: str, code: str | None) -> None:
    assert region_code(region(value, scheme)) == code
    assert region_meaning(code or "") == ("Brain" if code else "")


def test_descriptions_give_parts_alone_and_never_a_patients_name() -> None:
    said = dataset(SeriesDescription="T2 Smith", ProtocolName="Dr Jones knee", StudyDescription="CHEST", SOPClassUID=MRImageStorage)
    header = about(said, [said])
    assert header["described_part"] == "KNEE"
    assert header["sop_class"] == "MRImageStorage"
    head = dataset(PatientName="Head^John", SeriesDescription="Head John", ImageType=["ORIGINAL", "PRIMARY", "DOE JOHN"])
    assert "described_part" not in about(head, [head])
    assert about(head, [head])["image_type"] == ("ORIGINAL", "PRIMARY")
    assert image_type("derived \\localizer\\X") == ("DERIVED", "LOCALIZER")


def test_a_real_header_has_them(shared_data: Path) -> None:
    header = formats.read(next((shared_data / "dicom-more").glob("dcm_qa_nih/*GE/mr_0004/*.dcm"))).header
    assert (header.sop_class, header.region, header.body_part) == ("MRImageStorage", "SCT:12738006", "BRAIN")
