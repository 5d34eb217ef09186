"""A file is whole or not there, whatever happens while it is written."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from casewise.errors import CasewiseError, UsageError
from casewise.files import claim, forget_parts, output, own_folder, protecting, replacing


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 250)  # the longest name there can be, nearly
    path.write_text("old")
    with replacing(path, durable=True) as beside:
        beside.write_text("new")
        assert path.read_text() == "old"
        assert beside.parent == tmp_path
    assert path.read_text() == "new"
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("folder", [False, True])
def test_what_is_half_written_is_removed(tmp_path: Path, folder: bool) -> None:
    (tmp_path / "kept").write_text("old")
    with pytest.raises(ValueError, match="stop"), replacing(tmp_path / "kept", prefix=".writing-", suffix=".nii.gz") as beside:
        assert beside.name.startswith(".writing-") and beside.name.endswith(".nii.gz")
        if folder:
            beside.mkdir()
            (beside / "half").write_text("half")
        else:
            beside.write_text("half")
        raise ValueError("stop")
    assert [found.name for found in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept").read_text() == "old"


def test_a_folder_appears_when_it_is_whole(tmp_path: Path) -> None:
    with replacing(tmp_path / "model") as beside:
        beside.mkdir()
        (beside / "weights").write_bytes(b"1")
        assert not (tmp_path / "model").exists()
    assert (tmp_path / "model" / "weights").read_bytes() == b"1"
    assert [found.name for found in tmp_path.iterdir()] == ["model"]


def test_the_mode_set_while_writing_stays(tmp_path: Path) -> None:
    with replacing(tmp_path / "key") as beside:
        beside.touch(0o600)
        beside.write_bytes(b"secret")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_an_output_that_cannot_be_written_is_named_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    page = tmp_path / "file" / "page.html"
    expected = r"^The report .*page\.html cannot be written: .*; choose a folder"
    with pytest.raises(CasewiseError, match=expected), output(page, "The report") as beside:
        beside.write_text("")


def test_an_output_makes_its_folder(tmp_path: Path) -> None:
    with output(tmp_path / "new" / "page.html") as beside:
        beside.write_text("page")
    assert (tmp_path / "new" / "page.html").read_text() == "page"


def test_a_file_is_casewises_own_as_soon_as_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "result.json"
    replace = Path.replace

    def cut_off(beside: Path, target: Path) -> Path:
        replace(beside, target)
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", cut_off)
    with protecting([]):
        with pytest.raises(KeyboardInterrupt), output(path) as beside:
            beside.write_text("a result")
        claim(path)  # the call that goes on may write it once more
        path.write_text("a result that somebody corrected")
        with pytest.raises(UsageError, match="did not write"):
            claim(path)


def test_a_folder_of_casewise_is_its_own_and_the_users_stays_the_users(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with protecting([]):
        for _ in range(2):
            own_folder(tmp_path / "below" / "files")
        claim(tmp_path / "below" / "files")
        own_folder(tmp_path / "mine")
        with pytest.raises(UsageError, match="did not write"):
            claim(tmp_path / "mine")
    assert [path.name for path in (tmp_path / "below").iterdir() if path.name[0] != "."] == ["files"]


def test_what_killed_processes_left_is_removed_once_it_is_old(tmp_path: Path) -> None:
    for name, age in ((".part-old.png", 100), (".part-new.png", 1), ("old.png", 100)):
        (tmp_path / name).write_bytes(b"1")
        os.utime(tmp_path / name, ((tmp_path / name).stat().st_mtime - age,) * 2)
    (tmp_path / ".part-folder").mkdir()
    os.utime(tmp_path / ".part-folder", (1, 1))
    forget_parts(tmp_path, 60)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".part-new.png", "old.png"]
