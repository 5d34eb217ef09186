"""Chest radiographs with the masks ``left_lung``, ``right_lung`` and, where a set has it, ``heart``; and what is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from casewise import formats
from casewise.case import Case
from casewise.chest.region_pose import Pose
from casewise.header import Header
from casewise.image import Image
from experiments import datasets
from experiments.cases import CHEST, chest
from experiments.regions.clavicles import films, reduced

Mask = npt.NDArray[np.bool_]


def radiographs(site: str) -> list[Case]:
    """The cases of a site; where its set outlines both lungs as one, each is a piece of that mask."""
    return [replace(case, load_masks=_sides(case.load_masks)) for case in chest(site)]


def all_sites() -> dict[str, list[Case]]:
    return {site: radiographs(site) for site in CHEST}


def every_film() -> list[Case]:
    """JSRT's 148 films, reduced to what a network sees of them, and those of the other sites."""
    return [*(reduced(film) for film in films()), *radiographs("shenzhen"), *radiographs("montgomery")]


def _sides(masks: Mapping[str, Callable[[], Mask]]) -> dict[str, Callable[[], Mask]]:
    if "lung" not in masks:
        return dict(masks)
    both = masks["lung"]
    return {"right_lung": lambda: lungs_apart(both())[0], "left_lung": lambda: lungs_apart(both())[1]}


def lungs_apart(both: Mask) -> tuple[Mask, Mask]:
    """(right, left): the two largest pieces of a mask of both lungs; the patient's right is the picture's left.

    Raises ValueError where the mask is not of two pieces of comparable size: the sets at hand have no such mask.
    """
    pieces, _ = ndimage.label(both)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    first, second = np.argsort(sizes)[::-1][:2]
    if sizes[second] < 0.25 * sizes[first]:
        raise ValueError(f"the mask's pieces have {sizes[first]} and {sizes[second]} pixels, which are not two lungs")
    columns = {int(number): float(np.nonzero(pieces == number)[1].mean()) for number in (first, second)}
    right, left = sorted(columns, key=columns.__getitem__)
    return pieces == right, pieces == left


STRANGE = (
    "mednist/Hand/*",
    "mednist/ChestCT/*",
    "mednist/AbdomenCT/*",
    "mednist/HeadCT/*",
    "mednist/BreastMRI/*",
    "brain-tumour/*/*",
    "busi/*/*[0-9]).png",
)
WRONG_POSES = tuple(Pose(turns, mirrored=False, inverted=dark) for turns in range(4) for dark in (False, True))[1:]
_MOST_PIXELS = 512
SHOWN = 20  # pictures of a kind, to every training


def no_chests(films: Sequence[Case]) -> list[Case]:
    """What is no upright chest with two lungs.

    Nothing is to be found in each film turned or inverted in one of seven ways, and in pictures of other kinds; one lung alone in
    every fourth film, whose other lung has been made white.
    """
    fourth = [film for film in films if int(film.key[8:16], 16) % 4 == 0]
    return [*(_wrong(film) for film in films), *(_one_lung(film) for film in fourth), *_strange()]


def strange_pictures(each: int, unseen: bool = False) -> list[list[Path]]:
    """``each`` files of every kind of ``STRANGE``, evenly spread; ``unseen``: of those that no training is shown."""
    found = []
    for pattern in STRANGE:
        paths = datasets.files(pattern)
        displayed = _spread(paths, SHOWN)
        found.append(_spread([path for path in paths if path not in displayed], each) if unseen else displayed[:each])
    return found


def _spread(paths: Sequence[Path], count: int) -> list[Path]:
    return [paths[int(number * len(paths) / count)] for number in range(count)]


@cache
def _strange() -> list[Case]:
    """In any pose: a hand turned on its side has two dark halves."""
    found = []
    for paths in strange_pictures(SHOWN):
        for number, path in enumerate(paths):
            image = formats.read(path)
            turned = _turned(image.array[0], Pose(number % 4, inverted=number % 8 > 3))
            found.append(_empty(Image(turned, header=image.header)))
    return found


@cache  # so that what one training has prepared serves the next
def _wrong(film: Case) -> Case:
    image, pose = film.image, WRONG_POSES[int(film.key[:8], 16) % len(WRONG_POSES)]
    step = max(1, max(image.spatial_shape) // _MOST_PIXELS)
    return _empty(Image(_turned(image.array[0, ::step, ::step], pose), header=Header(spacing_known=False)))


@cache
def _one_lung(film: Case) -> Case:
    """Of the heart nothing is said: beside a white lung its border cannot be seen."""
    step = max(1, max(film.image.spatial_shape) // _MOST_PIXELS)
    names = ("right_lung", "left_lung") if int(film.key[16:24], 16) % 2 else ("left_lung", "right_lung")
    kept, hidden = (film.load_masks[name]()[::step, ::step] for name in names)
    plane = film.image.array[0, ::step, ::step].astype(np.float32)
    rng = np.random.default_rng(int(film.key[:8], 16))
    blurred = ndimage.gaussian_filter(ndimage.binary_dilation(hidden, iterations=8).astype(np.float32), 6)
    cloud = ndimage.gaussian_filter(rng.normal(0, 1, plane.shape), 12) * 60 + rng.normal(0, 2, plane.shape)
    white = np.quantile(plane, rng.uniform(0.6, 0.9)) + cloud
    spoilt = np.clip(plane * (1 - blurred) + white * blurred, 0, plane.max()).astype(np.uint8)
    masks = {names[0]: kept, names[1]: np.zeros_like(hidden)}
    return Case.of(Image(spoilt[None], header=Header(spacing_known=False)), masks, site="one lung")


def _turned(plane: npt.NDArray[np.generic], pose: Pose) -> npt.NDArray[np.generic]:
    """(1, row, column) of a plane as the pose would have it upright, which it is not."""
    turned = np.ascontiguousarray(pose.upright(plane))
    return np.asarray(turned.max() - turned if pose.inverted else turned)[None]


def _empty(image: Image) -> Case:
    nothing = np.zeros(image.spatial_shape, bool)
    return Case.of(image, {name: nothing for name in ("right_lung", "left_lung", "heart")}, site="no chest")
