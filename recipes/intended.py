"""What a shipped model is for: ``python -m recipes.intended`` writes ``intended.safetensors`` into the models' folders.

The bank holds features of the model's own training images. The threshold lies halfway (geometrically) between two distances: the
one that 2 % of the own images exceed, each measured without its group (its site where the model has several, else its patient),
and the one that 1 % of foreign images stay below; where the second is the smaller, the first is taken. A recipe that remakes a
model remakes its bank too. ``python -m benchmarks.intended`` measures on groups and kinds that the threshold was not set on.
"""

from __future__ import annotations

from argparse import Namespace

from experiments.intended.distances import KINDS
from recipes._common import Recipe
from recipes._intended import intended


def main(options: Namespace) -> None:
    for kind in KINDS:
        made = intended(kind)
        for model in kind.models:
            made.save(options.output / model)


RECIPE = Recipe(__doc__, main)

if __name__ == "__main__":
    RECIPE.run()
