"""``casewise analyze --all``: the images of an archive, each with one result in it, whoever works and whatever is killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from PIL import Image as Pillow

from casewise.archive import Archive
from casewise.archive.storage import located
from casewise.cli import main
from casewise.errors import ArchiveError, CasewiseError, UsageError
from casewise.pipeline import archived
from casewise.pipeline.archived import Outcome, analyze_archive
from casewise.pipeline.recorded import results_folder
from casewise.workers import Here, Lost, Workers
from casewise.workers.contract import Do
from tests.postgresql import postgresql_server

_COUNT = 9


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An archive of nine pictures."""
    return _archive(tmp_path)


def _archive(tmp_path: Path, database: str | None = None, count: int = _COUNT) -> Path:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(count):
        noise = np.random.default_rng(number).normal(90, 30, (64, 64)).clip(0, 255)
        Pillow.fromarray(noise.astype(np.uint8)).save(pictures / f"{number}.png")
    with Archive.open(tmp_path / "archive", create=True, database=database) as archive:
        archive.import_paths([pictures], site="north")
    return tmp_path / "archive"


def _results(folder: Path) -> dict[str, dict[str, Any]]:
    """By key. Each image has one."""
    with Archive.open(folder) as archive:
        keys = [record.key for record in archive.images()]
        found = {key: archive.results(key) for key in keys}
    assert {key: len(rows) for key, rows in found.items()} == dict.fromkeys(keys, 1)
    return {key: rows[0] for key, rows in found.items()}


