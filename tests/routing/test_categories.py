"""The table of categories: the shipped one against DICOM's own lists, one's own, and names that stand in none."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.sr.codedict import codes

from casewise.errors import UsageError
from casewise.formats.dicom.region import region_meaning
from casewise.header import Header
from casewise.routing.categories import FILE, Category, Table, read, shipped
from casewise.routing.dicom_prior import prior_of
from casewise.routing.router import Router

KNEE = """
[category.knee-mr]
name = "MRI knee"
region = "knee"
modality = "MR"
modalities = ["MR"]
parts = ["KNEE"]
code = "SCT:72696002"
"""


def test_every_region_of_the_shipped_table_is_one_of_dicoms() -> None:
    named = {name: [region_meaning(code) for code in entry.regions] for name, entry in shipped().entries.items()}
    assert all(meaning for meanings in named.values() for meaning in meanings)
    assert named["brain-mr"][0] == codes.cid4.Brain.meaning == "Brain"
    assert named["chest-xray"][0] in ("Chest", "Thorax")
    assert named["fundus-photograph"][0] == "Retina"


@pytest.mark.parametrize("name", Router.load().categories)
def test_every_category_has_a_name_a_modality_and_a_code_with_its_scheme(name: str) -> None:
    entry = shipped().entries[name]
    assert entry.name and entry.region and entry.modality and entry.modalities
    scheme, _, value = entry.code.partition(":")
    section = codes.cid8103.TissueSection
    assert scheme == "SCT" and (region_meaning(entry.code) or value == section.value)


def test_a_section_is_of_any_organ() -> None:
    slides = shipped()["histology"]
    assert slides.code == f"SCT:{codes.cid8103.TissueSection.value}" and slides.regions == ()
    of_a_colon = prior_of(Header(modality="SM", region="SCT:71854001", body_part="COLON"), ("abdomen-ct", "histology"))
    assert of_a_colon.fits == ("histology",)


def test_a_title_is_region_modality_and_view() -> None:
    table = shipped()
    assert table["chest-xray"].title == "chest, radiograph, frontal"
    assert table["Chest X-ray"] is table["chest-xray"] is table["CHEST_XRAY"]


def test_a_category_of_no_table_is_understood_by_its_name() -> None:
    assert shipped()["knee-xray"].modalities == shipped()["chest-xray"].modalities
    assert shipped()["knee-xray"].parts == ()
    assert shipped()["abdomen-mr"].parts == shipped()["abdomen-ct"].parts
    assert shipped()["benign"] == Category("benign")


def test_a_table_of_ones_own_adds_and_replaces(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(KNEE + '[category.brain-mr]\nname = "cMRT"\nmodalities = ["MR"]\nparts = ["NEUROCRANIUM"]\n')
    table = shipped().extended_by(tmp_path)
    names = ("brain-mr", "knee-mr")
    assert prior_of(Header(modality="MR", body_part="KNEE"), names, table).fits == ("knee-mr",)
    assert prior_of(Header(modality="MR", region="SCT:72696002"), names, table).fits == ("knee-mr",)
    assert prior_of(Header(modality="MR", body_part="NEUROCRANIUM"), names, table).fits == ("brain-mr",)
    assert table["head-ct"] == shipped()["head-ct"]
    assert set(table.added((*names, "head-ct")).entries) == {"brain-mr", "knee-mr"}


def test_a_table_is_the_same_after_it_was_written_and_read(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(KNEE)
    (tmp_path / "copy").mkdir()
    read(tmp_path).write(tmp_path / "copy")
    assert read(tmp_path / "copy").entries == read(tmp_path).entries
    Table({}).write(tmp_path / "copy" / "nowhere")  # nothing to write, no folder needed
    assert read(tmp_path / "copy" / "nowhere").entries == {}


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("[category.a]\n", "name"),
        ('[category.a]\nname = "A"\nmodalities = ["MRI"]\n', "MRI"),
        ('[category.a]\nname = "A"\nparts = ["knee"]\n', "knee"),
        ('[category.a]\nname = "A"\nparts = [""]\n', "''"),
        ('[category.a]\nname = "A"\ncodes = ["T-D9200"]\n', "T-D9200"),
        ('[category.a]\nname = "A"\ncode = "T-D9201"\n', "T-D9201"),
        ('[category.a]\nname = "A"\nmodality_codes = ["MR"]\n', "modality_codes"),
        ("category = 3", "object"),
        ("[category", FILE),
    ],
)
def test_a_wrong_table_is_one_sentence(tmp_path: Path, text: str, wrong: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(UsageError) as caught:
        shipped().extended_by(tmp_path)
    assert wrong in str(caught.value) and FILE in str(caught.value) and "\n" not in str(caught.value)
