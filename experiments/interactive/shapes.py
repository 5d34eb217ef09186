"""Objects that no image holds, painted into real pictures: blobs, rings with what they enclose, trees, scattered parts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.ndimage import binary_dilation, gaussian_filter

from experiments.interactive.networks_of_lines import of_lines

Picture = np.ndarray  # (row, column) float32, 0…1
Mask = np.ndarray  # (row, column) bool


def painted(
    picture: Picture,
    rng: np.random.Generator,
    rings: float = 0.5,
    walls: float = 0.6,
    veiled: float = 0.0,
    lines: float = 0.0,
) -> tuple[Picture, Mask]:
    """The picture with an object in it, and where that is.

    rings : the share of walls around cavities. walls : of these, the share in which the wall is the object. veiled : the chance
    that a blob or a wall leans on something of its own grey, so that a part of its border cannot be seen, and that spots of another
    grey lie within it: its outline is then the smooth one. lines : of what is no ring, the share of vessels and cells' walls.
    """
    if rng.random() < rings:
        return _ring(picture, rng, walls, veiled)
    if rng.random() < lines:
        return of_lines(picture, rng)
    if veiled and rng.random() < 0.45:
        return _veiled_blob(picture, rng, veiled)
    makers: list[Callable[[Picture, np.random.Generator], tuple[Picture, Mask]]] = [_blob, _tree, _scattered]
    return makers[int(rng.choice(3, p=(0.35, 0.3, 0.35)))](picture, rng)


def recoloured(picture: Picture, parts: np.ndarray, rng: np.random.Generator) -> Picture:
    """The picture with each of its superpixels in a grey of its own: a scene that no scanner has seen."""
    levels = rng.random(int(parts.max()) + 1).astype(np.float32)
    if rng.random() < 0.5:  # a few kinds of tissue, each in many places
        kinds = rng.random(int(rng.integers(2, 6)))
        levels = (rng.choice(kinds, len(levels)) + rng.normal(0, 0.03, len(levels))).astype(np.float32)
    texture = picture - gaussian_filter(picture, 2.0)
    scene = gaussian_filter(levels[parts], rng.uniform(0.4, 1.3)) + rng.uniform(0.2, 1.0) * texture
    return np.clip(scene + _field(picture.shape, rng), 0, 1).astype(np.float32)


def in_one_grey(picture: Picture, mask: Mask, rng: np.random.Generator) -> Picture:
    """The picture with the object brought towards one grey, more or less unlike its surroundings."""
    return _paint(picture, [(mask, float(rng.random()))], rng)


def ringed(picture: Picture, mask: Mask, rng: np.random.Generator) -> tuple[Picture, Mask]:
    """The rim of a real object, painted so that it can be told."""
    steps = int(rng.integers(2, 7))
    outer = binary_dilation(mask, iterations=steps)
    rim = outer & ~mask
    return _paint(picture, [(rim, float(rng.random()))], rng), rim


def _ring(picture: Picture, rng: np.random.Generator, walls: float, veiled: float = 0.0) -> tuple[Picture, Mask]:
    """A wall around a cavity, with another cavity beside it: any of the three is the object."""
    shape = picture.shape
    centre, radius = rng.uniform(0.35, 0.65, 2) * shape, rng.uniform(0.12, 0.3) * min(shape)
    distance, angle = _polar(shape, centre)
    edge = radius * _wobble(angle, rng, 0.12)
    thickness = rng.uniform(0.12, 0.45) * _wobble(angle, rng, rng.uniform(0.05, 0.35))
    outer, inner = distance < edge, distance < edge * (1 - np.clip(thickness, 0.06, 0.8))
    wall = outer & ~inner
    side = centre + rng.uniform(1.0, 1.5) * radius * np.array([np.sin(turn := rng.uniform(0, 2 * np.pi)), np.cos(turn)])
    away, bearing = _polar(shape, side)
    beside = (away < radius * rng.uniform(0.6, 1.2) * _wobble(bearing, rng, 0.25)) & ~outer
    if rng.random() < 0.15:  # a wall with a gap
        wall &= np.abs(angle - rng.uniform(-np.pi, np.pi)) > rng.uniform(0.2, 0.8)
    levels = rng.random(3)
    if rng.random() < 0.6:  # both cavities hold the same
        levels[2] = levels[0] + rng.normal(0, 0.04)
    if abs(levels[0] - levels[1]) < 0.15:
        levels[1] = (levels[0] + rng.uniform(0.2, 0.6)) % 1.0
    spots = _scallops(inner, radius, rng) if veiled and rng.random() < veiled else np.zeros(shape, bool)
    body = wall | (_leaning(outer, radius, rng) if veiled and rng.random() < veiled else spots)
    layers = [(inner, levels[0]), *_muscles(inner, levels[1], radius, rng), (body | spots, levels[1])]
    layers += [(beside, levels[2])] if beside.any() and rng.random() < 0.7 else []
    chosen = (wall, inner, beside)[int(rng.choice(3, p=(walls, (1 - walls) / 2, (1 - walls) / 2)))]
    return _paint(picture, layers, rng), chosen


def _muscles(inner: Mask, level: float, radius: float, rng: np.random.Generator) -> list[tuple[Mask, float]]:
    """Small parts of the wall's grey within the cavity; they count as cavity."""
    if rng.random() < 0.6 or not inner.any():
        return []
    found, places = np.zeros(inner.shape, bool), np.argwhere(inner)
    for _ in range(int(rng.integers(1, 4))):
        distance, angle = _polar(inner.shape, places[int(rng.integers(len(places)))].astype(float))
        found |= distance < radius * rng.uniform(0.08, 0.2) * _wobble(angle, rng, 0.2)
    return [(found & inner, level)] if (found & inner).any() else []


