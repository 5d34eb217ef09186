"""The network behind ``intended.safetensors``: ``python -m recipes.intended_features`` writes ``models/shipped/intended_features``.

A small network that learns from nothing to tell kinds of images apart, on what the router is trained on. The router may be trained
anew without changing whom the shipped models refuse; after this recipe ``python -m recipes.intended`` remakes every model's check.
"""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace

from casewise.routing.training import FROM_NOTHING, SMALL, train_router
from recipes._common import Recipe, progress, with_card
from recipes.licences import DATA
from recipes.router import parted


def main(options: Namespace) -> None:
    training, validation = parted()
    settings = replace(FROM_NOTHING, steps=options.steps, device="cpu")
    made = train_router(
        training, "casewise-intended-features", validation=validation, plan=SMALL, settings=settings, progress=progress
    ).model
    lineage = replace(made.lineage, training_data=DATA["intended_features"])
    with_card("intended_features", replace(made, lineage=lineage).save, options.output)


RECIPE = Recipe(__doc__, main, lambda parser: parser.add_argument("--steps", type=int, default=FROM_NOTHING.steps))

if __name__ == "__main__":
    RECIPE.run()
