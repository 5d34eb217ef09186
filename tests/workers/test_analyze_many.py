"""``casewise analyze`` of many images: the same results whoever works, and each image once, whatever is killed."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image as Pillow

from casewise.applications.runner import Runner
from casewise.cli import main
from casewise.errors import UsageError
from casewise.pipeline.journal import NAME, Journal, journal, stamp_of
from casewise.pipeline.many import Options, analyze_many, usual_limit
from casewise.workers import Here, Lost, Make, Processes, Workers
from casewise.workers.contract import Item, Outcome
from tests.waiting import SECONDS
from tests.workers.labour import HangsWith

_QUALITY = Options(application="quality", device="cpu")

MANY = 80  # images


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Ten pictures, two of one name, and a file that is none."""
    paths = [tmp_path / "in" / ("a" if number else "b") / f"{max(1, number)}.png" for number in range(10)]
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).normal(90, 30, (72, 64 + number)).clip(0, 255)
        Pillow.fromarray(noise.astype(np.uint8)).save(path)
    paths[4].write_bytes(b"no picture")
    return paths


def _untimed(path: Path, folder: Path) -> bytes:
    """A result's file without what differs between two calls that give the same: seconds, and its folder's path."""
    content = path.read_bytes()
    if path.suffix == ".json":
        content = json.dumps(_without_seconds(json.loads(content))).encode()
    if path.suffix == ".html":
        content = re.sub(rb"data:application/json;base64,[\w+/=]*", b"", content)
        content = re.sub(rb"[\d.,]+ s\b", b"", re.sub(rb"width:\s*[\d.]+%", b"", content))
    return content.replace(str(folder).encode(), b"")


def _without_seconds(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_seconds(entry) for name, entry in value.items() if name != "seconds"}
    return [_without_seconds(entry) for entry in value] if isinstance(value, list) else value


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): _untimed(path, folder) for path in sorted(folder.rglob("*")) if path.is_file()}


def test_all_workers_give_the_same_results(pictures: list[Path], on_ray: Workers, tmp_path: Path) -> None:
    everyone: dict[str, Workers] = {"here": Here(), "processes": Processes(2), "ray": on_ray}
    outcomes, files = {}, {}
    for name, workers in everyone.items():
        with Runner() if name == "here" else nullcontext() as runner:
            found = analyze_many(pictures, Options(device="cpu"), tmp_path / name, workers, runner=runner)
        outcomes[name] = [one.get("failure") or (one["headline"], Path(one["report"]).name) for one in found]
        files[name] = _files(tmp_path / name)
    assert outcomes["here"] == outcomes["processes"] == outcomes["ray"]
    assert files["here"] == files["processes"] == files["ray"]
    assert set(files["here"]) >= {"index.html", "1.html", "1-2.json", "9.json"}
    assert NAME not in files["here"]
    assert [one["image"] for one in found if "failure" in one] == [str(pictures[4])]
    assert str(pictures[4]) in (tmp_path / "ray" / "index.html").read_text()


def _command(pictures: Sequence[Path], output: Path, *words: str) -> list[str]:
    command = [sys.executable, "-m", "casewise", "analyze", *map(str, pictures), "--output", str(output), "--json"]
    return [*command, "--application", "quality", *words]


