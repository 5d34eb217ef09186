"""Random change of the pictures that a router is trained on, so that it knows anatomy and not a source's size or compression.

Each training picture is brought to a random size, compressed as JPEG of random quality, padded, cropped, turned, inverted and
displayed in another window. ``training.augmentation`` then bends it and changes its brightness anew in every step.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from casewise.routing.views import View, normalised


@dataclass(frozen=True)
class Degradation:
    """The probability and bounds of each change.

    sizes : the longer edge in pixels, drawn evenly on a log scale. quality : of JPEG. crop : the least share of an edge that is
    left. pad : the largest share of an edge that is added. curve : how far a random curve moves grey values.
    """

    sizes: tuple[int, int] = (32, 160)
    jpeg: float = 0.7
    quality: tuple[int, int] = (15, 95)
    crop_chance: float = 0.5
    crop: float = 0.75
    pad_chance: float = 0.3
    pad: float = 0.4
    inverted: float = 0.3
    mirrored: float = 0.5
    upside_down: float = 0.1
    quarter_turn: float = 0.15
    window: float = 0.3
    curve: float = 0.35


def degrade(view: View, rng: np.random.Generator, how: Degradation | None = None) -> View:
    """Another picture of the same content; a function of ``view`` and the state of ``rng`` alone."""
    how = how or Degradation()
    view = _turned(_cropped(view, rng, how), rng, how)
    view = _recoloured(view, rng, how)
    view = _padded(view, rng, how)
    low, high = np.log(how.sizes[0]), np.log(how.sizes[1])
    view = resized(view, round(float(np.exp(rng.uniform(low, high)))))
    if rng.random() < how.jpeg:
        view = recompressed(view, int(rng.integers(how.quality[0], how.quality[1] + 1)))
    return normalised(view)


def resized(view: View, edge: int) -> View:
    """``view`` with its longer edge ``edge`` pixels long."""
    from PIL import Image as Pillow

    factor = edge / max(view.shape)
    rows, columns = (max(8, round(n * factor)) for n in view.shape)
    picture = Pillow.fromarray(np.ascontiguousarray(view, np.float32))
    return np.clip(np.asarray(picture.resize((columns, rows), Pillow.Resampling.BILINEAR), np.float32), 0, 1)


def recompressed(view: View, quality: int) -> View:
    """``view`` as an 8-bit JPEG of ``quality`` gives it back."""
    from PIL import Image as Pillow

    stream = io.BytesIO()
    Pillow.fromarray((view * 255).round().astype(np.uint8)).save(stream, "JPEG", quality=quality)
    return np.asarray(Pillow.open(stream), np.float32) / np.float32(255)


def _cropped(view: View, rng: np.random.Generator, how: Degradation) -> View:
    if rng.random() >= how.crop_chance:
        return view
    window = []
    for n in view.shape:
        kept = max(min(8, n), round(n * rng.uniform(how.crop, 1)))
        start = int(rng.integers(n - kept + 1))
        window.append(slice(start, start + kept))
    return view[tuple(window)]


def _turned(view: View, rng: np.random.Generator, how: Degradation) -> View:
    if rng.random() < how.mirrored:
        view = view[:, ::-1]
    if rng.random() < how.upside_down:
        view = view[::-1]
    return np.rot90(view, int(rng.choice((1, 3)))) if rng.random() < how.quarter_turn else view


def _recoloured(view: View, rng: np.random.Generator, how: Degradation) -> View:
    if rng.random() < how.window:
        low, high = rng.uniform(0, 0.3), rng.uniform(0.6, 1.0)
        view = np.clip((view - low) / (high - low), 0, 1).astype(np.float32)
    if rng.random() < how.window:
        places = np.linspace(0, 1, 5)
        values = np.clip(places + rng.uniform(-how.curve, how.curve, 5) * np.array((0.3, 0.6, 0.6, 0.6, 0.3)), 0, 1)
        view = np.interp(view, places, np.sort(values) if rng.random() < 0.7 else values).astype(np.float32)
    return 1 - view if rng.random() < how.inverted else view


def _padded(view: View, rng: np.random.Generator, how: Degradation) -> View:
    if rng.random() >= how.pad_chance:
        return view
    value = float(rng.choice((0.0, 1.0, rng.random())))
    widths = [tuple(int(rng.uniform(0, how.pad / 2) * n) for _ in range(2)) for n in view.shape]
    return np.pad(view, widths, constant_values=value)
