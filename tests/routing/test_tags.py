"""What DICOM's tags do to the pixels' probabilities, by themselves and in real files."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import CTImageStorage

import casewise
from casewise.formats.dicom.region import sop_class
from casewise.header import Header
from casewise.routing.categories import shipped
from casewise.routing.dicom_prior import Prior, prior_of
from casewise.routing.route import UNKNOWN, Route
from casewise.routing.router import Router
from casewise.routing.tags import PART_WRONG, implied_modalities
from casewise.routing.views import in_hounsfield_units

NAMES = tuple(shipped().entries)
CTS = tuple(name for name in NAMES if name.endswith("-ct"))
MR = tuple(name for name in NAMES if name.endswith("-mr"))
HEADERS = st.builds(
    Header,
    modality=st.sampled_from([None, "CT", "MR", "CR", "US", "OP", "SM", "NM", "OT", "SEG"]),
    body_part=st.sampled_from([None, "", "HEAD", "CHEST", "ABDOMEN", "KNEE", "PROSTATE", "HAND", "BREAST", "WHOLEBODY", "???"]),
    sop_class=st.sampled_from([None, "CTImageStorage", "MRImageStorage", "SecondaryCaptureImageStorage", "DigitalXRayImage"]),
    image_type=st.sampled_from([(), ("DERIVED", "SECONDARY"), ("ORIGINAL", "PRIMARY", "LOCALIZER")]),
    region=st.sampled_from([None, "SCT:12738006", "SCT:816094009", "SCT:72696002"]),
    described_part=st.sampled_from([None, "CHEST", "SHOULDER"]),
    view=st.sampled_from([None, "PA", "LATERAL"]),
)  # fmt: skip


@st.composite
def pixels(draw: st.DrawFn) -> dict[str, float]:
    values = draw(
        st.lists(st.floats(0, 1), min_size=len(NAMES) + 1, max_size=len(NAMES) + 1).filter(lambda found: sum(found) > 0.01)
    )
    return {name: value / sum(values) for name, value in zip((*NAMES, UNKNOWN), values, strict=True)}


def looking_like(name: str, sure: float = 0.97) -> dict[str, float]:
    rest = (1 - sure) / len(NAMES)
    return {other: sure if other == name else rest for other in (*NAMES, UNKNOWN)}


def routed(header: Header, found: dict[str, float]) -> Route:
    return Route.of(found, 0.3, prior_of(header, NAMES), "softmax")


@settings(deadline=None)
@given(header=HEADERS, found=pixels())
def test_probabilities_stay_probabilities_and_tags_never_make_a_strange_image_known(
    header: Header, found: dict[str, float]
) -> None:
    prior = prior_of(header, NAMES)
    both = prior.combined(found, UNKNOWN)
    assert set(both) == set(found)
    assert sum(both.values()) == pytest.approx(1)
    assert min(both.values()) >= 0
    assert both[UNKNOWN] >= found[UNKNOWN] - 1e-12
    if not prior.tags:
        assert both == found


@settings(deadline=None)
@given(header=HEADERS, found=pixels())
def test_what_all_tags_fit_never_loses_and_what_one_rules_out_never_gains(header: Header, found: dict[str, float]) -> None:
    prior = prior_of(header, NAMES)
    both = prior.combined(found, UNKNOWN)
    for name in NAMES:
        if name in (prior.fits if prior.fits is not None else NAMES):
            assert both[name] >= found[name] - 1e-12
        else:
            assert both[name] <= found[name] + 1e-12


@settings(deadline=None)
@given(
    modality=st.sampled_from(["CT", "MR", "CR", "DX", "US"]),
    body_part=st.sampled_from([None, "HEAD", "ABDOMEN"]),
    found=pixels(),
)
def test_no_image_is_routed_to_a_category_of_another_modality(
    modality: str, body_part: str | None, found: dict[str, float]
) -> None:
    route = routed(Header(modality=modality, body_part=body_part), found)
    assert route.category == UNKNOWN or modality in shipped()[route.category].modalities
    assert all(
        score.probability == 0
        for score in route.scores
        if score.category != UNKNOWN and modality not in shipped()[score.category].modalities
    )


@settings(deadline=None)
@given(found=pixels())
def test_a_localizer_is_unknown_whatever_it_looks_like(found: dict[str, float]) -> None:
    route = routed(Header(modality="MR", body_part="BRAIN", image_type=("ORIGINAL", "PRIMARY", "LOCALIZER")), found)
    assert route.category == UNKNOWN and route.probability == pytest.approx(1)


@settings(deadline=None)
@given(header=HEADERS, found=pixels())
def test_an_unknown_image_always_has_a_reason(header: Header, found: dict[str, float]) -> None:
    route = routed(header, found)
    assert bool(route.reasons) == (route.category == UNKNOWN)


def test_what_the_tags_take_from_the_rest_is_named_as_the_reason() -> None:
    """The pixels look like a brain more than like nothing known; only with what the tags exclude is unknown the likeliest."""
    found = looking_like("brain-mr", 0.42) | {UNKNOWN: 0.14, "abdomen-ct": 0.23, "chest-ct": 0.16}
    total = sum(found.values())
    route = routed(Header(modality="MR"), {name: share / total for name, share in found.items()})
    assert (route.category, route.looked, route.prior.contradicted) == (UNKNOWN, "brain-mr", False)
    (reason,) = route.reasons
    assert "brain-mr" in reason and "does not fit the tags" in reason


def test_that_an_image_is_strange_is_said_before_in_which_way() -> None:
    found = looking_like(UNKNOWN)
    route = Route.of(found, 1.4, Prior(), "softmax", ["No image is near it."])
    assert [reason.split()[0] for reason in route.reasons] == ["It", "No"] and "1.4" in route.reasons[0]


def test_hounsfield_units_stand_in_for_a_modality_that_nobody_states() -> None:
    prior = prior_of(Header(), NAMES, hounsfield=True)
    assert prior.fits == CTS
    route = Route.of(looking_like("brain-mr"), 0.3, prior, "softmax")
    assert route.category == UNKNOWN and "The values do not fit brain-mr" in route.reasons[0]
    assert route.prior.sentence.startswith("The values say CT")
    assert all(name.endswith("-mr") for name in prior_of(Header(modality="MR"), NAMES, hounsfield=True).fits or ())


def test_a_ct_volume_without_tags_is_no_mr(shared_data: Path) -> None:
    image = casewise.read(shared_data / "totalseg-example" / "example_ct_sm.nii.gz")
    router = Router.load()
    assert prior_of(image.header, NAMES, hounsfield=in_hounsfield_units(image)).fits == CTS
    assert router.route(image).category == "abdomen-ct"


@pytest.mark.parametrize("part", ["ABDOMEN", "LSPINE", "KNEE", "SHOULDER"])
def test_an_mr_of_no_category_does_not_become_a_brain(part: str) -> None:
    route = routed(Header(modality="MR", body_part=part), looking_like("brain-mr"))
    assert route.category == UNKNOWN and route.looked == "brain-mr"
    assert route.prior.contradicted
    assert f"MR {part}" in route.prior.sentence and "brain-mr" in route.prior.sentence
    assert route.reasons


@pytest.mark.parametrize(
    ("header", "looks", "category"),
    [
        (Header(modality="MR", body_part="HEAD"), {"head-ct": 0.55, "brain-mr": 0.43, UNKNOWN: 0.02}, "brain-mr"),
        (Header(modality="MR", body_part="HEAD"), {"head-ct": 0.97, "brain-mr": 0.02, UNKNOWN: 0.01}, UNKNOWN),
        (Header(modality="MR"), {"head-ct": 0.55, "brain-mr": 0.43, UNKNOWN: 0.02}, UNKNOWN),
        (Header(modality="MR"), {"head-ct": 0.3, "brain-mr": 0.68, UNKNOWN: 0.02}, "brain-mr"),
        (Header(modality="MR", body_part="PROSTATE"), {"brain-mr": 0.97, "prostate-mr": 0.02, UNKNOWN: 0.01}, UNKNOWN),
        (Header(modality="MR", region="SCT:12738006"), {"brain-mr": 0.6, "prostate-mr": 0.39, UNKNOWN: 0.01}, "brain-mr"),
        (Header(modality="MR", region="SCT:72696002"), {"brain-mr": 0.97, "prostate-mr": 0.02, UNKNOWN: 0.01}, UNKNOWN),  # a knee
        (Header(modality="CT", described_part="SHOULDER"), {"chest-ct": 0.97, UNKNOWN: 0.03}, UNKNOWN),
        (Header(modality="CT", body_part="CHEST", described_part="SHOULDER"), {"chest-ct": 0.97, UNKNOWN: 0.03}, "chest-ct"),
        (Header(modality="CT", body_part="WHOLEBODY"), {"chest-ct": 0.97, UNKNOWN: 0.03}, "chest-ct"),
        (Header(modality="US", image_type=("DERIVED", "OBSTETRICAL")), {"breast-ultrasound": 0.97, UNKNOWN: 0.03}, UNKNOWN),
        (Header(modality="DX", body_part="CHEST", view="LATERAL"), {"chest-xray": 0.97, UNKNOWN: 0.03}, UNKNOWN),
        (Header(modality="DX", body_part="CHEST", directions=("A", "F")), {"chest-xray": 0.97, UNKNOWN: 0.03}, UNKNOWN),
        (Header(modality="DX", body_part="CHEST", view="PA"), {"chest-xray": 0.97, UNKNOWN: 0.03}, "chest-xray"),
        (Header(modality="DX", body_part="HAND", view="LATERAL"), {"hand-xray": 0.97, UNKNOWN: 0.03}, "hand-xray"),
    ],
)  # fmt: skip
def test_what_tags_and_pixels_decide_together(header: Header, looks: dict[str, float], category: str) -> None:
    assert routed(header, dict.fromkeys(NAMES, 0.0) | looks).category == category


def test_an_object_whose_class_contradicts_its_modality_may_be_of_either() -> None:
    mixed = Header(modality="CT", sop_class="MRImageStorage")
    assert routed(mixed, looking_like("brain-mr")).category == "brain-mr"
    assert routed(mixed, looking_like("head-ct")).category == "head-ct"
    assert routed(mixed, looking_like("chest-xray")).category == UNKNOWN
    assert "MR by the object's class" in prior_of(mixed, NAMES).stated


def test_the_modality_of_a_secondary_capture_is_doubtful() -> None:
    capture = Header(modality="CT", sop_class="SecondaryCaptureImageStorage")
    (tag,) = prior_of(capture, NAMES).tags
    assert tag.wrong == PART_WRONG
    both = prior_of(capture, NAMES).combined(looking_like("chest-xray"), UNKNOWN)
    assert 0 < both["chest-xray"] < looking_like("chest-xray")["chest-xray"]


@pytest.mark.parametrize("header", [Header(), Header(modality="OT"), Header(body_part="???"), Header(modality="nonsense")])
def test_tags_that_say_nothing_change_nothing(header: Header) -> None:
    prior = prior_of(header, NAMES)
    assert prior.fits is None
    assert prior.combined(looking_like("brain-mr"), UNKNOWN) == looking_like("brain-mr")
    assert Prior().sentence == prior.decided("brain-mr", "brain-mr", UNKNOWN).sentence


@pytest.fixture(scope="module")
def router() -> Router:
    return Router.load()


@pytest.mark.parametrize(
    ("file", "stated"),
    [
        ("liver_expb.dcm", "SEG LIVER"),  # a mask, which the pixels alone call a brain
        ("bad_sequence.dcm", "CT NECK"),
        ("MR-SIEMENS-DICOM-WithOverlays.dcm", "MR ABDOMEN"),
        ("MR2_UNCI.dcm", "MR SHOULDER"),
        ("OBXXXX1A.dcm", "US OBSTETRICAL"),
    ],
)
def test_real_files_of_no_category_are_unknown(router: Router, shared_data: Path, file: str, stated: str) -> None:
    route = router.route(casewise.read(shared_data / "dicom-pydicom" / file))
    assert route.category == UNKNOWN
    assert route.prior.stated == stated


def test_a_real_prostate_keeps_its_category_and_loses_it_as_a_ct(router: Router, shared_data: Path, tmp_path: Path) -> None:
    series = next((shared_data / "prostatex").glob("*/*/4*t2tsetra*"))
    route = router.route(casewise.read(series))
    assert route.category == "prostate-mr" and not route.prior.contradicted
    wrong = tmp_path / "series"
    shutil.copytree(series, wrong)
    for path in wrong.iterdir():
        dataset = dcmread(path)
        dataset.Modality, dataset.SOPClassUID = "CT", CTImageStorage
        dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
        dataset.save_as(path)
    route = router.route(casewise.read(wrong))
    assert route.category == UNKNOWN and route.prior.contradicted
    assert "CT PROSTATE" in route.prior.sentence and route.looked in route.prior.sentence


def test_class_and_modality_agree_in_the_real_files(shared_data: Path) -> None:
    """What takes the Modality of an object with such a class as certain."""
    files = [*(shared_data / "dicom-pydicom").glob("*.dcm"), *(shared_data / "dicom-more").rglob("*.dcm")]
    series: dict[str, tuple[str, tuple[str, ...]]] = {}
    for path in files:
        with contextlib.suppress(InvalidDicomError):
            dataset = dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID", "Modality", "SeriesInstanceUID", "Rows"])
            codes = implied_modalities(Header(sop_class=sop_class(dataset)))
            if codes and "Rows" in dataset:
                series[str(dataset.SeriesInstanceUID)] = (str(dataset.Modality), codes)
    assert len(series) >= 25
    assert all(modality in codes for modality, codes in series.values())