def test_results_are_those_of_the_command_and_stand_in_the_archive(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["--application", "quality", "--device", "cpu", "--json"]
    assert main(["analyze", "--all", "--archive", str(folder), "--workers", "2", *words]) == 0
    assert json.loads(capfd.readouterr().out) == {"analysed": _COUNT, "kept": 0, "failed": []}
    found = _results(folder)
    for data in found.values():
        assert located(folder, data["report"]).is_file()
        assert data["job"] == archived.JOB and data["created"] > 0
    assert main(["analyze", str(tmp_path / "pictures" / "3.png"), "--output", str(tmp_path / "out"), *words]) == 0
    (alone,) = json.loads(capfd.readouterr().out)
    (same,) = [data for data in found.values() if data["image"] == "3.png"]
    for name in ("headline", "looked_for", "model"):
        assert same[name] == alone[name]
    assert [(one["label"], one["measures"]) for one in same["findings"]] == [
        (one["label"], one["measures"]) for one in alone["findings"]
    ]
    assert main(["analyze", "--all", "--archive", str(folder), *words]) == 0  # nothing is left to do
    assert json.loads(capfd.readouterr().out) == {"analysed": 0, "kept": _COUNT, "failed": []}
    assert _results(folder) == found


def test_one_process_on_all_cores_gives_the_same(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", "--all", "--archive", str(folder), "--application", "quality", "--device", "cpu"]) == 0
    assert f"{_COUNT} images analysed" in capfd.readouterr().out
    _results(folder)


def test_an_image_that_is_gone_is_named_and_tried_again(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lost = tmp_path / "pictures" / "4.png"
    content = lost.read_bytes()
    lost.unlink()
    words = ["analyze", "--all", "--archive", str(folder), "--application", "quality", "--device", "cpu"]
    assert main(words) == 1
    assert "moved or deleted" in capfd.readouterr().err
    lost.write_bytes(content)
    assert main([*words, "--json"]) == 0
    assert json.loads(capfd.readouterr().out) == {"analysed": 1, "kept": _COUNT - 1, "failed": []}
    _results(folder)


@dataclass(frozen=True)
class Noted:
    """In an analyzer's place: notes each key in a file."""

    file: Path
    broken: str = ""

    @contextmanager
    def __call__(self) -> Iterator[Do[str, Outcome]]:
        yield self._do

    def _do(self, keys: Sequence[str]) -> Iterator[Outcome]:
        for key in keys:
            with self.file.open("a") as lines:
                lines.write(f"{key}\n")
            time.sleep(0.005)
            yield Outcome(failure="It is broken.") if key == self.broken else Outcome.of({"headline": key})


class Losing(Here):
    """Workers that all end with one image."""

    def __init__(self, key: str) -> None:
        self.key = key

    def run(self, chunks: Any, make: Any) -> Any:
        for key, outcome in super().run(chunks, make):
            yield key, Lost("It ended each of 3 workers.") if key == self.key else outcome


def test_each_result_is_recorded_under_its_image_and_what_failed_is_tried_again(folder: Path, tmp_path: Path) -> None:
    with Archive.open(folder) as archive:
        lost, broken = archive.keys_without_result()[2:4]
        found = analyze_archive(archive, Noted(tmp_path / "done", broken), Losing(lost))
        assert (found.done, found.kept) == (_COUNT - 2, 0)
        assert found.failed == [(lost, "It ended each of 3 workers."), (broken, "It is broken.")]
        assert archive.keys_without_result() == [lost, broken]
        for record in archive.images():
            assert archive.results(record.key) == ([] if record.key in (lost, broken) else [{"headline": record.key}])
        again = analyze_archive(archive, Noted(tmp_path / "again"), Here())
        assert (again.done, again.kept, again.failed) == (2, _COUNT - 2, [])
    assert (tmp_path / "again").read_text().split() == [lost, broken]


def test_ray_analyses_what_is_without_a_result(folder: Path, on_ray: Workers, tmp_path: Path) -> None:
    with Archive.open(folder) as archive:
        assert analyze_archive(archive, Noted(tmp_path / "done"), on_ray).done == _COUNT
    assert all(data == {"headline": key} for key, data in _results(folder).items())


def test_what_came_before_an_error_is_recorded(folder: Path, tmp_path: Path) -> None:
    class Broken(Here):
        def run(self, chunks: Any, make: Any) -> Any:
            for number, pair in enumerate(super().run(chunks, make)):
                if number == 4:
                    raise CasewiseError("Ray has gone.")
                yield pair

    with Archive.open(folder) as archive:
        with pytest.raises(CasewiseError, match="Ray has gone"):
            analyze_archive(archive, Noted(tmp_path / "done"), Broken())
        assert len(archive.keys_without_result()) == _COUNT - 4


def test_two_calls_do_not_analyse_the_same_images(folder: Path, tmp_path: Path) -> None:
    with Archive.open(folder) as archive:

        class Second(Here):
            def run(self, chunks: Any, make: Any) -> Any:
                with pytest.raises(UsageError, match="Another call is analysing the images"):
                    analyze_archive(archive, make, Here())
                yield from super().run(chunks, make)

        assert analyze_archive(archive, Noted(tmp_path / "done"), Second()).done == _COUNT


def test_a_killed_call_goes_on_on_postgresql(tmp_path: Path) -> None:
    """Each image has one result afterwards, and no more than a batch of them was analysed twice."""
    count = 60
    with postgresql_server() as url:
        folder = _archive(tmp_path, url, count)
        script = (
            "import sys; from pathlib import Path\n"
            "from casewise.archive import Archive; from casewise.pipeline import archived, result_batches\n"
            "from casewise.workers import Here\n"
            "from tests.workers.test_analyze_archive import Noted\n"
            "result_batches.MOST = 5\n"
            "if __name__ == '__main__':\n"
            "    with Archive.open(sys.argv[1]) as archive:\n"
            "        archived.analyze_archive(archive, Noted(Path(sys.argv[2])), Here())\n"
        )
        (tmp_path / "call.py").write_text(script)
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        call = [sys.executable, str(tmp_path / "call.py"), str(folder), str(tmp_path / "done")]
        with Archive.open(folder) as archive:
            process = subprocess.Popen(call, env=environment)
            until = time.monotonic() + 60
            while len(archive.keys_without_result()) == count and time.monotonic() < until:
                time.sleep(0.002)
            process.kill()
            process.wait()
            left = archive.keys_without_result()
            assert len(left) < count
            subprocess.run(call, env=environment, check=True)
            with archive._catalogue.read() as connection:
                packed = sa.text(
                    "SELECT attcompression FROM pg_attribute WHERE attrelid = 'results'::regclass AND attname = 'data'"
                )
                assert connection.scalar(packed) == "l"  # of lz4
        assert all(data["headline"] == key for key, data in _results(folder).items())
        times = Counter((tmp_path / "done").read_text().split())
        assert len(times) == count and max(times.values()) <= 2


@pytest.mark.parametrize("words", [["--list", "-"], ["a.png"], ["--output", "there"], ["--sequence", "FLAIR=a.nii.gz"]])
def test_what_contradicts_all_is_refused(folder: Path, words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", "--all", "--archive", str(folder), *words]) == 2
    assert "leave out IMAGE, --list, --sequence and --output" in capfd.readouterr().err


def test_a_key_of_a_damaged_catalogue_leads_nowhere(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="outside its folder"):
        results_folder(tmp_path, "../../elsewhere", archived.JOB)


def test_all_wants_an_archive(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", "--all"]) == 2
    assert "name it with --archive" in capfd.readouterr().err
