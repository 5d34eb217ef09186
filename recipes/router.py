"""The shipped router: ``python -m recipes.router`` trains it and writes ``src/casewise/models/shipped/router``.

Data: only sets that may be used so, but for cardiac MR, of which there is no other (see the card). Of each set a fifth of the
subjects is kept for ``benchmarks/routing.py`` and never used here, and a tenth calibrates the probabilities and the threshold.
"""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from dataclasses import replace

from casewise.case import Case
from casewise.routing.training import Plan, train_router
from casewise.training import Settings
from experiments.routing import SOURCES, cases, parts
from recipes._common import Recipe, report, with_card
from recipes.licences import DATA


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


def main(options: Namespace) -> None:
    training, validation = parted()
    report(f"{len(training)} images to train on: {Counter((c.site, c.category) for c in training)}")
    router = train_router(
        training,
        "casewise-router",
        validation=validation,
        plan=Plan(held_out=400),
        settings=Settings(device="cpu"),
    )
    report(f"{dict(router.measures)}")
    model = replace(router.model, lineage=replace(router.model.lineage, training_data=DATA["router"]))
    with_card("router", replace(router, model=model).save, options.output)


RECIPE = Recipe(__doc__, main)

if __name__ == "__main__":
    RECIPE.run()
