"""What annotators use today, each behind the same two calls: from a box, and from all strokes so far."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from casewise.image import Box, Image
from casewise.intensity import unit_range
from casewise.interaction.geodesic import FAR, geodesic
from casewise.interaction.graph_cut import least_energy

_AROUND = 20  # voxels around the box that a method sees; all outside the box is background


class Method(Protocol):
    """One method on one task. Strokes are all so far, (*spatial) bool, and never overlap."""

    def begin(self, image: Image, box: Box) -> np.ndarray: ...

    def go_on(self, foreground: np.ndarray, background: np.ndarray) -> np.ndarray: ...


class _Seeded:
    """Everything outside the box is background, the central third foreground until a background stroke touches it."""

    def begin(self, image: Image, box: Box) -> np.ndarray:
        shape = image.spatial_shape
        self.shape = shape
        self.window = tuple(
            slice(max(0, low - _AROUND), min(n, high + _AROUND)) for low, high, n in zip(box.lower, box.upper, shape, strict=True)
        )
        self.spacing = image.spacing
        crop = image.array[(0, *self.window)].astype(np.float32)
        self.crop = unit_range(crop)
        inside, middle = np.zeros(shape, bool), np.zeros(shape, bool)
        inside[box.slices] = True
        thirds = [max(1, round((high - low) / 3)) for low, high in zip(box.lower, box.upper, strict=True)]
        starts = [low + (high - low - third) // 2 for low, high, third in zip(box.lower, box.upper, thirds, strict=True)]
        middle[tuple(slice(s, s + t) for s, t in zip(starts, thirds, strict=True))] = True
        self.inside, self.middle = inside[self.window], middle[self.window]
        nothing = np.zeros(shape, bool)
        return self.go_on(nothing, nothing)

    def go_on(self, foreground: np.ndarray, background: np.ndarray) -> np.ndarray:
        fore, back = foreground[self.window], background[self.window]
        seeds = fore if (back & self.middle).any() else fore | (self.middle & ~back)
        mask = self.segment(seeds, back | ~self.inside) if seeds.any() else np.zeros_like(seeds)
        full = np.zeros(self.shape, bool)
        full[self.window] = (mask & self.inside & ~back) | fore
        return full

    def segment(self, foreground: np.ndarray, background: np.ndarray) -> np.ndarray:
        raise NotImplementedError


class Geodesic(_Seeded):
    """The nearer of the two kinds of seeds, along paths of least change in intensity (FastGeodis' measure, λ 1)."""

    def segment(self, foreground: np.ndarray, background: np.ndarray) -> np.ndarray:
        crop = self.crop[None, None]
        inner = geodesic(crop, foreground[None], self.spacing, spatial=1e-4, sweeps=4)[0]
        outer = geodesic(crop, background[None], self.spacing, spatial=1e-4, sweeps=4)[0]
        return (inner < outer) & (inner < FAR)


class RandomWalker(_Seeded):
    """scikit-image's, beta 130."""

    def segment(self, foreground: np.ndarray, background: np.ndarray) -> np.ndarray:
        from skimage.segmentation import random_walker

        seeds = np.where(foreground, 1, np.where(background, 2, 0))
        if not (seeds == 0).any() or not background.any():
            return foreground | (seeds == 0)
        mode = "cg_j" if seeds.ndim == 2 else "cg_mg" if _has_pyamg() else "cg_j"
        return random_walker(self.crop, seeds, beta=130, mode=mode, tol=1e-3) == 1


class HistogramGraphCut(_Seeded):
    """Likelihood from 64-bin histograms of the seeds, then graph cut with λ 1, σ 0.1, as MONAI Label does it."""

    def segment(self, foreground: np.ndarray, background: np.ndarray) -> np.ndarray:
        bins = np.minimum((self.crop * 64).astype(int), 63)
        inner = np.bincount(bins[foreground], minlength=64) / max(1, foreground.sum())
        outer = np.bincount(bins[background], minlength=64) / max(1, background.sum())
        chance = ((inner + 1e-6) / (inner + outer + 2e-6))[bins].astype(np.float32)
        return least_energy(self.crop[None], chance, foreground, background, self.spacing, smoothness=1.0, sigma=0.1)


class GrabCut:
    """OpenCV's: the rectangle, then the strokes in its mask mode, five iterations each."""

    def begin(self, image: Image, box: Box) -> np.ndarray:
        import cv2

        grey = image.array[0].astype(np.float32)
        window = tuple(slice(max(0, lo - 60), min(n, hi + 60)) for lo, hi, n in zip(box.lower, box.upper, grey.shape, strict=True))
        picture = (unit_range(grey[window]) * 255).astype(np.uint8)
        self.window, self.shape = window, grey.shape
        self.picture = np.repeat(picture[..., None], 3, axis=-1)
        self.models = np.zeros((1, 65)), np.zeros((1, 65))
        self.state = np.full(picture.shape, cv2.GC_BGD, np.uint8)
        inside = tuple(slice(lo - w.start, hi - w.start) for lo, hi, w in zip(box.lower, box.upper, window, strict=True))
        self.inside = np.zeros(picture.shape, bool)
        self.inside[inside] = True
        self.state[self.inside] = cv2.GC_PR_FGD
        return self._cut(cv2.GC_INIT_WITH_MASK)

    def go_on(self, foreground: np.ndarray, background: np.ndarray) -> np.ndarray:
        import cv2

        self.state[foreground[self.window]] = cv2.GC_FGD
        self.state[background[self.window]] = cv2.GC_BGD
        return self._cut(cv2.GC_INIT_WITH_MASK)

    def _cut(self, mode: int) -> np.ndarray:
        import cv2

        found = (self.state == cv2.GC_FGD) | (self.state == cv2.GC_PR_FGD)
        if found.any() and not found.all():
            cv2.setRNGSeed(0)
            cv2.grabCut(self.picture, self.state, None, *self.models, 5, mode)
        full = np.zeros(self.shape, bool)
        full[self.window] = ((self.state == cv2.GC_FGD) | (self.state == cv2.GC_PR_FGD)) & self.inside
        return full


def _has_pyamg() -> bool:
    from importlib.util import find_spec

    return find_spec("pyamg") is not None


PEERS = {"geodesic": Geodesic, "graph cut": HistogramGraphCut, "random walker": RandomWalker, "GrabCut": GrabCut}
