"""The shipped hippocampus segmenter: ``python -m recipes.hippocampus`` writes ``src/casewise/models/shipped/hippocampus``.

Slice by slice: in the minutes that this may take on a CPU a network for volumes had not learnt enough to outline anything.
"""

from __future__ import annotations

from casewise.case import Structure
from casewise.training import Settings
from casewise.training.initial import Input, train_segmenter
from experiments.cases import hippocampus
from experiments.splits import parted
from recipes._common import Card, dice_of, dice_rows, prepare_machine, progress, ship

STRUCTURES = [Structure.parse("hippocampus")]
SETTINGS = Settings(steps=500, batch=16, rate=3e-3, augmentation="light", validate_every=100, device="cpu")
ASIDE = 25  # crops that the model never sees
INPUT = Input(size=96, channels=(8, 16, 32, 64))


def main() -> None:
    prepare_machine()
    training, unseen = parted(hippocampus(), ASIDE)
    model = train_segmenter(training, STRUCTURES, "casewise-hippocampus", input=INPUT, settings=SETTINGS, progress=progress)
    rows = dice_rows([dice_of(model, case, STRUCTURES) for case in unseen], unseen, f"Decathlon task 4, {ASIDE} crops never seen")
    ship(model, "hippocampus", rows, CARD)


CARD = Card(
    command="python -m recipes.hippocampus",
    data=("Medical Segmentation Decathlon, task 4 (Vanderbilt), CC BY-SA 4.0, 55 crops",),
    split=(
        f"{ASIDE} of the 80 crops at hand, drawn by a seed, were used for nothing but the table; of the others 15 % chose among "
        "the training's states. The set does not say which crops are the left and right one of one patient, so that a patient "
        "may stand on both sides."
    ),
    fails=(
        "It takes a crop around one hippocampus, about 35×50×35 mm. In a whole head it finds nothing of worth; the application "
        "`hippocampus` refuses one.",
        "It finds a hippocampus in a crop of anything else, too: of 40 crops from elsewhere in head and trunk it outlined 1 to 7 "
        "ml in 28. So no route leads to it; the application is run by its name, or by a rule, on crops that a person has chosen.",
        "Crops that are much larger or not centred, other sequences than T1, 7 tesla, children: not measured.",
        "Atrophy beyond that of the set (healthy adults and patients with psychosis).",
    ),
    limits="Trained on 55 crops of one source, one scanner and one protocol, cut by its makers around the structure itself.",
)

if __name__ == "__main__":
    main()
