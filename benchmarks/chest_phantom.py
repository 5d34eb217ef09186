"""A drawn chest film with a nodule, for pictures that may be shown: ``python -m benchmarks.chest_phantom film.png``.

Exponential attenuation of soft tissue, lungs, heart, diaphragm, spine, ribs, clavicles and a tree of vessels, drawn as thicknesses.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from scipy.ndimage import gaussian_filter
from scipy.special import expit

from casewise.intensity import unit_range

SIDE = 2048
NODULE = (980, 560, 50)  # row, column, radius
Floats = npt.NDArray[np.float32]


def film(seed: int = 0) -> npt.NDArray[np.uint8]:
    """(2048, 2048): bones bright."""
    rng = np.random.default_rng(seed)
    down, across = (axis.astype(np.float32) for axis in np.mgrid[:SIDE, :SIDE])
    body = _soft(1 - ((across - 1024) / 920) ** 2 - ((down - 1500) / 1900) ** 4, 0.08)
    neck = _soft(1 - ((across - 1024) / (300 + 0.9 * np.maximum(down - 60, 0))) ** 2, 0.1)
    lungs = np.maximum(_lung(down, across, 560, 1430), _lung(down, across, 1480, 1460))
    heart = _soft(1 - ((across - 1110) / 330) ** 2 - ((down - 1290) / 330) ** 2, 0.15)
    vessels = _vessels(rng, down, across)
    thick = 1.7 * body * neck - 1.05 * lungs * (1 - 0.85 * heart) + 0.25 * heart
    thick += 0.35 * np.exp(-(((across - 1024) / 75) ** 2)) * body  # spine and mediastinum
    thick += 0.13 * np.exp(-(((across - 1024) / 210) ** 4)) * np.exp(-(((down - 800) / 600) ** 2))
    thick += _ribs(down, across) + 0.16 * vessels * lungs
    row, column, radius = NODULE
    thick += 0.17 * np.clip(1 - ((down - row) ** 2 + (across - column) ** 2) / radius**2, 0, 1) ** 0.7
    uneven = gaussian_filter(rng.standard_normal((SIDE, SIDE), dtype=np.float32), 6)
    thick += 0.012 * uneven / uneven.std() * lungs
    thick = gaussian_filter(thick, 3) + rng.normal(0, 0.006, thick.shape)
    grey = 1 - np.exp(-1.1 * np.clip(thick, 0, None))
    return np.rint(unit_range(grey) * 235 + 10).astype(np.uint8)


def _soft(height: Floats, width: float) -> Floats:
    return expit(height / width).astype(np.float32)


def _lung(down: Floats, across: Floats, centre: float, base: float) -> Floats:
    """Narrow at the apex, wide at the base, with a domed diaphragm."""
    inner = 1 if centre < 1024 else -1
    middle = centre + inner * 0.18 * (1000 - down) * (down < 1000)
    half = 300 * np.sqrt(np.clip(1 - ((np.minimum(down, 1150) - 1150) / 930) ** 2, 0, 1))
    sides = _soft(1 - ((across - middle) / np.maximum(half, 1)) ** 2, 0.12)
    dome = base - 130 * np.exp(-(((across - centre - inner * 60) / 210) ** 2)) + 60
    return sides * _soft((dome - down) / 100, 0.12) * _soft((down - 230) / 100, 0.15)


def _ribs(down: Floats, across: Floats) -> Floats:
    """Nine pairs of ribs, behind (falling outwards) and in front (rising), and two clavicles."""
    bones = np.zeros_like(down)
    apart = np.abs(across - 1024)
    inside = _soft(1 - (apart / 860) ** 2, 0.05)
    for number in range(9):
        behind = 250 + 135 * number + 190 * (apart / 700) ** 2 - 90 * np.exp(-((apart / 330) ** 2))
        bones += 0.13 * _edge((down - behind) / 32) * inside
        front = 640 + 150 * number - 0.42 * (apart - 300)
        bones += 0.08 * _edge((down - front) / 36) * inside * _soft((apart - 330) / 100, 0.3) * (number < 6)
    clavicle = 330 - 0.16 * (apart - 150)
    bones += 0.16 * _edge((down - clavicle) / 34) * _soft((apart - 90) / 60, 0.3) * _soft((800 - apart) / 60, 0.3)
    return bones


def _edge(place: Floats) -> Floats:
    """Across a tube of bone: dense at its walls."""
    return np.sqrt(np.clip(1 - place**2, 0, 1)) * 0.6 + 0.5 * np.exp(-(((np.abs(place) - 0.85) / 0.16) ** 2))


def _vessels(rng: np.random.Generator, down: Floats, across: Floats) -> Floats:
    """Branches from both hila outwards, thinner with every fork."""
    drawn = np.zeros(down.shape, np.float32)
    for column, side in ((880, -1), (1190, 1)):
        ends = [(930.0, float(column), rng.uniform(-1.5, 1.5), 24.0) for _ in range(11)]
        while ends:
            row, place, angle, width = ends.pop()
            length = rng.uniform(70, 150)
            steps = np.linspace(0, length, 40)
            rows = row + steps * np.sin(angle)
            columns = place + side * steps * np.cos(angle)
            for r, c in zip(rows, columns, strict=True):
                top, left = int(r) - 30, int(c) - 30
                if not (0 <= top < SIDE - 60 and 0 <= left < SIDE - 60):
                    continue
                window = (slice(top, top + 60), slice(left, left + 60))
                shade = np.clip(1 - ((down[window] - r) ** 2 + (across[window] - c) ** 2) / width**2, 0, 1) ** 0.5 * width / 24
                drawn[window] = np.maximum(drawn[window], shade)
            if width > 4:
                for turn in (rng.uniform(0.1, 0.5), -rng.uniform(0.1, 0.5)):
                    ends.append((rows[-1], columns[-1], angle + turn, width * rng.uniform(0.6, 0.8)))
    return drawn


if __name__ == "__main__":
    Pillow.fromarray(film()).save(Path(sys.argv[1]))
