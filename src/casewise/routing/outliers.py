"""Pictures of no category, made from the training pictures themselves: they teach a network what *unknown* looks like.

They stand beside real images of other kinds, where there are some (outlier exposure, Hendrycks 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from casewise.routing.degradation import resized
from casewise.routing.views import View

_EDGE = 96
_COLOURED = 0.25  # of the pictures made up


def outlier(views: Sequence[View], rng: np.random.Generator) -> View:
    """One picture of nothing: shuffled, scrambled or joined from ``views``, a small crop of one, or drawn at random."""
    kinds: tuple[Callable[[Sequence[View], np.random.Generator], View], ...] = (
        _shuffled, _crop, _crop, _joined, _scrambled, _clouds, _shapes, _warped,
    )  # fmt: skip
    made = kinds[int(rng.integers(len(kinds)))](views, rng)
    return _painted(made, rng) if rng.random() < _COLOURED else made


def _one(views: Sequence[View], rng: np.random.Generator) -> View:
    view = views[int(rng.integers(len(views)))]
    return view if view.ndim == 2 else view.mean(axis=2)


def _painted(view: View, rng: np.random.Generator) -> View:
    """(row, column, 3): grey values through a random curve for each channel, as photographs have colours."""
    places = np.linspace(0, 1, 5)
    return np.stack([np.interp(view, places, rng.random(5)) for _ in range(3)], axis=-1).astype(np.float32)


def _square(view: View) -> View:
    from PIL import Image as Pillow

    picture = Pillow.fromarray(np.ascontiguousarray(view, np.float32))
    return np.clip(np.asarray(picture.resize((_EDGE, _EDGE), Pillow.Resampling.BILINEAR), np.float32), 0, 1)


def _shuffled(views: Sequence[View], rng: np.random.Generator) -> View:
    """The pieces of a picture in another order."""
    n = int(rng.choice((2, 3, 4, 6)))
    edge = _EDGE // n
    square = _square(_one(views, rng))
    pieces = [square[i * edge : (i + 1) * edge, j * edge : (j + 1) * edge] for i in range(n) for j in range(n)]
    order = np.roll(np.arange(n * n), 1) if n == 2 else rng.permutation(n * n)
    return np.block([[pieces[order[i * n + j]] for j in range(n)] for i in range(n)]).astype(np.float32)


def _crop(views: Sequence[View], rng: np.random.Generator) -> View:
    """A piece of a picture, too small to recognise what it is of."""
    view = resized(_one(views, rng), 256)
    rows, columns = (max(12, round(n * rng.uniform(0.12, 0.3))) for n in view.shape)
    best = None
    for _ in range(4):  # the most varied of four: an empty corner teaches little
        top, left = (int(rng.integers(n - m + 1)) for n, m in zip(view.shape, (rows, columns), strict=True))
        piece = view[top : top + rows, left : left + columns]
        best = piece if best is None or piece.std() > best.std() else best
    return resized(best, _EDGE) if best is not None else view


def _joined(views: Sequence[View], rng: np.random.Generator) -> View:
    """Two pictures in one: side by side, one above the other, or one blended with the other."""
    first, second = _square(_one(views, rng)), _square(_one(views, rng))
    way = int(rng.integers(3))
    if way == 0:
        share = rng.uniform(0.35, 0.65)
        return (share * first + (1 - share) * second[::-1]).astype(np.float32)
    half = _EDGE // 2
    joined = first.copy()
    if way == 1:
        joined[:, half:] = second[:, ::-1][:, half:]
    else:
        joined[half:] = second[::-1][half:]
    return joined


def _scrambled(views: Sequence[View], rng: np.random.Generator) -> View:
    """The same frequencies with other phases: the texture of a picture without its shapes."""
    spectrum = np.abs(np.fft.rfft2(_square(_one(views, rng))))
    return _unit(np.fft.irfft2(spectrum * np.exp(2j * np.pi * rng.random(spectrum.shape)), s=(_EDGE, _EDGE)))


def _clouds(views: Sequence[View], rng: np.random.Generator) -> View:
    """Noise with more or less of its fine parts, at times in two or three levels."""
    rows, columns = np.fft.fftfreq(_EDGE)[:, None], np.fft.rfftfreq(_EDGE)[None]
    radius = np.hypot(rows * rng.uniform(0.4, 2), columns) + 1 / _EDGE
    noise = np.fft.rfft2(rng.standard_normal((_EDGE, _EDGE))) / radius ** rng.uniform(0, 2.2)
    clouds = _unit(np.fft.irfft2(noise, s=(_EDGE, _EDGE)))
    levels = int(rng.choice((0, 0, 2, 3)))
    return (np.round(clouds * (levels - 1)) / (levels - 1)).astype(np.float32) if levels else clouds


def _shapes(views: Sequence[View], rng: np.random.Generator) -> View:
    """Ellipses, boxes, stripes and lines of characters on a plain or sloping ground."""
    from PIL import Image as Pillow
    from PIL import ImageDraw

    slope = np.add.outer(np.linspace(0, rng.uniform(-1, 1), _EDGE), np.linspace(0, rng.uniform(-1, 1), _EDGE))
    ground = _unit(slope) * 255 if rng.random() < 0.5 else np.full((_EDGE, _EDGE), rng.integers(256))
    picture = Pillow.fromarray(ground.astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(1, 14))):
        x, y, w, h = (int(v) for v in rng.integers(-10, _EDGE, 4))
        box, fill = (x, y, x + abs(w) // 2 + 2, y + abs(h) // 2 + 2), int(rng.integers(256))
        kind = int(rng.integers(4))
        if kind == 0:
            draw.ellipse(box, fill=fill)
        elif kind == 1:
            draw.rectangle(box, fill=fill, outline=int(rng.integers(256)))
        elif kind == 2:
            draw.line(box, fill=fill, width=int(rng.integers(1, 9)))
        else:
            draw.text((x, y), "".join(chr(int(c)) for c in rng.integers(48, 123, 9)), fill=fill)
    return np.asarray(picture, np.float32) / np.float32(255)


def _warped(views: Sequence[View], rng: np.random.Generator) -> View:
    """A picture bent until its anatomy is lost."""
    from scipy import ndimage

    square = _square(_one(views, rng))
    moves = [ndimage.zoom(rng.standard_normal((5, 5)), _EDGE / 5, order=3) * rng.uniform(12, 24) for _ in range(2)]
    rows, columns = np.meshgrid(np.arange(_EDGE), np.arange(_EDGE), indexing="ij")
    return np.asarray(
        ndimage.map_coordinates(square, [rows + moves[0], columns + moves[1]], order=1, mode="reflect").astype(np.float32)
    )


def _unit(values: np.ndarray) -> View:
    low, high = float(values.min()), float(values.max())
    return ((values - low) / (high - low if high > low else 1)).astype(np.float32)
