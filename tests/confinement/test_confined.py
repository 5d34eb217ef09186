"""What a confined process cannot do, with everything that this system offers and with less."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from casewise.confinement import Confined, Plan, landlock, processes, protections, seccomp

ATTEMPTS = "tests.confinement.attempts"
ALL = ((), ("namespaces",), ("namespaces", "landlock"))
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone confines")


@pytest.fixture
def tried(tmp_path: Path) -> Callable[..., dict[str, object]]:
    """Runs one attempt and gives what it says of itself; everything it started has ended by then."""
    (tmp_path / "elsewhere").mkdir()
    victim = tmp_path / "elsewhere" / "victim.txt"
    victim.write_text("precious")
    folder = tmp_path / "own"
    folder.mkdir()

    def run(attempt: str, without: tuple[str, ...] = (), *, wait: float = 20, **plan: object) -> dict[str, object]:
        (folder / "said.txt").unlink(missing_ok=True)
        where = {"victim": str(victim), "pid": os.getpid(), "port": plan.pop("port", 0)}
        (folder / "task.json").write_text(json.dumps(where))
        held = Plan(f"{ATTEMPTS}:{attempt}", (str(folder),), without=without, **plan)  # type: ignore[arg-type]
        environment = {"PATH": os.environ["PATH"], "LC_SECRET": "no"}
        confined = Confined(held, attempt, environment, folder)
        try:
            until = time.monotonic() + wait
            while not (folder / "said.txt").exists() and confined.process.poll() is None and time.monotonic() < until:
                time.sleep(0.01)
        finally:
            confined.end()
        assert (folder / "said.txt").exists(), confined.stderr_tail
        return json.loads((folder / "said.txt").read_text())

    return run


@pytest.fixture
def signalled() -> Iterator[list[int]]:
    """Signals that reach this process."""
    got: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: got.append(number))
    other = threading.Thread(target=time.sleep, args=(3,), daemon=True)
    other.start()
    yield got
    signal.signal(signal.SIGUSR1, before)


def skip_without(what: str) -> None:
    if what in ("landlock", "all") and not landlock.holds_writes():
        pytest.skip("this kernel has no Landlock")


@pytest.mark.parametrize("without", [(), ("namespaces",), ("landlock",)])
def test_nothing_outside_its_folder_is_written(
    tried: Callable[..., dict[str, object]], tmp_path: Path, without: tuple[str]
) -> None:
    if not (landlock.holds_writes() if "namespaces" in without else protections().namespaces):
        pytest.skip("this system has not what is left")
    said = tried("write", without)
    assert said.pop("own") == "done"
    assert said.pop("child") == "True"
    assert said.pop("mount") == "False"
    assert "done" not in said.values(), said
    elsewhere = tmp_path / "elsewhere"
    assert [path.name for path in elsewhere.iterdir()] == ["victim.txt"]
    assert (elsewhere / "victim.txt").read_text() == "precious"


@pytest.mark.skipif(not protections().attributes, reason="needs namespaces")
def test_permissions_and_times_elsewhere_stay(tried: Callable[..., dict[str, object]], tmp_path: Path) -> None:
    before = (tmp_path / "elsewhere" / "victim.txt").stat()
    assert "done" not in tried("change_mode").values()
    after = (tmp_path / "elsewhere" / "victim.txt").stat()
    assert (before.st_mode, before.st_mtime_ns) == (after.st_mode, after.st_mtime_ns)


@pytest.mark.parametrize("without", ALL)
def test_no_other_process_is_signalled(
    tried: Callable[..., dict[str, object]], signalled: list[int], without: tuple[str, ...]
) -> None:
    if without and not (landlock.holds_signals() or seccomp.available()):
        pytest.skip("this system has not what is left")
    said = tried("signals", without)
    assert said["child"] == -signal.SIGTERM  # its own it may
    assert said["above"] != "done"
    assert signalled == []
    assert "done" not in [said[name] for name in ("caller", "thread", "group", "descriptor")]


@pytest.mark.parametrize("without", ALL)
def test_nothing_outlives_it(tried: Callable[..., dict[str, object]], tmp_path: Path, without: tuple[str, ...]) -> None:
    tried("escape", without)
    beat = tmp_path / "own" / "beat.txt"
    size = beat.stat().st_size
    assert size > 0
    time.sleep(0.3)
    assert beat.stat().st_size == size


@pytest.mark.parametrize("without", ALL)
def test_many_processes_end_with_it(tried: Callable[..., dict[str, object]], without: tuple[str, ...]) -> None:
    tried("many", without)
    left = [entry.pid for entry in processes.entries() if _line(entry.pid).endswith(b"\0many\0")]
    assert left == []


def test_everything_ends_when_casewise_is_gone(tmp_path: Path) -> None:
    (tmp_path / "task.json").write_text("{}")
    confined = Confined(Plan(f"{ATTEMPTS}:escape", (str(tmp_path),)), "escape", {"PATH": os.environ["PATH"]}, tmp_path)
    while not (tmp_path / "beat.txt").exists():
        time.sleep(0.01)
    os.close(confined._lifeline)  # as the kernel does it for a process that was killed
    confined.process.wait(10)
    size = (tmp_path / "beat.txt").stat().st_size
    time.sleep(0.3)
    assert (tmp_path / "beat.txt").stat().st_size == size
    confined._lifeline = os.open(os.devnull, os.O_RDONLY)
    confined.end()


@pytest.mark.parametrize("without", ALL)
def test_it_cannot_look_into_others(tried: Callable[..., dict[str, object]], without: tuple[str, ...]) -> None:
    if "landlock" in without:
        pytest.skip("the environment of others can then be read; docs/how-to/confinement.md says so")
    said = tried("spy", without)
    assert "done" not in (said["environment"], said["memory"])


def test_a_process_for_arithmetic_starts_no_program_and_connects_to_nothing(tried: Callable[..., dict[str, object]]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert tried("connect", port=port) == {"network": "done", "program": "done"}
        said = tried("connect", port=port, arithmetic=True, network=False)
    assert "done" not in said.values()


@pytest.mark.skipif(not seccomp.available(), reason="needs a filter")
@pytest.mark.parametrize("without", ALL)
def test_no_new_user_namespace(tried: Callable[..., dict[str, object]], without: tuple[str, ...]) -> None:
    said = tried("users", without)
    assert said["unshare"] == -1
    assert said["child"] != 0


def test_what_holds_here_is_stated() -> None:
    known = protections().to_json()
    assert known["landlock"] == landlock.version()
    assert known["namespaces"] == namespaces_in_a_child()
    assert known["ends"] is True


def namespaces_in_a_child() -> bool:
    import subprocess

    code = "from casewise.confinement.namespaces import possible; print(possible())"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "True"


def _line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
