"""An archive whose own files are objects: all that reads images reads them, from copies that any number of processes share."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casewise.archive import Archive
from casewise.archive.remote.address import Address
from casewise.archive.remote.cache import Cache, let_go
from casewise.archive.storage import located
from casewise.cli import main
from casewise.errors import ArchiveError, UnreadableImageError
from casewise.hashing import file_key
from tests.dicom_studies import ct
from tests.image_trees import MeanEncoder, paired, picture, volume
from tests.s3 import Bucket
from tests.unsteady import unsteady
from tests.waiting import SECONDS


@pytest.fixture
def films(tmp_path: Path) -> Path:
    return paired(tmp_path / "films", 4)


def made(folder: Path, bucket: Bucket, *paths: Path) -> Archive:
    archive = Archive.open(folder, create=True, storage=bucket.url("store"))
    report = archive.import_paths(paths, copy=True, encoder=MeanEncoder())
    assert report.failed == []
    return archive


def copies(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "cache").rglob("*") if path.is_file() and not path.name.startswith("."))


def test_its_files_are_objects_called_by_their_content(films: Path, bucket: Bucket, tmp_path: Path) -> None:
    scan = ct(tmp_path / "ct", 3)
    with made(tmp_path / "a", bucket, films, tmp_path / "ct") as archive:
        names = bucket.names()
        assert not (tmp_path / "a" / "files").exists()
        for record in archive.images():
            if record.kind == "PNG":
                assert f"store/{record.path}" in names
                assert file_key(located(archive.folder, record.path)) == record.key
            else:
                assert sorted(f"store/{record.path}/{file.name}" for file in scan.files) == sorted(
                    name for name in names if name.startswith(f"store/{record.path}/")
                )
        images = {case.key: case.image.array for case in archive.cases()}
    with Archive.open(tmp_path / "near", create=True) as near:
        near.import_paths([films, tmp_path / "ct"])
        assert {case.key for case in near.cases()} == images.keys()
        assert all(np.array_equal(case.image.array, images[case.key]) for case in near.cases())


def test_what_is_there_is_not_sent_again(films: Path, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path / "a", bucket, films).close()
    before = {name: bucket.system.info(f"{bucket.name}/{bucket.below}/{name}")["LastModified"] for name in bucket.names()}

    made(tmp_path / "b", bucket, films).close()

    assert {name: bucket.system.info(f"{bucket.name}/{bucket.below}/{name}")["LastModified"] for name in bucket.names()} == before


def test_an_object_that_is_damaged_in_the_bucket_is_not_read(films: Path, bucket: Bucket, tmp_path: Path) -> None:
    with made(tmp_path / "a", bucket, films) as archive:
        record = archive.images()[0]
        path = f"{bucket.name}/{bucket.below}/store/{record.path}"
        content = bucket.read(f"store/{record.path}")
        sums = bucket.system.metadata(path)
        bucket.system.pipe_file(path, content[:-1] + b"?", Metadata=sums)
        shutil.rmtree(tmp_path / "a" / "cache", ignore_errors=True)

        with pytest.raises(UnreadableImageError, match="checksum"):
            _ = archive.case(record.key).image
        assert not copies(tmp_path / "a")


def test_masks_that_are_drawn_and_similar_cases(films: Path, bucket: Bucket, tmp_path: Path) -> None:
    with made(tmp_path / "a", bucket, films) as archive:
        case = archive.cases()[0]
        drawn = case.image.array[0] > 100
        archive.add_masks(case.key, case.image, {"bright": drawn})
        shutil.rmtree(tmp_path / "a" / "cache")

        assert np.array_equal(archive.case(case.key).load_masks["bright"](), drawn)
        found = archive.similar(case.image, k=3, encoder=MeanEncoder())
        assert len(found) == 3
        assert case.key not in {one.key for one in found}


def test_a_case_that_is_added_from_memory(bucket: Bucket, tmp_path: Path) -> None:
    with Archive.open(tmp_path / "a", create=True, storage=bucket.url("store")) as archive:
        from casewise.formats import read

        image = read(volume(tmp_path / "scan.nii.gz", 1))
        key = archive.add(image, {"half": image.array[0] > 500})
        shutil.rmtree(tmp_path / "a" / "cache")

        assert np.array_equal(archive.case(key).image.array, image.array)
        assert archive.case(key).load_masks["half"]().any()


def test_the_command_line_makes_one_and_analyses_from_it(
    films: Path, bucket: Bucket, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    store = bucket.url("store")
    assert main(["import", str(tmp_path / "a"), str(films), "--copy", "--storage", store, "--device", "cpu"]) == 0
    assert f'storage = "{store}"' in (tmp_path / "a" / "casewise.toml").read_text()
    shutil.rmtree(tmp_path / "a" / "cache", ignore_errors=True)
    film = films / "images" / "p000_0.png"
    assert main(["similar", str(tmp_path / "a"), str(film), "--device", "cpu"]) == 0
    assert main(["import", str(tmp_path / "a"), str(films), "--storage", bucket.url("elsewhere")]) != 0
    assert "--storage is for a new archive" in capfd.readouterr().err


def test_a_bucket_that_is_not_there_makes_no_archive(bucket: Bucket, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="There is no bucket"):
        Archive.open(tmp_path / "a", create=True, storage="s3://no-such-bucket/store")
    assert not (tmp_path / "a" / "casewise.toml").exists()


def test_copies_stay_within_their_size_and_the_last_used_stay(
    films: Path, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [picture(tmp_path / "more" / f"{number}.png", number + 100, size=64) for number in range(12)]
    size = max(path.stat().st_size for path in paths)
    monkeypatch.setenv("CASEWISE_CACHE", str(tmp_path / "copies"))
    monkeypatch.setenv("CASEWISE_CACHE_BYTES", str(4 * size))
    with made(tmp_path / "a", bucket, tmp_path / "more") as archive:
        for case in archive.cases():
            assert case.image.spatial_shape == (64, 64)
            let_go()
        last = archive.images()[-1]
        archive.case(last.key).image  # noqa: B018 - it is read
        held = [path for path in (tmp_path / "copies").rglob("*.png")]

    assert sum(path.stat().st_size for path in held) <= 5 * size
    assert last.key in {path.stem for path in held}
    assert not (tmp_path / "a" / "cache").exists()


def test_a_copy_in_use_is_not_removed(bucket: Bucket, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "copies", 100, "server")
    address = Address("bucket", "in/use")
    used = cache.get(address, lambda part: part.write_bytes(bytes(90)))
    fill = f"""
