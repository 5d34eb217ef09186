"""Which sequence a series is, by what people and machines wrote into its header."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casewise import formats
from casewise.errors import CasewiseError, UsageError
from casewise.examination.sequences import canonical, expected, kind_of, named, of_description, of_parameters, reference_of
from casewise.formats import Found
from casewise.formats.dicom.acquisition import Acquisition, acquisition
from casewise.formats.found import Kind


def reported(description: str = "", **known: Any) -> Acquisition:
    values: dict[str, Any] = {
        "modality": "MR",
        "subject": "a",
        "study": "1.2",
        "image_type": ("ORIGINAL", "PRIMARY"),
        "b_value": None,
        "contrast": False,
        "echo_time": None,
        "repetition_time": None,
        "inversion_time": None,
        "gradient_echo": False,
        "body_part": "",
        "plane": "axial",
        "slices": 20,
        "order": (1, ""),
    }
    return Acquisition(description=description, **(values | known))


def found(name: str) -> Found:
    return Found(Path(name), None, (Path(name) / "1.dcm",), Kind.DICOM)


@pytest.mark.parametrize(
    ("description", "kind"),
    [
        ("t2_tse_tra", "T2"),
        ("t1_mprage_sag_p2_iso", "T1"),
        ("t2_tirm_tra_dark-fluid", "FLAIR"),
        ("Ax T2 FLAIR", "FLAIR"),
        ("SAG T1 FLAIR", "T1"),
        ("AX T1 POST GD", "T1 post"),
        ("T1 SE +C", "T1 post"),
        ("t1_vibe_fs_tra_KM", "T1 post"),
        ("ep2d_diff_3scan_trace_p2", "DWI"),
        ("ep2d_diff_tra_DYNDIST_ADC", "ADC"),
        ("Ax T2* GRE", "SWI"),
        ("pd_tse_cor", "PD"),
        ("head routine", None),
        ("", None),
    ],
)
def test_a_description_tells_the_sequence(description: str, kind: str | None) -> None:
    assert of_description(description) == kind


@pytest.mark.parametrize(
    ("known", "kind"),
    [
        ({"echo_time": 100, "repetition_time": 5000}, "T2"),
        ({"echo_time": 12, "repetition_time": 550}, "T1"),
        ({"echo_time": 12, "repetition_time": 550, "contrast": True}, "T1 post"),
        ({"echo_time": 95, "repetition_time": 9000, "inversion_time": 2500}, "FLAIR"),
        ({"echo_time": 0.095, "repetition_time": 9.0, "inversion_time": 2.5}, None),  # an echo time in s is against the standard
        ({"echo_time": 20, "repetition_time": 3000}, "PD"),
        ({"echo_time": 3, "repetition_time": 2000, "inversion_time": 900, "gradient_echo": True}, "T1"),
        ({"echo_time": 1.5, "repetition_time": 800, "gradient_echo": True}, None),
        ({"image_type": ("DERIVED", "PRIMARY", "DIFFUSION", "ADC")}, "ADC"),
        ({"b_value": 800.0}, "DWI"),
        ({}, None),
    ],
)
def test_the_machines_own_figures_tell_the_sequence(known: dict[str, Any], kind: str | None) -> None:
    assert of_parameters(reported(**known)) == kind


def test_the_machine_is_believed_where_the_description_lies_and_a_note_says_so() -> None:
    ((series,), _) = named([(found("a"), reported("t1_se_tra", echo_time=104, repetition_time=5660))])
    assert (series.name, series.kind) == ("T2", "T2")
    (note,) = series.notes
    assert "'t1_se_tra'" in note
    assert "echo time 104 ms" in note
    assert "taken as T2" in note


def test_a_series_without_description_is_recognised_by_its_times_and_a_note_says_so() -> None:
    ((series,), _) = named([(found("a"), reported(echo_time=95, repetition_time=9000, inversion_time=2500))])
    assert series.name == "FLAIR"
    assert "does not say what it is" in series.notes[0]


def test_a_series_that_nothing_tells_is_left_out_with_its_sentence() -> None:
    series, (left,) = named([(found("study/x"), reported("head routine"))])
    assert series == []
    assert "known by neither its description nor its times" in left.reason
    assert "--sequence" in left.reason


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({"description": "localizer"}, "localizer"),
        ({"description": "t2", "slices": 1}, "too few slices"),
        ({"description": "t1", "modality": "CT"}, "only MR"),
        ({"description": "dce_t1_dyn"}, "perfusion"),
    ],
)
def test_what_is_no_sequence_is_left_out_with_its_reason(known: dict[str, Any], words: str) -> None:
    series, (left,) = named([(found("a"), reported(**known))])
    assert series == []
    assert words in left.reason


def test_diffusion_is_named_by_b_value_and_planes_by_their_own() -> None:
    entries = [
        (found("a"), reported("ep2d_diff", b_value=50.0)),
        (found("b"), reported("ep2d_diff", b_value=800.0)),
        (found("c"), reported("t2_tse", plane="axial")),
        (found("d"), reported("t2_tse", plane="sagittal")),
        (found("e"), reported("t1", plane="coronal")),
    ]
    series, left = named(entries)
    assert [entry.name for entry in series] == ["DWI b50", "DWI b800", "T2", "T2 sagittal", "T1"]
    assert left == []


def test_of_two_with_one_name_the_later_is_taken_and_both_are_named() -> None:
    series, (left,) = named([(found("a"), reported("t2_tse", order=(7, "1"))), (found("b"), reported("t2_tse", order=(3, "2")))])
    assert [entry.found.path for entry in series] == [Path("a")]
    assert "Two series are both T2" in left.reason
    assert "Series 3" in left.reason
    assert "Series 7" in left.reason
    assert left.reason in series[0].notes


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("flair", "FLAIR"),
        ("T1Gd", "T1 post"),
        ("t1ce", "T1 post"),
        ("t1_post", "T1 post"),
        ("T1+C", "T1 post"),
        ("T2w", "T2"),
        ("dwi_b800", "DWI b800"),
        ("adc", "ADC"),
        ("my own", "my own"),
    ],
)
def test_a_given_name_is_written_as_casewise_does(given: str, name: str) -> None:
    assert canonical(given) == name


@given(st.from_regex(r"[A-Za-z][A-Za-z0-9 _]{0,20}", fullmatch=True))
def test_a_name_once_written_stays(name: str) -> None:
    assert canonical(canonical(name)) == canonical(name)


@pytest.mark.parametrize("name", ["", "  ", "../T1", "T1/a", "x" * 60])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="A sequence has a name"):
        canonical(name)


def test_the_reference_is_flair_then_axial_t2() -> None:
    assert reference_of(["T1", "FLAIR", "T2"]) == "FLAIR"
    assert reference_of(["T2 sagittal", "ADC", "T2"]) == "T2"
    assert reference_of(["own", "other"]) == "own"
    assert kind_of("DWI b1000") == "DWI"


def test_what_is_usually_there_is_known_of_brain_and_prostate() -> None:
    assert expected(["FLAIR"], "") == ("FLAIR", "T1", "T1 post", "T2")
    assert expected(["T2"], "PROSTATE") == ("T2", "ADC", "DWI")
    assert expected(["T2"], "KNEE") == ()


def test_only_dicom_says_how_it_was_acquired(tmp_path: Path) -> None:
    with pytest.raises(CasewiseError, match="says nothing of how it was acquired"):
        acquisition(Found(tmp_path, None, (tmp_path / "a.nii",), Kind.NIFTI))


def test_the_series_of_a_real_prostate_study_are_recognised(shared_data: Path) -> None:
    entries = [(entry, acquisition(entry)) for entry in formats.scan(shared_data / "prostatex") if isinstance(entry, Found)]
    series, left = named(entries)
    names = {entry.name for entry in series}
    assert names == {"T2", "T2 sagittal", "T2 coronal", "DWI b50", "DWI b400", "DWI b800", "DWI b1000", "ADC", "PD"}
    assert left == []
