"""Opening archives, good and bad; adding to them; what they store; PostgreSQL."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from casewise.archive import Archive
from casewise.case import Case
from casewise.errors import ArchiveError, CasewiseError
from casewise.header import Header
from casewise.image import Image
from tests.image_trees import MeanEncoder, mask, paired, picture, snapshot, volume
from tests.postgresql import postgresql_server


def _one_sentence(error: BaseException) -> str:
    text = str(error)
    assert text.endswith(".") and "\n" not in text and "Traceback" not in text and "sqlite3." not in text
    return text


def test_what_is_no_archive(tmp_path: Path) -> None:
    for place, said in (
        (tmp_path / "none", "no archive at"),
        (tmp_path, "is no archive"),
        (picture(tmp_path / "a.png", 1), "is a file"),
    ):
        with pytest.raises(ArchiveError) as caught:
            Archive.open(place)
        assert said in _one_sentence(caught.value)
    with pytest.raises(ArchiveError) as caught:
        Archive.open(tmp_path / "a.png", create=True)
    assert "is a file" in _one_sentence(caught.value)


@pytest.mark.parametrize("where", ["description", "catalogue"])
def test_an_archive_of_a_newer_version(tmp_path: Path, where: str) -> None:
    Archive.open(tmp_path / "a", create=True).close()
    if where == "description":
        (tmp_path / "a" / "casewise.toml").write_text("version = 99\n")
    else:
        with sqlite3.connect(tmp_path / "a" / "catalogue.sqlite") as connection:
            connection.execute("UPDATE meta SET value = '99'")
    with pytest.raises(ArchiveError) as caught:
        Archive.open(tmp_path / "a")
    assert "version 99" in _one_sentence(caught.value) and "newer casewise" in str(caught.value)


def test_damaged_archives(tmp_path: Path) -> None:
    for damage, said in (
        (lambda folder: (folder / "catalogue.sqlite").write_bytes(b"not a database at all" * 99), "not an SQLite file"),
        (lambda folder: (folder / "catalogue.sqlite").unlink(), "lost its catalogue"),
        (lambda folder: (folder / "casewise.toml").write_text("version = "), "casewise.toml cannot be read"),
        (lambda folder: (folder / "casewise.toml").write_text("version = 'x'"), "does not say its version"),
    ):
        folder = tmp_path / said.replace(" ", "-")
        Archive.open(folder, create=True).close()
        damage(folder)
        with pytest.raises(ArchiveError) as caught:
            Archive.open(folder)
        assert said in _one_sentence(caught.value)


def test_a_read_only_archive_is_read_and_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = paired(tmp_path / "chest", 3)
    with Archive.open(tmp_path / "archive", create=True) as archive:
        archive.import_paths([data], encoder=MeanEncoder())
        expected = snapshot(archive)
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    before = sorted(path.name for path in (tmp_path / "archive").rglob("*"))
    with Archive.open(tmp_path / "archive") as archive:
        assert snapshot(archive) == expected
        assert len(archive.cases(["lung"])) == 3
        assert len(archive.similar(archive.cases()[0].image, k=2, encoder=MeanEncoder())) == 2
        for write in (
            lambda: archive.add(Image(np.zeros((1, 4, 4), np.uint8))),
            lambda: archive.import_paths([picture(tmp_path / "new.png", 77)]),
        ):
            with pytest.raises(ArchiveError) as caught:
                write()
            assert "read-only" in _one_sentence(caught.value)
    assert sorted(path.name for path in (tmp_path / "archive").rglob("*")) == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB; only root may mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0 or subprocess.run([mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize("copy", [False, True], ids=["catalogue", "copies"])
def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path: Path, small_disk: Path, copy: bool) -> None:
    for number in range(40):
        picture(tmp_path / "data" / f"{number}.png", number, size=300 if copy else 32)
    with Archive.open(small_disk / "archive", create=True) as archive:
        archive.import_paths([tmp_path / "data" / "0.png"])
        if not copy:
            filler = small_disk / "filler"
            with pytest.raises(OSError), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(b"x" * 4096)
        with pytest.raises(ArchiveError) as caught:
            archive.import_paths([tmp_path / "data"], copy=copy)
        assert "disk" in _one_sentence(caught.value).lower()
        assert len(archive) >= 1
        if not copy:
            filler.unlink()
            archive.import_paths([tmp_path / "data"])
            assert len(archive) == 40


def test_a_file_size_limit_is_one_sentence(tmp_path: Path) -> None:
    """What a quota does: the catalogue may not grow."""
    for number in range(200):
        picture(tmp_path / "data" / f"{number}.png", number)
    Archive.open(tmp_path / "archive", create=True).close()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            size = (tmp_path / "archive" / "catalogue.sqlite").stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            Archive.open(tmp_path / "archive").import_paths([tmp_path / "data"])
        except ArchiveError as error:
            code = 0 if "disk" in str(error).lower() else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    with Archive.open(tmp_path / "archive") as archive:
        archive.import_paths([tmp_path / "data"])
        assert len(archive) == 200


def test_adding_from_memory_keeps_pixels_geometry_and_key(tmp_path: Path) -> None:
    affine = np.diag([0.5, 2.0, 3.0, 1.0])
    affine[:3, 3] = (1, 2, 3)
    held = Image(np.random.default_rng(0).normal(size=(1, 5, 6, 7)).astype(np.float32), affine, Header(modality="MR", age=40.0))
    lung = np.zeros((5, 6, 7), bool)
    lung[1:3] = True
    with Archive.open(tmp_path / "a", create=True) as archive:
        key = archive.add(held, {"lung": lung}, category="x", site="here", subject="s1", content={"dose": 3}, name="first")
        assert key == Case.of(held).key
        assert archive.add(held) == key
        assert len(archive) == 1
        case = archive.case(key)
    assert (case.image.array == held.array).all() and np.allclose(case.image.affine, affine, atol=1e-5)
    assert (case.load_masks["lung"]() == lung).all()
    assert (case.category, case.site, case.subject, case.name) == ("x", "here", "s1", "first")
    assert (case.content["modality"], case.content["age"], case.content["dose"]) == ("MR", 40, 3)


@pytest.mark.parametrize("shape", [(1, 9, 8), (3, 9, 8), (1, 4, 5, 6)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_adding_keeps_every_type(tmp_path: Path, shape: tuple[int, ...], dtype: type) -> None:
    array = np.random.default_rng(1).integers(0, 99, shape).astype(dtype)
    with Archive.open(tmp_path / "a", create=True) as archive:
        loaded = archive.case(archive.add(Image(array, header=Header(spacing_known=False)))).image
    assert loaded.array.dtype == dtype and (loaded.array == array).all()


def test_a_correction_replaces_the_mask_of_its_name(tmp_path: Path) -> None:
    path = picture(tmp_path / "a1.png", 1)
    first, second = np.zeros((16, 16), bool), np.zeros((16, 16), bool)
    first[:4], second[8:] = True, True
    with Archive.open(tmp_path / "a", create=True) as archive:
        key = archive.add(path, {"lung": first})
        archive.add(path, {"lung": second, "heart": mask(tmp_path / "heart.png", (255,), (16, 16))})
        case = archive.case(key)
    assert set(case.load_masks) == {"lung", "heart"}
    assert (case.load_masks["lung"]() == second).all()


def test_adding_and_importing_a_file_know_each_other(tmp_path: Path) -> None:
    path = volume(tmp_path / "d" / "v1.nii.gz", 1)
    with Archive.open(tmp_path / "a", create=True) as archive:
        key = archive.add(path)
        report = archive.import_paths([tmp_path / "d"])
        assert (report.added, report.known) == (0, 1)
        assert archive.keys_of(path) == archive.keys_of(archive.case(key).image) == {key}
        assert archive.keys_of(tmp_path / "nothing.png") == set()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (lambda folder: folder / "none.png", "does not exist"),
        (lambda folder: folder / "text.png", "text file"),
    ],
)
def test_adding_what_is_no_image(tmp_path: Path, given, said: str) -> None:
    (tmp_path / "text.png").write_text("hello")
    with Archive.open(tmp_path / "a", create=True) as archive, pytest.raises(CasewiseError) as caught:
        archive.add(given(tmp_path))
    assert said in _one_sentence(caught.value)


def test_a_mask_of_another_shape_is_refused_and_nothing_is_added(tmp_path: Path) -> None:
    with Archive.open(tmp_path / "a", create=True) as archive:
        with pytest.raises(ArchiveError, match="grid"):
            archive.add(Image(np.zeros((1, 4, 4), np.uint8)), {"x": np.zeros((4, 5), bool)})
        assert len(archive) == 0


def test_a_path_out_of_the_archive_is_refused(tmp_path: Path) -> None:
    with Archive.open(tmp_path / "a", create=True) as archive:
        key = archive.add(Image(np.zeros((1, 4, 4), np.uint8)))
        with sqlite3.connect(tmp_path / "a" / "catalogue.sqlite") as connection:
            connection.execute("UPDATE images SET path = '../../etc/passwd'")
        with pytest.raises(ArchiveError, match="outside its folder"):
            _ = archive.case(key).image


def test_models_and_results_are_stored(tmp_path: Path) -> None:
    with Archive.open(tmp_path / "a", create=True) as archive:
        archive.add_model("k1", "lungs", tmp_path / "m", {"dice": 0.9})
        archive.add_model("k1", "lungs 2", tmp_path / "m", {"dice": 0.95})
        archive.record_result({"findings": []}, "image1")
        archive.record_result({"findings": [1]}, "image2")
        assert archive.models() == [{"key": "k1", "name": "lungs 2", "path": str(tmp_path / "m"), "data": {"dice": 0.95}}]
        assert archive.results("image2") == [{"findings": [1]}]
        assert len(archive.results()) == 2
        assert archive.subsets() == []


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """A PostgreSQL server of its own; the URL of an empty database."""
    with postgresql_server() as url:
        yield url


def test_postgresql_holds_the_same_archive(tmp_path: Path, postgresql: str) -> None:
    pytest.importorskip("psycopg")
    data = paired(tmp_path / "chest", 4)
    volume(tmp_path / "chest" / "images" / "v9.nii.gz", 9)
    with Archive.open(tmp_path / "sqlite", create=True) as archive:
        archive.import_paths([data], encoder=MeanEncoder())
        expected = snapshot(archive)
    secret = postgresql.replace("tester@", "tester:secret@")
    with Archive.open(tmp_path / "pg", create=True, database=secret) as archive:
        first = archive.import_paths([data], encoder=MeanEncoder())
    assert "secret" not in (tmp_path / "pg" / "casewise.toml").read_text()
    with Archive.open(tmp_path / "pg") as archive:
        second = archive.import_paths([data], encoder=MeanEncoder())
        assert snapshot(archive) == expected
        assert (first.added, second.added, second.known) == (5, 0, 5)
        assert len(archive.cases(["lung"])) == 4
        picture(data / "images" / "p000_0.png", 55)
        assert archive.import_paths([data]).added == 1
        assert len(archive) == 5
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with Archive.open(tmp_path / "pg") as archive:
                archive.import_paths([paired(tmp_path / "second", 10, first_seed=500)], encoder=MeanEncoder())
            code = 0
        finally:
            os._exit(code)
    with Archive.open(tmp_path / "pg") as archive:
        archive.import_paths([paired(tmp_path / "third", 10, first_seed=700)], encoder=MeanEncoder())
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert len(archive) == 25
        archive.embed(MeanEncoder())
        assert len(set(archive.vectors(MeanEncoder())[1].tolist())) == 25


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql+psycopg://nobody@127.0.0.1:1/none", "cannot be reached"),
        ("mysql://user:secret@host/db", "SQLite (no URL) or PostgreSQL"),
        ("no url", "not understood"),
    ],
)
def test_a_wrong_database_url(tmp_path: Path, url: str, said: str) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(ArchiveError) as caught:
        Archive.open(tmp_path / "a", create=True, database=url)
    assert said in _one_sentence(caught.value) and "secret" not in str(caught.value)


def test_results_recorded_together_keep_their_order(tmp_path: Path) -> None:
    with Archive.open(tmp_path / "a", create=True) as archive:
        numbers = archive.record_results([({"n": n}, f"k{n % 2}") for n in range(5)])
        assert numbers == sorted(set(numbers)) and len(numbers) == 5
        assert [archive.numbered_result(f"k{n % 2}", number) for n, number in enumerate(numbers)] == [{"n": n} for n in range(5)]
        assert archive.record_result({"n": 5}) > numbers[-1] and archive.record_results([]) == []
        assert archive.newest_result("k0") == (numbers[4], {"n": 4}, 2)
