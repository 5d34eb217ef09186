"""Files that their owner overwrote after the import: noticed before they are used, and mended by importing again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest
import sqlalchemy as sa

from casewise.archive import Archive
from casewise.archive.catalogue import files
from casewise.errors import UnreadableImageError
from casewise.formats import read
from casewise.image import Image
from tests.dicom_studies import ct
from tests.image_trees import MeanEncoder, mask, paired, picture, snapshot, volume

CHANGED = "was changed after it was imported; import it again"


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive.open(tmp_path / "archive", create=True) as opened:
        yield opened


def later(path: Path, seconds: int = 60) -> Path:
    """As if it was written later: a test is faster than some file systems' clocks."""
    about = path.stat()
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns + seconds * 10**9))
    return path


def marked(folder: Path) -> Path:
    volume(folder / "x1.nii.gz", 1)
    mask(folder / "x1_liver_seg.nii.gz", (1,))
    return folder


def refused(archive: Archive) -> str:
    """What reading the archive's one image says."""
    (case,) = archive.cases()
    with pytest.raises(UnreadableImageError, match=CHANGED) as caught:
        case.load_image()
    with pytest.raises(UnreadableImageError, match=CHANGED):
        archive.found(case.key)
    return str(caught.value)


def mended(archive: Archive, folder: Path) -> Image:
    """The archive's one image after importing again."""
    assert archive.import_paths([folder]).failed == []
    (case,) = archive.cases()
    return case.load_image()


def test_an_image_that_was_overwritten_is_refused_until_it_is_imported_again(archive: Archive, tmp_path: Path) -> None:
    path = picture(tmp_path / "d" / "a1.png", 1)
    archive.import_paths([tmp_path / "d"], encoder=MeanEncoder())
    (old,) = archive.images()
    assert archive.cases()[0].load_image().array.shape == (1, 16, 16)
    later(picture(path, 2))
    assert refused(archive) == f"{path} {CHANGED}."
    assert (mended(archive, tmp_path / "d").array == read(path).array).all()
    (new,) = archive.images()
    assert new.key != old.key
    assert archive.vector_count(MeanEncoder()) == 0  # the old one's has gone with it
    assert archive.import_paths([tmp_path / "d"]).known == 1


def test_the_same_bytes_at_another_time_are_the_same_image_and_mask(tmp_path: Path) -> None:
    marked(tmp_path / "d")
    with Archive.open(tmp_path / "archive", create=True) as archive:
        archive.import_paths([tmp_path / "d"])
        for path in (tmp_path / "d").iterdir():
            shutil.copyfile(path, tmp_path / "copy")
            shutil.move(tmp_path / "copy", path)
            later(path)
        (case,) = archive.cases()
        assert case.load_image().array.any() and case.load_masks["liver"]().any()
        report = archive.import_paths([tmp_path / "d"])
        assert (report.added, report.known, report.failed) == (0, 1, [])
        with archive._catalogue.read() as connection:
            times = {row.path: row.mtime_ns for row in connection.execute(sa.select(files))}
        assert times == {str(path): path.stat().st_mtime_ns for path in (tmp_path / "d").iterdir()}


def test_a_copy_is_read_where_the_archive_cannot_be_written(tmp_path: Path) -> None:
    path = picture(tmp_path / "d" / "a1.png", 1)
    with Archive.open(tmp_path / "archive", create=True) as archive:
        archive.import_paths([tmp_path / "d"])
    later(path)
    before = (tmp_path / "archive" / "catalogue.sqlite").read_bytes()
    (tmp_path / "archive" / "catalogue.sqlite").chmod(0o444)
    with Archive.open(tmp_path / "archive") as archive:
        assert archive.cases()[0].load_image().array.any()
        later(picture(path, 2))
        assert path.name in refused(archive)
    assert (tmp_path / "archive" / "catalogue.sqlite").read_bytes() == before


