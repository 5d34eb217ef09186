"""The shipped router: ``python -m recipes.router`` trains it and writes ``src/casewise/models/shipped/router``.

Data: only sets that may be used so, but for cardiac MR, of which there is no other (see the card). Of each set a fifth of the
subjects is kept for ``benchmarks/routing.py`` and never seen here, and a tenth calibrates the probabilities and the threshold.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

from casewise.case import Case
from casewise.routing.training import SETTINGS, Plan, train_router
from experiments.routing import SOURCES, cases, parts
from recipes.licences import DATA

TARGET = Path(__file__).resolve().parents[1] / "src" / "casewise" / "models" / "shipped" / "router"


def parted() -> tuple[list[Case], list[Case]]:
    """(training, validation) cases of the sets that may be trained on."""
    training, validation = [], []
    for source in SOURCES:
        if source.trained:
            found = cases(source)
            where = parts(source, found)
            training += [case for case in found if where[case.key] == "training"]
            validation += [case for case in found if where[case.key] == "validation"]
    return training, validation


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=SETTINGS.steps)
    parser.add_argument("--output", type=Path, default=TARGET)
    options = parser.parse_args()
    training, validation = parted()
    sys.stderr.write(f"{len(training)} images to train on: {Counter((c.site, c.category) for c in training)}\n")
    router = train_router(
        training,
        "casewise-router",
        validation=validation,
        plan=Plan(),
        settings=replace(SETTINGS, steps=options.steps, device="cpu"),
        progress=_told,
    )
    sys.stderr.write(f"{dict(router.measures)}\n")
    shutil.rmtree(options.output, ignore_errors=True)
    model = replace(router.model, lineage=replace(router.model.lineage, training_data=DATA["router"]))
    replace(router, model=model).save(options.output)
    licences = dict.fromkeys(source.licence for source in SOURCES if source.trained)
    with (options.output / "card.md").open("a", encoding="utf-8") as card:
        card.write(_CARD + "".join(f"- {licence}\n" for licence in licences))


_CARD = """
## Data, split, command
`python -m recipes.router`. A fifth of each set's subjects is never seen and measured on by `python -m benchmarks.routing`; a tenth
calibrates probabilities and the threshold for unknown. MedNIST and BUSI do not say which images are of one patient, so that one
patient may stand on both sides; of sets with one patient (ProstateX, open-ms, TotalSegmentator's example) nothing is left to test
on. The figures on images and on sources never trained on stand in `benchmarks/results/routing.md`.

## Where it fails
- MedNIST's AbdomenCT holds slices of the chest and the pelvis, and its ChestCT some of the liver: a single CT slice between the two
  is named by the look of these sets. A CT volume, judged on nine slices, is more certain.
- Prostate MR was learnt from one patient, cardiac MR from one hospital's cine images, brain MR from two patients.
- It knows ten categories. An image of another kind is meant to be unknown, and some will be taken for what they resemble.

## Trained on
"""


def _told(step: int, total: int, loss: float) -> None:
    if step % 100 == 0:
        sys.stderr.write(f"{step}/{total} {loss:.4f}\n")


if __name__ == "__main__":
    main()
