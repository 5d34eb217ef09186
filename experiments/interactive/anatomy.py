"""Objects shaped as organs are: a labelled CT's slices in their own greys, and as scenes in which each organ has another grey.

The scenes follow SynthSeg (Billot et al. 2023, arXiv 2107.09559): contrasts that no scanner gives teach shape instead of intensity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation, gaussian_filter, zoom
from skimage.segmentation import felzenszwalb

from casewise.case import Case
from experiments.interactive.shapes import in_one_grey, recoloured

Draw = Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]
_EDGE = 192  # pixels that a slice's longer side is brought to
_LEAST = 24  # pixels of an organ in a slice
_CONTRAST = 0.07  # by which an organ's grey differs from what is around it, at least


@dataclass(frozen=True, eq=False)
class Section:
    """A slice. picture : (row, column) float32, 0…1. parts : its organs, and superpixels beside them, numbered. organs : their
    numbers.
    """

    picture: np.ndarray
    parts: np.ndarray
    organs: tuple[int, ...]


class Anatomy:
    """Draws (picture, object) from sections. ``scenes`` : share of pictures in which each part has a grey of its own."""

    def __init__(self, sections: Sequence[Section], scenes: float = 0.6) -> None:
        self.sections, self.scenes = list(sections), scenes
        counts = np.array([min(len(section.organs), 8) for section in sections], float)
        self.chances = counts / counts.sum()

    def __call__(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        section = self.sections[int(rng.choice(len(self.sections), p=self.chances))]
        mask = section.parts == section.organs[int(rng.integers(len(section.organs)))]
        for _ in range(int(rng.choice((0, 1, 2), p=(0.75, 0.17, 0.08)))):  # and organs that touch it
            near = np.setdiff1d(np.unique(section.parts[binary_dilation(mask) & ~mask]), (-1,))
            if len(near):
                mask = mask | (section.parts == int(rng.choice(near)))
        picture = recoloured(section.picture, section.parts, rng) if rng.random() < self.scenes else section.picture
        return (picture if _visible(picture, mask) else in_one_grey(picture, mask, rng)), mask


def mixed(tasks: Draw, anatomy: Draw, share: float) -> Draw:
    """Draws from ``anatomy`` with the chance ``share``, else from ``tasks``."""
    return lambda rng: (anatomy if rng.random() < share else tasks)(rng)


def sections_of(case: Case, most: int = 30) -> Iterator[Section]:
    """Slices along each axis of a volume with even voxels, ``most`` of an axis, in which an organ can be seen."""
    volume = np.clip((case.image.array[0].astype(np.float32) + 160) / 400, 0, 1)  # CT: soft tissue
    masks = {number: load() for number, load in enumerate(case.load_masks.values(), start=1)}
    for axis in range(3):
        filled = np.flatnonzero(sum(mask.any(axis=tuple(n for n in range(3) if n != axis)) for mask in masks.values()))
        for place in filled[np.unique(np.linspace(0, len(filled) - 1, min(most, len(filled))).astype(int))]:
            made = _section(volume.take(place, axis), {n: mask.take(place, axis) for n, mask in masks.items()})
            if made.organs:
                yield made


def _section(plane: np.ndarray, masks: dict[int, np.ndarray]) -> Section:
    factor = _EDGE / max(plane.shape)
    picture = np.clip(zoom(plane, factor, order=1), 0, 1).astype(np.float32)
    parts = felzenszwalb(picture, scale=120, sigma=0.8, min_size=60).astype(np.int32) + len(masks) + 1
    shares = {n: gaussian_filter(zoom(mask.astype(np.float32), factor, order=1), 0.5) for n, mask in masks.items() if mask.any()}
    for number, share in shares.items():
        parts[share > 0.5] = number
    _, numbers = np.unique(parts, return_inverse=True)  # from 0, without gaps
    renumbered = numbers.reshape(parts.shape).astype(np.int32)
    organs = [n for n in shares if (parts == n).sum() >= _LEAST]
    return Section(picture, renumbered, tuple(int(renumbered[parts == n][0]) for n in organs))


def _visible(picture: np.ndarray, mask: np.ndarray) -> bool:
    around = binary_dilation(mask, iterations=3) & ~mask
    return bool(mask.any() and around.any() and abs(picture[mask].mean() - picture[around].mean()) >= _CONTRAST)
