"""The shipped lung segmenter: ``python -m recipes.lungs`` trains it and writes ``src/casewise/models/shipped/lungs``.

Trained on Shenzhen and Montgomery, which may be used freely; measured on JSRT, a third country's films that it never saw.
"""

from __future__ import annotations

from benchmarks._cases import chest
from casewise.case import Structure
from casewise.training import Settings
from casewise.training.initial import Input, train_segmenter
from recipes._common import Card, dice_of, dice_rows, prepare_machine, progress, ship

LUNGS = Structure.parse("lungs=lung+left_lung+right_lung")
SETTINGS = Settings(steps=700, batch=8, rate=3e-3, device="cpu")
INPUT = Input(size=128, channels=(8, 16, 32, 64))


def main() -> None:
    prepare_machine()
    cases = chest("shenzhen") + chest("montgomery")
    model = train_segmenter(cases, [LUNGS], "casewise-lungs", input=INPUT, settings=SETTINGS, progress=progress)
    unseen = chest("jsrt")
    rows = dice_rows([dice_of(model, case, [LUNGS]) for case in unseen], unseen, f"JSRT (Japan), {len(unseen)} patients")
    ship(model, "lungs", rows, CARD)


CARD = Card(
    command="python -m recipes.lungs",
    data=("NLM Shenzhen chest X-rays, public, 80 patients", "NLM Montgomery County chest X-rays, public, 60 patients"),
    split=(
        "Of each site's subjects 15 % chose among the states of one training; JSRT (free for research; masks: SCR) was used for "
        "nothing but the table."
    ),
    fails=(
        "Its lungs exclude the heart and what lies behind it and behind the diaphragm, as in the sets it learnt from.",
        "It sees the picture at 128 pixels: borders are exact to about three millimetres on an adult's chest.",
        "A lung that is white altogether (effusion, collapse) was hardly seen in training and will be left out.",
        "Lateral views, children, portable films with lines and drains: not measured.",
    ),
    limits="Made from 140 frontal films of two sources; measured on 45 of a third.",
)

if __name__ == "__main__":
    main()
