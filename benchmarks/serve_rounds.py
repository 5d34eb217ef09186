"""How long a round takes over HTTP, from the order to the mask, in a session that is kept.

A server in a process of its own on loopback, one thread for arithmetic; a person who draws a box and then strokes of 25 voxels, the
object and the rest in turn. Wall time is that of the person; the server's own time of a round is told by its answer, and what is
left is transport. Beside it stand casewise asked by MONAI Label's calls, and MONAI Label 0.8.5 itself where it is installed
(``benchmarks/_monailabel.py``).
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np

from benchmarks import _monailabel, driver
from benchmarks._serving import Annotator, archive_of, serving
from benchmarks.tables import table
from casewise.image import Image

ROUNDS = 12
_LENGTH = 25  # voxels of a stroke


@dataclass(frozen=True)
class Grid:
    """shape : of the image. box : sides of the object's box. spacing : mm. most : seconds that a later round may take, median."""

    name: str
    shape: tuple[int, ...]
    box: tuple[int, ...]
    spacing: tuple[float, ...]
    most: float


GRIDS = (
    Grid("picture 256×256", (256, 256), (100, 90), (1.0, 1.0), 0.13),
    Grid("film 2500×3000", (2500, 3000), (900, 800), (0.15, 0.15), 0.18),
    Grid("volume 256×256×10", (256, 256, 10), (100, 90, 6), (1.4, 1.4, 8.0), 0.20),
    Grid("volume 96×96×64", (96, 96, 64), (60, 60, 40), (1.0, 1.0, 1.0), 0.30),
    Grid("volume 182×218×182", (182, 218, 182), (80, 80, 70), (1.0, 1.0, 1.0), 1.3),
)
TRANSPORT = 0.015  # seconds beyond the server's own time, at most


class Outlining(Protocol):
    """One image opened by a program that is measured."""

    def box(self, box: list[list[int]]) -> None: ...

    def strokes(self, foreground: np.ndarray, background: np.ndarray) -> None:
        """Places (n, axes) each; returns when the whole mask of the image is there."""

    @property
    def own(self) -> float | None:
        """Seconds that the program itself says the last order took; None where it does not."""

    def cpu(self) -> float:
        """Processor seconds of the program so far."""


class Peer(Protocol):
    """A program that is measured: opens an image, in a process of its own."""

    name: str

    def open(self, image: Image) -> AbstractContextManager[Outlining]: ...


class Casewise:
    """casewise's own server."""

    name = "casewise"

    @contextmanager
    def open(self, image: Image) -> Iterator[Outlining]:
        with archive_of({"image": image}) as (folder, keys), serving(folder) as server, server.client() as client:
            annotator = Annotator(client)
            annotator.open(keys["image"], "object", image.spatial_shape)

            class Opened:
                def box(self, box: list[list[int]]) -> None:
                    annotator.box(box)

                def strokes(self, foreground: np.ndarray, background: np.ndarray) -> None:
                    annotator.strokes(foreground, background)

                @property
                def own(self) -> float | None:
                    return annotator.seconds[-1][1]

                def cpu(self) -> float:
                    return server.cpu()

            yield Opened()


PEERS: list[Callable[[], Peer]] = [Casewise, _monailabel.CasewiseScribbles, _monailabel.MonaiLabel]


def picture_of(grid: Grid, seed: int = 0) -> Image:
    """A bright ellipsoid on noise, int16."""
    rng = np.random.default_rng(seed)
    axes = [np.arange(n, dtype=np.float32) - n / 2 for n in grid.shape]
    inside = sum(
        (np.square(axis / (side / 2.4)).reshape([-1 if a == n else 1 for n in range(len(axes))]))
        for a, (axis, side) in enumerate(zip(axes, grid.box, strict=True))
    )
    array = (100 * (inside < 1) + rng.normal(100, 12, grid.shape)).astype(np.int16)
    return Image(array[None], np.diag([*grid.spacing, 1.0] if len(grid.shape) == 3 else [*grid.spacing, 1.0, 1.0]))


def strokes_of(grid: Grid, number: int) -> tuple[np.ndarray, np.ndarray]:
    """(foreground, background): a line along the second axis, through the object or beside it, in turn."""
    rng = np.random.default_rng(number)
    centre = np.array(grid.shape) // 2
    reach = np.array(grid.box) / (6 if number % 2 == 0 else 2.2)
    start = centre + np.round(reach * rng.uniform(-1, 1, len(grid.shape)) if number % 2 == 0 else reach * _edge(rng, grid)).astype(
        int
    )
    line = start + np.outer(np.arange(_LENGTH) - _LENGTH // 2, [0, 1, 0][: len(grid.shape)])
    line = np.unique(np.clip(line, 0, np.array(grid.shape) - 1), axis=0)
    return (line, line[:0]) if number % 2 == 0 else (line[:0], line)


def _edge(rng: np.random.Generator, grid: Grid) -> np.ndarray:
    """A corner of the box in the plane."""
    corner = rng.choice((-1.0, 1.0), len(grid.shape))
    if len(grid.shape) == 3:
        corner[2] *= rng.uniform(0, 0.5)
    return corner


def measured(make: Callable[[], Peer], grid: Grid) -> list[dict[str, Any]]:
    """A row an order: the box, then strokes."""
    import time

    image, rows = picture_of(grid), []
    box = [[int(n // 2 - side // 2), int(n // 2 - side // 2 + side)] for n, side in zip(grid.shape, grid.box, strict=True)]
    with make().open(image) as outlining:
        for number in range(-1, ROUNDS):
            busy, began = outlining.cpu(), time.perf_counter()
            if number < 0:
                outlining.box(box)
            else:
                outlining.strokes(*strokes_of(grid, number))
            wall = time.perf_counter() - began
            rows.append({"order": number, "wall": wall, "own": outlining.own, "cpu": outlining.cpu() - busy})
    return rows


def units(options: Namespace) -> Iterator[driver.Unit]:
    for grid in GRIDS:
        for make in PEERS:
            if make is not _monailabel.MonaiLabel or _monailabel.absent() is None:
                yield driver.Unit(f"{grid.name}, {make().name}", partial(measured, make, grid))


def figures(units: driver.Rows) -> Mapping[str, Any]:
    lines = []
    for grid in GRIDS:
        for make in PEERS:
            name = make().name
            if f"{grid.name}, {name}" not in units:  # a program that was not there
                continue
            rows = units[f"{grid.name}, {name}"]
            box, first, later = rows[0], rows[1], rows[2:]
            wall = float(np.median([row["wall"] for row in later]))
            transport = [row["wall"] - row["own"] for row in later if row["own"] is not None]
            sent = f"{1000 * float(np.median(transport)):.1f}" if transport else "–"
            kept = "–" if name != Casewise.name else "yes" if wall <= grid.most and np.median(transport) <= TRANSPORT else "no"
            high = float(np.percentile([row["wall"] for row in later], 95))
            cpu = float(np.median([row["cpu"] for row in later]))
            times = [f"{1000 * value:.0f}" for value in (box["wall"], first["wall"], wall, high, cpu)]
            lines.append([grid.name, name, *times, sent, f"{1000 * grid.most:.0f}", kept])
    head = ["image", "program", "box", "first round", "later rounds", "95th", "CPU", "transport", "bound", "kept"]
    there = any(name.endswith(_monailabel.MonaiLabel.name) for name in units)
    return {"table": table(head, lines), "absent": "" if there else _monailabel.absent() or ""}


BENCHMARK = driver.Benchmark("serve_rounds", __doc__, units, figures)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