def _leaning(mask: Mask, radius: float, rng: np.random.Generator) -> Mask:
    """One to three things beside ``mask`` that touch it."""
    found, rim = np.zeros(mask.shape, bool), np.argwhere(binary_dilation(mask) & ~mask)
    for _ in range(int(rng.integers(1, 4)) if len(rim) else 0):
        distance, angle = _polar(mask.shape, rim[int(rng.integers(len(rim)))].astype(float))
        found |= distance < radius * rng.uniform(0.25, 0.9) * _wobble(angle, rng, 0.25)
    return found & ~mask


def _scallops(inner: Mask, radius: float, rng: np.random.Generator) -> Mask:
    """Small bulges of a wall into its cavity, as of muscle bundles; they count as cavity."""
    found, rim = np.zeros(inner.shape, bool), np.argwhere(binary_dilation(~inner) & inner)
    for _ in range(int(rng.integers(3, 16)) if len(rim) else 0):
        distance, _ = _polar(inner.shape, rim[int(rng.integers(len(rim)))].astype(float))
        found |= distance < radius * rng.uniform(0.04, 0.16)
    return found & inner


def _veiled_blob(picture: Picture, rng: np.random.Generator, veiled: float) -> tuple[Picture, Mask]:
    """A smooth body that leans on others of its grey or holds spots of another: its outline goes on where it cannot be seen."""
    distance, angle = _polar(picture.shape, rng.uniform(0.35, 0.65, 2) * picture.shape)
    radius = rng.uniform(0.08, 0.3) * min(picture.shape)
    mask = distance < radius * _wobble(angle, rng, rng.uniform(0.05, 0.25))
    level = float(rng.random())
    beside = _leaning(mask, radius, rng) if rng.random() < 0.7 else np.zeros(mask.shape, bool)
    layers = [(mask | beside, level)]
    if mask.any() and rng.random() < veiled:
        spots, places = np.zeros(mask.shape, bool), np.argwhere(mask)
        for _ in range(int(rng.integers(1, 7))):
            away, bearing = _polar(mask.shape, places[int(rng.integers(len(places)))].astype(float))
            spots |= away < radius * rng.uniform(0.06, 0.3) * _wobble(bearing, rng, 0.25)
        layers += [(spots & mask, float(rng.random()))]
    return _paint(picture, layers, rng), mask


