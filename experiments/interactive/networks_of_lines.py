"""Painted objects that run through a whole picture: trees of vessels, and the walls between cells."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_dilation, gaussian_filter
from scipy.spatial import cKDTree

Picture = np.ndarray  # (row, column) float32, 0…1
Mask = np.ndarray  # (row, column) bool


def vessels(shape: tuple[int, ...], rng: np.random.Generator) -> Mask:
    """Trees that fork and thin out, from the border or a place within, over much of the picture."""
    size = np.array(shape)
    budget = int(rng.uniform(2, 14) * max(shape))
    root = size * (rng.uniform(0.2, 0.8, 2) if rng.random() < 0.6 else rng.choice((0.02, 0.98), 2))
    tips = [(root, rng.uniform(0, 2 * np.pi), rng.uniform(1.5, 6.0)) for _ in range(int(rng.integers(2, 7)))]
    places: list[tuple[int, int, float]] = []
    while tips and budget > 0:
        place, heading, width = tips.pop(int(rng.integers(len(tips))))
        length = int(rng.uniform(0.08, 0.4) * max(shape))
        turns = np.cumsum(rng.normal(0, rng.uniform(0.02, 0.12), length)) + heading
        path = place + np.cumsum(np.stack([np.sin(turns), np.cos(turns)], axis=1), axis=0)
        inside = ((path >= 0) & (path < size - 1)).all(axis=1)
        end = length if inside.all() else int(np.argmin(inside))
        places += [(int(row), int(column), width) for row, column in np.round(path[:end])]
        budget -= end
        if end == length and width > 0.7:
            for _ in range(int(rng.choice((1, 2), p=(0.3, 0.7)))):
                tips.append((path[-1], turns[-1] + rng.normal(0, 0.6), width * rng.uniform(0.55, 0.95)))
    return _drawn(shape, places)


def _drawn(shape: tuple[int, ...], places: list[tuple[int, int, float]]) -> Mask:
    """(row, column, width) as discs."""
    found = np.zeros(shape, bool)
    if not places:
        return found
    table = np.array(places)
    for width in np.unique(np.clip(np.round(table[:, 2]), 1, 7)):
        line = np.zeros(shape, bool)
        chosen = table[np.clip(np.round(table[:, 2]), 1, 7) == width, :2].astype(int)
        line[tuple(chosen.T)] = True
        reach = int(width // 2)
        rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        found |= binary_dilation(line, rows**2 + columns**2 <= (width / 2) ** 2 + 0.3)
    return found


def cells(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[Mask, np.ndarray]:
    """(the walls between cells, the number of each place's cell)."""
    count = int(np.exp(rng.uniform(np.log(8), np.log(90))))
    middles = rng.uniform(-0.1, 1.1, (count, 2)) * shape
    places = np.stack(np.mgrid[: shape[0], : shape[1]], axis=-1).astype(float)
    bend = np.stack([gaussian_filter(rng.normal(0, 1, shape), 9) for _ in range(2)], axis=-1)
    places += bend / max(float(bend.std()), 1e-9) * rng.uniform(0, 0.03) * max(shape)
    near, number = cKDTree(middles).query(places, k=2)
    thickness = rng.uniform(1.2, 6.0) * np.exp(0.4 * gaussian_filter(rng.normal(0, 1, shape), 12) * 12)
    return near[..., 1] - near[..., 0] < thickness, number[..., 0]


def of_lines(picture: Picture, rng: np.random.Generator) -> tuple[Picture, Mask]:
    """The picture with vessels, or with cells whose walls or some of whose insides are the object."""
    shape = picture.shape
    outside = float(picture.mean())
    level = np.clip(outside + rng.choice((-1, 1)) * rng.uniform(0.08, 0.45), 0, 1)
    if rng.random() < 0.6:
        mask = vessels(shape, rng)
        strength = 1.0 - rng.uniform(0, 0.6) * gaussian_filter(rng.random(shape), 10)
        return _laid(picture, mask, level, rng, strength), mask
    walls, number = cells(shape, rng)
    greys = rng.normal(0, rng.uniform(0, 0.1), int(number.max()) + 1)
    scene = np.clip(picture * rng.uniform(0.3, 1.0) + greys[number], 0, 1).astype(np.float32)
    made = _laid(scene, walls, level, rng, np.ones(shape))
    if rng.random() < 0.65:
        return made, walls
    chosen = rng.choice(np.unique(number), min(int(rng.integers(1, 6)), len(np.unique(number))), replace=False)
    return made, np.isin(number, chosen) & ~walls


def _laid(picture: Picture, mask: Mask, level: float, rng: np.random.Generator, strength: np.ndarray) -> Picture:
    share = gaussian_filter(mask.astype(np.float32), rng.uniform(0.4, 1.2)) * rng.uniform(0.45, 1.0) * strength
    grain = rng.normal(0, rng.uniform(0, 0.05), picture.shape)
    return np.clip((1 - share) * picture + share * level + grain, 0, 1).astype(np.float32)
