"""``s3://`` in an import: objects of a real server are imported like files of a folder, whatever becomes of the connection."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from casewise.archive import Archive
from casewise.errors import ArchiveError, UnreadableImageError, UsageError
from casewise.formats import write
from casewise.image import Image
from tests.dicom_studies import ct
from tests.image_trees import mask, paired, picture, snapshot, volume
from tests.s3 import S3, SECRET, Bucket
from tests.unsteady import unsteady

BIG = 400_000  # bytes of an object in whose middle a connection breaks


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Pictures with masks, a volume with a mask beside it, a DICOM series, a header with its voxels beside, and a note."""
    folder = paired(tmp_path / "hospital" / "films", 3).parent
    volume(folder / "volumes" / "scan.nii.gz", 1)
    mask(folder / "volumes" / "scan_mask.nii.gz")
    ct(folder / "ct", 4)
    (folder / "README.txt").write_text("Not an image.")
    voxels = np.arange(60, dtype=np.int16).reshape(1, 3, 4, 5)
    write(folder / "meta" / "one.mha", Image(voxels))
    header, _, rest = (folder / "meta" / "one.mha").read_bytes().partition(b"ElementDataFile = LOCAL\n")
    (folder / "meta" / "one.mha").unlink()
    (folder / "meta" / "one.mhd").write_bytes(header + b"ElementDataFile = one.raw\n")
    (folder / "meta" / "one.raw").write_bytes(rest)
    return folder


def imported(folder: Path, *paths: object, **options: Any) -> dict[str, object]:
    with Archive.open(folder, create=True) as archive:
        report = archive.import_paths([str(path) for path in paths], **options)
        assert report.failed == []
        held: Any = snapshot(archive)
        facts = {key: (category, site) for key, (category, site, _) in held["images"].items()}  # pseudonyms are each archive's own
        return {"images": facts, "labels": held["labels"], "added": report.added, "known": report.known}


def copies(folder: Path) -> list[Path]:
    """Of objects, in an archive."""
    return sorted(path for path in (folder / "cache").rglob("*") if path.is_file() and not path.name.startswith("."))


def test_a_bucket_is_imported_like_a_folder(tree: Path, bucket: Bucket, tmp_path: Path) -> None:
    bucket.fill(tree, "all/hospital")

    from_disk, from_bucket = imported(tmp_path / "disk", tree), imported(tmp_path / "far", bucket.url("all/hospital"))

    assert from_disk == from_bucket
    with Archive.open(tmp_path / "disk") as near, Archive.open(tmp_path / "far") as far:
        for record in near.images():
            case, other = near.case(record.key), far.case(record.key)
            assert np.array_equal(case.image.array, other.image.array)
            assert {name: case.load_masks[name]().tolist() for name in case.load_masks} == {
                name: other.load_masks[name]().tolist() for name in other.load_masks
            }
        there = {record.key: record for record in far.images()}
        assert {record.path.startswith(bucket.url("all/hospital/")) for record in there.values()} == {True}
        assert {there[record.key].name for record in near.images()} == {
            record.name.replace(str(tree), bucket.url("all/hospital")) for record in near.images()
        }


def test_what_left_the_copies_is_brought_again(tree: Path, bucket: Bucket, tmp_path: Path) -> None:
    bucket.fill(tree, "all")
    before = imported(tmp_path / "far", bucket.url("all"))
    shutil.rmtree(tmp_path / "far" / "cache")

    with Archive.open(tmp_path / "far") as archive:
        for case in archive.cases():
            assert case.image.array.size
            assert all(case.load_masks[name]().any() for name in case.load_masks)
    again = imported(tmp_path / "far", bucket.url("all"))

    assert again == {**before, "added": 0, "known": before["added"]}


def test_what_is_known_and_unchanged_is_not_brought(tree: Path, bucket: Bucket, tmp_path: Path) -> None:
    bucket.fill(tree / "films", "films")
    imported(tmp_path / "far", bucket.url())
    shutil.rmtree(tmp_path / "far" / "cache")
    bucket.put("more/scan.nii.gz", (tree / "volumes" / "scan.nii.gz").read_bytes())

    again = imported(tmp_path / "far", bucket.url())

    assert (again["added"], again["known"]) == (1, 3)
    assert [path.name for path in copies(tmp_path / "far")] == ["scan.nii.gz"]


