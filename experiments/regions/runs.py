"""What ``benchmarks.regions`` trains and measures; each piece is kept in a folder that git ignores, and a second run goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise.case import Case
from casewise.chest import regions
from casewise.chest.cardiothoracic_ratio import measured
from casewise.chest.region import HEART, LEFT_LUNG, RIGHT_LUNG
from casewise.errors import CasewiseError
from casewise.image import Image
from casewise.models import Model
from casewise.training.metrics import dice
from experiments import store
from experiments.regions.training import trained as trained_on
from experiments.regions.training import with_lungs
from experiments.surface_distances import surface_distances

WORK = store.WORK / "regions"
LUNGS = (RIGHT_LUNG, LEFT_LUNG)
MASKS_EDGE = 1024  # of JSRT's masks, half the films' own
MASKS_MM = 0.35
Mask = npt.NDArray[np.bool_]
Measures = dict[str, float]
Row = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """A picture turned by ``turns`` · 90° against the clock, and inverted."""

    turns: int
    dark: bool

    def of(self, image: Image) -> Image:
        array = np.rot90(image.array, self.turns, (1, 2))
        return Image(np.ascontiguousarray(array.max() - array if self.dark else array), header=image.header)

    def back(self, mask: Mask) -> Mask:
        return np.rot90(mask, -self.turns)


def trained_model(name: str, films: Callable[[], Sequence[Case]]) -> Model:
    """The network kept under ``name``, or one trained on ``films``, which is then kept."""
    return store.model(WORK / name, lambda: trained_on(films()))


def measured_cases(model: Model, cases: Sequence[Case], change: Change | None = None) -> list[Row]:
    """A row a case; what cannot be measured in it is None."""
    found = ((case, measures_of(model, case, change)) for case in cases)
    return [
        {"patient": case.subject, "site": case.site, **{name: None if np.isnan(n) else float(n) for name, n in own.items()}}
        for case, own in found
    ]


def measures_of(model: Model, case: Case, change: Change | None = None) -> Measures:
    """Dice of the lungs together and of each structure, distance of the lungs' surfaces, and the cardiothoracic ratio's error.

    What is refused or not found counts as an empty mask. ``change`` spoils the picture first.
    """
    image = case.image
    truth = {name: case.load_masks[name]() for name in (*LUNGS, HEART) if name in case.load_masks}
    try:
        found_masks = regions(change.of(image) if change else image, "cpu", model=model).by_place  # whatever is known of the sides
        masks = {name: change.back(mask) if change else mask for name, mask in found_masks.items()}
        refused = 0.0
    except CasewiseError:
        masks, refused = {}, 1.0
    nothing = np.zeros(image.spatial_shape, bool)
    found = {name: masks.get(name, nothing) for name in truth}
    row: Measures = {"lungs": dice(found[RIGHT_LUNG] | found[LEFT_LUNG], truth[RIGHT_LUNG] | truth[LEFT_LUNG]), "refused": refused}
    row |= {name: dice(found[name], truth[name]) for name in truth}
    step = max(1, max(image.spatial_shape) // 1024)
    pairs = [(found[name][::step, ::step], truth[name][::step, ::step]) for name in LUNGS]
    row["lung_distance_px"] = step * mean_surface_distance(pairs)
    if HEART in truth and all(mask.any() for mask in found.values()):
        ratios = [measured(own[RIGHT_LUNG], own[LEFT_LUNG], own[HEART]).ratio for own in (found, truth)]
        row |= {"ratio": ratios[0], "true_ratio": ratios[1]}
    return row


def mean_surface_distance(pairs: Sequence[tuple[Mask, Mask]]) -> float:
    """Mean distance in pixels from either mask's border to the other's, over the borders of all pairs; NaN where one is empty."""
    if not all(mask.any() for pair in pairs for mask in pair):
        return float("nan")
    return float(np.concatenate([surface_distances(*pair) for pair in pairs]).mean())


def spoilt(change: str) -> Change | None:
    """A change by the words that the table has for it; the answer is put back on the case's own grid to be measured."""
    if change == "as it is":
        return None
    turns = next((number for number, angle in enumerate(("0", "90°", "180°", "270°")) if angle in change), 0)
    return Change(turns, "inverted" in change)


def base(sites: dict[str, list[Case]], left_out: str = "jsrt") -> Model:
    """The small network of lungs of the other two sites, from which ``benchmarks.chest_adaptation`` starts."""
    others = [case for name, cases in sites.items() if name != left_out for case in cases]
    return store.model(WORK / f"lungs_without_{left_out}", lambda: with_lungs(others))
