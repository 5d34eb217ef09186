"""Bodies in volumes that shape tells as much as grey does: bent, lobed and hollow ones, among others of their own tissue.

The scenes follow SynthSeg (Billot et al. 2023, arXiv 2107.09559), with few kinds of tissue: where a neighbour is of the
object's own kind nothing marks the border, as between the grey structures of a brain or the muscles of a trunk.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import affine_transform, binary_dilation, gaussian_filter

Volume = np.ndarray  # (row, column, plane) float32, 0…1
Mask = np.ndarray  # (row, column, plane) bool
_CONTRAST = 0.045  # by which a voxel beside an object differs from it, where its border can be seen
_SHARE = 0.35  # of the border, at least


def body(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[Mask, Mask]:
    """(a body of 12 to 52 voxels a side, what it encloses): bent and elongated, a blob, several in one, or a wall."""
    kind = int(rng.choice(4, p=(0.45, 0.2, 0.2, 0.15)))
    centre, size = rng.uniform(0.4, 0.6, 3) * shape, float(np.exp(rng.uniform(np.log(12), np.log(52))))
    nothing = np.zeros(shape, bool)
    if kind == 0:
        return _field(shape, *_bent(centre, size, rng), rng) < 1, nothing
    if kind == 2:
        count = int(rng.integers(2, 5))
        places = centre + rng.uniform(-0.3, 0.3, (count, 3)) * size
        return _field(shape, places, rng.uniform(0.15, 0.32, count) * size, rng) < 1, nothing
    found = _field(shape, centre[None], np.array([0.5 * size]), rng)
    if kind == 1:
        return found < 1, nothing
    inner = found < rng.uniform(0.5, 0.8)
    return (found < 1) & ~inner, inner


def _bent(centre: np.ndarray, size: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(places, radii) along an arc whose thickness changes from end to end."""
    steps = np.linspace(0, 1, 28)[:, None]
    along, aside = rng.normal(0, 1, 3), rng.normal(0, 1, (2, 3))
    along *= size / np.linalg.norm(along)
    bends = aside / np.linalg.norm(aside, axis=1, keepdims=True) * rng.uniform(0.1, 0.5, (2, 1)) * size
    places = centre + (steps - 0.5) * along + (steps - 0.5) ** 2 * 2 * bends[0] + (steps - 0.5) ** 3 * 6 * bends[1]
    thickness = np.interp(steps[:, 0], np.linspace(0, 1, 4), rng.uniform(0.45, 1.25, 4))
    return places, np.maximum(rng.uniform(0.1, 0.24) * size * thickness, 1.6)


