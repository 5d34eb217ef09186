"""Slices of two patients, studies or spaces never share a volume, whatever else their headers have in common."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedMRImageStorage

from casewise.archive import Archive
from casewise.errors import CasewiseError, UnreadableImageError
from casewise.formats import Found, Rejected, read, read_found, scan
from casewise.formats.dicom.origin import origin
from tests.formats.synthetic import Plan, instance, numbers, pixels, placed, series

AXIAL = Plan()


def volumes(folder: Path) -> list[np.ndarray]:
    return [read_found(result).array[0] for result in scan(folder) if isinstance(result, Found)]


def slices_of_two(folder: Path, shift: float, **differing: tuple[str, str]) -> None:
    """Two series of one identifier and the same numbers, ``shift`` slices apart; values below and above 2048 tell them apart."""
    folder.mkdir(parents=True, exist_ok=True)
    common = {"PatientName": "", "PatientID": ""}
    for side in range(2):
        own = common | {keyword: values[side] for keyword, values in differing.items()}
        for index in range(5):
            tags = own | placed(AXIAL, index + side * shift)
            instance(
                folder / f"{7919 * (index * 2 + side) % 101:03d}", pixels(index) + 2048 * side, InstanceNumber=index + 1, **tags
            )


OWNERS = {
    "identifier": {"PatientID": ("A", "B")},
    "one without an identifier": {"PatientID": ("A", "")},
    "issuer": {"PatientID": ("1", "1"), "IssuerOfPatientID": ("North", "South")},
    "name alone": {"PatientName": ("Meier^Anna", "Meier^Berta")},
    "birth date alone": {"PatientBirthDate": ("19610203", "19610302")},
    "sex alone": {"PatientSex": ("F", "M")},
    "age alone": {"PatientAge": ("061Y", "016Y")},
    "study": {"StudyInstanceUID": ("1.2.3", "1.2.4")},
    "study date": {"StudyDate": ("20240101", "20240102")},
    "accession": {"AccessionNumber": ("1", "2")},
    "space": {"FrameOfReferenceUID": ("1.5.1", "1.5.2")},
    "machine": {"DeviceSerialNumber": ("1", "2")},
}


@pytest.mark.parametrize("shift", [0, 0.5, 5])
@pytest.mark.parametrize("differing", OWNERS)
def test_two_owners_are_two_volumes(tmp_path: Path, differing: str, shift: float) -> None:
    slices_of_two(tmp_path, shift, **OWNERS[differing])
    found = volumes(tmp_path)
    assert sorted(int(volume.min()) // 2048 for volume in found) == [0, 1]
    for volume in found:
        assert volume.shape[-1] == 5
        assert len(np.unique(volume // 2048)) == 1
    with pytest.raises(UnreadableImageError, match=r"holds 2 DICOM images.*1\.2\.3\.4#1.*1\.2\.3\.4#2"):
        read(tmp_path)


def test_the_message_says_that_they_are_of_two_patients_but_not_whose(tmp_path: Path) -> None:
    slices_of_two(tmp_path, 0.5, PatientName=("Meier^Anna", "Kowalska^Maria"))
    with pytest.raises(UnreadableImageError, match="2 DICOM images of 2 patients") as refused:
        read(tmp_path)
    assert "eier" not in str(refused.value)


@pytest.mark.parametrize("shift", [0, 0.5])
def test_without_anything_that_tells_them_apart_they_are_refused(tmp_path: Path, shift: float) -> None:
    slices_of_two(tmp_path, shift)
    with pytest.raises(UnreadableImageError, match="put the files of each examination into a folder of its own"):
        read(tmp_path)
    (result,) = scan(tmp_path)
    assert isinstance(result, Rejected)


def test_blanks_and_letters_of_a_name_do_not_tear_a_series(tmp_path: Path) -> None:
    names = ["Meier^Anna", "MEIER^ANNA^^", "Meier^Anna ", "meier^anna", "Meier^^Anna"]
    for index, name in enumerate(names):
        instance(tmp_path / str(index), pixels(index), InstanceNumber=index, PatientName=name, **placed(AXIAL, index))
    (volume,) = volumes(tmp_path)
    assert volume.shape[-1] == 5


def test_acquisitions_that_count_their_slices_anew_are_one_volume(tmp_path: Path) -> None:
    for index in range(8):
        instance(
            tmp_path / str(index), pixels(index), InstanceNumber=index % 4, AcquisitionNumber=index // 4, **placed(AXIAL, index)
        )
    (volume,) = volumes(tmp_path)
    assert volume.shape[-1] == 8


def test_a_series_sent_twice_under_other_identifiers_counts_once(tmp_path: Path) -> None:
    for sent in range(2):
        series(tmp_path / "x", AXIAL, SeriesNumber=3)
        for file in sorted((tmp_path / "x").iterdir()):
            file.rename(tmp_path / f"{sent}-{file.name}")
    (tmp_path / "x").rmdir()
    (volume,) = volumes(tmp_path)
    assert volume.shape[-1] == 5


def test_an_import_gives_a_volume_and_a_subject_a_patient(tmp_path: Path) -> None:
    slices_of_two(tmp_path / "in", 0.5, PatientID=("A", "B"))
    with Archive.open(tmp_path / "archive", create=True) as archive:
        report = archive.import_paths([tmp_path / "in"])
        assert report.added == 2
        cases = archive.cases()
        assert len({case.subject for case in cases}) == 2
        assert [case.image.array.shape[-1] for case in cases] == [5, 5]


def test_one_identifier_in_two_folders_of_an_import_is_two_volumes(tmp_path: Path) -> None:
    for side in range(2):
        series(tmp_path / "in" / f"p{side}", AXIAL, PatientID="", PatientName="", ImageComments=str(side))
    with Archive.open(tmp_path / "archive", create=True) as archive:
        assert archive.import_paths([tmp_path / "in"]).added == 2
        assert [case.image.array.shape[-1] for case in archive.cases()] == [5, 5]


def test_planes_are_found_again_for_the_patient_that_they_are_of(tmp_path: Path) -> None:
    slices_of_two(tmp_path, 0, PatientName=("A", "B"))
    for result in scan(tmp_path):
        assert isinstance(result, Found)
        image = read_found(result)
        assert {plane.file for plane in origin(image)} == set(result.files)


KINDS = {
    "magnitude and phase": {"ImageType": (["ORIGINAL", "PRIMARY", "M", "ND"], ["ORIGINAL", "PRIMARY", "P", "ND"])},
    "echoes": {"EchoNumbers": (1, 2)},
    "echo times": {"EchoTime": (12.0, 96.0)},
    "b values": {"DiffusionBValue": (0.0, 1000.0)},
    "map": {"ImageType": (["DERIVED", "PRIMARY", "DIFFUSION", "ADC"], ["DERIVED", "PRIMARY", "DIFFUSION", "FA"])},
}


@pytest.mark.parametrize("shift", [0, 0.5, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_different_images_never_interleave(tmp_path: Path, kind: str, shift: float) -> None:
    slices_of_two(tmp_path, shift, **KINDS[kind])
    found = volumes(tmp_path)
    assert [len(np.unique(volume // 2048)) for volume in found] == [1, 1]


@pytest.mark.parametrize(
    ("creator", "tag", "values", "kind"),
    [
        ("SIEMENS MR HEADER", 0x0019100C, (50, 800), "IS"),
        ("Philips Imaging DD 001", 0x20011003, (0.0, 1000.0), "FL"),
        ("GEMS_PARM_01", 0x00431039, (1000000050, 1000000800), "IS"),
        ("GEMS_PARM_01", 0x0043102F, (0, 1), "SS"),
    ],
)
def test_what_makers_write_into_elements_of_their_own_tells_images_apart(tmp_path: Path, creator, tag, values, kind) -> None:
    from pydicom import dcmread

    slices_of_two(tmp_path, 0.5)
    for file in sorted(tmp_path.iterdir()):
        dataset = dcmread(file)
        dataset.add_new((tag >> 16 << 16) + 0x10, "LO", creator)
        dataset.add_new(tag, kind, values[int(dataset.pixel_array.min() >= 2048)])
        dataset.save_as(file)
    assert [len(np.unique(volume // 2048)) for volume in volumes(tmp_path)] == [1, 1]


def enhanced_of_four(path: Path, order: list[tuple[int, int]], dimensions: bool, tags: bool) -> Path:
    """Four images (two b values, two directions) of four slices in one file; ``order``: (slice, image) of each frame."""
    plan, frames, groups = AXIAL, [], []
    for index, image in order:
        b, direction = divmod(image, 2)
        frames.append(np.full((3, 4), 1000 * image + index, np.uint16))
        content, position, diffusion, gradient = Dataset(), Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = numbers(plan.position(index))
        if dimensions:
            content.DimensionIndexValues = [index + 1, b + 1, direction + 1]
        if tags:
            diffusion.DiffusionBValue = 500.0 * (b + 1)
            gradient.DiffusionGradientOrientation = [float(direction), 0.0, 1.0]
            diffusion.DiffusionGradientDirectionSequence = Sequence([gradient])
        group = Dataset()
        group.PlanePositionSequence, group.FrameContentSequence = Sequence([position]), Sequence([content])
        group.MRDiffusionSequence = Sequence([diffusion])
        groups.append(group)
    shared, orientation, measures, pointers = Dataset(), Dataset(), Dataset(), []
    orientation.ImageOrientationPatient, measures.PixelSpacing = numbers([*plan.right, *plan.down]), [1, 1]
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = Sequence([orientation]), Sequence([measures])
    for pointer in (0x00200032, 0x00189087, 0x00189089):
        pointers.append(Dataset())
        pointers[-1].DimensionIndexPointer = pointer
    about = {"SharedFunctionalGroupsSequence": Sequence([shared]), "PerFrameFunctionalGroupsSequence": Sequence(groups)}
    about |= {"DimensionIndexSequence": Sequence(pointers), "NumberOfFrames": len(frames), "Modality": "MR"}
    return instance(path, np.stack(frames), EnhancedMRImageStorage, **about)


SHUFFLED = [(index, image) for index in range(4) for image in range(4)]
random.Random(1).shuffle(SHUFFLED)
BY_PLACE = [(index, image) for index in range(4) for image in range(4)]
BY_IMAGE = [(index, image) for image in range(4) for index in range(4)]


@pytest.mark.parametrize(
    ("order", "dimensions", "tags"),
    [(SHUFFLED, True, False), (SHUFFLED, False, True), (BY_PLACE, False, False), (BY_IMAGE, False, False), (BY_PLACE, True, True)],
)
def test_images_of_one_enhanced_file_never_interleave(tmp_path: Path, order, dimensions: bool, tags: bool) -> None:
    enhanced_of_four(tmp_path / "e.dcm", order, dimensions, tags)
    found = volumes(tmp_path)
    assert sorted(int(volume.min()) // 1000 for volume in found) == [0, 1, 2, 3]
    assert all((volume[0, 0] % 1000).tolist() == [0, 1, 2, 3] and len(np.unique(volume // 1000)) == 1 for volume in found)


def test_frames_in_no_order_that_nothing_tells_apart_are_refused(tmp_path: Path) -> None:
    path = enhanced_of_four(tmp_path / "e.dcm", SHUFFLED, False, False)
    with pytest.raises(UnreadableImageError, match="nothing in their headers tells which belong together"):
        read(path)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    owners=st.lists(
        st.tuples(st.sampled_from("AB "), st.sampled_from(["X^Y", ""]), st.sampled_from("12")), min_size=2, max_size=3, unique=True
    ),
    shifts=st.lists(st.sampled_from([0, 0.25, 0.5, 1, 3]), min_size=3, max_size=3),
    order=st.randoms(use_true_random=False),
)
def test_however_they_lie_no_volume_is_of_two(tmp_path_factory: pytest.TempPathFactory, owners, shifts, order) -> None:
    folder = tmp_path_factory.mktemp("mixed")
    names = [f"{k:02d}" for k in range(12)]
    order.shuffle(names)
    for number, (identifier, name, study) in enumerate(owners):
        for index in range(4):
            tags = {"PatientID": identifier.strip(), "PatientName": name, "StudyInstanceUID": f"1.2.{study}"}
            tags |= placed(AXIAL, index + shifts[number])
            instance(folder / names.pop(), np.full((3, 4), 100 * number + index, np.uint16), InstanceNumber=index, **tags)
    found = volumes(folder)
    assert len(found) == len(owners)
    assert all(len(np.unique(volume // 100)) == 1 and volume.shape[-1] == 4 for volume in found)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["same_series_uid_two_patients_interleaved", "same_series_uid_two_patients_no_times"])
def test_reported_series_of_two_patients(shared_data: Path, name: str) -> None:
    folder = shared_data / "bug-reports" / "dicom" / name
    firsts = sorted(volume[0, 0].tolist() for volume in volumes(folder))
    assert firsts == [[100, 101, 102, 103, 104, 105], [500, 501, 502, 503, 504, 505]]
    with pytest.raises(CasewiseError, match="2 patients"):
        read(folder)
