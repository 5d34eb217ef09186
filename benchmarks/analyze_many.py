"""A thousand images in one call with two applications and more: ``python -m benchmarks.analyze_many`` keeps its table in
``benchmarks/results/analyze_many.md``. Each image is seen by two, a chest radiograph by those for chest radiographs too.

Memory is the resident memory of casewise and all its processes, read every second; busy is their processor time over the wall
time of two cores. A first call with 100 images gives the start-up, which the throughput leaves out.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from experiments import datasets

RESULTS = Path(__file__).parent / "results"
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
    parents, sizes = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            parents[int(folder.name)] = int(fields[1])
            sizes[int(folder.name)] = int(fields[21]) * os.sysconf("SC_PAGE_SIZE") / 2**20
        except (OSError, IndexError):
            continue
    family, grown = {root}, True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in family} - family
        grown = bool(more)
        family |= more
    return sum(sizes.get(pid, 0.0) for pid in family)


def call(images: list[Path], folder: Path) -> dict[str, float | list[float]]:
    declared = folder / "applications.toml"
    declared.write_text(_SECOND)
    words = ["analyze", *map(str, images), "--applications", str(declared), "--output", str(folder / "out"), "--json"]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    told = folder / "told.txt"
    with told.open("w") as said:
        process = subprocess.Popen([sys.executable, "-m", "casewise", *words], stdout=subprocess.DEVNULL, stderr=said)
    memory = []
    while process.poll() is None:
        memory.append(resident(process.pid))
        time.sleep(1)
    seconds = time.perf_counter() - began
    if process.returncode not in (0, 1):  # 1: an application refused some pictures of 64 pixels, with its reason
        raise RuntimeError(told.read_text())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": seconds, "processor": processor, "memory": memory}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    count = parser.parse_args().images
    images = datasets.files("mednist/*/*.jpeg")
    images = images[:: max(1, len(images) // count)][:count]
    random.Random(0).shuffle(images)  # else the applications of one kind start late and their memory seems to grow
    folder = Path(tempfile.mkdtemp(prefix="casewise-many-"))
    try:
        first = call(images[: max(1, count // 10)], folder)
        shutil.rmtree(folder / "out")
        done = call(images, folder)
    finally:
        shutil.rmtree(folder)
    memory = done["memory"]
    quarter = len(memory) // 4
    early, late = statistics.median(memory[quarter : 2 * quarter]), statistics.median(memory[3 * quarter :])
    wall, processor = done["seconds"] - first["seconds"], done["processor"] - first["processor"]
    rows = [
        (f"{count} images, two applications each and more", f"{done['seconds']:.0f} s"),
        ("images a second, after the start", f"{(count - count // 10) / wall:.1f}"),
        (f"busy of {os.cpu_count()} cores, after the start", f"{processor / wall / (os.cpu_count() or 1):.0%}"),
        ("memory, second quarter → last quarter", f"{early:.0f} → {late:.0f} MiB"),
    ]
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}; no GPU."
    table = ["| what | measured |", "|---|---|", *("| " + " | ".join(row) + " |" for row in rows)]
    text = "\n".join(["# Many images in one call", "", "`python -m benchmarks.analyze_many`", "", machine, "", *table]) + "\n"
    if count == 1000:
        (RESULTS / "analyze_many.md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
