"""How long a round takes and how much memory a large volume needs.

Random boxes and strokes on images of noise over shapes; the models are loaded before, as in a session that goes on. Seconds are
the processor's of one thread, so that other work on the machine counts little.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch

from benchmarks import driver
from benchmarks.tables import table
from casewise.image import Image
from casewise.interaction import InteractiveSegmentation

LARGE = (512, 512, 300)
MIB = 2**20
# what, image, box, the bounds: median and 95th percentile of a round, first answer (seconds); None where none is set
KINDS: tuple[tuple[str, tuple[int, ...], tuple[int, ...], tuple[float | None, ...]], ...] = (
    ("picture 256×256, the object's box 60×60", (256, 256), (60, 60), (0.3, 0.6, 1.0)),
    ("picture 256×256, box over the whole picture", (256, 256), (256, 256), (0.3, 0.6, 1.0)),
    ("region of 96×96×64 in a volume", (160, 160, 100), (71, 71, 47), (2.0, None, None)),
)


def rounds(shape: tuple[int, ...], sides: tuple[int, ...], boxes: int, strokes: int) -> dict[str, list[float]]:
    """Seconds of one thread's processor: of each first answer, and of each round."""
    found: dict[str, list[float]] = {"first": [], "round": []}
    for number in range(boxes):
        rng = np.random.default_rng(number)
        image = _image(shape, rng)
        lower = [int(rng.integers(0, n - side + 1)) for n, side in zip(shape, sides, strict=True)]
        box = [(low, low + side) for low, side in zip(lower, sides, strict=True)]
        began = time.process_time()
        session = InteractiveSegmentation(None, image, box, device="cpu")
        _ = session.mask
        found["first"].append(time.process_time() - began)
        for turn in range(strokes):
            places = np.stack([rng.integers(low, high, 25) for low, high in box], axis=1)
            began = time.process_time()
            session.add_scribbles(*((places, None) if turn % 2 else (None, places)))
            found["round"].append(time.process_time() - began)
    return found


def _image(shape: tuple[int, ...], rng: np.random.Generator) -> Image:
    centre = [n / 2 for n in shape]
    distance = np.sqrt(sum((g - c) ** 2 for g, c in zip(np.indices(shape, np.float32), centre, strict=True)))
    array = (100 * (distance < min(shape) / 4) + rng.normal(0, 10, shape)).astype(np.int16)
    return Image(array[None], np.diag([1.0] * (len(shape) + 1))) if len(shape) == 3 else Image(array[None])


def memory() -> dict[str, float]:
    """MiB that the box over a large volume, three strokes and the mask need beyond the volume, in a process of its own."""
    code = "import json; from benchmarks import interaction_speed as own; print(json.dumps(own.large()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def large() -> dict[str, float]:
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    array = rng.integers(0, 1000, LARGE, dtype=np.int16)
    image = Image(array[None], np.diag([0.7, 0.7, 1.0, 1.0]))
    before = _peak()
    began = time.process_time()
    session = InteractiveSegmentation(None, image, [(0, n) for n in LARGE], device="cpu")
    for place in (100, 200, 300):
        session.add_scribbles([[place, place, 150]], [[place, 40, 20]])
    mask = session.mask
    seconds = time.process_time() - began
    return {"beyond": _peak() - before, "volume": array.nbytes / MIB, "seconds": seconds, "voxels": int(mask.sum())}


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def units(options: Namespace) -> Iterator[driver.Unit]:
    for what, shape, sides, _ in KINDS:
        yield driver.Unit(what, partial(_timed, shape, sides))
    yield driver.Unit("memory", memory)


def _timed(shape: tuple[int, ...], sides: tuple[int, ...]) -> dict[str, list[float]]:
    rounds(shape, sides, 1, 2)  # what is loaded once is not counted
    return rounds(shape, sides, 4 if len(shape) == 3 else 8, 6)


def figures(units: driver.Rows) -> Mapping[str, Any]:
    lines = []
    for what, _, _, bounds in KINDS:
        found = units[what]
        median, high, first = np.median(found["round"]), np.percentile(found["round"], 95), max(found["first"])
        kept = all(bound is None or value <= bound for value, bound in zip((median, high, first), bounds, strict=True))
        limits = ", ".join("–" if bound is None else f"{bound:g}" for bound in bounds)
        answer = f"{np.median(found['first']):.2f} ({first:.2f})"
        lines.append([what, answer, f"{median:.2f}", f"{high:.2f}", limits, "yes" if kept else "no"])
    head = ["what", "first answer, median (longest)", "round, median", "95th percentile", "bounds: median, 95th, first", "kept"]
    return {"table": table(head, lines), "memory": units["memory"]}


BENCHMARK = driver.Benchmark("interaction_speed", __doc__, units, figures)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
