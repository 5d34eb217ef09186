"""Jobs of `casewise serve` while its server and workers are killed at random, and how long a server takes to start.

Each database: 500 jobs, five of them poison, ordered over HTTP; after each 1 to 10 tries a worker is killed (kill -9) or, once in
four times, the server. `start` starts `casewise serve` on an empty archive five times. Some minutes; needs PostgreSQL's programs.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks import _serve_kills, driver
from benchmarks.tables import table
from casewise.archive import Archive
from tests.postgresql import postgresql_server

JOBS, POISON = 500, 5
RUNS = 5


@contextlib.contextmanager
def _archive(database: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="casewise-jobs-") as name, contextlib.ExitStack() as closing:
        url = closing.enter_context(postgresql_server()) if database == "postgresql" else None
        folder = Path(name) / "archive"
        Archive.open(folder, create=True, database=url).close()
        yield folder


def killed(database: str) -> Mapping[str, Any]:
    with _archive(database) as folder:
        return asdict(_serve_kills.run(folder, jobs=JOBS, poison=POISON, seed=15, workers=2, tries_a_kill=10))


def start() -> list[Mapping[str, Any]]:
    with _archive("sqlite") as folder:
        return [_started(folder) for _ in range(RUNS)]


def _started(folder: Path) -> Mapping[str, Any]:
    """Seconds to the first answer and until the networks are loaded, and the server's memory when it is idle then."""
    load = os.getloadavg()[0]
    began = time.perf_counter()
    command = [sys.executable, "-m", "casewise", "serve", str(folder), "--port", "0", "--workers", "1", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        httpx.get(url, timeout=60).read()
        answered = time.perf_counter() - began
        server = psutil.Process(process.pid)
        spent = sum(server.cpu_times()[:2])
        loaded = _quiet(server, began)
        row = {
            "load": round(load, 1),
            "answer_seconds": round(answered, 2),
            "answer_cpu_seconds": round(spent, 2),
            "loaded_seconds": round(loaded, 2),
            "loaded_cpu_seconds": round(sum(server.cpu_times()[:2]), 2),
            "server_mib": round(server.memory_info().rss / 2**20),
            "worker_mib": round(sum(child.memory_info().rss for child in server.children()) / 2**20),
        }
        process.terminate()
    return row


def _quiet(server: psutil.Process, began: float) -> float:
    """When the server had nothing more to do: seconds from ``began`` to the last moment at which it computed."""
    spent, busy = sum(server.cpu_times()[:2]), time.perf_counter()
    while time.perf_counter() - busy < 5:
        time.sleep(0.1)
        now = sum(server.cpu_times()[:2])
        if now - spent > 0.03:
            busy = time.perf_counter()
        spent = now
    return busy - began


def figures(units: driver.Rows) -> Mapping[str, Any]:
    rows = []
    for name, title in (("sqlite", "SQLite"), ("postgresql", "PostgreSQL")):
        of = units[name]
        kills, states = of["kills"], of["states"]
        ended = states.get("done", 0), states.get("dead", 0), len(of["lost"]), len(of["twice"]), of["unlucky"]
        rows.append(
            (title, of["orders"], kills.get("server", 0), kills.get("worker", 0), of["tries"], *ended, f"{of['seconds']:.0f} s")
        )
    head = ("database", "orders", "server killed", "worker killed", "tries", "done", "dead (poison)", "lost", "done twice")
    reasons = sorted({reason for name in ("sqlite", "postgresql") for reason in units[name]["reasons"]})
    wrong = [line for name in ("sqlite", "postgresql") for line in units[name]["wrong"]]
    middle = {name: statistics.median(row[name] for row in units["start"]) for name in units["start"][0]}
    starts = [
        ("first answer of the page", f"{middle['answer_seconds']:.1f} s", f"{middle['answer_cpu_seconds']:.1f} s"),
        ("networks loaded", f"{middle['loaded_seconds']:.1f} s", f"{middle['loaded_cpu_seconds']:.1f} s"),
    ]
    return {
        "kills": table([*head, "killed three times by chance", "time"], rows),
        "reasons": " ".join(f"“{reason}”" for reason in reasons),
        "wrong": "; ".join(wrong) or "none",
        "start": table(["from the command to the", "wall", "CPU"], starts),
        "server_mib": f"{middle['server_mib']:.0f}",
        "worker_mib": f"{middle['worker_mib']:.0f}",
        "load": f"{middle['load']:.0f}",
        "runs": len(units["start"]),
        "poison": POISON,
    }


def units(options: Namespace) -> Iterator[driver.Unit]:
    for database in ("sqlite", "postgresql"):
        yield driver.Unit(database, partial(killed, database))
    yield driver.Unit("start", start)


BENCHMARK = driver.Benchmark("serve_jobs", __doc__, units, figures)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
