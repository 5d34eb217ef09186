"""Strokes as people draw them: thick, along, across or around the object, bent and interrupted; many at once.

After ScribblePrompt's simulation (Wong et al. 2023, arXiv 2312.07381: line, centre line and contour scribbles, warped and broken);
thickness and overflow as seen in people's strokes, 2 to 5 pixels.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from casewise.image import Box
from casewise.interaction.simulation.user import Hand, middle_line

Mask = npt.NDArray[np.bool_]

KINDS = ("centre", "line", "contour")
_SHARES = (0.5, 0.28, 0.22)
_OVER = 0.25  # chance that a stroke runs a little over the border
_LEAST = 6  # pixels of a part that gets a stroke of its own


def scribble(region: Mask, rng: np.random.Generator, thickness: float, kind: str | None = None) -> Mask:
    """(row, column) bool: one stroke in ``region``, of the ``kind`` or a drawn one of :data:`KINDS`.

    It lies within the region, but may run over its border by a quarter of the thickness. Never empty where the region is not.
    """
    around = Box.around(region)
    if around is None:
        return np.zeros_like(region)
    pad = int(np.ceil(thickness)) + 2
    window = tuple(slice(max(0, lo - pad), hi + pad) for lo, hi in zip(around.lower, around.upper, strict=True))
    inside = region[window]
    kind = kind or str(rng.choice(KINDS, p=_SHARES))
    thin = {"centre": _centre, "line": _lines, "contour": _contour}[kind](inside, rng)
    thin = _broken(_bent(thin, rng, 0.6 * thickness), rng)
    drawn = _thick(thin, thickness)
    room = ndimage.binary_dilation(inside, _disc(max(1.0, thickness / 4))) if rng.random() < _OVER else inside
    drawn &= room
    if not (drawn & inside).any():
        drawn = middle_line(inside, Hand(25, max(1, round(thickness))))
    found = np.zeros_like(region)
    found[window] = drawn
    return found


def at_once(
    truth: Mask, box: Mask, rng: np.random.Generator, thickness: float, kind: str | None = None, both: bool = False
) -> tuple[Mask, Mask]:
    """(foreground, background): what a person draws in one go on the object ``truth`` and on what lies beside it.

    One to three strokes on the object, of many parts on the larger ones; none to four on the rest, near the object, in the
    ``box`` or beyond it. At times only one kind is drawn, but with ``both``. No place is both.
    """
    foreground, background = np.zeros_like(truth), np.zeros_like(truth)
    sides = 0 if both else int(rng.choice(3, p=(0.8, 0.1, 0.1)))  # both kinds, the object alone, the rest alone
    if sides != 2:
        parts = _parts(truth, 6)
        for part in parts:
            for _ in range(1 if len(parts) > 2 else int(rng.choice((1, 2, 3), p=(0.65, 0.25, 0.1)))):
                foreground |= scribble(part, rng, thickness, kind)
    if sides != 1:
        background |= _beside(truth, box, rng, thickness, kind)
    return foreground & ~background | (foreground & truth), background & ~(foreground & truth)


def _beside(truth: Mask, box: Mask, rng: np.random.Generator, thickness: float, kind: str | None) -> Mask:
    away = int(rng.integers(1, 5))
    rest = ~ndimage.binary_dilation(truth, iterations=away)
    near = (
        rest & ndimage.binary_dilation(box, iterations=max(2, round(0.1 * max(box.shape)))) if rng.random() < 0.75 else rest & box
    )
    drawn = np.zeros_like(truth)
    parts = _parts(near, 4) or _parts(rest, 2)
    if not parts:
        return drawn
    for number in range(int(rng.choice((1, 2, 3, 4), p=(0.35, 0.3, 0.2, 0.15)))):
        part = parts[number] if number < len(parts) else parts[int(rng.integers(len(parts)))]
        if number >= len(parts) or (len(parts) == 1 and rng.random() < 0.5):
            half = part & _half(part.shape, rng)
            part = half if half.any() else part
        drawn |= scribble(part, rng, thickness, kind)
    return drawn


def _half(shape: tuple[int, ...], rng: np.random.Generator) -> Mask:
    """One side of a line through the middle third."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    angle = rng.uniform(0, 2 * np.pi)
    centre = rng.uniform(1 / 3, 2 / 3, 2) * shape
    side: Mask = (rows - centre[0]) * np.sin(angle) + (columns - centre[1]) * np.cos(angle) > 0
    return side