def test_an_image_is_noticed_that_changes_while_the_archive_is_open(archive: Archive, tmp_path: Path) -> None:
    path = picture(tmp_path / "d" / "a1.png", 1)
    archive.import_paths([tmp_path / "d"])
    (case,) = archive.cases()
    case.load_image()
    later(path)
    case.load_image()
    later(picture(path, 2), 120)
    with pytest.raises(UnreadableImageError, match=CHANGED):
        case.load_image()
    # A case that was made before the import stays the old image's, which is there no more.
    archive.import_paths([tmp_path / "d"])
    with pytest.raises(UnreadableImageError, match=CHANGED):
        case.load_image()


@pytest.mark.parametrize("grid", ["its image's", "another"])
def test_a_mask_that_was_overwritten_is_refused_until_it_is_imported_again(archive: Archive, tmp_path: Path, grid: str) -> None:
    data = marked(tmp_path / "d")
    archive.import_paths([data])
    (case,) = archive.cases()
    assert case.load_masks["liver"]()[0].all()
    path = data / "x1_liver_seg.nii.gz"
    later(mask(path, (0, 1), (6, 7, 5) if grid == "its image's" else (4, 4, 4)))
    (case,) = archive.cases()
    case.load_image()
    with pytest.raises(UnreadableImageError, match=f"{path} {CHANGED}"):
        case.load_masks["liver"]()
    report = archive.import_paths([data])
    (case,) = archive.cases()
    if grid == "another":
        assert [Path(one.path) for one in report.failed] == [path]
        assert not case.load_masks and archive.labels(case.key) == []
    else:
        assert case.load_masks["liver"]()[1].all()


def test_a_structure_that_left_its_file_leaves_its_image(archive: Archive, tmp_path: Path) -> None:
    volume(tmp_path / "d" / "x1.nii.gz", 1)
    path = mask(tmp_path / "d" / "x1_seg.nii.gz", (1, 2))
    archive.import_paths([tmp_path / "d"])
    assert len(archive.structures()) == 2
    later(mask(path, (2,)))
    archive.import_paths([tmp_path / "d"])
    (case,) = archive.cases()
    assert len(case.load_masks) == 1
    assert all(load()[0].all() for load in case.load_masks.values())


def test_a_mask_is_refused_where_its_image_was_overwritten(archive: Archive, tmp_path: Path) -> None:
    data = marked(tmp_path / "d")
    archive.import_paths([data])
    (case,) = archive.cases()
    archive.add_masks(case.key, case.load_image(), {"tumour": np.ones((6, 7, 5), bool)})
    path = later(volume(data / "x1.nii.gz", 2))
    (case,) = archive.cases()
    for load in case.load_masks.values():
        with pytest.raises(UnreadableImageError, match=f"{path} {CHANGED}"):
            load()
    archive.import_paths([data])
    (case,) = archive.cases()
    # What was drawn on the old image here belongs to nothing any more; its owner's mask lies beside the new one.
    assert set(case.load_masks) == {"liver"} and case.load_masks["liver"]().any()


@pytest.mark.parametrize("which", ["the last slice", "all slices"])
def test_a_series_of_which_a_file_was_overwritten_is_refused(archive: Archive, tmp_path: Path, which: str) -> None:
    series = ct(tmp_path / "d")
    other = ct(tmp_path / "other")
    assert [path.name for path in series.files] == [path.name for path in other.files]
    archive.import_paths([tmp_path / "d"])
    first = archive.cases()[0].load_image()
    for path in series.files:
        later(path)
    assert (archive.cases()[0].load_image().array == first.array).all()
    for path, new in list(zip(series.files, other.files, strict=True))[-1 if which == "the last slice" else 0 :]:
        shutil.copyfile(new, path)
        later(path)
    assert str(series.files[0].parent) in refused(archive)
    archive.import_paths([tmp_path / "d"])
    cases = archive.cases()
    assert len(cases) == (2 if which == "the last slice" else 1)
    for case in cases:
        assert case.load_image().array.any()


