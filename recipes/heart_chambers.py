"""The shipped heart segmenter: ``python -m recipes.heart_chambers`` writes ``src/casewise/models/shipped/heart_chambers``.

Short-axis cine MR, slice by slice. A short-axis slice lies oblique in the body, so that its rows run to any side of the patient
once the volume is turned to the patient's axes; therefore each volume is also learnt from in quarter turns and mirrored.

The structures fill about a thirtieth of a slice, and a training that counts every pixel alike ends by calling all of it background.
So it begins with the structures' pixels weighted up, and goes on with all pixels alike, which puts the borders in their place.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from casewise.case import Case, Structure
from casewise.image import Image
from casewise.models import Model, Preparation, Spec
from casewise.training import Settings, fit
from experiments.cases import cardiac
from experiments.splits import parted
from recipes._common import Recipe, dice_of, dice_rows, progress, ship

STRUCTURES = [Structure.parse(name) for name in ("right_ventricle", "myocardium", "left_ventricle")]
FIRST = Settings(steps=300, batch=4, rate=3e-3, augmentation="light", device="cpu")
THEN = replace(FIRST, steps=2700, augmentation="strong")
WEIGHT = 10  # of a structure's pixel against one of the background, at first
NETWORK = {"kind": "unet", "channels": [8, 16, 32, 64], "patch": 2}
TURNS = [(quarters, mirrored) for quarters in range(4) for mirrored in (False, True)]
TESTED = [(1, False), (0, True), (3, True)]
ASIDE = 5  # patients whom the model never sees


def turned(case: Case, quarters: int, mirrored: bool) -> Case:
    """The same case, its first two axes turned and the second perhaps mirrored; its geometry, of which nothing is known, stays."""

    def moved(array: np.ndarray, first: int) -> np.ndarray:
        array = np.flip(array, first + 1) if mirrored else array
        return np.ascontiguousarray(np.rot90(array, quarters, axes=(first, first + 1)))

    def image() -> Image:
        return Image(moved(case.image.array, 1), header=case.image.header)

    def mask(load: Callable[[], np.ndarray]) -> Callable[[], np.ndarray]:
        return lambda: moved(load(), 0)

    return replace(case, load_image=image, load_masks={name: mask(load) for name, load in case.load_masks.items()})


def weights(case: Case) -> np.ndarray:
    """(*spatial) float32."""
    return np.where(case.label_map(STRUCTURES) > 0, WEIGHT, 1).astype(np.float32)


def train(cases: Sequence[Case]) -> Model:
    spec = Spec("segmentation", NETWORK, Preparation(2, (128, 128)), structures=tuple(STRUCTURES))
    start = Model.initial("casewise-heart-chambers", spec)
    weighted = [weights(case) for case in cases]
    first = fit(start, cases, weights=weighted, settings=FIRST, method="initial", progress=progress)
    return fit(first, cases, settings=THEN, method="initial", progress=progress)


def main(options: Namespace) -> None:
    cases = [replace(case, load_masks={name: cache(load) for name, load in case.load_masks.items()}) for case in cardiac()]
    training, unseen = parted(cases, ASIDE)
    model = train([turned(case, *turn) for case in training for turn in TURNS])

    def answer(case: Case) -> dict[str, float]:
        upright = dice_of(model, case, STRUCTURES)
        others = [dice_of(model, turned(case, *turn), STRUCTURES) for turn in TESTED]
        return upright | {f"{name}, turned or mirrored": float(np.mean([other[name] for other in others])) for name in upright}

    rows = dice_rows([answer(case) for case in unseen], unseen, f"ACDC, {ASIDE} patients never seen")
    ship(model, "heart_chambers", rows, options.output)


RECIPE = Recipe(__doc__, main)

if __name__ == "__main__":
    RECIPE.run()
