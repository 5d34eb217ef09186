"""The shipped hippocampus segmenter: ``python -m recipes.hippocampus`` writes ``src/casewise/models/shipped/hippocampus``.

Slice by slice: in the minutes that this may take on a CPU a network for volumes had not learnt enough to outline anything.
"""

from __future__ import annotations

from argparse import Namespace

from casewise.case import Structure
from casewise.training import Settings
from casewise.training.initial import Input, train_segmenter
from experiments.cases import hippocampus
from experiments.splits import parted
from recipes._common import Recipe, dice_of, dice_rows, progress, ship

STRUCTURES = [Structure.parse("hippocampus")]
SETTINGS = Settings(steps=500, batch=16, rate=3e-3, augmentation="light", validate_every=100, device="cpu")
ASIDE = 25  # crops that the model never sees
INPUT = Input(size=96, channels=(8, 16, 32, 64))


def main(options: Namespace) -> None:
    training, unseen = parted(hippocampus(), ASIDE)
    model = train_segmenter(training, STRUCTURES, "casewise-hippocampus", input=INPUT, settings=SETTINGS, progress=progress)
    rows = dice_rows([dice_of(model, case, STRUCTURES) for case in unseen], unseen, f"Decathlon task 4, {ASIDE} crops never seen")
    ship(model, "hippocampus", rows, options.output)


RECIPE = Recipe(__doc__, main)

if __name__ == "__main__":
    RECIPE.run()