def test_voxels_beside_a_header_are_the_images_and_the_masks(archive: Archive, tmp_path: Path) -> None:
    def pair(name: str, voxels: np.ndarray) -> None:
        nibabel.save(nibabel.Nifti1Pair(voxels, np.eye(4)), tmp_path / "d" / name)

    (tmp_path / "d").mkdir()
    grey = np.random.default_rng(0).integers(0, 99, (6, 7, 5)).astype(np.int16)
    drawn = np.zeros((6, 7, 5), np.uint8)
    drawn[0] = 1
    pair("x1.hdr", grey)
    pair("x1_liver_seg.hdr", drawn)
    archive.import_paths([tmp_path / "d"])
    (case,) = archive.cases()
    assert (case.load_image().array[0] == grey).all() and case.load_masks["liver"]()[0].all()
    header = (tmp_path / "d" / "x1_liver_seg.hdr").stat()
    pair("x1_liver_seg.hdr", drawn[::-1])
    os.utime(tmp_path / "d" / "x1_liver_seg.hdr", ns=(header.st_atime_ns, header.st_mtime_ns))
    later(tmp_path / "d" / "x1_liver_seg.img")
    with pytest.raises(UnreadableImageError, match=rf"x1_liver_seg\.hdr {CHANGED}"):
        case.load_masks["liver"]()
    archive.import_paths([tmp_path / "d"])
    assert archive.cases()[0].load_masks["liver"]()[-1].all()
    pair("x1.hdr", grey + 1)
    later(tmp_path / "d" / "x1.img")
    assert refused(archive) == f"{tmp_path / 'd' / 'x1.hdr'} {CHANGED}."
    assert (mended(archive, tmp_path / "d").array[0] == grey + 1).all()


@pytest.mark.parametrize("copy", [False, True])
def test_a_mask_of_a_header_and_voxels_is_read(archive: Archive, tmp_path: Path, copy: bool) -> None:
    volume(tmp_path / "d" / "x1.nii.gz", 1)
    drawn = np.ones((6, 7, 5), np.uint8)
    nibabel.save(nibabel.Nifti1Pair(drawn, np.eye(4)), tmp_path / "d" / "x1_liver_seg.hdr")
    archive.import_paths([tmp_path / "d"], copy=copy)
    assert archive.cases()[0].load_masks["liver"]().all()
    before = snapshot(archive)
    report = archive.import_paths([tmp_path / "d"], copy=copy)
    assert (report.added, report.known, report.labels, report.failed, report.skipped) == (0, 1, 0, [], [])
    assert snapshot(archive) == before


@pytest.mark.parametrize("way", ["by its path", "by a manifest"])
def test_a_header_that_is_named_alone_brings_its_voxels(archive: Archive, tmp_path: Path, way: str) -> None:
    (tmp_path / "d").mkdir()
    grey = np.random.default_rng(0).integers(0, 99, (6, 7, 5)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Pair(grey, np.eye(4)), tmp_path / "d" / "x1.hdr")
    (tmp_path / "rows.csv").write_text("image\nd/x1.hdr\n")
    by_path = way == "by its path"
    report = archive.import_paths(
        [tmp_path / "d" / "x1.hdr"] if by_path else [], manifest=None if by_path else tmp_path / "rows.csv"
    )
    assert (report.added, report.failed) == (1, [])
    assert (archive.cases()[0].load_image().array[0] == grey).all()


def test_what_was_added_by_its_path_is_noticed_too(archive: Archive, tmp_path: Path) -> None:
    path = volume(tmp_path / "d" / "x1.nii.gz", 1)
    drawn = mask(tmp_path / "d" / "drawn.nii.gz", (1,))
    key = archive.add(path, {"liver": drawn})
    case = archive.case(key)
    assert case.load_masks["liver"]().any()
    later(mask(drawn, (0, 1)))
    with pytest.raises(UnreadableImageError, match=f"{drawn} {CHANGED}"):
        case.load_masks["liver"]()
    later(volume(path, 2))
    assert path.name in refused(archive)
    archive.import_paths([path])
    assert key not in {record.key for record in archive.images()}
    assert (archive.cases()[0].load_image().array == read(path).array).all()


