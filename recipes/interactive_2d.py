"""The shipped interactive model: ``python -m recipes.interactive_2d`` trains it and writes ``models/shipped/interactive_2d``.

Class-agnostic: it learns what a box and strokes mean, on objects of every kind, with a simulated user in the loop. No structure of
the heart's MR, no hippocampus and no tumour is ever its object, so that benchmarks/interaction.py measures it on the unseen.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from casewise.case import Structure
from casewise.interaction.loop import UserInTheLoop
from casewise.models import Model, Preparation, Spec
from casewise.training import Settings, fit
from recipes._common import prepare_machine, progress, told
from recipes.interactive_tasks import Tasks, cases_without_masks, labelled_cases, plates_of

OBJECT = Structure.parse("object")
COARSE = Settings(steps=900, batch=16, rate=2.5e-3, augmentation="none", device="cpu", mixed=True)
FINE = replace(COARSE, steps=160, rate=1e-3)
NETWORK = {"kind": "prompt_unet", "channels": [12, 24, 48, 96, 128]}
SPEC = Spec("segmentation", NETWORK, Preparation(2, (96, 96)), structures=(OBJECT,))


def trained(coarse: Settings = COARSE, fine: Settings = FINE, folder: Path | None = None) -> Model:
    """Most steps on a grid of 64×64, where they cost half, the last ones on the 96×96 that the model is used with."""
    labelled, _ = labelled_cases()
    cases = [*labelled, *cases_without_masks()]
    plates = [made for case in cases for made in plates_of(case)]
    tasks = Tasks(plates)
    told(f"{len(cases)} images, {len(plates)} pictures, {len(tasks.labelled)} of them labelled")
    model = Model.initial("casewise-interactive-2d", SPEC, coarse.seed)
    for size, settings in (((64, 64), coarse), ((96, 96), fine)):
        source = UserInTheLoop(tasks, "casewise-interactive-2d", size)
        done = folder / f"{size[0]}" if folder else None
        if done is not None and done.exists():
            model = Model.load(done)
            continue
        checkpoint = folder / f"{size[0]}.pt" if folder else None
        model = fit(model, cases, settings=settings, method="initial", checkpoint=checkpoint, progress=progress, source=source)
        if done is not None:
            model.save(done)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where an interrupted training finds what it had done")
    given = parser.parse_args()
    prepare_machine()
    trained(replace(COARSE, seed=given.seed), replace(FINE, seed=given.seed), given.folder)


if __name__ == "__main__":
    main()
