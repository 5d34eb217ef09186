"""How long a round takes and how much memory a large volume needs.

Boxes and strokes on images of noise over shapes; the models are loaded before, as in a session that goes on. The network runs in
two threads: the clock's seconds are those that a person waits on two cores with nothing else to do, the processor's are of both.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from benchmarks import driver
from benchmarks.tables import table
from casewise.image import Image
from casewise.interaction import InteractiveSegmentation
from casewise.interaction.simulation.scribbles import at_once
from casewise.models.shipped import load, names

LARGE = (512, 512, 300)
MIB = 2**20
THREADS = 2
_MODELS = {2: "interactive_2d", 3: "interactive_3d"}


@dataclass(frozen=True)
class Kind:
    """image, box : sides in voxels. bounds : median and 95th percentile of a round, first answer (seconds of the clock); None where
    none is set. both : each round has strokes of both kinds on what the picture shows, to which the answer is fine-tuned; else
    places of one kind anywhere in a box anywhere.
    """

    what: str
    image: tuple[int, ...]
    box: tuple[int, ...]
    bounds: tuple[float | None, float | None, float | None]
    both: bool = False


KINDS = (
    Kind("picture 256×256, the object's box 60×60", (256, 256), (60, 60), (0.15, 0.6, 1.0)),
    Kind("picture 256×256, box over the whole picture", (256, 256), (256, 256), (0.15, 0.6, 1.0)),
    Kind("picture 256×256, box 150×150, fine-tuned on strokes of both kinds", (256, 256), (150, 150), (0.4, None, None), both=True),
    Kind("region of 96×96×64 in a volume", (160, 160, 100), (71, 71, 47), (0.3, None, None)),
)
Seconds = dict[str, list[tuple[float, float]]]  # (of the clock, of the processor)


def rounds(kind: Kind, boxes: int, strokes: int) -> Seconds:
    """Seconds of each ``first`` answer, and of each ``round``."""
    found: Seconds = {"first": [], "round": []}
    for number in range(boxes):
        rng = np.random.default_rng(number)
        image = _image(kind.image, rng)
        free = [n - side for n, side in zip(kind.image, kind.box, strict=True)]
        lower = [n // 2 if kind.both else int(rng.integers(0, n + 1)) for n in free]
        box = [(low, low + side) for low, side in zip(lower, kind.box, strict=True)]
        began = _now()
        session = InteractiveSegmentation(None, image, box, device="cpu")
        _ = session.mask
        found["first"].append(_since(began))
        for turn in range(strokes):
            given = _both(kind, box, rng) if kind.both else _one(box, turn, rng)
            began = _now()
            session.add_scribbles(*given)
            found["round"].append(_since(began))
    return found


def _one(box: list[tuple[int, int]], turn: int, rng: np.random.Generator) -> tuple[np.ndarray | None, np.ndarray | None]:
    places = np.stack([rng.integers(low, high, 25) for low, high in box], axis=1)
    return (places, None) if turn % 2 else (None, places)


def _both(kind: Kind, box: list[tuple[int, int]], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    within = np.zeros(kind.image, bool)
    within[tuple(slice(*sides) for sides in box)] = True
    return at_once(_object(kind.image), within, rng, 3, both=True)


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _since(began: tuple[float, float]) -> tuple[float, float]:
    clock, processor = _now()
    return clock - began[0], processor - began[1]


def _image(shape: tuple[int, ...], rng: np.random.Generator) -> Image:
    array = (100 * _object(shape) + rng.normal(0, 10, shape)).astype(np.int16)
    return Image(array[None], np.diag([1.0] * (len(shape) + 1))) if len(shape) == 3 else Image(array[None])


def _object(shape: tuple[int, ...]) -> np.ndarray:
    """A ball in the middle, half as wide as the image."""
    centre = [n / 2 for n in shape]
    distance = np.sqrt(sum((g - c) ** 2 for g, c in zip(np.indices(shape, np.float32), centre, strict=True)))
    return np.asarray(distance < min(shape) / 4)


def memory() -> dict[str, float]:
    """MiB that the box over a large volume, three strokes and the mask need beyond the volume, in a process of its own."""
    code = "import json; from benchmarks import interaction_speed as own; print(json.dumps(own.large()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def large() -> dict[str, float]:
    torch.set_num_threads(THREADS)
    rng = np.random.default_rng(0)
    array = rng.integers(0, 1000, LARGE, dtype=np.int16)
    image = Image(array[None], np.diag([0.7, 0.7, 1.0, 1.0]))
    before = _peak()
    began = _now()
    session = InteractiveSegmentation(None, image, [(0, n) for n in LARGE], device="cpu")
    for place in (100, 200, 300):
        session.add_scribbles([[place, place, 150]], [[place, 40, 20]])
    mask = session.mask
    clock, processor = _since(began)
    needed = {"beyond": _peak() - before, "volume": array.nbytes / MIB, "voxels": int(mask.sum())}
    return needed | {"seconds": clock, "processor": processor}


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def units(options: Namespace) -> Iterator[driver.Unit]:
    keys = {axes: load(name if name in names() else "interactive_2d").key for axes, name in _MODELS.items()}
    for kind in KINDS:
        yield driver.Unit(kind.what, partial(_timed, kind), keys[len(kind.image)])
    yield driver.Unit("memory", memory, keys[len(LARGE)])


def _timed(kind: Kind) -> Seconds:
    rounds(kind, 1, 2)  # what is loaded once is not counted
    return rounds(kind, 4 if len(kind.image) == 3 else 8, 6)


def figures(units: driver.Rows) -> Mapping[str, Any]:
    lines = []
    for kind in KINDS:
        firsts, later = (np.array(units[kind.what][which]) for which in ("first", "round"))
        median, high, first = np.median(later[:, 0]), np.percentile(later[:, 0], 95), firsts[:, 0].max()
        kept = all(bound is None or value <= bound for value, bound in zip((median, high, first), kind.bounds, strict=True))
        limits = ", ".join("–" if bound is None else f"{bound:g}" for bound in kind.bounds)
        cells = [f"{np.median(firsts[:, 0]):.2f} ({first:.2f})", f"{median:.2f}", f"{high:.2f}", f"{np.median(later[:, 1]):.2f}"]
        lines.append([kind.what, *cells, limits, "yes" if kept else "no"])
    head = ["what", "first answer, median (longest)", "round, median", "95th percentile", "processor, median"]
    return {"table": table([*head, "bounds: median, 95th, first", "kept"], lines), "memory": units["memory"]}


BENCHMARK = driver.Benchmark("interaction_speed", __doc__, units, figures, threads=THREADS)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
