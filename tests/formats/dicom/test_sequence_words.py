"""Of descriptions only the words of a vocabulary are kept, and masks and computed images are known by their names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casewise.formats.dicom.sequence_words import derived_word, description_words, machine_words, modality_code, view_words

WHOLE = [
    "t2_tse_tra",
    "ep2d_diff_tra_DYNDISTCALC_BVAL",
    "ep2d_diff_tra_DYNDIST_ADC",
    "HELICAL CHEST",
    "Ax T2 FLAIR +C",
    "T1W_SE_GD",
    "DWI b=1000",
    "*ep_b50_800",
    "ep_b400",
    "*ep_b800t",
    "*tse2d1_25",
    "*epfid2d1_64",
    "axt2flair",
    "WHOLE BODY",
    "T2*",
    "SAG T1 POST GD",
    "t1_vibe_fs_tra_bh_dyn",
    "T2W/TSE/3D",
    "COR STIR",
    "AAHead_Scout",
    "FLAIR_ROI",
    "T2 subtraction",
    "colour FA map",
    "Chest PA",
    "LUMBAR SPINE",
    "t2_tirm_tra_dark-fluid",
]


@pytest.mark.parametrize("text", WHOLE)
def test_what_is_all_vocabulary_stays_as_it_was_written(text: str) -> None:
    assert description_words(text) == (text, True)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("T2 Anna Maria Meier Huber", "T2"),
        ("T2 MUELLER JUERGEN", "T2"),
        ("T2 born 1961-02-03", "T2"),
        ("T2 Kowalska", "T2"),
        ("T2 b 1961", "T2 b"),
        ("T2_19610203_FLAIR", "T2 FLAIR"),
        ("T2_Иванов_tra", "T2 tra"),
        ("T2左肺山田", "T2"),
        ("山田太郎", ""),
        ("Ｔ２ ＴＳＥ", "T2 TSE"),
        ("t1meier", ""),
        ("Corse", ""),
        ("Study of Dr. Smith, room 12", ""),
        ("Müller FLAIR\nMüller", "FLAIR"),
        ("ID4711 T1 post", "T1 post"),
    ],
)
def test_all_else_is_left_out(text: str, kept: str) -> None:
    assert description_words(text)[0] == kept


def test_a_person_called_like_a_sequence_is_left_out_too() -> None:
    assert description_words("T2 Head axial", {"head"})[0] == "T2 axial"


@given(st.text(max_size=40), st.text(max_size=12))
def test_whatever_is_written_comes_back_as_words_of_the_text_alone(text: str, name: str) -> None:
    kept, _ = description_words(text)
    assert len(kept) <= 64
    assert description_words(kept)[0] == kept
    assert "qxz" not in description_words(f"T2 qxz{name} qxz")[0]


@pytest.mark.parametrize(
    "name",
    [
        "FLAIR_ROI",
        "FLAIR_mask",
        "T1_seg",
        "T2 subtraction",
        "colour FA map",
        "T1map",
        "T2 map",
        "FlairMask",
        "FLAIRmask",
        "FLAIRRoi",
        "t1_fl3d_SUB",
        "SWI mIP",
        "Lesion seg on FLAIR",
        "Subtraktion T1",
        "FLAIRROI",
        "T1ce_label2",
        "FLAIR lesions",
        "ROI_FLAIR_1",
        "T2 Segmentation",
        "T1 GT",
        "FLAIR manual",
        "FLAIR prediction",
        "T1 - T1 post difference",
        "ColFA",
        "ep2d_diff_FA",
        "T2 overlay",
        "B0 map",
        "T2_mask.nii",
        "flair-label",
        "T1 annotated",
        "Synthetic FLAIR",
        "T2w probability",
        "T1/T2 ratio",
        "T2 Maske",
    ],
)
def test_a_mask_or_computed_image_is_known_by_its_name(name: str) -> None:
    from casewise.archive.words import sequence_in
    from casewise.examination.sequences import of_description

    assert derived_word(name)
    assert of_description(name) is None
    assert sequence_in(name) is None


@pytest.mark.parametrize(
    ("name", "sequence"),
    [
        ("t2_tse_tra", "T2"),
        ("ADC map", "ADC"),
        ("ep2d_diff_tra_ADC", "ADC"),
        ("T1 FA15", "T1"),
        ("T1 FA 15", "T1"),
        ("sub-01_T1w", "T1"),
        ("T2 FLAIR SAG", "FLAIR"),
        ("t1_mpr_ns_sag", "T1"),
        ("segmented cine T2", "T2"),
        ("T1 in-phase", "T1"),
        ("DWI b1000", "DWI"),
        ("T2 FLAIR fast", "FLAIR"),
        ("t2_tirm_tra_dark-fluid", "FLAIR"),
        ("SE T1 post Gd", "T1 post"),
        ("ep_b800 trace", "DWI"),
    ],
)
def test_a_sequence_as_it_was_taken_is_no_mask(name: str, sequence: str) -> None:
    from casewise.examination.sequences import of_description

    assert derived_word(name) is None
    assert of_description(name) == sequence


def test_machines_views_and_modalities() -> None:
    names = ["SIEMENS", "GE MEDICAL SYSTEMS", "Philips Medical Systems", "DISCOVERY MR750", "Prisma_fit", "LOGIQ 700", "EPIQ 7C"]
    assert [machine_words(name) for name in names] == names
    assert machine_words("St. Mary Hospital 1234") == ""
    assert machine_words("MARKER17") == ""
    assert view_words("PA") == "PA"
    assert view_words("Meier") == ""
    assert (modality_code("mr"), modality_code("MEIER")) == ("MR", None)
