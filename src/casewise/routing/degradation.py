"""Random change of the pictures that a router is trained on, so that it knows anatomy and not a source's size or compression.

Each training picture is brought to a random size and aspect, compressed as JPEG of random quality, padded, cropped, turned,
inverted, tinted, displayed in another window, written upon and made noisy, as teaching files, screenshots and scanners differ.
``training.augmentation`` then bends it and changes its brightness anew in every step.
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
    left; near : that of the pictures that are cropped as closely as another's protocol may. pad : the largest share of an edge that
    is added. curve : how far a random curve moves grey values. gamma : the largest logarithm of a power curve's exponent. stretch :
    the logarithm of the aspect's largest change. noise : its largest deviation.
    """

    sizes: tuple[int, int] = (36, 224)
    jpeg: float = 0.6
    quality: tuple[int, int] = (15, 95)
    crop_chance: float = 0.5
    crop: float = 0.7
    near_chance: float = 0.4
    near: tuple[float, float] = (0.4, 0.8)
    pad_chance: float = 0.3
    pad: float = 0.4
    inverted: float = 0.3
    mirrored: float = 0.5
    upside_down: float = 0.12
    quarter_turn: float = 0.25
    window: float = 0.4
    curve: float = 0.4
    gamma_chance: float = 0.3
    gamma: float = 0.7
    stretch_chance: float = 0.25
    stretch: float = 0.35
    written: float = 0.25
    noise_chance: float = 0.3
    noise: float = 0.08
    tinted: float = 0.08


def degrade(view: View, rng: np.random.Generator, how: Degradation | None = None) -> View:
    """Another picture of the same content; a function of ``view`` and the state of ``rng`` alone."""
    how = how or Degradation()
    view = _turned(_cropped(view, rng, how), rng, how)
    view = _recoloured(view, rng, how)
    view = _padded(view, rng, how)
    if rng.random() < how.stretch_chance:
        rows = max(8, round(view.shape[0] * float(np.exp(rng.uniform(-how.stretch, how.stretch)))))
        view = _scaled(view, (rows, view.shape[1]))
    low, high = np.log(how.sizes[0]), np.log(how.sizes[1])
    view = resized(view, round(float(np.exp(rng.uniform(low, high)))))
    if rng.random() < how.written:
        view = written_upon(view, rng)
    if rng.random() < how.noise_chance:
        view = np.clip(view + rng.normal(0, rng.uniform(0, how.noise), view.shape), 0, 1).astype(np.float32)
    if rng.random() < how.tinted:
        view = tinted(view, rng)
    if rng.random() < how.jpeg:
        view = recompressed(view, int(rng.integers(how.quality[0], how.quality[1] + 1)))
    return normalised(view)


def resized(view: View, edge: int) -> View:
    """``view`` with its longer edge ``edge`` pixels long."""
    factor = edge / max(view.shape[:2])
    return _scaled(view, (max(8, round(view.shape[0] * factor)), max(8, round(view.shape[1] * factor))))


def _scaled(view: View, shape: tuple[int, int]) -> View:
    from PIL import Image as Pillow

    if view.ndim == 3:
        return np.stack([_scaled(view[..., channel], shape) for channel in range(view.shape[2])], axis=-1)
    picture = Pillow.fromarray(np.ascontiguousarray(view, np.float32))
    return np.clip(np.asarray(picture.resize(shape[::-1], Pillow.Resampling.BILINEAR), np.float32), 0, 1)


def recompressed(view: View, quality: int) -> View:
    """``view`` as an 8-bit JPEG of ``quality`` gives it back."""
    from PIL import Image as Pillow

    stream = io.BytesIO()
    Pillow.fromarray((view * 255).round().astype(np.uint8)).save(stream, "JPEG", quality=quality)
    return np.asarray(Pillow.open(stream), np.float32) / np.float32(255)


def tinted(view: View, rng: np.random.Generator) -> View:
    """(row, column, 3): the grey values through a curve of each channel's own, or a colour cast on colours."""
    colours = view if view.ndim == 3 else np.repeat(view[..., None], 3, axis=2)
    return np.clip(colours * rng.uniform(0.75, 1.1, 3) + rng.uniform(-0.06, 0.06, 3), 0, 1).astype(np.float32)


def written_upon(view: View, rng: np.random.Generator) -> View:
    """Text, lines and a bar, as scanners, viewers and publishers burn them in."""
    from PIL import Image as Pillow
    from PIL import ImageDraw

    picture = Pillow.fromarray((view * 255).round().astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    width, height = picture.size
    for _ in range(int(rng.integers(1, 8))):
        shade = int(rng.choice((0, 200, 255)))
        fill = shade if view.ndim == 2 else (shade, shade, shade)
        x, y = int(rng.integers(width)), int(height * rng.choice((rng.uniform(0, 0.15), rng.uniform(0.85, 1), rng.random())))
        kind = rng.random()
        if kind < 0.6:
            text = "".join(chr(int(code)) for code in rng.integers(40, 122, int(rng.integers(2, 14))))
            draw.text((x, y), text, fill=fill)
        elif kind < 0.8:
            draw.line((x, y, int(rng.integers(width)), int(rng.integers(height))), fill=fill)
        else:
            draw.rectangle((0, height - int(rng.uniform(0, 0.06) * height), width, height), fill=fill)
    return np.asarray(picture, np.float32) / np.float32(255)


def _cropped(view: View, rng: np.random.Generator, how: Degradation) -> View:
    if rng.random() >= how.crop_chance:
        return view
    window = []
    shares = how.near if rng.random() < how.near_chance else (how.crop, 1.0)
    for n in view.shape[:2]:
        kept = max(min(8, n), round(n * rng.uniform(*shares)))
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
        low, high = rng.uniform(-0.1, 0.35), rng.uniform(0.5, 1.15)
        view = np.clip((view - low) / (high - low), 0, 1).astype(np.float32)
    if rng.random() < how.window:
        places = np.linspace(0, 1, 5)
        values = np.clip(places + rng.uniform(-how.curve, how.curve, 5) * np.array((0.3, 0.6, 0.6, 0.6, 0.3)), 0, 1)
        view = np.interp(view, places, np.sort(values) if rng.random() < 0.7 else values).astype(np.float32)
    if rng.random() < how.gamma_chance:
        view = (view ** np.exp(rng.uniform(-how.gamma, how.gamma))).astype(np.float32)
    return 1 - view if rng.random() < how.inverted else view


def _padded(view: View, rng: np.random.Generator, how: Degradation) -> View:
    if rng.random() >= how.pad_chance:
        return view
    value = float(rng.choice((0.0, 1.0, rng.random())))
    widths = [tuple(int(rng.uniform(0, how.pad / 2) * n) for _ in range(2)) for n in view.shape[:2]]
    return np.pad(view, widths + [(0, 0)] * (view.ndim - 2), constant_values=value)
