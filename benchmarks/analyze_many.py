"""A thousand images in one call with two applications and more: throughput and memory.

Each image is seen by two applications, a chest radiograph by those for chest radiographs too. Memory is the resident memory of
casewise and all its processes, read every second; busy is their processor time over the wall time of two cores. A first call with a
tenth of the images gives the start-up, which the throughput leaves out. Rows kept: seconds, processor seconds, memory by second.
"""

from __future__ import annotations

import os
import random
import resource
import statistics
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

_SECOND = """[[application]]
name = "intensity"
categories = ["*"]
features = ["intensity"]
python = "benchmarks.analyze_many:Intensity"
"""


class Intensity:
    """A second application: the picture's mean as a finding."""

    name = "intensity"

    def analyze(self, image: object) -> list[object]:
        from casewise.finding import Finding

        return [Finding(self.name, "mean", measures={"mean_intensity": float(image.array.mean())})]  # type: ignore[attr-defined]


def resident(root: int) -> float:
    """MiB of a process and all that descend from it."""
    try:
        process = psutil.Process(root)
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    sizes = 0
    for one in family:
        try:
            sizes += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return sizes / 2**20


def call(count: int, among: int) -> dict[str, Any]:
    """Of the first ``count`` of ``among`` images."""
    images = datasets.files("mednist/*/*.jpeg")
    images = images[:: max(1, len(images) // among)][:among]
    random.Random(0).shuffle(images)  # else the applications of one kind start late and their memory seems to grow
    with tempfile.TemporaryDirectory(prefix="casewise-many-") as name:
        folder = Path(name)
        declared = folder / "applications.toml"
        declared.write_text(_SECOND)
        words = ["analyze", *map(str, images[:count]), "--applications", str(declared), "--output", str(folder / "out"), "--json"]
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        log, memory = folder / "log.txt", []
        with log.open("w") as stream:
            process = subprocess.Popen([sys.executable, "-m", "casewise", *words], stdout=subprocess.DEVNULL, stderr=stream)
        while process.poll() is None:
            memory.append(resident(process.pid))
            time.sleep(1)
        seconds = time.perf_counter() - began
        if process.returncode not in (0, 1):  # 1: an application refused some pictures of 64 pixels, with its reason
            raise RuntimeError(log.read_text())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"images": count, "seconds": seconds, "processor": processor, "memory": memory}


def units(options: Namespace) -> Iterator[driver.Unit]:
    for name, count in (("first", max(1, options.images // 10)), ("all", options.images)):
        yield driver.Unit(f"{name} {options.images}", partial(call, count, options.images))


def figures(units: driver.Rows) -> Mapping[str, Any]:
    first, done = units.values()
    memory, cores = done["memory"], os.cpu_count() or 1
    quarter = len(memory) // 4
    early, late = statistics.median(memory[quarter : 2 * quarter]), statistics.median(memory[3 * quarter :])
    wall, processor = done["seconds"] - first["seconds"], done["processor"] - first["processor"]
    rows = [
        (f"{done['images']} images, two applications each and more", f"{done['seconds']:.0f} s"),
        ("images a second, after the start", f"{(done['images'] - first['images']) / wall:.1f}"),
        (f"busy of {cores} cores, after the start", f"{processor / wall / cores:.0%}"),
        ("memory, second quarter → last quarter", f"{early:.0f} → {late:.0f} MiB"),
    ]
    return {"table": table(["what", "measured"], rows)}


def options(parser: ArgumentParser) -> None:
    parser.add_argument("--images", type=int, default=1000, help="with another number than 1000 no page is written")


BENCHMARK = driver.Benchmark("analyze_many", __doc__, units, figures, options, lambda given: given.images == 1000)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
