"""The networks of drawn nodules: ``python -m recipes.drawn_nodules`` writes ``src/casewise/models/shipped/drawn_nodules``.

Two small U-Nets learn nodules that were drawn into the films of Shenzhen and Montgomery. The nodule detector takes what they see as
a further level (``recipes.irregularities``); by themselves they are no application. How well they do is measured there.
"""

from __future__ import annotations

from argparse import Namespace

from experiments.nodules.drawn import drawn_model
from recipes._common import Recipe, progress, ship


def main(options: Namespace) -> None:
    ship(drawn_model(progress), "drawn_nodules", [], options.output)


RECIPE = Recipe(__doc__, main)

if __name__ == "__main__":
    RECIPE.run()
