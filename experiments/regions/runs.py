"""What ``benchmarks.regions`` trains and measures; each piece is kept in a folder that git ignores, and a second run goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
from experiments.regions.training import with_lungs
from experiments.surface_distances import surface_distances

WORK = store.WORK / "regions"
JSRT_MM = 0.175
Mask = npt.NDArray[np.bool_]
Measures = dict[str, float]


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


def trained(name: str, train: Callable[[], Model]) -> Model:
    """The model kept under ``name``, or the one that ``train`` makes, which is then kept."""
    folder = WORK / name
    if not folder.is_dir():
        train().save(folder)
    return Model.load(folder)


def measured_cases(name: str, model: Callable[[], Model], cases: Sequence[Case], change: Change | None = None) -> list[Measures]:
    """Measures of each case, kept under ``name``."""
    path = WORK / f"{name}.json"
    if not path.is_file():
        network = model()
        rows = [_plain(measures_of(network, case, change)) for case in cases]
        path.write_text(json.dumps(rows), encoding="utf-8")
    rows = json.loads(path.read_text(encoding="utf-8"))
    return [{key: float("nan") if value is None else value for key, value in row.items()} for row in rows]


def _plain(row: Measures) -> dict[str, float | None]:
    return {key: None if np.isnan(value) else float(value) for key, value in row.items()}


def measures_of(model: Model, case: Case, change: Change | None = None) -> Measures:
    """Dice of the lungs together and of each structure, distance of the lungs' surfaces, and the cardiothoracic ratio's error.

    What is refused or not found counts as an empty mask. ``change`` spoils the picture first.
    """
    image = case.image
    truth = {name: load() for name, load in case.load_masks.items()}
    try:
        found_masks = regions(change.of(image) if change else image, "cpu", model=model).by_place  # whatever is known of the sides
        masks = {name: change.back(mask) if change else mask for name, mask in found_masks.items()}
        refused = 0.0
    except CasewiseError:
        masks, refused = {}, 1.0
    nothing = np.zeros(image.spatial_shape, bool)
    found = {name: masks.get(name, nothing) for name in truth}
    lungs = (RIGHT_LUNG, LEFT_LUNG)
    row = {"lungs": dice(found[RIGHT_LUNG] | found[LEFT_LUNG], truth[RIGHT_LUNG] | truth[LEFT_LUNG]), "refused": refused}
    row |= {name: dice(found[name], truth[name]) for name in truth}
    step = max(1, max(image.spatial_shape) // 1024)
    pairs = [(found[name][::step, ::step], truth[name][::step, ::step]) for name in lungs]
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
    others = [case for name, cases in sites.items() if name != left_out for case in cases]
    return trained("base" if left_out == "jsrt" else f"without_{left_out}_base", lambda: with_lungs(others))
