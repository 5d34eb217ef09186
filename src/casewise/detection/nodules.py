"""Synthetic nodules, put into real radiographs in training alone: their size, contrast, edge and shape vary as real ones' do.

Profile A · (1 − (r/R)²)^p as for simulated nodules since Keserci 2002 and Samei 2003, with a lobed, oval outline and uneven
density. Size: log-normal about 15 mm from 6 to 40 mm, as in JSRT (5 to 60 mm). Contrast: log-normal
about a third of the deviation of what the regions show, as measured on nodules that were trained on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Nodule:
    """row, column, diameter in the image's pixels."""

    row: float
    column: float
    diameter: float


def insert(
    image: Floats, places: npt.NDArray[np.bool_], pixel_mm: float, count: int, rng: np.random.Generator
) -> tuple[Floats, list[Nodule]]:
    """A copy of ``image`` (rows, columns) with up to ``count`` nodules that do not touch, centred where ``places`` says; and them.

    Their contrast is told in deviations of the image within ``places``.
    """
    changed = image.copy()
    free = places.copy()
    spread = float(image[places].std()) if places.any() else 1.0
    placed: list[Nodule] = []
    for _ in range(count):
        rows, columns = np.nonzero(free[::8, ::8])
        if len(rows) == 0:
            break
        pick = int(rng.integers(len(rows)))
        row, column = int(rows[pick]) * 8, int(columns[pick]) * 8
        diameter = float(np.clip(np.exp(rng.normal(np.log(15), 0.45)), 6, 40)) / pixel_mm
        contrast = spread * float(np.clip(np.exp(rng.normal(np.log(0.33), 0.45)), 0.1, 1.0))
        _add(changed, row, column, diameter, contrast, pixel_mm, rng)
        placed.append(Nodule(row, column, diameter))
        reach = round(diameter + 12 / pixel_mm)
        free[max(0, row - reach) : row + reach, max(0, column - reach) : column + reach] = False
    return changed, placed


def _add(image: Floats, row: int, column: int, diameter: float, contrast: float, pixel_mm: float, rng: np.random.Generator) -> None:
    from scipy.ndimage import gaussian_filter

    half = int(diameter * 0.85) + 8
    top, left = max(0, row - half), max(0, column - half)
    bottom, right = min(image.shape[0], row + half), min(image.shape[1], column + half)
    down, across = np.mgrid[top - row : bottom - row, left - column : right - column].astype(np.float32)
    turn, oval = rng.uniform(0, np.pi), rng.uniform(0.75, 1.0)
    along, aside = down * np.cos(turn) + across * np.sin(turn), (across * np.cos(turn) - down * np.sin(turn)) / oval
    angle = np.arctan2(aside, along)
    radius = np.ones_like(angle)
    for wave in range(2, 6):
        radius += rng.normal(0, 0.12 / wave) * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
    inside = np.clip(1 - (np.hypot(along, aside) / (diameter / 2 * radius)) ** 2, 0, 1) ** rng.uniform(0.35, 1.5)
    uneven = gaussian_filter(rng.standard_normal(inside.shape).astype(np.float32), diameter / 8)
    inside *= 1 + rng.uniform(0, 0.3) * uneven / max(float(uneven.std()), 1e-6)
    image[top:bottom, left:right] += contrast * gaussian_filter(inside, rng.uniform(0.3, 1.2) / pixel_mm)