def test_one_object_by_its_address(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("a/scan.nii.gz", volume(tmp_path / "scan.nii.gz", 1).read_bytes())
    bucket.put("a/scan.nii.gz.txt", b"beside")

    assert imported(tmp_path / "far", bucket.url("a/scan.nii.gz"))["added"] == 1
    assert [path.name for path in copies(tmp_path / "far")] == ["scan.nii.gz"]


@pytest.mark.parametrize("far", [True, False])
def test_a_manifest_says_what_objects_are(far: bool, bucket: Bucket, tmp_path: Path) -> None:
    bucket.fill(paired(tmp_path / "films", 2), "films")
    table = tmp_path / "labels.csv"
    table.write_text("image,mask:heart,category\nimages/p000_0.png,lung_masks/p000_0.png,ill\nimages/p001_0.png,,well\n")
    bucket.put("films/labels.csv", table.read_bytes())
    manifest = bucket.url("films/labels.csv") if far else table

    with Archive.open(tmp_path / "far", create=True) as archive:
        report = archive.import_paths([bucket.url("films")], manifest=manifest)

        assert (report.failed, report.added) == ([], 2)
        assert archive.categories() == {"ill": 1, "well": 1}
        assert archive.structures()["heart"] == 1


def test_an_object_that_was_replaced_takes_the_place_of_what_it_was(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("a.png", picture(tmp_path / "a.png", 1).read_bytes())
    imported(tmp_path / "far", bucket.url())
    bucket.put("a.png", picture(tmp_path / "b.png", 2, size=20).read_bytes())

    imported(tmp_path / "far", bucket.url())

    with Archive.open(tmp_path / "far") as archive:
        assert [case.image.spatial_shape for case in archive.cases()] == [(20, 20)]


def test_with_copy_the_images_are_the_archives_own(bucket: Bucket, tmp_path: Path) -> None:
    bucket.fill(paired(tmp_path / "films", 2), "films")
    imported(tmp_path / "far", bucket.url("films"), copy=True)
    shutil.rmtree(tmp_path / "far" / "cache")
    for key in bucket.names():
        bucket.remove(key)

    with Archive.open(tmp_path / "far") as archive:
        assert [case.load_masks["lung"]().any() for case in archive.cases()] == [True, True]


def test_an_object_that_is_gone_is_named(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("a/film.png", picture(tmp_path / "film.png", 1).read_bytes())
    imported(tmp_path / "far", bucket.url())
    shutil.rmtree(tmp_path / "far" / "cache")
    bucket.remove("a/film.png")

    with Archive.open(tmp_path / "far") as archive, pytest.raises(UnreadableImageError, match=bucket.url("a/film.png")):
        _ = archive.cases()[0].image


def test_a_connection_that_breaks_is_tried_again(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = volume(tmp_path / "scan.nii", 1, shape=(60, 60, 60)).read_bytes()
    assert len(content) > BIG
    bucket.put("scan.nii", content)
    with unsteady(bucket.server.port) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        proxy.cut_after, proxy.cuts = BIG // 2, 2
        imported(tmp_path / "far", bucket.url())

        assert proxy.cuts == 0
        assert [path.read_bytes() == content for path in copies(tmp_path / "far")] == [True]


def test_a_connection_that_stays_broken_stops_the_import_and_the_next_goes_on(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.fill(paired(tmp_path / "films", 2), "films")
    bucket.put("large/scan.nii", volume(tmp_path / "scan.nii", 1, shape=(60, 60, 60)).read_bytes())
    with unsteady(bucket.server.port) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        proxy.cut_after, proxy.cuts = BIG // 20, 100
        with Archive.open(tmp_path / "far", create=True) as archive:
            with pytest.raises(ArchiveError, match=bucket.url("large/scan.nii")):
                archive.import_paths([bucket.url()])
            assert not [path for path in copies(tmp_path / "far") if path.name == "scan.nii"]

            proxy.cuts = 0
            archive.import_paths([bucket.url()])
            assert sorted(case.image.spatial_shape for case in archive.cases()) == [(16, 16), (16, 16), (60, 60, 60)]


def test_a_server_that_is_killed_in_the_middle_and_started_again(server: S3, bucket: Bucket, tmp_path: Path) -> None:
    for number in range(70):  # more than are read together
        bucket.put(f"{number:03d}/film.png", picture(tmp_path / f"{number}.png", number).read_bytes())

    def progress(step: str, done: int, total: int, what: str = "") -> None:
        if done == 10:
            server.kill()

    with Archive.open(tmp_path / "far", create=True) as archive:
        try:
            with pytest.raises(ArchiveError, match="connection"):
                archive.import_paths([bucket.url()], progress=progress)
            before = len(archive)
        finally:
            server.kill()
            server.start()
        report = archive.import_paths([bucket.url()])

        assert 0 < before < 70
        assert (report.known, report.added, len(archive)) == (before, 70 - before, 70)
        assert len({case.name for case in archive.cases()}) == 70


@pytest.mark.parametrize("by", ["when_supported", "when_required"])  # a checksum of AWS's library, or the object's ETag alone
def test_what_comes_damaged_is_named_and_not_imported(
    by: str, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_RESPONSE_CHECKSUM_VALIDATION", by)
    content = volume(tmp_path / "scan.nii", 1).read_bytes()
    bucket.put("a/scan.nii", content)
    bucket.put("a/whole.png", picture(tmp_path / "whole.png", 1).read_bytes())
    with unsteady(bucket.server.port) as proxy, Archive.open(tmp_path / "far", create=True) as archive:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        proxy.swap = content[-40:], bytes(40)
        report = archive.import_paths([bucket.url()])

        assert [one.path for one in report.failed] == [bucket.url("a/scan.nii")]
        assert "damaged" in report.failed[0].reason or "checksum" in report.failed[0].reason
        assert [case.name for case in archive.cases()] == [bucket.url("a/whole.png")]

        proxy.swap = None
        report = archive.import_paths([bucket.url()])
        assert (report.failed, report.added) == ([], 1)


def test_a_mask_that_comes_damaged_is_tried_again_by_the_next_import(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    films = paired(tmp_path / "films", 1)
    bucket.fill(films, "films")
    content = (films / "lung_masks" / "p000_0.png").read_bytes()
    with unsteady(bucket.server.port) as proxy, Archive.open(tmp_path / "far", create=True) as archive:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        proxy.swap = content[40:], content[40:][::-1]
        report = archive.import_paths([bucket.url("films")])
        assert [one.path for one in report.failed] == [bucket.url("films/lung_masks/p000_0.png")]
        assert [list(case.load_masks) for case in archive.cases()] == [[]]

        proxy.swap = None
        archive.import_paths([bucket.url("films")])
        assert [list(case.load_masks) for case in archive.cases()] == [["lung"]]


def test_an_object_that_was_put_truncated_is_named(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("a/scan.nii", volume(tmp_path / "scan.nii", 1).read_bytes()[:400])

    with Archive.open(tmp_path / "far", create=True) as archive:
        report = archive.import_paths([bucket.url()])

        assert [one.path for one in report.failed] == [bucket.url("a/scan.nii")]
        assert str(tmp_path) not in report.failed[0].reason
        assert len(archive) == 0


@pytest.mark.parametrize("odd", ["../../evil.png", "../a/evilx.png", "/a/b/evil9.png", "a//b/evilxx.png", "./b/c/evilx.png"])
def test_no_key_leads_out_of_the_copies(odd: str, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = "x" * (len(odd) - 4) + ".png"
    bucket.put(plain, picture(tmp_path / "a.png", 1).read_bytes())
    bucket.put("good.png", picture(tmp_path / "b.png", 2).read_bytes())
    before = set(tmp_path.rglob("*"))
    with unsteady(bucket.server.port) as proxy, Archive.open(tmp_path / "far", create=True) as archive:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        proxy.swap = plain.encode(), odd.encode()
        report = archive.import_paths([bucket.url()])

        assert [one.path for one in report.failed] == [bucket.url() + "/" + odd]
        assert [case.name for case in archive.cases()] == [bucket.url("good.png")]
    outside = {path for path in tmp_path.rglob("*") if not path.is_relative_to(tmp_path / "far")}
    assert outside == before
    assert [path.name for path in copies(tmp_path / "far")] == ["good.png"]


def test_an_object_in_whose_place_others_need_a_folder(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("a", picture(tmp_path / "a.png", 1).read_bytes())
    bucket.put("a/b.png", picture(tmp_path / "b.png", 2).read_bytes())

    with Archive.open(tmp_path / "far", create=True) as archive:
        report = archive.import_paths([bucket.url()])

        assert {one.path for one in report.failed} <= {bucket.url("a")}
        assert bucket.url("a/b.png") in {case.name for case in archive.cases()}


def refusal(folder: Path, url: str) -> str:
    with Archive.open(folder, create=True) as archive:
        report = archive.import_paths([url])
        assert report.added == 0
        return "; ".join(one.reason for one in report.failed)


def test_what_storage_refuses_is_a_sentence(server: S3, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.put("a.png", b"")
    with pytest.raises(ArchiveError, match="There is no bucket no-such-bucket"):
        refusal(tmp_path / "far", "s3://no-such-bucket/a")
    assert "There is no object of this name" in refusal(tmp_path / "far", bucket.url("nothing"))
    with pytest.raises(UsageError, match="no address"):
        refusal(tmp_path / "far", "s3://../etc")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(ArchiveError, match="refuses the credentials"):
        refusal(tmp_path / "far", bucket.url())
    for name, value in server.variables("READER", "reads").items():
        monkeypatch.setenv(name, value)
    with pytest.raises((ArchiveError, UnreadableImageError), match="may not be listed with these credentials"):
        refusal(tmp_path / "far", bucket.url())


def test_no_credentials_are_in_the_archive(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("a.png", picture(tmp_path / "a.png", 1).read_bytes())
    imported(tmp_path / "far", bucket.url())

    assert not [path for path in (tmp_path / "far").rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


def test_without_its_packages_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.setitem(os.environ, "AWS_PROFILE_OF_THIS_TEST", "anew")

    with pytest.raises(UsageError, match=r"casewise\[s3\]"):
        refusal(tmp_path / "far", "s3://bucket/a")
