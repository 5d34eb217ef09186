"""The same images by one worker, two, two Ray actors, and one process on all cores: processor seconds, wall time, results.

Each is `casewise analyze` on the same small pictures, first with a tenth of them: the difference gives what an image costs, without
the start. Processor seconds are those of the command and of all that it starts, Ray's own processes too, read four times a
second. `killed`: workers, actors and the command itself killed at random, ten times each; then what became of each image.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from benchmarks import driver
from benchmarks.tables import table
from experiments import datasets

WAYS = {
    "one process on all cores": (),
    "one worker": ("--workers", "1"),
    "two workers": ("--workers", "2"),
    "two Ray actors": ("--on", "ray", "--workers", "2"),
}
SMALL, FILMS = "mednist/*/*.jpeg", "jsrt/images/*.png"
FILM, FEW_FILMS, MANY_FILMS = "one worker, chest radiographs", 5, 25
KILLS, KILLED = 10, ("two workers", "two Ray actors")
_JOURNAL = ".casewise-analysis.jsonl"
_WORKER = re.compile(r"spawn_main|^ray::_Actor")


def images(count: int, pattern: str = SMALL) -> list[Path]:
    found = datasets.files(pattern)
    chosen = found[:: max(1, len(found) // count)][:count]
    random.Random(0).shuffle(chosen)
    return chosen


def command(given: list[Path], way: str, output: Path) -> list[str]:
    listed = output.with_suffix(".txt")
    listed.write_text("".join(f"{path}\n" for path in given))
    return [sys.executable, "-m", "casewise", "analyze", "--list", str(listed), *WAYS[way], "--output", str(output), "--json"]


def family(root: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(root)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def call(count: int, way: str, pattern: str = SMALL) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="casewise-workers-") as name:
        output = Path(name) / "out"
        used: dict[tuple[int, float], float] = {}  # (process, when it began) → seconds
        memory, load = 0.0, os.getloadavg()[0]
        began = time.perf_counter()
        with (Path(name) / "log").open("w") as log:
            process = subprocess.Popen(command(images(count, pattern), way, output), stdout=subprocess.DEVNULL, stderr=log)
            while process.poll() is None:
                resident = 0
                for one in family(process.pid):
                    try:
                        times = one.cpu_times()
                        used[one.pid, one.create_time()] = times.user + times.system
                        resident += one.memory_info().rss
                    except psutil.Error:
                        continue
                memory = max(memory, resident / 2**20)
                time.sleep(0.25)
        seconds = time.perf_counter() - began
        if process.returncode not in (0, 1):  # 1: an application refused some pictures of 64 pixels, with its reason
            raise RuntimeError((Path(name) / "log").read_text())
        row = {"images": count, "seconds": seconds, "processor": sum(used.values()), "memory": memory, "load": load}
        return {**row, "digest": digest(output)}


def digest(output: Path) -> str:
    """Of all files but for the times in them, and the folder's path."""
    hashed = hashlib.sha256()
    for path in sorted(one for one in output.rglob("*") if one.is_file()):
        content = path.read_bytes()
        if path.suffix == ".json":
            content = json.dumps(untimed(json.loads(content))).encode()
        if path.suffix == ".html":
            content = re.sub(rb"data:application/json;base64,[\w+/=]*", b"", content)
            content = re.sub(rb"[\d.,]+ s\b", b"", re.sub(rb"width:\s*[\d.]+%", b"", content))
        hashed.update(path.relative_to(output).as_posix().encode() + content.replace(str(output).encode(), b""))
    return hashed.hexdigest()


def untimed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: untimed(entry) for name, entry in value.items() if name != "seconds"}
    return [untimed(entry) for entry in value] if isinstance(value, list) else value


def recorded(output: Path) -> int:
    try:
        return max(0, len((output / _JOURNAL).read_text().splitlines()) - 1)
    except FileNotFoundError:
        return 0


