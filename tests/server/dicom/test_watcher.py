"""Watched folders: files are taken once they are whole, left where they are, and not taken again."""

from __future__ import annotations

import os
from pathlib import Path

from casewise.exchange.received import Instance, Spool
from casewise.server.dicom.watcher import Watcher
from tests.dicom_studies import film
from tests.waiting import until


def watched(tmp_path: Path, came: list[Instance]) -> Watcher:
    tmp_path.joinpath("in").mkdir(exist_ok=True)
    return Watcher([tmp_path / "in"], Spool(tmp_path / "received"), tmp_path / "taken", came.append, settled=60, look=0)


def settle(*paths: Path) -> None:
    for path in paths:
        os.utime(path, (1_700_000_000, 1_700_000_000))


def test_a_file_is_taken_when_it_does_not_change_any_more(tmp_path: Path) -> None:
    came: list[Instance] = []
    watcher = watched(tmp_path, came)
    one = film(tmp_path / "in" / "Müller, Änne", rows=60, columns=50)
    watcher.tick()
    assert came == []
    settle(*one.files)
    until(lambda: watcher.tick() or came)  # it pauses after a look
    watched(tmp_path, came).tick()
    assert [instance.series_uid for instance in came] == [one.series_uid]
    assert one.files[0].exists() and came[0].path.is_file()
    assert "Müller" not in (tmp_path / "taken").read_text()


def test_it_is_not_taken_again_after_a_restart_unless_it_changed(tmp_path: Path) -> None:
    came: list[Instance] = []
    one = film(tmp_path / "in", rows=60, columns=50)
    settle(*one.files)
    watched(tmp_path, came).tick()
    watched(tmp_path, came).tick()
    assert len(came) == 1
    film(tmp_path / "in", rows=60, columns=52, series_uid=one.series_uid, study_uid=one.study_uid)
    settle(*one.files)
    watched(tmp_path, came).tick()
    assert len(came) == 2


def test_what_is_no_dicom_file_stays_and_links_are_not_followed(tmp_path: Path) -> None:
    came: list[Instance] = []
    watcher = watched(tmp_path, came)
    (tmp_path / "in" / "notes.txt").write_text("Doe")
    outside = film(tmp_path / "outside", rows=60, columns=50)
    (tmp_path / "in" / "link.dcm").symlink_to(outside.files[0])
    (tmp_path / "in" / "folder").symlink_to(outside.folder)
    os.mkfifo(tmp_path / "in" / "pipe")
    settle(tmp_path / "in" / "notes.txt", *outside.files)
    watcher.tick()
    assert came == [] and (tmp_path / "in" / "notes.txt").exists()


def test_what_went_away_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("".join(f"{n:032x}\n" for n in range(3000)))
    watched(tmp_path, []).tick()
    assert (tmp_path / "taken").read_text() == ""
