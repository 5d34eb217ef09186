"""Chest radiographs with the masks ``left_lung``, ``right_lung`` and, where a set has it, ``heart``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from benchmarks._cases import CHEST, chest
from casewise.case import Case

Mask = npt.NDArray[np.bool_]


def radiographs(site: str) -> list[Case]:
    """The cases of a site; where its set outlines both lungs as one, each is a piece of that mask."""
    return [replace(case, load_masks=_sides(case.load_masks)) for case in chest(site)]


def all_sites() -> dict[str, list[Case]]:
    return {site: radiographs(site) for site in CHEST}


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