from pathlib import Path
from casewise.archive.remote.address import Address
from casewise.archive.remote.cache import Cache, let_go
cache = Cache(Path({str(tmp_path / "copies")!r}), 100, "server")
for number in range(5):
    cache.get(Address("bucket", f"other/{{number}}"), lambda part: part.write_bytes(bytes(50)))
    let_go()
"""
    subprocess.run([sys.executable, "-c", fill], check=True, timeout=SECONDS)
    assert used.read_bytes() == bytes(90)
    let_go()
    subprocess.run([sys.executable, "-c", fill.replace("other", "more")], check=True, timeout=SECONDS)
    assert not used.exists()


def test_two_processes_fill_the_copies_at_once(films: Path, bucket: Bucket, tmp_path: Path) -> None:
    made(tmp_path / "a", bucket, films).close()
    shutil.rmtree(tmp_path / "a" / "cache", ignore_errors=True)
    read = f"""
from casewise.archive import Archive
with Archive.open({str(tmp_path / "a")!r}) as archive:
    for case in archive.cases():
        assert case.image.array.any() and case.load_masks["lung"]().any()
"""
    environment = {**os.environ, "CASEWISE_CACHE_BYTES": "1"}  # each removes whatever the other does not hold
    running = [subprocess.Popen([sys.executable, "-c", read], env=environment) for _ in range(2)]
    assert [process.wait(120) for process in running] == [0, 0]


def test_storage_that_is_away_is_a_sentence(bucket: Bucket, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with unsteady(bucket.server.port) as proxy, made(tmp_path / "a", bucket, films) as archive:
        shutil.rmtree(tmp_path / "a" / "cache", ignore_errors=True)
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        proxy.cut_after, proxy.cuts = 0, 1000
        with pytest.raises(UnreadableImageError, match="connection"):
            _ = archive.cases()[0].image


@given(st.text(st.characters(codec=None, max_codepoint=0x2FF) | st.sampled_from("./\\\0"), max_size=40))
def test_a_key_is_a_file_of_its_own_below_the_folder_or_none(key: str) -> None:
    root = Path("/copies/server")
    path = Address("bucket", key).below(root)
    if path is not None:
        assert Path(os.path.normpath(path)) == path
        assert path.is_relative_to(root / "bucket")
        assert path != root / "bucket"
        assert Address.of_copy(path, root) == Address("bucket", key)


@pytest.mark.parametrize(
    "key", ["", "..", "a/../b", "/a", "a//b", "a/", "./a", "a\0b", "x" * 256, "a/" * 513 + "a", "a\\b", "\ud800"]
)
def test_a_key_that_is_no_name(key: str) -> None:
    assert Address("bucket", key).below(Path("/copies")) is None
