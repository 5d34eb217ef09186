"""JSRT's radiographs with their nodules, and the candidates that a detector is trained on, kept on disk image by image."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks._cases import ROOT
from casewise import formats
from casewise.detection.candidates import candidates
from casewise.detection.chest import chest_segments
from casewise.detection.nodules import Nodule, insert
from casewise.detection.polar import surroundings
from casewise.detection.views import PIXEL_MM, View, views, whole
from casewise.image import Box, Image

WORK = Path(__file__).resolve().parents[1] / ".work" / "irregularities"
REPEATS, NODULES, HARD, EASY = 3, 8, 8, 8
LEAST_MM = 10.0  # a finding hits a nodule whose centre is nearer than its radius, or than this
MOST = 120  # candidates a segment


@dataclass(frozen=True)
class Truth:
    """A real nodule: its place in the image's pixels, diameter in mm, subtlety from 1 (hardly to be seen) to 5."""

    row: float
    column: float
    diameter_mm: float
    subtlety: int

    @property
    def nodule(self) -> Nodule:
        return Nodule(self.row, self.column, self.diameter_mm / PIXEL_MM)

    @property
    def reach(self) -> float:
        """Pixels within which a finding hits it."""
        return max(self.diameter_mm / 2, LEAST_MM) / PIXEL_MM


@dataclass(frozen=True)
class Radiograph:
    name: str
    nodules: tuple[Truth, ...]

    @property
    def path(self) -> Path:
        return ROOT / "jsrt" / "images" / self.name

    @cached_property
    def image(self) -> Image:
        return formats.read(self.path)

    @cached_property
    def regions(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Found by the shipped model, which never saw these films; kept on disk."""
        kept = WORK / "regions" / f"{self.name}.npz"
        if not kept.exists():
            from benchmarks._irregularities_regions import chest_regions

            kept.parent.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(kept, **chest_regions(self.image))
        return dict(np.load(kept))


def radiographs() -> list[Radiograph]:
    with (ROOT / "jsrt" / "metadata.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [Radiograph(row["study"], _truth(row)) for row in rows]


def _truth(row: dict[str, str]) -> tuple[Truth, ...]:
    if not row["nodule_size_mm"]:
        return ()
    place = float(row["y_px2048"]), float(row["x_px2048"])
    return (Truth(*place, float(row["nodule_size_mm"]), int(row["subtlety_1to5"])),)


@dataclass(frozen=True, eq=False)
class Bank:
    """Candidates of one radiograph: x (N, 5, 20, 24) float16; kind : 0 nothing, 1 a synthetic nodule, 2 a real one."""

    x: npt.NDArray[np.float16]
    kind: npt.NDArray[np.uint8]


def bank(radiograph: Radiograph, number: int) -> Bank:
    """Made once and kept; ``number`` is the radiograph's own, for the random numbers."""
    kept = WORK / "bank" / f"{radiograph.name}.npz"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        made = _made(radiograph, np.random.default_rng([7, number]))
        beside = kept.with_suffix(".part.npz")
        np.savez(beside, x=made.x, kind=made.kind)
        beside.replace(kept)
    with np.load(kept) as found:
        return Bank(found["x"], found["kind"])


def _made(radiograph: Radiograph, rng: np.random.Generator) -> Bank:
    array, regions = radiograph.image.array[:1].astype(np.float32), radiograph.regions
    everything = np.logical_or.reduce(list(regions.values()))
    real = [truth.nodule for truth in radiograph.nodules]
    away = everything.copy()
    for nodule in real:
        reach = round(nodule.diameter / 2 + 20 / PIXEL_MM)
        row, column = int(nodule.row), int(nodule.column)
        away[max(0, row - reach) : row + reach, max(0, column - reach) : column + reach] = False
    x: list[npt.NDArray[np.float32]] = []
    kinds: list[int] = []
    for repeat in range(REPEATS + 1):
        changed, synthetic = insert(array[0], away, PIXEL_MM, NODULES, rng) if repeat else (array[0], [])
        told = [(nodule, 1) for nodule in synthetic] + [(nodule, 2) for nodule in real]
        boxes = tuple(_box(nodule, array.shape[1:]) for nodule, _ in told)
        context, factor = whole(changed[None], everything)
        for view in views(chest_segments(regions, PIXEL_MM, boxes), changed[None]):
            held = [told[n] for n in view.segment.irregularities]
            for row, column, kind in _chosen(view, told, held, rng):
                x.append(surroundings(view, row, column, context, factor))
                kinds.append(kind)
    return Bank(np.stack(x).astype(np.float16), np.array(kinds, np.uint8))


def _chosen(
    view: View, nodules: list[tuple[Nodule, int]], held: list[tuple[Nodule, int]], rng: np.random.Generator
) -> list[tuple[float, float, int]]:
    """(row, column, kind): candidates within the nodules that the view holds whole, and others, far from all nodules: of those that
    look most like a nodule, and of the rest. Nodules too are taken where the filter sees them, as they will be in a new film.
    """
    found: list[tuple[float, float, int]] = []
    free: list[tuple[float, float, int]] = []
    for candidate in candidates(view, MOST):
        row, column = (o + p * s for o, p, s in zip(view.origin, (candidate.row, candidate.column), view.step, strict=True))
        for nodule, kind in held:
            if np.hypot(row - nodule.row, column - nodule.column) <= max(0.3 * nodule.diameter, 3 / PIXEL_MM):
                found.append((candidate.row, candidate.column, kind))
        apart = max(LEAST_MM, 5) / PIXEL_MM
        if all(np.hypot(row - n.row, column - n.column) > n.diameter / 2 + apart for n, _ in nodules):
            free.append((candidate.row, candidate.column, 0))
    chosen = [*rng.permutation(min(40, len(free)))[:HARD], *rng.permutation(len(free))[:EASY]]
    return found + [free[int(n)] for n in chosen]


def _box(nodule: Nodule, shape: tuple[int, ...]) -> Box:
    half = nodule.diameter / 2
    lower = tuple(int(np.clip(place - half, 0, n - 2)) for place, n in zip((nodule.row, nodule.column), shape, strict=True))
    upper = tuple(int(np.clip(place + half + 1, 2, n)) for place, n in zip((nodule.row, nodule.column), shape, strict=True))
    return Box(lower, upper)
