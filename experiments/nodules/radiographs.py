"""JSRT's radiographs with their nodules, and the crops that a detector is trained on, kept on disk image by image."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from casewise import formats
from casewise.boxes import grown
from casewise.chest.nodules.synthetic import Nodule, disc, insert
from casewise.chest.nodules.training import Parts, crops
from casewise.chest.nodules.views import PIXEL_MM, View, views
from casewise.chest.segments import MARGIN_MM, chest_segments
from casewise.image import Box, Image
from experiments import datasets, store
from experiments.nodules.normals import chest_crops, chests, drawn
from experiments.nodules.regions import chest_regions

WORK = store.WORK / "irregularities"
VARIANTS, NODULES = 4, 5  # of a film; synthetic nodules in each at most
CROPS, REAL = 2, 3  # crops of a segment elsewhere, and of a real nodule in it
LARGEST_MM = 40.0
LEAST_MM = 10.0  # a finding hits a nodule whose centre is nearer than its radius, or than this


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
        return datasets.path(f"jsrt/images/{self.name}")

    @cached_property
    def image(self) -> Image:
        return formats.read(self.path)

    @cached_property
    def regions(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Found by the shipped model, which never saw these films; kept on disk."""
        return store.arrays(WORK / "regions" / f"{self.name}.npz", lambda: chest_regions(self.image))


def radiographs() -> list[Radiograph]:
    return [Radiograph(name, nodules) for name, nodules in films_of("jsrt")]


def films_of(folder: str) -> list[tuple[str, tuple[Truth, ...]]]:
    """(file's name, nodules) of a folder of JSRT."""
    with datasets.path(f"{folder}/metadata.csv").open(encoding="utf-8") as file:
        return [(row["study"], _truth(row)) for row in csv.DictReader(file)]


def _truth(row: dict[str, str]) -> tuple[Truth, ...]:
    if not row["nodule_size_mm"]:
        return ()
    place = float(row["y_px2048"]), float(row["x_px2048"])
    return (Truth(*place, float(row["nodule_size_mm"]), int(row["subtlety_1to5"])),)


def bank(radiograph: Radiograph, number: int) -> Parts:
    """Crops of one radiograph, made once and kept; ``number`` is the radiograph's own, for the random numbers."""
    return _kept(WORK / "bank" / f"{radiograph.name}.npz", lambda: _crops(radiograph, number))


def chest_bank(numbers: Sequence[int]) -> list[Parts]:
    """Crops of those of NLM's films, with synthetic nodules, made once and kept."""
    cases = chests()

    def made(number: int) -> Parts:
        return _kept(WORK / "bank" / f"chest-{number}.npz", lambda: chest_crops(cases[number], number))

    return [made(number) for number in numbers]


def _kept(path: Path, make: Callable[[], Parts]) -> Parts:
    found = store.arrays(path, lambda: dict(zip("xyr", make(), strict=True)))
    return found["x"], found["y"], found["r"]


def _crops(radiograph: Radiograph, number: int) -> Parts:
    """Of the film as it is, and with synthetic nodules besides, which lie nowhere near the real one."""
    parts = []
    film = radiograph.image.array[0]
    boxes = tuple(_box(truth.nodule, film.shape) for truth in radiograph.nodules)
    cut = chest_segments(radiograph.regions, PIXEL_MM, boxes)
    places = np.logical_or.reduce([grown(mask, round(MARGIN_MM / 2 / PIXEL_MM)) for mask in cut.regions.values()])
    for truth in radiograph.nodules:
        places &= ~disc(film.shape, Nodule(truth.row, truth.column, truth.nodule.diameter + 2 * LARGEST_MM / PIXEL_MM))
    for variant in range(VARIANTS):
        rng = np.random.default_rng([7, number, variant])
        changed, marked, placed = insert(film, places, NODULES, rng, PIXEL_MM)
        for view in views(cut, changed[None], PIXEL_MM, native=True):
            parts.append(_view_crops(view, marked, [one for one in placed if _holds(view, _in_view(one, view))], radiograph, rng))
    return tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))


def _view_crops(
    view: View, marked: npt.NDArray[np.bool_], placed: Sequence[Nodule], radiograph: Radiograph, rng: np.random.Generator
) -> Parts:
    real = np.zeros(view.inside.shape, bool)
    centres = [(one.row, one.column) for one in (_in_view(one, view) for one in placed)] + drawn(view.inside, CROPS, rng)
    for truth in radiograph.nodules:
        one = _in_view(truth.nodule, view)
        if _holds(view, one):
            real |= disc(view.inside.shape, one)
            centres += [(one.row, one.column)] * REAL
    places = np.ix_(*(_nearest(o, view.step, n, m) for o, n, m in zip(view.origin, real.shape, marked.shape, strict=True)))
    return crops(view.seen, marked[places], real, centres, rng)


def _nearest(origin: float, step: float, count: int, length: int) -> npt.NDArray[np.intp]:
    """The image pixel in the middle of each place of a view."""
    return np.minimum((origin + (np.arange(count) + 0.5) * step).astype(int), length - 1)


def _in_view(one: Nodule, view: View) -> Nodule:
    row, column = ((at - o) / view.step - 0.5 for at, o in zip((one.row, one.column), view.origin, strict=True))
    return Nodule(row, column, one.diameter / view.step)


def _holds(view: View, one: Nodule) -> bool:
    row, column = round(one.row), round(one.column)
    rows, columns = view.inside.shape
    return 0 <= row < rows and 0 <= column < columns and bool(view.inside[row, column])


def _box(nodule: Nodule, shape: tuple[int, ...]) -> Box:
    half = nodule.diameter / 2
    lower = tuple(int(np.clip(place - half, 0, n - 2)) for place, n in zip((nodule.row, nodule.column), shape, strict=True))
    upper = tuple(int(np.clip(place + half + 1, 2, n)) for place, n in zip((nodule.row, nodule.column), shape, strict=True))
    return Box(lower, upper)
