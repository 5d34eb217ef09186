"""Importing: what is added, what is known, what is refused, and what a second import costs."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest

from casewise.archive import Archive
from casewise.errors import ArchiveError
from casewise.image import Image
from tests.catalogue_counts import counted
from tests.image_trees import MeanEncoder, mask, paired, picture, snapshot, volume


def test_a_second_import_adds_nothing_and_says_the_same(tmp_path: Path) -> None:
    data = paired(tmp_path / "chest", 5)
    (data / "images" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    (data / "notes.txt").write_text("hello")
    with Archive.open(tmp_path / "archive", create=True) as archive:
        first = archive.import_paths([data])
        before = snapshot(archive)
        second = archive.import_paths([data])
        assert snapshot(archive) == before
    assert (first.added, first.known, first.labels) == (5, 0, 5)
    assert (second.added, second.known, second.labels) == (0, 5, 0)
    assert [Path(refused.path).name for refused in first.failed] == ["broken.png"]
    assert [Path(refused.path).name for refused in first.skipped] == ["notes.txt"]
    assert second.to_json()["failed"] == first.to_json()["failed"]
    assert second.to_json()["skipped"] == first.to_json()["skipped"]


def test_an_unchanged_file_is_not_read_again(tmp_path: Path) -> None:
    data = paired(tmp_path / "chest", 2)
    with Archive.open(tmp_path / "archive", create=True) as archive:
        archive.import_paths([data])
        # Other bytes under the same size and time: only reading it could reveal that.
        path = data / "images" / "p000_0.png"
        about = path.stat()
        path.write_bytes(b"x" * about.st_size)
        os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
        report = archive.import_paths([data])
    assert (report.added, report.known, report.failed) == (0, 2, [])


def test_the_same_content_elsewhere_is_known_and_outlives_its_first_place(tmp_path: Path) -> None:
    picture(tmp_path / "one" / "a1.png", 1)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    with Archive.open(tmp_path / "archive", create=True) as archive:
        assert archive.import_paths([tmp_path / "one"]).added == 1
        report = archive.import_paths([tmp_path / "two"])
        assert (report.added, report.known) == (0, 1)
        shutil.rmtree(tmp_path / "one")
        shutil.copytree(tmp_path / "two", tmp_path / "three")
        archive.import_paths([tmp_path / "three"])
        assert archive.cases()[0].image.array.shape == (1, 16, 16)


def test_a_changed_file_is_read_again_and_its_old_content_forgotten(tmp_path: Path) -> None:
    path = picture(tmp_path / "d" / "a1.png", 1)
    with Archive.open(tmp_path / "archive", create=True) as archive:
        archive.import_paths([tmp_path / "d"])
        (old,) = archive.images()
        picture(path, 2, size=20)
        assert archive.import_paths([tmp_path / "d"]).added == 1
        (new,) = archive.images()
    assert new.key != old.key
    assert new.shape == (20, 20)


def test_masks_made_here_that_go_with_a_changed_file_are_named_and_can_be_had_again(tmp_path: Path) -> None:
    data, before = paired(tmp_path / "chest", 2), tmp_path / "before.png"
    film = data / "images" / "p000_0.png"
    with Archive.open(tmp_path / "archive", create=True) as archive:
        archive.import_paths([data])
        case = archive.cases()[0]
        drawn = np.eye(16, dtype=bool)
        archive.add_masks(str(case.key), case.image, {"heart": drawn, "heart@ben": ~drawn}, origin={"how": "interactive"})
        places = {str(label["name"]): str(label["path"]) for label in archive.labels(str(case.key))}
        shutil.copy(film, before)
        picture(film, 500)
        picture(data / "images" / "p001_0.png", 501)
        (note,) = archive.import_paths([data]).notes
        assert note.path == str(film) and f"here: heart ({places['heart']}), heart@ben ({places['heart@ben']})." in note.reason
        assert "lung" not in note.reason and not archive.import_paths([data]).notes
        manifest = tmp_path / "manifest.csv"
        manifest.write_text(f"image,mask:heart\n{before},{archive.folder / places['heart']}\n")
        archive.import_paths([before], manifest=manifest)
        again = archive.case(str(case.key))
        assert np.array_equal(again.load_masks["heart"](), drawn)


def test_a_changed_file_whose_old_content_lies_elsewhere_too_keeps_it(tmp_path: Path) -> None:
    path = picture(tmp_path / "d" / "a1.png", 1)
    shutil.copy(path, tmp_path / "d" / "b1.png")
    with Archive.open(tmp_path / "archive", create=True) as archive:
        archive.import_paths([tmp_path / "d"])
        picture(path, 2)
        archive.import_paths([tmp_path / "d"])
        assert sorted(Path(record.path).name for record in archive.images()) == ["a1.png", "b1.png"]


def test_a_mask_that_comes_later_is_attached(tmp_path: Path) -> None:
    data = paired(tmp_path / "chest", 2)
    late = data / "lung_masks" / "p001_0.png"
    kept = late.read_bytes()
    late.unlink()
    with Archive.open(tmp_path / "archive", create=True) as archive:
        assert archive.import_paths([data]).labels == 1
        late.write_bytes(kept)
        report = archive.import_paths([data])
        assert (report.added, report.known, report.labels) == (0, 2, 1)
        assert len(archive.cases(["lung"])) == 2


def test_a_changed_mask_replaces_the_old_one(tmp_path: Path) -> None:
    volume(tmp_path / "d" / "x1.nii.gz", 1)
    mask(tmp_path / "d" / "x1_liver_seg.nii.gz", (1,))
    with Archive.open(tmp_path / "archive", create=True) as archive:
        archive.import_paths([tmp_path / "d"])
        mask(tmp_path / "d" / "x1_liver_seg.nii.gz", (0, 1, 1))
        archive.import_paths([tmp_path / "d"])
        (case,) = archive.cases()
    assert set(case.load_masks) == {"liver"}
    assert not case.load_masks["liver"]()[0].any() and case.load_masks["liver"]()[1].all()


def test_volumes_of_a_4d_file_are_images_of_their_own(tmp_path: Path) -> None:
    voxels = np.random.default_rng(0).integers(0, 99, (5, 6, 4, 3)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / "dwi.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 3, 3, 70), np.int16), np.eye(4)), tmp_path / "bold.nii.gz")
    with Archive.open(tmp_path / "archive", create=True) as archive:
        report = archive.import_paths([tmp_path / "dwi.nii.gz", tmp_path / "bold.nii.gz"])
        assert report.added == 3
        assert "70 volumes" in report.failed[0].reason
        for number, case in enumerate(archive.cases()):
            assert (case.image.array[0] == voxels[..., number]).all()


def test_header_and_voxel_files_are_one_image(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    for number in range(2):
        # Two images whose headers are the same to the byte.
        voxels = np.full((4, 5, 6), number, np.int16)
        nibabel.save(nibabel.Nifti1Pair(voxels, np.eye(4)), tmp_path / "d" / f"s{number}.hdr")
    with Archive.open(tmp_path / "archive", create=True) as archive:
        report = archive.import_paths([tmp_path / "d"], copy=True)
        assert (report.added, report.failed, report.skipped) == (2, [], [])
        shutil.rmtree(tmp_path / "d")
        assert {int(case.image.array.max()) for case in archive.cases()} == {0, 1}


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with Archive.open(tmp_path / "archive", create=True) as archive:
        report = archive.import_paths([tmp_path / "nothing", picture(tmp_path / "a1.png", 1)])
    assert report.added == 1
    assert [refused.path for refused in report.failed] == [str(tmp_path / "nothing")]


def test_folders_within_others_are_gone_through_once(tmp_path: Path) -> None:
    places = ["a", "a/b", "a/b/c", "a-b", "a.b", "b", "b/a", "ab"]
    for number, place in enumerate(places):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        picture(tmp_path / place / f"x{number}.png", number + 1)
    for given in (["a", "a/b", "a-b", "a.b", "b", "b/a", "ab"], ["b/a", "a/b/c", "ab", "a", "b", "a.b", "a-b", "a/b/x2.png"]):
        with Archive.open(tmp_path / f"A{len(given)}", create=True) as archive:
            report = archive.import_paths([tmp_path / place for place in given])
            assert (report.added, report.known, report.failed) == (len(places), 0, [])


def test_the_archives_own_folder_is_not_imported(tmp_path: Path) -> None:
    picture(tmp_path / "a1.png", 1)
    with Archive.open(tmp_path / "archive", create=True) as archive:
        archive.import_paths([tmp_path], copy=True)
        report = archive.import_paths([tmp_path])
    assert (report.added, report.known, report.failed, report.skipped) == (0, 1, [], [])


def test_copies_make_the_archive_whole(tmp_path: Path) -> None:
    data = paired(tmp_path / "chest", 2)
    with Archive.open(tmp_path / "archive", create=True) as archive:
        archive.import_paths([data], copy=True)
    shutil.rmtree(data)
    (tmp_path / "archive").rename(tmp_path / "moved")
    with Archive.open(tmp_path / "moved") as archive:
        for case in archive.cases(["lung"]):
            assert case.load_masks["lung"]().shape == case.image.spatial_shape


def test_embeddings_come_with_the_import_and_once(tmp_path: Path) -> None:
    data = paired(tmp_path / "chest", 7)
    encoder = MeanEncoder()
    with Archive.open(tmp_path / "archive", create=True) as archive:
        assert archive.import_paths([data], encoder=encoder).vectors == 7
        assert archive.embed(encoder) == 0
        keys, rows, base = archive.vectors(encoder)
        for key, row in zip(keys, rows, strict=True):
            assert np.allclose(base[row], encoder.encode([archive.case(key).image])[0])
        archive.add(Image(np.ones((1, 4, 4), np.uint8)))
        assert archive.embed(encoder) == 1


def test_an_image_that_no_encoder_takes_is_imported_and_named(tmp_path: Path) -> None:
    class Picky(MeanEncoder):
        def encode(self, images, regions=None):
            rows = super().encode(images, regions)
            rows[[image.array.max() == 0 for image in images]] = np.nan
            return rows

    picture(tmp_path / "d" / "black.png", 0, value=0)
    picture(tmp_path / "d" / "grey.png", 1)
    with Archive.open(tmp_path / "archive", create=True) as archive:
        report = archive.import_paths([tmp_path / "d"], encoder=Picky())
    assert (report.added, report.vectors) == (2, 1)
    assert "no vector" in report.failed[0].reason


MANIFEST = "image,mask:lung,boxes:nodule,category,site,subject,age,sex,dose\n"


def test_manifest_is_believed_before_names(tmp_path: Path) -> None:
    picture(tmp_path / "pixels" / "p001.png", 1)
    mask(tmp_path / "other" / "drawn.png", (255,), (16, 16))
    table = tmp_path / "table.csv"
    table.write_text(MANIFEST + 'pixels/p001.png,other/drawn.png,"1:4,2:9; 5:6,7:8",tb,Ward 3,anna,61,F,2.5\n')
    with Archive.open(tmp_path / "archive", create=True) as archive:
        report = archive.import_paths([], manifest=table)
        assert (report.added, report.labels, report.failed) == (1, 2, [])
        (record,) = archive.images()
        (case,) = archive.cases(["lung"], category="tb", site="Ward 3")
        boxes = [label["boxes"] for label in archive.labels(record.key) if label["kind"] == "boxes"]
        again = archive.import_paths([tmp_path / "pixels"], manifest=table)
        assert (again.added, again.known, again.labels) == (0, 1, 0)
        table.write_text(MANIFEST + "pixels/p001.png,other/drawn.png,,normal,Ward 3,anna,61,F,2.5\n")
        archive.import_paths([], manifest=table)
        assert archive.images()[0].category == "normal"
    assert (record.subject, record.age, record.sex, record.content["dose"]) == ("anna", 61, "F", 2.5)
    assert case.load_masks["lung"]()[0].all()
    assert boxes == [[[[1, 4], [2, 9]], [[5, 6], [7, 8]]]]


def test_each_row_whose_mask_lies_on_another_grid_is_named(tmp_path: Path) -> None:
    shapes = {"a": (6, 7, 5), "b": (9, 9, 9), "c": (9, 9, 9)}
    for seed, (name, shape) in enumerate(shapes.items()):
        volume(tmp_path / "d" / f"{name}.nii.gz", seed, shape)
    shared, lone = mask(tmp_path / "e" / "shared.nii.gz"), mask(tmp_path / "e" / "lone.nii.gz")
    rows = "d/a.nii.gz,e/shared.nii.gz\nd/b.nii.gz,e/shared.nii.gz\nd/c.nii.gz,e/lone.nii.gz\n"
    (tmp_path / "m.csv").write_text(f"image,mask:liver\n{rows}")
    with Archive.open(tmp_path / "archive", create=True) as archive:
        for _ in range(2):
            report = archive.import_paths([], manifest=tmp_path / "m.csv")
            failed = {Path(one.path).name: one.reason for one in report.failed}
            assert set(failed) == {"b.nii.gz", "c.nii.gz"} and len(report.failed) == 2
            assert f"It is imported, but without its mask: {shared} lies on another grid" in failed["b.nii.gz"]
            assert str(lone) in failed["c.nii.gz"]
            assert report.masks == {"liver": 1} and len(report.keys) == 3
        mask(lone, shape=(9, 9, 9))
        report = archive.import_paths([], manifest=tmp_path / "m.csv")
        assert [Path(one.path).name for one in report.failed] == ["b.nii.gz"]
        assert report.masks == {"liver": 2}


def test_a_file_once_imported_as_an_image_becomes_the_mask_that_a_manifest_says_it_is(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", 1)
    mask(tmp_path / "strange.png", (255,), (16, 16))
    with Archive.open(tmp_path / "archive", create=True) as archive:
        assert archive.import_paths([tmp_path / "a.png", tmp_path / "strange.png"]).added == 2
        (tmp_path / "m.csv").write_text("image,mask:lung\na.png,strange.png\n")
        archive.import_paths([], manifest=tmp_path / "m.csv")
        assert [Path(case.name).name for case in archive.cases()] == ["a.png"]
        assert len(archive.cases(["lung"])) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("picture,category\na.png,x\n", "no column image"),
        ("image,masks\na.png,b.png\n", "is mask meant"),
        ("image,Category\na.png,x\n", "is category meant"),
        ("image,volume:liver\na.png,b.png\n", "'volume:liver'"),
        ("image,mask,mask\na.png,b.png,c.png\n", "twice"),
        ("image,age\na.png,old\n", "age 'old'"),
        ("image,sex\na.png,?\n", "sex '?'"),
        ("image,boxes\na.png,1-4\n", "LO:HI"),
        ('image,boxes\na.png,"4:1,2:3"\n', "LO < HI"),
        ("image,category\n,x\n", "Line 2"),
        ("image,category\na.png,x,y\n", "3 cells"),
        ("", "is empty"),
    ],
)
def test_a_wrong_manifest_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "m.csv").write_text(text)
    with Archive.open(tmp_path / "archive", create=True) as archive, pytest.raises(ArchiveError) as caught:
        archive.import_paths([], manifest=tmp_path / "m.csv")
    message = str(caught.value)
    assert said in message and "\n" not in message and "m.csv" in message
    if "column" in message:
        assert "mask:NAME" in message


def test_a_manifest_that_is_missing_or_names_what_is_missing(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", 1)
    (tmp_path / "m.csv").write_text("image,mask\na.png,gone.png\nb.png,\n")
    with Archive.open(tmp_path / "archive", create=True) as archive:
        with pytest.raises(ArchiveError, match="There is no manifest"):
            archive.import_paths([], manifest=tmp_path / "none.csv")
        report = archive.import_paths([], manifest=tmp_path / "m.csv")
    assert report.added == 1
    assert sorted(Path(refused.path).name for refused in report.failed) == ["b.png", "gone.png"]


def test_boxes_outside_the_image_are_named(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", 1)
    (tmp_path / "m.csv").write_text('image,boxes\na.png,"0:17,0:5"\n')
    with Archive.open(tmp_path / "archive", create=True) as archive:
        report = archive.import_paths([], manifest=tmp_path / "m.csv")
        assert archive.labels(archive.images()[0].key) == []
    assert report.added == 1 and "16×16" in report.failed[0].reason


def test_all_the_real_images(tmp_path: Path, shared_data: Path) -> None:
    """All sets but MedNIST and the large volumes, which the benchmark imports."""
    data = tmp_path / "data"
    data.mkdir()
    for name in (
        "jsrt",
        "montgomery",
        "hippocampus",
        "acdc",
        "wmh",
        "pyradiomics-mr",
        "totalseg-example",
        "damaged-tiff",
        "dicom-pydicom",
    ):
        (data / name).symlink_to(shared_data / name)
    with Archive.open(tmp_path / "archive", create=True) as archive:
        began = time.process_time()
        first = archive.import_paths([data])
        middle = time.process_time()
        second = archive.import_paths([data])
        assert time.process_time() - middle <= 0.1 * (middle - began)
        assert second.added == 0 and second.known == first.added + first.known
        named = {refused.path for refused in [*first.failed, *first.skipped]}
        states = snapshot(archive)["files"]
        everything = {
            str(data / path.relative_to(shared_data)) for name in data.iterdir() for path in (shared_data / name.name).rglob("*.*")
        }
        files = {path for path in everything if Path(path).is_file()}
        assert files == set(states)
        assert {path for path, (state, _) in states.items() if state in ("failed", "skipped")} <= named
        by_site = {site: {name for case in archive.cases(site=site) for name in case.load_masks} for site in ("jsrt", "montgomery")}
        assert by_site["jsrt"] == {"heart", "left_lung", "right_lung", "left_clavicle", "right_clavicle"}
        assert by_site["montgomery"] == {"lung"}
        assert len(archive.cases(["label_1", "label_2"], site="hippocampus")) == 80
        assert len(archive.cases(["label_1", "label_2", "label_3"], site="acdc")) == 32
        assert len({case.subject for case in archive.cases(site="acdc")}) == 16
        assert len(archive.cases(["label_1"], site="wmh")) == 5
        assert len(archive.cases(["label_1"], site="pyradiomics-mr")) == 3
        labelled = [Path(case.name).name for case in archive.cases(["label_1"], site="totalseg-example")]
        assert labelled == ["example_ct_sm.nii.gz"]
        (case,) = [case for case in archive.cases(site="jsrt") if case.name.endswith("JPCLN012.png")]
        assert (case.content["age"], case.content["sex"], case.content["pathology"]) == (80, "M", "lung cancer")
        assert case.load_masks["heart"]().shape == case.image.spatial_shape == (2048, 2048)
    assert sorted(Path(refused.path).name for refused in first.failed if "damaged-tiff" in refused.path) == [
        "reencoded-mask.tif",
        "reencoded-slice.tif",
    ]


@pytest.mark.parametrize("alone", [False, True], ids=["folder", "file"])
def test_an_import_reads_no_more_of_a_large_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alone: bool) -> None:
    # Of the name with which the other folder's begins; in the folder itself where one file is imported alone.
    new = picture(tmp_path / ("data2" if alone else "data") / "new.png", 999)
    others = [picture(tmp_path / "data2" / f"{number}.png", number) for number in range(300)]
    counts, read = counted(monkeypatch), []
    for earlier in ([], others):
        with Archive.open(tmp_path / f"archive{len(earlier)}", create=True) as archive:
            archive.import_paths(earlier)
            counts.clear()
            assert archive.import_paths([new if alone else new.parent], encoder=MeanEncoder()).added == 1
            read.append(counts.copy())
    assert read[0] == read[1] and read[0]["json"] < 20 and read[0]["snapshots"] == 0