def _parts(mask: Mask, most: int) -> list[Mask]:
    """The largest connected parts, the largest first; the largest alone where all are tiny."""
    labels, count = ndimage.label(mask)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    order = np.argsort(-sizes, kind="stable")[:most]
    chosen = [n for n in order if sizes[n] >= _LEAST] or list(order[:1])
    return [labels == n + 1 for n in chosen]


def _centre(region: Mask, rng: np.random.Generator) -> Mask:
    """A part of the centre line, from a third of it to all."""
    line = middle_line(region, Hand(1_000_000, 1))
    places = np.argwhere(line)
    if len(places) < 6 or rng.random() < 0.5:
        return line
    # The part within reach of one of its places.
    at = places[int(rng.integers(len(places)))]
    reach = rng.uniform(0.3, 0.9) * np.hypot(*np.ptp(places, axis=0))
    near = places[np.hypot(*(places - at).T) <= reach]
    kept = np.zeros_like(line)
    kept[tuple(near.T)] = True
    return kept


def _lines(region: Mask, rng: np.random.Generator) -> Mask:
    """One or two straight strokes between places of the region; what would leave it is left out."""
    found = np.zeros_like(region)
    places = np.argwhere(region)
    for _ in range(int(rng.choice((1, 2), p=(0.7, 0.3)))):
        ends = places[rng.integers(len(places), size=8)]
        start = ends[0]
        stop = ends[int(np.argmax(np.hypot(*(ends - start).T)))]
        count = int(np.abs(stop - start).max()) + 1
        line = np.round(np.linspace(start, stop, count)).astype(int)
        found[tuple(line.T)] = True
    return found & region


def _contour(region: Mask, rng: np.random.Generator) -> Mask:
    """A line that follows the border, some way within it."""
    depth = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
    level = rng.uniform(0.15, 0.6) * depth.max()
    inner = depth > level
    rim: Mask = inner & ~ndimage.binary_erosion(inner)
    return rim if rim.any() else region


def _bent(line: Mask, rng: np.random.Generator, strength: float) -> Mask:
    """Moved by a smooth field of up to about ``strength`` pixels."""
    places = np.argwhere(line)
    if not len(places):
        return line
    coarse = rng.normal(0, strength, (2, 4, 4))
    grid = places.T / np.maximum(np.array(line.shape)[:, None] - 1, 1) * 3
    moved = np.stack([ndimage.map_coordinates(one, grid, order=1) for one in coarse], axis=1)
    at = np.clip(np.round(places + moved).astype(int), 0, np.array(line.shape) - 1)
    found = np.zeros_like(line)
    found[tuple(at.T)] = True
    # Where the field stretches the line, its places come apart by a pixel.
    closed: Mask = ndimage.binary_closing(np.pad(found, 2), iterations=2)[2:-2, 2:-2]
    return closed | found


def _broken(line: Mask, rng: np.random.Generator) -> Mask:
    """Interrupted here and there, at times not at all."""
    if rng.random() < 0.5:
        return line
    noise = ndimage.zoom(rng.random((6, 6)), [n / 6 for n in line.shape], order=1, grid_mode=True, mode="nearest")
    kept: Mask = line & (noise[: line.shape[0], : line.shape[1]] > rng.uniform(0.2, 0.5))
    return kept if kept.any() else line


def _thick(line: Mask, thickness: float) -> Mask:
    drawn: Mask = ndimage.binary_dilation(line, _disc(thickness / 2)) if thickness > 1.5 else line
    return drawn


def _disc(radius: float) -> Mask:
    reach = int(np.ceil(radius))
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc: Mask = rows**2 + columns**2 <= radius**2 + 0.25
    return disc
