"""An examination from its folder or its files: one grid, each image that cannot be part of it with its sentence."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from casewise import formats
from casewise.errors import CasewiseError, UnreadableImageError, UsageError
from casewise.examination.examination import Examination, examination
from casewise.examination.reading import Source, named_files, read_image
from casewise.image import Image
from tests.examination.phantom import LESION, VOXEL, dicom_series, head, motion, tissues

FINDING = (-25.7457, -31.8707, -38.511)  # of the real prostate study, in RAS mm


def written(folder: Path, name: str, image: Image) -> tuple[str, Path]:
    return name, formats.write(folder / f"{name.replace(' ', '_')}.nii.gz", image)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[tuple[str, Path], ...]:
    """FLAIR, a T1 that was moved by 10° and 9 mm, and a coarser ADC map."""
    folder = tmp_path_factory.mktemp("files")
    return (
        written(folder, "FLAIR", head("FLAIR")),
        written(folder, "T1", head("T1", motion(10, 9, seed=2))),
        written(folder, "ADC", head("ADC", shape=(40, 44, 24), voxel=(4.0, 4.0, 5.0))),
    )


@pytest.fixture(scope="module")
def three(files: tuple[tuple[str, Path], ...]) -> Examination:
    return examination(Source(files))


def test_the_sequences_come_onto_the_grid_of_the_first(three: Examination) -> None:
    assert three.names == ("FLAIR", "T1", "ADC")
    assert three.image.array.shape == (3, *head("FLAIR").spatial_shape)
    assert three.image.array.dtype == np.float32
    assert three.image.header.sequences == three.names
    assert three.image.header.reference == "FLAIR"
    assert np.allclose(three.image.affine, head("FLAIR").affine, atol=1e-4)
    assert three.missing == ("T1 post", "T2")
    assert three.refused == ()


def test_every_sequence_shows_the_lesion_where_the_reference_has_it(three: Examination) -> None:
    grid = three.image
    lesion = tissues(grid.affine, grid.spatial_shape) == 4
    brain = tissues(grid.affine, grid.spatial_shape) == 1
    flair, t1, adc = grid.array
    for values, sign in ((flair, 1), (t1, -1), (adc, 1)):
        inside = np.median(values[lesion])
        assert sign * (inside - np.median(values[brain])) > 0.2
    index = np.rint(np.linalg.solve(grid.affine, [*LESION, 1]))[:3].astype(int)
    assert lesion[tuple(index)]


def test_what_was_moved_is_said_and_the_checkerboards_have_both_places(three: Examination) -> None:
    t1 = three.channel("T1").to_json()["registration"]
    assert isinstance(t1, dict)
    assert (t1["to"], t1["used"]) == ("FLAIR", True)
    assert t1["after"] > t1["before"] > 0
    assert abs(t1["turned_degrees"] - 10) < 2
    truth = head("T1").array[0]
    off = [float(np.abs(three_at("T1").array[0] - truth).mean()) for three_at in (three.stated, three.registered)]
    assert off[1] < 0.5 * off[0]


def test_a_mask_is_carried_with_its_sequence_and_refused_on_another_grid(three: Examination) -> None:
    own = three.channel("ADC").given.image
    lesions = tissues(own.affine, own.spatial_shape) == 4
    carried = three.carried("ADC", lesions)
    truth = tissues(three.image.affine, three.image.spatial_shape) == 4
    assert 2 * np.sum(carried & truth) / (carried.sum() + truth.sum()) > 0.6
    with pytest.raises(CasewiseError, match=r"its sequence T1 .* bring the mask onto the grid"):
        three.carried("T1", lesions)


def test_a_stack_has_zeros_for_what_is_missing_and_names_it(three: Examination) -> None:
    stack = three.stacked(("T2", "T1"))
    assert stack.array.shape[0] == 2
    assert not stack.array[0].any()
    assert np.array_equal(stack.array[1], three.image.array[1])
    assert stack.header.absent == ("T2",)
    with pytest.raises(CasewiseError, match="has none of PD"):
        three.stacked(("PD",))


def test_it_can_be_handed_to_another_process(three: Examination) -> None:
    again = pickle.loads(pickle.dumps(three))
    assert np.array_equal(again.registered("T1").array, three.registered("T1").array)


def test_one_worker_and_several_give_the_same(files: tuple[tuple[str, Path], ...]) -> None:
    one, several = (examination(Source(files[:2]), bias=False, workers=workers) for workers in (1, 2))
    assert np.array_equal(one.image.array, several.image.array)


def test_the_reference_can_be_chosen(files: tuple[tuple[str, Path], ...]) -> None:
    chosen = examination(Source(files[::2], reference="adc", way="none"), bias=False)
    assert chosen.names == ("ADC", "FLAIR")
    assert chosen.image.spatial_shape == (40, 44, 24)
    with pytest.raises(UsageError, match="'T2' is none of the sequences"):
        examination(Source(files[::2], reference="T2", way="none"), bias=False)


def test_two_images_of_one_name_get_their_sentence(files: tuple[tuple[str, Path], ...]) -> None:
    with pytest.raises(UsageError, match=r"Two images are both named T1: .*T1.nii.gz and .*ADC.nii.gz"):
        examination(Source((files[1], ("t1", files[2][1]))))
    with pytest.raises(UsageError, match="Two images are both named T1 post"):
        named_files(["t1ce=a.nii", "T1 post=b.nii"])


@pytest.mark.parametrize("option", ["FLAIR", "=a.nii", "FLAIR=", "../x=a.nii"])
def test_an_option_that_names_no_sequence_gets_its_sentence(option: str) -> None:
    with pytest.raises(UsageError, match="A sequence"):
        named_files([option])


def test_one_image_under_two_names_gets_its_sentence(files: tuple[tuple[str, Path], ...]) -> None:
    with pytest.raises(CasewiseError, match="are the same image"):
        examination(Source((files[0], ("T2", files[0][1]))))


def test_an_adc_map_in_another_unit_is_left_out_and_the_others_go_on(files: tuple[tuple[str, Path], ...], tmp_path: Path) -> None:
    adc = head("ADC")
    wrong = written(tmp_path, "ADC", adc.with_array(adc.array / 1000))
    done = examination(Source((files[0], wrong)), bias=False)
    assert done.names == ("FLAIR",)
    (refused,) = done.refused
    assert refused.name == "ADC"
    assert "multiply it by 1,000." in refused.reason


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda image: image.with_array(np.full_like(image.array, np.nan)), "not finite|voxels"),
        (lambda image: image.with_array(np.ones_like(image.array)), "same value everywhere"),
        (lambda image: Image(image.array[..., :2], image.affine), "at least three slices"),
    ],
)
def test_an_image_that_is_no_sequence_is_left_out_with_its_sentence(
    files: tuple[tuple[str, Path], ...], tmp_path: Path, spoil: object, words: str
) -> None:
    bad = written(tmp_path, "T2", spoil(head("T2")))  # type: ignore[operator]
    done = examination(Source((files[0], bad)), bias=False)
    (refused,) = done.refused
    assert refused.name == "T2"
    assert re.search(words, refused.reason), refused.reason


def test_what_cannot_be_registered_is_left_out(files: tuple[tuple[str, Path], ...], tmp_path: Path) -> None:
    noise = np.random.default_rng(1).normal(200, 50, (1, 48, 48, 40)).astype(np.float32)
    bad = written(tmp_path, "T2", Image(noise, head("T1").affine))
    done = examination(Source((files[0], bad)), bias=False)
    assert done.names == ("FLAIR",)
    assert done.refused[0].reason.startswith("T2 could not be registered to FLAIR")


def test_what_follows_a_sequence_that_was_left_out_is_left_out_too(files: tuple[tuple[str, Path], ...], tmp_path: Path) -> None:
    """A diffusion image that fits its ADC map well, which lies nowhere."""
    rough = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=(48, 48, 40)), 0.7)
    rough = (rough - rough.min()) / np.ptp(rough)
    elsewhere = head("T1").affine
    adc = written(tmp_path, "ADC", Image((500 + 2500 * rough).astype(np.float32)[None], elsewhere))
    diffusion = written(tmp_path, "DWI", Image((400 - 300 * rough).astype(np.float32)[None], elsewhere))
    for order in ((adc, diffusion), (diffusion, adc)):
        done = examination(Source((files[0], *order)), bias=False)
        assert done.names == ("FLAIR",)
        assert len(done.image.array) == 1
        reasons = {entry.name: entry.reason for entry in done.refused}
        assert reasons["ADC"].startswith("ADC could not be registered to FLAIR")
        assert reasons["DWI"] == "DWI was registered to ADC, which was left out, so that its own place is not known."


def test_a_study_goes_from_its_folder_onto_one_grid(tmp_path: Path) -> None:
    study = tmp_path / "study"
    for number, kind in enumerate(("T1", "FLAIR"), start=1):
        dicom_series(study / kind, kind, number)
    dicom_series(study / "gap", "T2", 3, skip=17)
    done = examination(study)
    assert done.names == ("FLAIR", "T1")
    assert done.channel("T1").given.told_by == "description"
    (refused,) = done.refused
    assert "a slice is missing" in refused.reason
    assert done.missing == ("T1 post", "T2")
    assert done.image.spacing == pytest.approx((VOXEL,) * 3)


def test_sequences_of_two_patients_are_no_examination(tmp_path: Path) -> None:
    dicom_series(tmp_path / "a", "T1", 1)
    dicom_series(tmp_path / "b", "FLAIR", 2, PatientID="HOSP-9999")
    with pytest.raises(UnreadableImageError, match="holds images of 2 patients") as caught:
        examination(tmp_path)
    assert "HOSP" not in str(caught.value)
    with pytest.raises(CasewiseError, match="are of different patients by their headers") as caught:
        examination(Source((("T1", tmp_path / "a"), ("FLAIR", tmp_path / "b"))))
    assert "HOSP" not in str(caught.value)


def test_two_studies_are_no_examination(tmp_path: Path) -> None:
    dicom_series(tmp_path / "a", "T1", 1)
    dicom_series(tmp_path / "b", "FLAIR", 2, StudyInstanceUID="1.2.4")
    with pytest.raises(UnreadableImageError, match="holds 2 studies"):
        examination(tmp_path)


def test_a_folder_of_one_series_is_no_examination(tmp_path: Path) -> None:
    dicom_series(tmp_path / "a", "T1", 1)
    with pytest.raises(UnreadableImageError, match="no MR examination of several series"):
        examination(tmp_path)


def test_a_real_finding_lies_on_every_sequence_of_its_study(shared_data: Path) -> None:
    """Bright around it on T2 and high b, dark on ADC: its neighbourhood is tissue of the prostate everywhere, and covered."""
    done = examination(shared_data / "prostatex")
    assert done.names[0] == "T2"
    assert len(done.names) == 9
    assert done.refused == ()
    index = np.rint(np.linalg.solve(done.image.affine, [*FINDING, 1]))[:3].astype(int)
    near = tuple(slice(n - 8, n + 9) for n in index[:2])
    for name in done.names:
        around = done.registered(name).array[0][(*near, index[2])]
        assert np.mean(around > 0) > 0.9, name
    values = dict(zip(done.names, done.image.array, strict=True))
    adc = values["ADC"][(*near, index[2])]
    assert adc.min() < 1.1  # restricted diffusion, in 10⁻³ mm²/s
    assert 0.8 < np.median(adc) < 2.2  # neither fluid nor air
    muscle = np.percentile(values["DWI b50"], 30)
    assert np.median(values["DWI b50"][(*near, index[2])]) > muscle


def test_of_an_examination_only_the_reference_is_read_where_one_image_is_wanted(tmp_path: Path) -> None:
    dicom_series(tmp_path / "a", "T1", 1)
    dicom_series(tmp_path / "b", "FLAIR", 2)
    dicom_series(tmp_path / "c", "T2", 3, skip=4)
    assert read_image(tmp_path).header.sequence == "FLAIR"
    assert read_image(tmp_path / "a").header.sequence == "T1"
    with pytest.raises(UnreadableImageError, match="a slice is missing"):
        read_image(tmp_path / "c")


@pytest.mark.parametrize("read", [read_image, examination], ids=["the reference", "all"])
def test_where_no_sequence_can_be_read_it_is_said_of_each_why(tmp_path: Path, read: Callable[[Path], object]) -> None:
    dicom_series(tmp_path / "a", "T1", 1, SeriesDescription="Survey localizer")
    dicom_series(tmp_path / "b", "T2", 2, skip=4)
    with pytest.raises(UnreadableImageError, match="no MR sequence that can be read") as raised:
        read(tmp_path)
    assert "Survey localizer" in str(raised.value)
    assert "a slice is missing" in str(raised.value)


def test_in_a_folder_of_all_series_the_one_with_a_gap_is_named(tmp_path: Path) -> None:
    for number, kind in enumerate(("T1", "FLAIR"), start=1):
        dicom_series(tmp_path, kind, number)
    dicom_series(tmp_path, "T2", 3, skip=7)
    dicom_series(tmp_path, "FLAIR", 4)
    done = examination(Source(folder=tmp_path, way="none"), bias=False)
    assert done.names == ("FLAIR", "T1")
    (refused,) = done.refused
    assert refused.name == "T2"
    assert refused.reason.startswith("T2: ")
    assert "a slice is missing" in refused.reason
    assert any("Two series are both FLAIR" in note and "a folder of their own" in note for note in done.notes)
