"""Synthetic nodules, put into real radiographs, in training alone: as varied as real ones are.

Profile A · (1 − (r/R)²)^p as for simulated nodules since Keserci 2002 and Samei 2003, with a lobed, oval, sometimes spiculated
outline, uneven density, blur, and sometimes a dense core in a faint rim (part-solid). Size: log-normal about 14 mm from 5 to 40 mm,
as in JSRT (5 to 60 mm). Contrast: log-normal about 1 of the film's own standard deviations around the place, in grey values, so
that what the detector does to local contrast happens to them as it does to real ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from casewise.boxes import grown
from casewise.image import Box
from casewise.irregularities.examples import Example
from casewise.irregularities.training import Irregularity

PLACE_MM = 0.7  # at which contrast is measured, whatever the pixels
FIELD_MM = 12.0  # of the neighbourhood that it is measured in, as the detector does
Floats = npt.NDArray[np.float32]
MOST = 6  # of a film
BESIDE_MM = 4.0  # of a lung that nodules are drawn in too
_SIZE = (14.0, 5.0, 40.0, 0.5)  # mm: middle, least, most, spread of the logarithm
_CONTRAST = (1.0, 0.35, 3.0, 0.5)
_APART_MM = 6.0
_MARKED = 0.9  # of its radius: what the network shall mark
_SPICULATED, _PART_SOLID, _UNEVEN = 0.3, 0.25, 0.5  # shares


@dataclass(frozen=True)
class Nodule:
    """row, column, diameter in the image's pixels."""

    row: float
    column: float
    diameter: float


def insert(
    film: npt.NDArray[np.generic],
    places: npt.NDArray[np.bool_],
    most: int,
    rng: np.random.Generator,
    millimetres: float = PLACE_MM,
) -> tuple[Floats, npt.NDArray[np.bool_], list[Nodule]]:
    """Up to ``most`` nodules that do not touch, centred where ``places`` (rows, columns) says.

    film : (rows, columns), its grey values, in pixels of ``millimetres``; 0.7 are a place of the detector.
    Returns a copy that shows them, where they are (rows, columns), and them, in the film's pixels.
    """
    changed, marked = film.astype(np.float32), np.zeros(places.shape, bool)
    placed: list[Nodule] = []
    rows, columns = np.nonzero(places)
    for _ in range(int(rng.integers(most + 1))):
        if len(rows) == 0:
            break
        pick = int(rng.integers(len(rows)))
        one = Nodule(float(rows[pick]), float(columns[pick]), _drawn(_SIZE, rng) / millimetres)
        near = (np.hypot(one.row - n.row, one.column - n.column) - (one.diameter + n.diameter) / 2 for n in placed)
        if any(gap * millimetres < _APART_MM for gap in near):
            continue
        contrast = _drawn(_CONTRAST, rng) * _deviation(film, one, millimetres)
        _add(changed, marked, one, contrast, millimetres, rng)
        placed.append(one)
    return changed, marked, placed


def with_nodules(example: Example, millimetres: float, rng: np.random.Generator, weight: float = 1.0, most: int = MOST) -> Example:
    """``example``, whose pixels measure ``millimetres``, with up to ``most`` drawn nodules in its regions, none near a real one."""
    places = np.logical_or.reduce([grown(mask, round(BESIDE_MM / millimetres)) for mask in example.regions.values()])
    for one in example.irregularities:
        row, column = ((a + b) / 2 for a, b in zip(one.box.lower, one.box.upper, strict=True))
        places &= ~disc(example.plane.shape, Nodule(row, column, max(one.box.shape) + 2 * _SIZE[2] / millimetres))
    changed, _, placed = insert(example.plane, places, most, rng, millimetres)
    drawn = [Irregularity(_box(one, example.plane.shape), weight) for one in placed]
    return replace(example, plane=changed, irregularities=(*example.irregularities, *drawn))


def _box(one: Nodule, shape: tuple[int, ...]) -> Box:
    half = one.diameter / 2
    lower = tuple(max(0, min(n - 2, int(at - half))) for at, n in zip((one.row, one.column), shape, strict=True))
    upper = tuple(max(2, min(n, int(at + half) + 1)) for at, n in zip((one.row, one.column), shape, strict=True))
    return Box(lower, upper)