def _started(command: Sequence[str], output: Path, lines: int) -> subprocess.Popen[str]:
    """A call that has recorded so many images."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell starts what it puts in the background with Ctrl-C ignored, and these tests with it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    until = time.monotonic() + 90
    while len(_recorded(output)) < lines and time.monotonic() < until and process.poll() is None:
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()[1]
    return process


def _recorded(output: Path) -> dict[str, int]:
    """Name → inode of the result, of images that are recorded as done."""
    names = []
    with suppress(FileNotFoundError):
        for line in (output / NAME).read_text().splitlines()[1:]:
            with suppress(ValueError):
                names.append(json.loads(line)["name"])
    return {name: (output / f"{name}.json").stat().st_ino for name in names if (output / f"{name}.json").exists()}


def _family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    root = psutil.Process(process.pid)
    return [root, *root.children(recursive=True)]


def _ended(family: list[psutil.Process], seconds: float = 20.0) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not [one for one in family if _works(one)]:
            return True
        time.sleep(0.05)
    return False


def _works(process: psutil.Process) -> bool:
    """Whether it lives. Left out are processes of Ray that are no actors: they touch no image, and some of them take a minute where
    their raylet was killed.
    """
    with suppress(psutil.NoSuchProcess):
        of_ray = re.search(r"^ray::(?!_Actor)|/ray/", " ".join(process.cmdline()))
        return process.status() != psutil.STATUS_ZOMBIE and not of_ray
    return False


@pytest.fixture
def many(tmp_path: Path) -> list[Path]:
    """Files, of which one is no picture; so many that a call is killed long before it is done."""
    paths = [tmp_path / "in" / f"{number}.png" for number in range(MANY)]
    paths[0].parent.mkdir()
    for number, path in enumerate(paths):
        Pillow.fromarray(np.random.default_rng(number).integers(0, 255, (64, 64), np.uint8)).save(path)
    paths[7].write_bytes(b"no picture")
    return paths


@pytest.mark.parametrize("on", ["processes", "ray"])
def test_killed_workers_and_a_killed_call_leave_each_image_done_once(
    many: list[Path], tmp_path: Path, on: str, request: pytest.FixtureRequest
) -> None:
    if on == "ray":
        request.getfixturevalue("on_ray")  # skips where Ray is missing
    output, chance = tmp_path / "out", random.Random(3)
    command = _command(many, output, "--workers", "2", *(["--on", "ray"] if on == "ray" else []))
    process = _started(command, output, chance.randint(1, 9))
    chance.choice(_workers(process)).kill()
    time.sleep(chance.uniform(0, 0.2))
    family = _family(process)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL  # it was not done before
    assert _ended(family)
    known = _recorded(output)
    assert known
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 1, done.stderr
    assert re.search(rf"\d+ of {MANY} images were finished by an earlier call that was cut off, and are kept", done.stderr)
    results = json.loads(done.stdout)
    assert [result["image"] for result in results] == [str(path) for path in many if path != many[7]]
    assert {name: (output / f"{name}.json").stat().st_ino for name in known} == known
    assert not (output / NAME).exists()
    assert "did not write" not in done.stderr
    assert done.stderr.count("7.png") == 1


def _workers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    everyone = psutil.Process(process.pid).children(recursive=True)
    return [one for one in everyone if re.search(r"spawn_main|^ray::_Actor", " ".join(one.cmdline()))]


@pytest.mark.parametrize("on", ["processes", "ray"])
def test_ctrl_c_ends_everything_and_says_how_to_go_on(
    many: list[Path], tmp_path: Path, on: str, request: pytest.FixtureRequest
) -> None:
    if on == "ray":
        request.getfixturevalue("on_ray")
    output = tmp_path / "out"
    process = _started(_command(many, output, "--workers", "2", *(["--on", "ray"] if on == "ray" else [])), output, 3)
    family = _family(process)
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 130, err
    assert time.monotonic() - began < 15
    assert f"stay in {output}; run the same command again" in err and "Traceback" not in err
    done = re.search(rf"Images done: (\d+) of {MANY}\.", err)
    lines = len((output / NAME).read_text().splitlines()) - 1  # with that of an image that failed
    assert done and lines - 1 <= int(done[1]) <= lines  # the last may have been recorded and not yet counted
    assert _ended(family)


@pytest.mark.parametrize("workers", [(), ("--workers", "2")], ids=["here", "workers"])
def test_ctrl_c_before_an_image_is_done_promises_no_results(tmp_path: Path, workers: tuple[str, ...]) -> None:
    large = tmp_path / "large.png"  # takes seconds
    Pillow.fromarray(np.tile(np.arange(9000, dtype=np.uint16).astype(np.uint8), (9000, 1))).save(large)
    output = tmp_path / "out"
    process = _started(_command([large], output, *workers), output, 0)
    until = time.monotonic() + 90
    while not output.exists() and time.monotonic() < until:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, out) == (130, ""), err
    assert err.strip().splitlines()[-1] == "Stopped. No image was finished by this call; run the same command again."
    assert not list(output.glob("*.html"))


def test_a_list_names_images_beside_those_of_the_command(pictures: list[Path], tmp_path: Path, capfd) -> None:  # type: ignore[no-untyped-def]
    listed = tmp_path / "films.txt"
    listed.write_text(f"{pictures[1]}\n\n{pictures[2]}\n")
    words = ["analyze", str(pictures[3]), "--list", str(listed), "--application", "quality", "--output", str(tmp_path / "out")]
    assert main([*words, "--json"]) == 0
    results = json.loads(capfd.readouterr().out)
    assert [result["image"] for result in results] == [str(pictures[number]) for number in (3, 1, 2)]
    assert main(["analyze", "--list", str(tmp_path / "none.txt")]) == 2
    assert "give --list a text file" in capfd.readouterr().err


def test_only_what_has_not_changed_is_kept(pictures: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "out"
    call = {"name": "x"}
    output.mkdir()
    with pytest.raises(KeyboardInterrupt), journal(output, call) as record:
        record.start()
        for name, path in zip("abc", pictures[:3], strict=True):
            record.record(name, str(path), stamp_of(path), {"image": str(path)})
        raise KeyboardInterrupt
    with (output / NAME).open("a") as file:
        file.write('{"name": "d", "ima')  # of a killed process
    pictures[1].write_bytes(b"another picture by now")
    record = Journal(output, call)
    kept = [record.outcome(name, str(path), stamp_of(path)) for name, path in zip("abcd", pictures[:4], strict=True)]
    assert kept == [{"image": str(pictures[0])}, None, {"image": str(pictures[2])}, None]
    assert record.outcome("a", str(pictures[2]), stamp_of(pictures[2])) is None
    assert Journal(output, {"name": "y"}).kept == 0
    record.start()
    record.close(done=False)
    assert Journal(output, call).kept == 3


def test_a_folder_is_one_calls_at_a_time(tmp_path: Path) -> None:
    with (
        journal(tmp_path, {}),
        pytest.raises(UsageError, match="Another call is analysing images into"),
        journal(tmp_path, {}),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_the_user_is_no_journal(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("my notes\n")
    with pytest.raises(UsageError, match="is not a record of an analysis"), journal(tmp_path, {}):
        pass
    assert (tmp_path / NAME).read_text() == "my notes\n"


def test_a_stamp_changes_with_any_file_of_a_folder(tmp_path: Path) -> None:
    assert stamp_of(tmp_path / "none") is None
    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "1.dcm").write_bytes(b"1")
    before = stamp_of(tmp_path / "series")
    (tmp_path / "series" / "2.dcm").write_bytes(b"2")
    assert before != stamp_of(tmp_path / "series")


def test_files_of_the_user_are_not_overwritten_by_workers(pictures: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / "3.html").write_text("mine")
    found = analyze_many(pictures[:4], _QUALITY, output, Processes(2))
    assert "did not write" in found[3]["failure"]
    assert (output / "3.html").read_text() == "mine"
    assert not [one for one in found[:3] if "failure" in one]
    found = analyze_many(pictures[:4], _QUALITY, output, Processes(2), force=True)
    assert not [one for one in found if "failure" in one]


class Hanging:
    """Processes of which each hangs with one image."""

    size = 2

    def __init__(self, name: str) -> None:
        self._name = name

    def run(self, chunks: Sequence[Sequence[Item]], make: Make[Item, Outcome]) -> Generator[tuple[Item, Outcome | Lost]]:
        return Processes(self.size, limit=8).run(chunks, HangsWith(make, self._name))


def test_an_image_that_hangs_is_named_and_the_others_are_done(pictures: list[Path], tmp_path: Path) -> None:
    found = analyze_many(pictures[5:8], _QUALITY, tmp_path / "out", Hanging("6.png"))
    assert [one.get("failure", "")[:29] for one in found] == ["", "It took longer than 8 seconds", ""]
    assert [path.name for path in sorted((tmp_path / "out").glob("*.json"))] == ["5.json", "7.json"]
    assert str(pictures[6]) in (tmp_path / "out" / "index.html").read_text()


def test_only_workers_can_be_ended(pictures: list[Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", str(pictures[0]), "--timeout", "5", "--output", str(tmp_path / "out")]) == 2
    assert "give it with --workers or --on" in capfd.readouterr().err


def test_refinement_has_more_time() -> None:
    assert usual_limit(Options()) == usual_limit(Options(archive="a", adapt="subset")) == 3600
    assert usual_limit(Options(archive="a")) == usual_limit(Options(archive="a", adapt="similar")) == 6 * 3600