def _blob(picture: Picture, rng: np.random.Generator) -> tuple[Picture, Mask]:
    distance, angle = _polar(picture.shape, rng.uniform(0.3, 0.7, 2) * picture.shape)
    mask = distance < rng.uniform(0.06, 0.3) * min(picture.shape) * _wobble(angle, rng, rng.uniform(0.05, 0.45))
    return _paint(picture, [(mask, rng.random())], rng), mask


def _tree(picture: Picture, rng: np.random.Generator) -> tuple[Picture, Mask]:
    """Branches that fork and thin out, as vessels and ducts do."""
    shape = np.array(picture.shape)
    mask = np.zeros(picture.shape, bool)
    tips = [(rng.uniform(0.3, 0.7, 2) * shape, rng.uniform(0, 2 * np.pi), rng.uniform(1.0, 3.5))]
    budget = int(rng.integers(60, 260))
    while tips and budget > 0:
        place, heading, width = tips.pop()
        for _ in range(int(rng.integers(15, 60))):
            heading += rng.normal(0, 0.18)
            place = place + np.array([np.sin(heading), np.cos(heading)])
            row, column = np.round(place).astype(int)
            if not (2 <= row < shape[0] - 2 and 2 <= column < shape[1] - 2):
                break
            reach = max(0, round(width / 2))
            mask[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1] = True
            budget -= 1
        else:
            for _ in range(int(rng.integers(1, 3))):
                tips.append((place, heading + rng.normal(0, 0.7), max(0.8, width * rng.uniform(0.6, 0.95))))
    return _paint(picture, [(mask, rng.random())], rng), mask


def _scattered(picture: Picture, rng: np.random.Generator) -> tuple[Picture, Mask]:
    """Parts of one grey, from two large to dozens of small ones."""
    mask = np.zeros(picture.shape, bool)
    count = int(np.exp(rng.uniform(np.log(2), np.log(30))))
    largest = min(0.1, 0.3 / count**0.8)
    for _ in range(count):
        distance, angle = _polar(picture.shape, rng.uniform(0.2, 0.8, 2) * picture.shape)
        radius = max(1.2, rng.uniform(0.2, 1.0) * largest * min(picture.shape))
        mask |= distance < radius * _wobble(angle, rng, rng.uniform(0.1, 0.4))
    return _paint(picture, [(mask, rng.random())], rng), mask


def _field(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Brightness that drifts over the picture, as a coil's does."""
    slope = rng.normal(0, 0.1, 2)
    rows, columns = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    return (slope[0] * rows + slope[1] * columns).astype(np.float32)


def _polar(shape: tuple[int, ...], centre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    rows, columns = rows - np.float32(centre[0]), columns - np.float32(centre[1])
    return np.hypot(rows, columns), np.arctan2(rows, columns)


def _wobble(angle: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """About 1, varying smoothly around the circle: a shape's radius."""
    turns = np.arange(1, 5)
    weights = rng.normal(0, strength, 4) / turns
    phases = rng.uniform(0, 2 * np.pi, 4)
    steps = np.linspace(-np.pi, np.pi, 257)
    curve = 1 + sum(w * np.cos(t * steps + p) for w, t, p in zip(weights, turns, phases, strict=True))
    return np.interp(angle, steps, np.clip(curve, 0.3, 2.0)).astype(np.float32)


def _paint(picture: Picture, layers: list[tuple[Mask, float]], rng: np.random.Generator) -> Picture:
    """The picture with each layer brought towards its own grey, its borders soft and some of the picture shining through."""
    result = picture.astype(np.float32, copy=True)
    soft, through = rng.uniform(0.4, 1.4), rng.uniform(0.05, 0.6)
    for mask, level in layers:
        outside = float(result[mask].mean()) if mask.any() else 0.5
        least = rng.uniform(0.08, 0.2)
        if abs(level - outside) < least:  # it must be possible to tell it
            level = outside + (least if outside < 0.5 else -least)
        share = gaussian_filter(mask.astype(np.float32), soft)
        result = (1 - share) * result + share * (through * result + (1 - through) * np.float32(level))
    grain = gaussian_filter(rng.normal(0, 1, picture.shape).astype(np.float32), 0.7) * rng.uniform(0, 0.06)
    return np.clip(result + grain, 0, 1).astype(np.float32)