def killed(count: int, way: str) -> dict[str, Any]:
    """Ten kills of a worker, in between ten of the command, at random moments; then the command is left to end."""
    chance, given, kills = random.Random(7), images(count), {"worker": 0, "command": 0}
    with tempfile.TemporaryDirectory(prefix="casewise-workers-") as name:
        output = Path(name) / "out"
        words = command(given, way, output)
        while min(kills.values()) < KILLS:
            before = recorded(output)
            process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while process.poll() is None and recorded(output) < before + chance.randint(1, max(1, count // (3 * KILLS))):
                time.sleep(0.05)
            if process.poll() is not None:
                break  # all was done before enough was killed
            workers = [one for one in family(process.pid) if _WORKER.search(" ".join(one.cmdline()))]
            if workers:
                chance.choice(workers).kill()
                kills["worker"] += 1
            time.sleep(chance.uniform(0, 1))
            process.send_signal(signal.SIGKILL)
            kills["command"] += 1
            process.wait()
            time.sleep(3)  # actors take two seconds to notice
        done = subprocess.run(words, capture_output=True, text=True)
        results = [result["image"] for result in json.loads(done.stdout)]
        return {"kills": kills, "images": len(results), "once": results == [str(path) for path in given]}


def units(options: Namespace) -> Iterator[driver.Unit]:
    for way in WAYS:
        for count in (max(1, options.images // 10), options.images):
            yield driver.Unit(f"{way}: {count}", partial(call, count, way))
    for count in (FEW_FILMS, MANY_FILMS):
        yield driver.Unit(f"{FILM}: {count}", partial(call, count, "one worker", FILMS))
    for way in KILLED:
        yield driver.Unit(f"{way}: killed", partial(killed, options.images, way))


def figures(units: driver.Rows) -> Mapping[str, Any]:
    lines, cost, wall, peak = [], {}, {}, {}
    for way in (*WAYS, FILM):
        first, done = (rows for name, rows in units.items() if name.startswith(f"{way}: ") and not name.endswith("killed"))
        more = done["images"] - first["images"]
        cost[way] = (done["processor"] - first["processor"]) / more
        peak[way] = done["memory"]
        wall[way] = (done["seconds"] - first["seconds"]) / more
        lines.append(
            (
                way,
                f"{cost[way]:.3f}",
                f"{wall[way]:.3f}",
                f"{first['seconds'] - first['images'] * wall[way]:.0f}",
                f"{done['memory']:.0f}",
                f"{done['load']:.1f}",
            )
        )
    head = ["by", "processor seconds an image", "seconds an image", "seconds to start", "MiB at most, all processes", "load before"]
    kept = [units[f"{way}: killed"] for way in KILLED]
    return {
        "table": table(head, lines),
        "images": kept[0]["images"],
        "same": len({one["digest"] for name, one in units.items() if "digest" in one and FILM not in name})
        == 2,  # of the first tenth, and of all
        "worker": f"{(peak['two workers'] - peak['one worker']) / 1024:.1f}",
        "ray": f"{peak['two Ray actors'] - peak['two workers']:.0f}",
        "hours": f"{cost['one worker'] / 3.6 * 1000:.0f}",
        "film_hours": f"{cost[FILM] / 3.6 * 1000:.0f}",
        "overhead": f"{cost['two Ray actors'] / cost['two workers'] - 1:+.0%}",
        "faster": f"{wall['one worker'] / wall['two workers']:.2f}",
        "kills": [
            f"{way}: {one['kills']['worker']} workers and {one['kills']['command']} commands killed, "
            f"{'each of' if one['once'] else 'NOT each of'} {one['images']} images once"
            for way, one in zip(KILLED, kept, strict=True)
        ],
    }


def options(parser: ArgumentParser) -> None:
    parser.add_argument("--images", type=int, default=2000, help="with fewer than 200 no page is written")


BENCHMARK = driver.Benchmark("workers", __doc__, units, figures, options, lambda given: given.images >= 200)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
