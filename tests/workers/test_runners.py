"""Each item once, whoever works, and whatever becomes of a worker."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest

from casewise.errors import CasewiseError, UsageError
from casewise.workers import Here, Lost, Processes, Workers, chosen, chunked
from tests.workers.labour import BAD, ENDLESS, MISTAKE, POISON, Squares


def _gone(pids: list[int], seconds: float = 10.0) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not any(_lives(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def _lives(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def test_here_items_come_in_order(tmp_path: Path) -> None:
    squares = Squares(tmp_path)
    assert list(Here().run([[3, 1], [2]], squares)) == [(3, 9), (1, 1), (2, 4)]
    assert squares.noted("workers") == [os.getpid()]


def test_each_item_is_done_once_by_processes_of_their_own(workers: Workers, tmp_path: Path) -> None:
    squares = Squares(tmp_path, seconds=0.01)
    found = dict(workers.run(chunked(range(100), 2, most=5), squares))
    assert found == {number: number * number for number in range(100)}
    assert sorted(squares.noted("done")) == list(range(100))
    assert len(set(squares.noted("workers")) - {os.getpid()}) == 2
    assert _gone(squares.noted("workers"))


def test_what_no_worker_can_open_ends_the_call_with_its_sentence(workers: Workers, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no such model"):
        list(workers.run([[1], [2]], Squares(tmp_path, refuse=True)))


def test_workers_that_die_before_they_begin_end_the_call(workers: Workers, tmp_path: Path) -> None:
    with pytest.raises(CasewiseError, match="Workers end before they can begin"):
        list(workers.run([[1], [2]], Squares(tmp_path, die=True)))


def test_an_item_that_ends_every_worker_is_named_and_the_others_are_done(workers: Workers, tmp_path: Path) -> None:
    squares = Squares(tmp_path, seconds=0.06)
    found = dict(workers.run([[1, 2, POISON, 3], [4, 5]], squares))
    lost = found.pop(POISON)
    assert isinstance(lost, Lost) and "It ended each of the 3 workers that had it" in lost.reason
    assert found == {number: number * number for number in range(1, 6)}
    # Those before it are blamed where their answers were on their way when their worker ended.
    assert 3 <= len(squares.noted("poisoned")) <= 3 + 2


def test_an_item_that_never_ends_is_stopped_and_named(limited: Workers, tmp_path: Path) -> None:
    squares = Squares(tmp_path, seconds=0.06)
    found = dict(limited.run([[1, ENDLESS, 2, 3], [4, 5]], squares))
    lost = found.pop(ENDLESS)
    assert isinstance(lost, Lost) and "It took longer than 2 seconds, 2 times, and was left out" in lost.reason
    assert found == {number: number * number for number in range(1, 6)}
    assert len(squares.noted("endless")) == 2
    assert _gone(squares.noted("workers"))


def test_a_limit_is_more_than_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="A limit of 0 seconds is not possible"):
        list(Processes(1, limit=0).run([[1]], Squares(tmp_path)))


def test_a_mistake_costs_its_item_alone_and_names_no_patient(workers: Workers, tmp_path: Path) -> None:
    squares = Squares(tmp_path)
    found = dict(workers.run([[1, MISTAKE, BAD, 2]], squares))
    assert found.pop(BAD) == Lost("This one cannot be squared; leave it out.")
    lost = found.pop(MISTAKE)
    assert isinstance(lost, Lost) and "LookupError in labour.py" in lost.reason and "Doe" not in lost.reason
    assert found == {1: 1, 2: 4}
    assert sorted(squares.noted("done")) == [1, 2]
    assert len(squares.noted("workers")) == 1


def test_workers_killed_at_random_cost_no_item(workers: Workers, tmp_path: Path) -> None:
    squares, chance, killed = Squares(tmp_path, seconds=0.02), random.Random(4), set()
    found: list[tuple[int, object]] = []
    for item, outcome in workers.run(chunked(range(120), 2, most=8), squares):
        found.append((item, outcome))
        alive = [pid for pid in squares.noted("workers") if pid not in killed]
        if len(killed) < 4 and alive and chance.random() < 0.1:
            killed.add(alive[-1])
            time.sleep(chance.uniform(0, 0.03))
            os.kill(alive[-1], signal.SIGKILL)
    assert len(killed) == 4
    assert sorted(item for item, _ in found) == list(range(120))
    assert all(outcome == item * item for item, outcome in found)


def test_a_call_that_is_given_up_ends_its_workers(workers: Workers, tmp_path: Path) -> None:
    squares = Squares(tmp_path, seconds=0.2)
    with closing(workers.run(chunked(range(1000), 2), squares)) as coming:
        assert len(list(itertools.islice(coming, 2))) == 2
        began = time.monotonic()
    assert time.monotonic() - began < 10
    assert _gone(squares.noted("workers"))
    assert len(squares.noted("done")) < 100


def test_chunks_leave_no_worker_idle_at_the_end() -> None:
    assert [len(chunk) for chunk in chunked(range(100), 2)] == [12] * 8 + [4]
    assert [len(chunk) for chunk in chunked(range(3), 8)] == [1, 1, 1]
    assert list(itertools.chain(*chunked(range(5000), 3))) == list(range(5000))
    assert chunked([], 4) == []


@pytest.mark.parametrize("on", ["spark", "ray://", "ray://head", "ray:head:6379"])
def test_another_place_to_work_on_is_refused(on: str) -> None:
    with pytest.raises(UsageError, match=r"--on .* is not possible; give ray, or ray://HOST:PORT"), chosen(None, on):
        pass


def test_what_a_killed_call_left_of_its_ray_is_removed_by_the_next(
    on_ray: Workers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from casewise.workers import on_ray as module

    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for name in (f"casewise-ray-{dead.pid}-x", f"casewise-ray-{os.getpid()}-x", "casewise-ray-other", "ray"):
        (tmp_path / name / "session").mkdir(parents=True)
    monkeypatch.setattr(module, "_HOME", tmp_path)
    module._forget_the_dead()
    assert {path.name for path in tmp_path.iterdir()} == {f"casewise-ray-{os.getpid()}-x", "casewise-ray-other", "ray"}


def test_no_workers_at_all_are_refused() -> None:
    with pytest.raises(UsageError, match="0 workers are not possible"):
        Processes(0)
