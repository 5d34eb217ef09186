"""Archives that were left half-written, deleted while in use, or damaged: cleaned, noticed, or one sentence."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from casewise.archive import Archive
from casewise.archive.leftovers import writing
from casewise.errors import ArchiveError
from casewise.image import Image

PICTURE = Image(np.arange(30, dtype=np.uint8).reshape(1, 5, 6))


def made(folder: Path, count: int = 2) -> Path:
    with Archive.open(folder, create=True) as archive:
        for number in range(count):
            archive.add(PICTURE.with_array(PICTURE.array + np.uint8(number)), {"disc": PICTURE.array[0] > 12}, category="x")
    return folder


def leftovers(folder: Path) -> list[Path]:
    """A file, a series' folder and a set's description, as writers that were killed leave them."""
    some = next(path for path in (folder / "files").iterdir() if path.is_dir())
    (folder / "sets" / "disc").mkdir(parents=True)
    files = [
        folder / ".writing-a.png",
        some / ".writing-0123456789abcdef",
        some / ".writing-series",
        folder / "sets/disc/.set-77.json",
    ]
    files[2].mkdir()
    (files[2] / "slice.dcm").write_bytes(b"x")
    for path in (files[0], files[1], files[3]):
        path.write_bytes(b"half")
    return files


def test_what_is_half_written_is_removed_at_the_next_opening(tmp_path: Path) -> None:
    folder = made(tmp_path / "A")
    whole = sorted(path for path in folder.rglob("*.png"))
    half = leftovers(folder)
    with Archive.open(folder) as archive:
        assert not [path for path in half if os.path.lexists(path)]
        assert len(archive) == 2
        assert all(case.image.array.size for case in archive.cases())
    assert [path for path in whole if not path.exists()] == []


def test_what_a_running_writer_writes_stays(tmp_path: Path) -> None:
    folder = made(tmp_path / "A")
    half = leftovers(folder)
    code = "import sys; from pathlib import Path; from casewise.archive.leftovers import writing\n"
    code += "with writing(Path(sys.argv[1])): print('writing', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        Archive.open(folder).close()
        assert all(os.path.lexists(path) for path in half)
        with writing(folder):
            pass
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    Archive.open(folder).close()
    assert not [path for path in half if os.path.lexists(path)]


def test_cleaning_follows_no_link(tmp_path: Path) -> None:
    folder = made(tmp_path / "A")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / ".writing-mine").write_bytes(b"mine")
    (folder / "subsets").symlink_to(tmp_path / "mine")
    (folder / "files" / "zz").symlink_to(tmp_path / "mine")
    (folder / ".writing-link").symlink_to(tmp_path / "mine")
    Archive.open(folder).close()
    assert (tmp_path / "mine" / ".writing-mine").read_bytes() == b"mine"
    assert not os.path.lexists(folder / ".writing-link")


def test_an_import_killed_while_it_copies_leaves_nothing_for_long(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    Pillow.fromarray(PICTURE.array[0]).save(source / "a.png")
    code = textwrap.dedent(
        """
        import os, sys
        from pathlib import Path
        from casewise.archive import Archive, storage
        def killed(source, target):
            target.write_bytes(b"half")
            os.kill(os.getpid(), 9)
        storage._copy_file = killed
        Archive.open(sys.argv[1], create=True).import_paths([sys.argv[2]], copy=True)
        """
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "A"), str(source)], check=False)
    assert list((tmp_path / "A").rglob(".writing-*"))
    with Archive.open(tmp_path / "A") as archive:
        assert not list((tmp_path / "A").rglob(".writing-*"))
        assert archive.import_paths([source], copy=True).added == 1


@pytest.mark.parametrize("way", ["deleted", "moved", "replaced", "description deleted"])
def test_an_archive_that_goes_while_in_use_is_noticed(tmp_path: Path, way: str) -> None:
    folder = made(tmp_path / "A")
    archive = Archive.open(folder)
    assert len(archive) == 2
    if way == "deleted":
        shutil.rmtree(folder)
    elif way == "description deleted":
        (folder / "casewise.toml").unlink()
    else:
        folder.rename(tmp_path / "B")
    if way == "replaced":
        made(folder, 1)
    for call in (lambda: len(archive), archive.cases, lambda: archive.add(PICTURE.with_array(PICTURE.array * 2))):
        with pytest.raises(ArchiveError, match="was moved, deleted or replaced while it was in use") as caught:
            call()
        assert str(folder) in str(caught.value)
    archive.close()


def test_an_archive_deleted_within_a_transaction_is_noticed(tmp_path: Path) -> None:
    folder = made(tmp_path / "A")
    with Archive.open(folder) as archive, pytest.raises(ArchiveError, match="while it was in use"), archive._catalogue.write():
        shutil.rmtree(folder)


DAMAGES = [
    ("images", "files", "'{'"),
    ("images", "files", "'5'"),
    ("images", "shape", "'null'"),
    ("images", "shape", "'\"abc\"'"),
    ("images", "shape", "'[5, \"x\"]'"),
    ("images", "spacing", "'[1, -1]'"),
    ("images", "content", "'[]'"),
    ("images", "content", "'not json'"),
    ("images", "content", "''"),
    ("labels", "origin", "'7'"),
    ("labels", "value", "'\"x\"'"),
    ("labels", "boxes", "'[[5]]'"),
]


@pytest.mark.parametrize(("table", "column", "value"), DAMAGES)
def test_damaged_json_is_one_sentence(tmp_path: Path, table: str, column: str, value: str) -> None:
    folder = made(tmp_path / "A")
    with sqlite3.connect(folder / "catalogue.sqlite") as connection:
        connection.execute(f"UPDATE {table} SET {column} = {value}")
    with Archive.open(folder) as archive, pytest.raises(ArchiveError, match="catalogue is damaged") as caught:
        archive.images()
        archive.cases()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("version", ["0", "-1", "00", "one", "", "2", "999999999999999999999", "1" * 5000])
@pytest.mark.parametrize("place", ["catalogue", "description"])
def test_other_schemas_are_one_sentence(tmp_path: Path, version: str, place: str) -> None:
    folder = made(tmp_path / "A")
    if place == "catalogue":
        with sqlite3.connect(folder / "catalogue.sqlite") as connection:
            connection.execute("UPDATE meta SET value = ? WHERE name = 'schema'", (version,))
    else:
        (folder / "casewise.toml").write_text(f'version = "{version}"\n')
    with pytest.raises(ArchiveError, match=r"install a newer casewise|does not say its version") as caught:
        Archive.open(folder)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_pipes_sockets_and_devices_are_passed_over_with_their_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "in"
    source.mkdir()
    monkeypatch.chdir(source)
    Pillow.fromarray(PICTURE.array[0]).save("good.png")
    for name in ("pipe.png", "pipe.dcm", "labels.csv", "dataset.json", "good_mask.png", "participants.tsv"):
        os.mkfifo(name)
    Path("zero.nii").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.dcm")
    with Archive.open(tmp_path / "A", create=True) as archive:
        report = archive.import_paths([source, source / "pipe.png"])
        assert (report.added, report.labels) == (1, 0)
        reasons = {Path(one.path).name: one.reason for one in report.skipped}
        names = {
            "pipe.png",
            "pipe.dcm",
            "labels.csv",
            "dataset.json",
            "good_mask.png",
            "participants.tsv",
            "zero.nii",
            "socket.dcm",
        }
        assert {name for name, reason in reasons.items() if "a pipe, a socket or a device" in reason} == names
        failed = archive.import_paths([source / "pipe.dcm"]).failed
        assert len(failed) == 1
        assert "never opened" in failed[0].reason


def test_an_image_moved_after_its_import_is_said_to_be_moved(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    Pillow.fromarray(PICTURE.array[0]).save(source / "a.png")
    with Archive.open(tmp_path / "A", create=True) as archive:
        archive.import_paths([source])
        (source / "a.png").unlink()
        (case,) = archive.cases()
        with pytest.raises(Exception, match=r"a\.png was moved or deleted"):
            case.image.array.sum()


def test_a_header_of_voxels_takes_no_linked_file_into_the_archive(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_bytes(b"secret" * 200)
    source = tmp_path / "in"
    source.mkdir()
    header = "NDims = 2\nDimSize = 40 20\nElementType = MET_UCHAR\nElementDataFile = {}\n"
    for name, data in (("link", "link.raw"), ("up", "../secret.txt"), ("absolute", str(secret))):
        (source / f"{name}.mhd").write_text(header.format(data))
    (source / "link.raw").symlink_to(secret)
    with Archive.open(tmp_path / "A", create=True) as archive:
        report = archive.import_paths([source], copy=True)
    assert report.added == 0
    assert len(report.failed) == 3
    assert not [path for path in (tmp_path / "A").rglob("*") if path.is_file() and b"secretsecret" in path.read_bytes()]