@pytest.mark.parametrize("copy", [False, True])
def test_copies_in_the_archive_are_their_own(archive: Archive, tmp_path: Path, copy: bool) -> None:
    data = marked(tmp_path / "d")
    archive.import_paths([data], copy=copy)
    before = read(data / "x1.nii.gz").array
    later(volume(data / "x1.nii.gz", 2))
    later(mask(data / "x1_liver_seg.nii.gz", (0, 1)))
    (case,) = archive.cases()
    if copy:
        assert (case.load_image().array == before).all() and case.load_masks["liver"]()[0].all()
    else:
        refused(archive)


def test_an_archive_that_moved_with_its_images_reads_them(tmp_path: Path) -> None:
    with Archive.open(tmp_path / "archive", create=True) as archive:
        archive.import_paths([paired(tmp_path / "archive" / "mine", 1)])
    shutil.move(tmp_path / "archive", tmp_path / "moved")
    with Archive.open(tmp_path / "moved") as archive:
        assert archive.cases()[0].load_image().array.any()
        later(picture(tmp_path / "moved" / "mine" / "images" / "p000_0.png", 7))
        refused(archive)
        archive.import_paths([tmp_path / "moved" / "mine"])
        assert archive.cases()[0].load_image().array.any()


def test_images_that_changed_places_keep_what_is_theirs(archive: Archive, tmp_path: Path) -> None:
    one, two = (picture(tmp_path / "d" / f"{name}1.png", seed) for seed, name in enumerate("ab"))
    archive.import_paths([tmp_path / "d"])
    drawn = np.ones((16, 16), bool)
    for case in archive.cases():
        archive.add_masks(case.key, case.load_image(), {"disc": drawn})
    contents = {record.key: read(record.path).array for record in archive.images()}
    one.rename(tmp_path / "kept")
    two.rename(one)
    (tmp_path / "kept").rename(two)
    later(one), later(two, 120)
    for case in archive.cases():
        with pytest.raises(UnreadableImageError, match=CHANGED):
            case.load_image()
    archive.import_paths([tmp_path / "d"])
    cases = archive.cases()
    assert {case.key for case in cases} == set(contents)
    for case in cases:
        assert (case.load_image().array == contents[case.key]).all() and case.load_masks["disc"]().all()


def test_an_image_that_another_took_the_place_of_is_found_where_it_went(archive: Archive, tmp_path: Path) -> None:
    path = picture(tmp_path / "d" / "a1.png", 1)
    archive.import_paths([tmp_path / "d"])
    (old,) = archive.images()
    path.rename(tmp_path / "d" / "b1.png")
    later(picture(path, 2))
    archive.import_paths([tmp_path / "d"])
    places = {record.key: Path(record.path).name for record in archive.images()}
    assert len(places) == 2 and places[old.key] == "b1.png"


def test_a_search_says_which_images_have_changed(archive: Archive, tmp_path: Path) -> None:
    for number in range(3):
        picture(tmp_path / "d" / f"n{number}1.png", number)
    archive.import_paths([tmp_path / "d"])
    later(picture(tmp_path / "d" / "n01.png", 9))
    query = read(picture(tmp_path / "query.png", 20))
    found = archive.similar(query, k=2, by=("latent",), encoder=MeanEncoder())
    # It has no vector, so it is not ranked by how it looks now.
    (reason,) = archive.without_vector(MeanEncoder()).values()
    assert CHANGED in reason
    assert "n01.png" not in {Path(str(archive.case(one.key).name)).name for one in found}