def disc(shape: tuple[int, ...], nodule: Nodule) -> npt.NDArray[np.bool_]:
    """(rows, columns): where a nodule of which no outline is known lies."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.asarray(np.hypot(rows - nodule.row, columns - nodule.column) <= _MARKED * nodule.diameter / 2)


def _drawn(law: tuple[float, float, float, float], rng: np.random.Generator) -> float:
    middle, least, most, spread = law
    return float(np.clip(np.exp(rng.normal(np.log(middle), spread)), least, most))


def _deviation(film: npt.NDArray[np.generic], one: Nodule, millimetres: float) -> float:
    """Of the film's grey values around a place, weighted as the detector weighs them, pixels of its own size apart."""
    apart = max(1, round(PLACE_MM / millimetres))
    steps = np.arange(-round(2.5 * FIELD_MM / millimetres), round(2.5 * FIELD_MM / millimetres) + 1, apart)
    weights = np.exp(-((steps * millimetres / FIELD_MM) ** 2) / 2)
    rows, columns = (np.clip(int(at) + steps, 0, n - 1) for at, n in zip((one.row, one.column), film.shape, strict=True))
    around = film[np.ix_(rows, columns)].astype(np.float64)
    spread = np.outer(weights, weights) / weights.sum() ** 2
    mean = (around * spread).sum()
    return float(np.sqrt(((around - mean) ** 2 * spread).sum()))


def _add(
    film: Floats, marked: npt.NDArray[np.bool_], one: Nodule, contrast: float, millimetres: float, rng: np.random.Generator
) -> None:
    half = int(one.diameter * 0.85 + 4 * PLACE_MM / millimetres)
    top, left = max(0, int(one.row) - half), max(0, int(one.column) - half)
    bottom, right = min(film.shape[0], int(one.row) + half), min(film.shape[1], int(one.column) + half)
    down = (np.arange(top, bottom, dtype=np.float32) - np.float32(one.row))[:, None]
    across = (np.arange(left, right, dtype=np.float32) - np.float32(one.column))[None]
    profile, relative = _profile(down, across, one.diameter, rng)
    blur = rng.uniform(0.3, 1.3) / millimetres
    film[top:bottom, left:right] += np.float32(contrast) * _smooth(profile, blur)
    marked[top:bottom, left:right] |= relative < _MARKED


def _profile(down: Floats, across: Floats, diameter: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """(profile 0 to about 1, distance from the centre against the outline's)."""
    turn, oval = np.float32(rng.uniform(0, np.pi)), np.float32(rng.uniform(0.65, 1.0))
    along, aside = down * np.cos(turn) + across * np.sin(turn), (across * np.cos(turn) - down * np.sin(turn)) / oval
    angle = np.arctan2(aside, along)
    radius = np.ones_like(angle)
    waves = [(wave, 0.15 / wave) for wave in range(2, 6)]
    if rng.random() < _SPICULATED:
        waves += [(wave, 0.05) for wave in range(6, 16, 2)]
    for wave, height in waves:
        radius += np.float32(rng.normal(0, height)) * np.cos(wave * angle + np.float32(rng.uniform(0, 2 * np.pi)))
    relative = np.hypot(along, aside) / (np.float32(diameter / 2) * np.maximum(radius, 0.3))
    profile = _round(relative, rng)
    if rng.random() < _PART_SOLID:
        solid = np.float32(rng.uniform(0.3, 0.7))
        profile = (1 - solid) * profile + solid * _round(relative / np.float32(rng.uniform(0.3, 0.6)), rng)
    if rng.random() < _UNEVEN:
        uneven = _smooth(rng.standard_normal(profile.shape, dtype=np.float32), diameter / 8)
        profile = profile * (1 + np.float32(rng.uniform(0, 0.35) / max(float(uneven.std()), 1e-6)) * uneven)
    return profile.astype(np.float32), relative.astype(np.float32)


def _round(relative: Floats, rng: np.random.Generator) -> Floats:
    return np.asarray(np.clip(1 - relative**2, 0, 1) ** np.float32(rng.uniform(0.35, 1.5)), np.float32)


def _smooth(values: Floats, sigma: float) -> Floats:
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(values, sigma, truncate=2.5), np.float32)