def _field(shape: tuple[int, ...], places: np.ndarray, radii: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The distance to the nearest of ``places`` in units of its radius, pressed flat along some direction, its border uneven."""
    turned, _ = np.linalg.qr(rng.normal(0, 1, (3, 3)))
    metric = (turned * np.exp(rng.uniform(-0.35, 0.35, 3))) @ turned.T
    nearest = np.full(shape, 9.0, np.float32)
    for place, radius in zip(places, radii, strict=True):
        reach = 2.2 * radius
        low = np.clip(np.floor(place - reach).astype(int), 0, np.array(shape) - 1)
        high = np.minimum(np.maximum(np.ceil(place + reach).astype(int) + 1, low + 1), shape)
        window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        offsets = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"), -1) - place
        away = np.linalg.norm(offsets @ metric, axis=-1) / radius
        nearest[window] = np.minimum(nearest[window], away)
    return nearest + rng.uniform(0.0, 0.22) * smooth(shape, int(rng.integers(4, 10)), rng)


def smooth(shape: tuple[int, ...], knots: int, rng: np.random.Generator) -> np.ndarray:
    """A field of mean 0 and spread about 1 that changes over a ``knots``-th of the volume."""
    coarse = gaussian_filter(rng.normal(0, 1, (knots,) * 3), 0.7, mode="wrap")
    coarse /= coarse.std()
    spread = affine_transform(coarse, [(knots - 1) / max(n - 1, 1) for n in shape], output_shape=shape, order=1)
    return spread.astype(np.float32)


def scene(picture: Volume, parts: np.ndarray, mask: Mask, rng: np.random.Generator, inner: Mask | None = None) -> Volume:
    """The object among ``parts`` (numbered regions, from 0), each of one of a few tissues; things of its own grey lean on it."""
    levels = _levels(int(parts.max()) + 1, rng)
    grey = levels[parts]
    if inner is not None and inner.any():
        grey[inner] = rng.choice(levels)
    if rng.random() < 0.45:
        grey[_beside(mask, rng)] = rng.choice(levels)
    own = _own_grey(grey, mask, levels, rng)
    if rng.random() < 0.35:  # a cleft along some of the border
        rim = (
            binary_dilation(mask, iterations=int(rng.integers(1, 3)))
            & ~mask
            & (smooth(mask.shape, 5, rng) > rng.uniform(-0.3, 0.8))
        )
        grey[rim] = rng.choice((0.0, 1.0, float(rng.random())))
    if rng.random() < 0.5:
        grey[_beside(mask, rng)] = own
    grey[mask] = own + rng.uniform(0, 0.04) * smooth(mask.shape, 8, rng)[mask]
    return _finished(grey, picture, rng)


def nestled(picture: Volume, rng: np.random.Generator) -> tuple[Volume, Mask]:
    """A small bent body among others of nearly its own grey that lean on it, between a brighter and a darker tissue, of which thin
    sheets part some of them: as the grey structures deep in a brain lie, or glands and nodes in fat.
    """
    shape = picture.shape
    size = float(np.exp(rng.uniform(np.log(16), np.log(44))))
    mask = _field(shape, *_bent(rng.uniform(0.4, 0.6, 3) * shape, size, rng), rng) < 1
    own = rng.uniform(0.35, 0.65)
    bright, dark = own + rng.uniform(0.12, 0.35), own - rng.uniform(0.12, 0.35)
    grey = np.where(smooth(shape, int(rng.integers(4, 10)), rng) > rng.normal(-0.3, 0.6), bright, dark).astype(np.float32)
    for _ in range(int(rng.integers(2, 6))):
        rim = np.argwhere(binary_dilation(mask, iterations=int(rng.integers(1, 4))) & ~mask)
        if len(rim):
            near = rim[int(rng.integers(len(rim)))]
            centre = near + rng.uniform(0.1, 0.4) * (near - np.argwhere(mask).mean(axis=0))
            other = _field(shape, *_bent(centre, size * rng.uniform(0.4, 1.2), rng), rng) < 1
            grey[other] = own + rng.normal(0, 0.05)
    sheet = binary_dilation(mask, iterations=int(rng.integers(1, 3))) & (smooth(shape, 6, rng) > rng.uniform(-0.8, 0.6))
    grey[sheet] = rng.choice((bright, dark))
    grey[mask] = own + rng.uniform(0, 0.04) * smooth(shape, 8, rng)[mask]
    return _finished(grey, picture, rng), mask


def painted_faintly(picture: Volume, mask: Mask, rng: np.random.Generator, inner: Mask | None = None) -> Volume:
    """A real picture with the object in it, little brighter or darker than what was there, some of its border out of sight."""
    around = binary_dilation(mask, iterations=3) & ~mask
    before = float(picture[around if around.any() else mask].mean())
    contrast = rng.uniform(0.05, 0.3)
    level = before + contrast if rng.random() < 0.5 + 0.5 * (0.5 - before) else before - contrast
    displayed = np.clip(1.3 - np.maximum(smooth(mask.shape, 4, rng) - rng.uniform(0.2, 1.4), 0) * 2.5, 0, 1)
    share = gaussian_filter(mask.astype(np.float32), rng.uniform(0.4, 1.2)) * displayed
    through = rng.uniform(0.0, 0.4)
    mixed = (1 - share) * picture + share * (through * picture + (1 - through) * level)
    if inner is not None and inner.any():
        cavity = gaussian_filter(inner.astype(np.float32), 0.7)
        mixed = (1 - cavity) * mixed + cavity * float(np.clip(level + rng.choice((-1, 1)) * rng.uniform(0.1, 0.4), 0, 1))
    if rng.random() < 0.5:
        beside = gaussian_filter(_beside(mask, rng).astype(np.float32), 0.7) * (1 - mask)
        mixed = (1 - beside) * mixed + beside * level
    return np.clip(mixed + _grain(mask.shape, 0.04, rng), 0, 1).astype(np.float32)


def visible_share(picture: Volume, mask: Mask) -> float:
    """The share of an object's border at which its grey ends."""
    around = binary_dilation(mask, iterations=2) & ~mask
    if not around.any() or not mask.any():
        return 0.0
    return float((np.abs(gaussian_filter(picture, 0.7)[around] - picture[mask].mean()) >= _CONTRAST).mean())


def visible(picture: Volume, mask: Mask) -> bool:
    """Whether enough of its border can be seen."""
    return visible_share(picture, mask) >= _SHARE


def _levels(count: int, rng: np.random.Generator) -> np.ndarray:
    """The grey of each part: of two to five tissues, some much alike, or each its own."""
    if rng.random() < 0.25:
        return rng.random(count).astype(np.float32)
    kinds = rng.random(int(rng.integers(2, 6)))
    if rng.random() < 0.6:  # alike, all but the first, which then sets the range
        kinds[1:] = rng.uniform(0.25, 0.75) + (kinds[1:] - 0.5) * rng.uniform(0.1, 0.5)
        kinds[0] = rng.choice((rng.uniform(0, 0.15), rng.uniform(0.85, 1)))
    shares = rng.dirichlet(np.full(len(kinds), 2.0))
    return (rng.choice(kinds, count, p=shares) + rng.normal(0, rng.uniform(0, 0.03), count)).astype(np.float32)


def _own_grey(grey: Volume, mask: Mask, levels: np.ndarray, rng: np.random.Generator) -> float:
    """A grey of the scene, or one near to it, that ends at enough of the border."""
    around = grey[binary_dilation(mask, iterations=2) & ~mask]
    for _ in range(6):
        own = float(rng.choice(levels)) + float(rng.choice((0.0, rng.normal(0, 0.08))))
        if (np.abs(around - own) >= _CONTRAST).mean() >= _SHARE:
            return own
    return float(np.median(around)) + float(rng.choice((-1, 1))) * rng.uniform(0.06, 0.2)


def _beside(mask: Mask, rng: np.random.Generator) -> Mask:
    """One to three lumps that touch the object, on its outside."""
    found, rim = np.zeros(mask.shape, bool), np.argwhere(binary_dilation(mask) & ~mask)
    side = float(mask.sum()) ** (1 / 3)
    for _ in range(int(rng.integers(1, 4)) if len(rim) else 0):
        place = rim[int(rng.integers(len(rim)))].astype(float)
        found |= _field(mask.shape, place[None], np.array([max(1.5, side * rng.uniform(0.15, 0.6))]), rng) < 1
    return found & ~mask


def _finished(grey: Volume, picture: Volume, rng: np.random.Generator) -> Volume:
    """Blurred as by a scanner, with some of the real picture's texture, grain, and brightness that drifts."""
    texture = picture - gaussian_filter(picture, 2.0)
    drift = rng.uniform(0, 0.12) * smooth(grey.shape, 3, rng)
    blurred = gaussian_filter(grey, rng.uniform(0.4, 1.2)) + rng.uniform(0.0, 0.8) * texture + drift
    return np.clip(blurred + _grain(grey.shape, 0.06, rng), 0, 1).astype(np.float32)


def _grain(shape: tuple[int, ...], most: float, rng: np.random.Generator) -> np.ndarray:
    grain = gaussian_filter(rng.normal(0, 1, shape).astype(np.float32), rng.uniform(0.0, 0.9))
    return grain / grain.std() * np.float32(rng.uniform(0, most))
