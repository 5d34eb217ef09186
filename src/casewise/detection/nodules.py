"""Synthetic nodules, put into what the detector sees of real radiographs, in training alone: as varied as real ones are.

Profile A · (1 − (r/R)²)^p as for simulated nodules since Keserci 2002 and Samei 2003, with a lobed, oval outline, uneven density
and blur. Size: log-normal about 15 mm from 6 to 40 mm, as in JSRT (5 to 60 mm). Contrast: log-normal about 1.2 local standard
deviations; real nodules that were trained on stand out by 0.3 to 1.5 from the ring around them, which is about 0.7 of A.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from casewise.detection.views import COARSE, FIELD_MM, PIXEL_MM

Floats = npt.NDArray[np.float32]
_CONTRAST = 1.2
_MARKED = 0.9  # of its radius: what the network shall mark


@dataclass(frozen=True)
class Nodule:
    """row, column, diameter in the image's pixels."""

    row: float
    column: float
    diameter: float


def insert(
    seen: Floats, places: npt.NDArray[np.bool_], most: int, rng: np.random.Generator
) -> tuple[Floats, npt.NDArray[np.bool_], list[Nodule]]:
    """Up to ``most`` nodules that do not touch, centred where ``places`` (rows, columns) says.

    seen : (17, rows, columns), see :class:`casewise.detection.views.View`, or its last channel alone (1, rows, columns).
    Returns a copy that shows them, where they are (rows, columns), and them, in its pixels of 0.7 mm. Local mean is taken out of
    what they add as it was of the image.
    """
    changed, marked = seen.copy(), np.zeros(places.shape, bool)
    placed: list[Nodule] = []
    rows, columns = np.nonzero(places)
    for _ in range(int(rng.integers(most + 1))):
        if len(rows) == 0:
            break
        pick = int(rng.integers(len(rows)))
        one = Nodule(float(rows[pick]), float(columns[pick]), _drawn(15, 6, 40, rng) / (PIXEL_MM * COARSE))
        if any(np.hypot(one.row - n.row, one.column - n.column) < (one.diameter + n.diameter) / 2 + 8 for n in placed):
            continue
        _add(changed, marked, one, _drawn(_CONTRAST, 0.4, 3.5, rng), rng)
        placed.append(one)
    return np.clip(changed, -3, 3), marked, placed


def disc(shape: tuple[int, int], nodule: Nodule) -> npt.NDArray[np.bool_]:
    """(rows, columns): where a nodule of which no outline is known lies."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.asarray(np.hypot(rows - nodule.row, columns - nodule.column) <= _MARKED * nodule.diameter / 2)


def _drawn(middle: float, least: float, most: float, rng: np.random.Generator) -> float:
    return float(np.clip(np.exp(rng.normal(np.log(middle), 0.45)), least, most))


def _add(seen: Floats, marked: npt.NDArray[np.bool_], one: Nodule, contrast: float, rng: np.random.Generator) -> None:
    """Adds it to every channel; native pixels are drawn where there are any."""
    fine = COARSE if len(seen) > 1 else 1
    shape = marked.shape
    half = int(one.diameter * 0.85) + 5
    top, left = max(0, int(one.row) - half), max(0, int(one.column) - half)
    bottom, right = min(shape[0], int(one.row) + half), min(shape[1], int(one.column) + half)
    down = _offsets(top, bottom, fine, one.row)[:, None]
    across = _offsets(left, right, fine, one.column)[None]
    profile, relative = _profile(down, across, one.diameter, fine, rng)
    blocks = profile.reshape(bottom - top, fine, right - left, fine)
    mean = blocks.mean(axis=(1, 3))
    window = (slice(None), slice(top, bottom), slice(left, right))
    if fine > 1:
        seen[:-1][window] += contrast * blocks.transpose(1, 3, 0, 2).reshape(fine * fine, bottom - top, right - left)
    seen[-1:][window] += contrast * mean
    # What the Gaussian neighbourhood takes for mean.
    variance = (FIELD_MM / (PIXEL_MM * COARSE)) ** 2 + (one.diameter / 4) ** 2
    rows, columns = (
        np.exp(-((np.arange(n) - at) ** 2) / (2 * variance)) for n, at in zip(shape, (one.row, one.column), strict=True)
    )
    seen -= (contrast * mean.sum() / (2 * np.pi * variance) * rows[:, None] * columns[None]).astype(np.float32)
    inside = relative.reshape(bottom - top, fine, right - left, fine).mean(axis=(1, 3)) < _MARKED
    marked[top:bottom, left:right] |= inside


def _offsets(start: int, stop: int, fine: int, centre: float) -> Floats:
    """From a centre to each of ``fine`` pixels a place, in places."""
    return np.asarray((np.arange(start * fine, stop * fine) + 0.5) / fine - 0.5 - centre, np.float32)


def _profile(down: Floats, across: Floats, diameter: float, fine: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """(profile 0 to 1, distance from the centre against the outline's)."""
    from scipy.ndimage import gaussian_filter

    turn, oval = np.float32(rng.uniform(0, np.pi)), np.float32(rng.uniform(0.7, 1.0))
    along, aside = down * np.cos(turn) + across * np.sin(turn), (across * np.cos(turn) - down * np.sin(turn)) / oval
    angle = np.arctan2(aside, along)
    radius = np.ones_like(angle)
    for wave in range(2, 6):
        radius += np.float32(rng.normal(0, 0.15 / wave)) * np.cos(wave * angle + np.float32(rng.uniform(0, 2 * np.pi)))
    relative = np.hypot(along, aside) / (diameter / 2 * radius)
    profile = np.clip(1 - relative**2, 0, 1) ** np.float32(rng.uniform(0.35, 1.5))
    if rng.random() < 0.5:
        uneven = gaussian_filter(rng.standard_normal(profile.shape, dtype=np.float32), diameter * fine / 8, truncate=2.5)
        profile *= 1 + np.float32(rng.uniform(0, 0.35) / max(float(uneven.std()), 1e-6)) * uneven
    return gaussian_filter(profile, rng.uniform(0.4, 1.8) * fine, truncate=2.5).astype(np.float32), relative.astype(np.float32)
