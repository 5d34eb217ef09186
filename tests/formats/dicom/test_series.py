"""Series in a folder are told apart; what forms no grid is refused by name, and nobody's name comes out."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from casewise.errors import UnreadableImageError
from casewise.formats import Found, Rejected, read, read_found, scan
from tests.formats.synthetic import (
    COLUMNS,
    ROWS,
    SLICES,
    Plan,
    assert_every_voxel_lies_where_planned,
    instance,
    pixels,
    placed,
    series,
)

AXIAL = Plan()
SAGITTAL = Plan((0, 1, 0), (0, 0, -1))


def found(folder: Path) -> list[Found]:
    return [result for result in scan(folder) if isinstance(result, Found)]


def rejected(folder: Path) -> list[Rejected]:
    return [result for result in scan(folder) if isinstance(result, Rejected)]


def test_a_missing_slice_is_named_where_it_is(tmp_path: Path) -> None:
    series(tmp_path, AXIAL, [0, 1, 3, 4])
    with pytest.raises(UnreadableImageError, match=r"slice is missing between 42\.5 mm and 47\.5 mm"):
        read(tmp_path)
    (result,) = scan(tmp_path)
    assert isinstance(result, Rejected)
    assert result.is_image
    assert "missing" in result.reason


def test_several_missing_slices_are_counted(tmp_path: Path) -> None:
    series(tmp_path, AXIAL, [0, 1, 2, 5, 6, 8, 9])
    with pytest.raises(UnreadableImageError, match=r"3 slices are missing, the first between 45\.0 mm and 52\.5 mm"):
        read(tmp_path)


def test_a_damaged_slice_at_the_end_is_not_passed_over(tmp_path: Path) -> None:
    files = series(tmp_path, AXIAL)
    files[-1].write_bytes(files[-1].read_bytes()[:300])
    with pytest.raises(UnreadableImageError, match="1 of the series' files cannot be read"):
        read(tmp_path)
    assert found(tmp_path) == []
    assert {result.path for result in rejected(tmp_path)} == {tmp_path, files[-1]}


def test_uneven_steps_are_refused(tmp_path: Path) -> None:
    series(tmp_path, AXIAL, [0, 1])
    for number, place in enumerate([2.4, 3.7, 4.3], start=2):
        instance(tmp_path / f"odd{number}", pixels(number), InstanceNumber=number, **placed(AXIAL, place))
    with pytest.raises(UnreadableImageError, match="unevenly spaced"):
        read(tmp_path)


def test_slices_beside_the_line_are_refused(tmp_path: Path) -> None:
    series(tmp_path, AXIAL, range(4))
    aside = Plan(origin=(-25.0, 12.5, 40.0))
    instance(tmp_path / "aside", pixels(4), InstanceNumber=4, **placed(aside, 4))
    with pytest.raises(UnreadableImageError, match="off a straight line"):
        read(tmp_path)


def test_rounded_positions_are_still_a_grid(tmp_path: Path) -> None:
    for index in range(9):
        position = AXIAL.position(index * 0.7 / 2.5) + np.array([0, 0, 0.02 * (-1) ** index])
        tags = placed(AXIAL, index) | {"ImagePositionPatient": [float(x) for x in position.round(2)]}
        instance(tmp_path / str(index), pixels(index), InstanceNumber=index, **tags)
    assert read(tmp_path).array.shape == (1, ROWS, COLUMNS, 9)


def test_a_copy_of_an_instance_counts_once(tmp_path: Path) -> None:
    files = series(tmp_path, AXIAL)
    shutil.copy(files[2], tmp_path / "copy-of-2")
    (result,) = found(tmp_path)
    assert len(result.files) == SLICES
    assert any("cop" in note for note in result.notes)
    assert [r.path.name for r in rejected(tmp_path)] == ["copy-of-2"] or [r.path for r in rejected(tmp_path)] == [files[2]]
    assert_every_voxel_lies_where_planned(read(tmp_path), AXIAL)


def test_b_values_in_one_series_are_kept_apart(tmp_path: Path) -> None:
    for step, b in enumerate([50, 400, 800]):
        series(tmp_path, AXIAL, offset=1000 * step, DiffusionBValue=float(b), SequenceName=f"ep_b{b}")
    results = found(tmp_path)
    assert [result.member for result in results] == ["1.2.3.4#1", "1.2.3.4#2", "1.2.3.4#3"]
    assert [len(result.files) for result in results] == [SLICES] * 3
    assert read(tmp_path, "1.2.3.4#2").header.sequence_name == "ep_b400"
    with pytest.raises(UnreadableImageError, match=r"3 DICOM images: put the files .* member=NAME: .*1\.2\.3\.4#1"):
        read(tmp_path)


def test_a_series_repeated_without_any_mark_is_kept_apart_by_number(tmp_path: Path) -> None:
    series(tmp_path, AXIAL)
    series(tmp_path, AXIAL, offset=1000)
    assert [len(result.files) for result in found(tmp_path)] == [SLICES, SLICES]
    assert_every_voxel_lies_where_planned(read(tmp_path, "1.2.3.4#2"), AXIAL)


def test_trigger_times_do_not_tear_a_repeated_slice_from_its_stack(tmp_path: Path) -> None:
    for index in range(SLICES):
        instance(tmp_path / f"a{index}", pixels(index), InstanceNumber=index, TriggerTime=str(index * 10), **placed(AXIAL, index))
    instance(tmp_path / "again", pixels(2), InstanceNumber=9, TriggerTime="99", AcquisitionNumber=2, **placed(AXIAL, 2))
    assert sorted(len(result.files) for result in found(tmp_path)) == [1, SLICES]


def test_localizers_orientations_and_shapes_are_kept_apart(tmp_path: Path) -> None:
    series(tmp_path, AXIAL)
    series(tmp_path, SAGITTAL, range(3), offset=1000)
    series(tmp_path, Plan(origin=(0, 0, 500)), range(1), offset=2000, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    instance(tmp_path / "large", pixels(0, 12, 12), InstanceNumber=5000, **placed(AXIAL, 7))
    assert sorted(len(result.files) for result in found(tmp_path)) == [1, 1, 3, 5]
    for result in found(tmp_path):
        image = read_found(result)
        np.testing.assert_array_equal(image.array, read(result.path, result.member).array)


def test_series_of_one_folder_are_kept_apart_by_their_identifier(tmp_path: Path) -> None:
    series(tmp_path, AXIAL)
    series(tmp_path, SAGITTAL, offset=1000, SeriesInstanceUID="1.2.3.9")
    assert [result.member for result in found(tmp_path)] == ["1.2.3.4", "1.2.3.9"]
    assert_every_voxel_lies_where_planned(read(tmp_path, "1.2.3.9"), SAGITTAL)
    with pytest.raises(UnreadableImageError, match=r"has no series '1\.2'"):
        read(tmp_path, "1.2")


def test_instances_without_a_place_stand_alone(tmp_path: Path) -> None:
    for number in range(3):
        instance(tmp_path / f"us{number}.dcm", pixels(number), Modality="US", InstanceNumber=number)
    results = found(tmp_path)
    assert [result.path.name for result in results] == ["us0.dcm", "us1.dcm", "us2.dcm"]
    assert all(result.member is None for result in results)


def test_a_scan_is_by_folder_and_takes_all_in(tmp_path: Path) -> None:
    series(tmp_path / "a" / "t2", AXIAL)
    series(tmp_path / "a" / "t1", SAGITTAL)
    (tmp_path / "a" / "notes.txt").write_text("hello")
    assert [result.path.name for result in found(tmp_path)] == ["t1", "t2"]
    assert [(r.path.name, r.is_image) for r in rejected(tmp_path)] == [("notes.txt", False)]
    assert list(scan(tmp_path, recursive=False)) == []
    with pytest.raises(UnreadableImageError, match="no DICOM series itself; give one of its folders"):
        read(tmp_path)


def test_no_name_or_number_of_a_patient_comes_out(tmp_path: Path) -> None:
    personal = {"PatientName": "Muster^Erika", "PatientID": "KH-0815", "PatientBirthDate": "19610203", "StudyDate": "20240101"}
    series(tmp_path, AXIAL, SeriesDescription="T2 Muster Erika", ProtocolName="t2_tse", PatientSex="F", **personal)
    image = read(tmp_path)
    assert image.header.sequence == "t2_tse"
    assert image.header.age == 62
    assert image.header.sex == "F"
    everything = repr(image.header).lower()
    assert not [word for word in ("muster", "erika", "0815", "1961") if word in everything]


def test_a_subject_is_the_same_pseudonym_in_all_of_its_images(tmp_path: Path) -> None:
    one = read(instance(tmp_path / "1", pixels(0), PatientID="A"))
    same = read(instance(tmp_path / "2", pixels(1), PatientID="A", PatientName="Other^Spelling"))
    other = read(instance(tmp_path / "3", pixels(1), PatientID="B"))
    assert one.header.subject == same.header.subject != other.header.subject
    assert read(instance(tmp_path / "4", pixels(0), PatientID="")).header.subject is None


def test_very_old_people_are_not_identified_by_their_age(tmp_path: Path) -> None:
    assert read(instance(tmp_path / "1", pixels(0), PatientAge="097Y")).header.age == 90
    assert read(instance(tmp_path / "2", pixels(0), PatientAge="006M")).header.age == 0.5


def test_real_series_as_a_peer_reads_them(shared_data: Path) -> None:
    import SimpleITK

    results = found(shared_data / "prostatex")
    assert sorted(len(result.files) for result in results) == [15, 16] + [19] * 7
    for result in results:
        image = read_found(result)
        if "#" in str(result.member):
            continue
        peer = SimpleITK.ReadImage(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(result.path)))
        np.testing.assert_array_equal(image.array[0], SimpleITK.GetArrayFromImage(peer).transpose(1, 2, 0))
        for index in [(0, 0, 0), (5, 0, 0), (0, 7, 0), tuple(n - 1 for n in image.spatial_shape)]:
            x, y, z = peer.TransformIndexToPhysicalPoint((index[1], index[0], index[2]))
            np.testing.assert_allclose((image.affine @ [*index, 1])[:3], (-x, -y, z), atol=1e-3)
