"""The networks of drawn nodules: ``python -m recipes.drawn_nodules`` writes ``src/casewise/models/shipped/drawn_nodules``.

Two small U-Nets learn nodules that were drawn into the films of Shenzhen and Montgomery. The nodule detector takes what they see as
a further level (``recipes.irregularities``); by themselves they are no application. How well they do is measured there.
"""

from __future__ import annotations

from argparse import Namespace

from safetensors.torch import save_file

from experiments.nodules.drawn import drawn_model
from recipes._common import Recipe, progress


def main(options: Namespace) -> None:
    model = drawn_model(progress)
    target = options.output / "drawn_nodules"
    target.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in model.weights.items()}, target / "weights.safetensors")
    (target / "trained_on.txt").write_text("\n".join(sorted(model.trained_on)) + "\n", encoding="utf-8")


RECIPE = Recipe(__doc__, main)

if __name__ == "__main__":
    RECIPE.run()
