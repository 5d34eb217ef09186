"""JSRT's nodules as its table describes them (Shiraishi 2000): where each lies, how large it is, how hard it is to see."""

from __future__ import annotations

import csv
from dataclasses import dataclass

import numpy as np

from casewise.image import Box
from experiments import datasets

PIXEL_MM = 0.175  # of JSRT's films, of which the table gives places in pixels
LEAST_MM = 10.0  # a finding hits a nodule whose centre is nearer than its radius, or than this


@dataclass(frozen=True)
class Truth:
    """A real nodule: its place in the image's pixels, diameter in mm, subtlety from 1 (hardly to be seen) to 5."""

    row: float
    column: float
    diameter_mm: float
    subtlety: int

    @property
    def diameter(self) -> float:
        """In pixels."""
        return self.diameter_mm / PIXEL_MM

    @property
    def reach(self) -> float:
        """Pixels within which a finding hits it."""
        return max(self.diameter_mm / 2, LEAST_MM) / PIXEL_MM


def films_of(folder: str) -> list[tuple[str, tuple[Truth, ...]]]:
    """(file's name, nodules) of a folder of JSRT."""
    with datasets.path(f"{folder}/metadata.csv").open(encoding="utf-8") as file:
        return [(row["study"], _truth(row)) for row in csv.DictReader(file)]


def _truth(row: dict[str, str]) -> tuple[Truth, ...]:
    if not row["nodule_size_mm"]:
        return ()
    place = float(row["y_px2048"]), float(row["x_px2048"])
    return (Truth(*place, float(row["nodule_size_mm"]), int(row["subtlety_1to5"])),)


def box_about(row: float, column: float, diameter: float, shape: tuple[int, ...]) -> Box:
    """The square about a nodule, in pixels, within an image of ``shape``."""
    bounds = [(place - diameter / 2, place + diameter / 2 + 1, n) for place, n in zip((row, column), shape, strict=True)]
    lower = tuple(int(np.clip(low, 0, n - 2)) for low, _, n in bounds)
    return Box(lower, tuple(int(np.clip(high, 2, n)) for _, high, n in bounds))
