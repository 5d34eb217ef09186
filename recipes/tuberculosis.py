"""The shipped tuberculosis classifier: ``python -m recipes.tuberculosis`` writes ``src/casewise/models/shipped/tuberculosis``.

Measured three ways: by folds within both sites, and from each site to the other, which is what a new hospital would see.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks._cases import chest
from casewise.case import Case
from casewise.models import Model
from casewise.training import Settings
from casewise.training.initial import Input, train_classifier
from recipes._common import Card, accuracy_row, auc_row, crossed, prepare_machine, progress, scores_of, ship

CLASSES = ("normal", "tuberculosis")
SETTINGS = Settings(steps=400, batch=8, rate=1e-3, validate_every=50, patience=4, device="cpu")
INPUT = Input(size=128, channels=(16, 32, 64, 128))


def train(cases: Sequence[Case]) -> Model:
    return train_classifier(cases, CLASSES, "casewise-tuberculosis", input=INPUT, settings=SETTINGS, progress=progress)


def main() -> None:
    prepare_machine()
    sites = {"Shenzhen": chest("shenzhen"), "Montgomery": chest("montgomery")}
    cases = [case for site in sites.values() for case in site]
    scores = crossed(cases, train, scores_of)
    rows = [auc_row(scores, cases, CLASSES[1], f"both sites, five-fold, {len(cases)} patients")]
    rows.append(accuracy_row(scores, cases, rows[0].on))
    for learnt, asked in (("Shenzhen", "Montgomery"), ("Montgomery", "Shenzhen")):
        model = train(sites[learnt])
        answers = [scores_of(model, case) for case in sites[asked]]
        on = f"{asked}, {len(sites[asked])} patients, by {learnt} alone"
        rows += [auc_row(answers, sites[asked], CLASSES[1], on), accuracy_row(answers, sites[asked], on)]
    ship(train(cases), "tuberculosis", rows, CARD)


CARD = Card(
    command="python -m recipes.tuberculosis",
    data=("NLM Shenzhen chest X-rays, public, 80 patients", "NLM Montgomery County chest X-rays, public, 60 patients"),
    split=(
        "Five folds of patients over both sites; then trained on one site alone and measured on the other, which is what a third "
        "hospital must expect. Of each training's patients 15 % chose among its states. The weights shipped were made in the same "
        "way from all 140."
    ),
    fails=(
        "A site's films differ from another's in more than disease; see the rows from one site to the other.",
        "It tells tuberculosis from healthy chests and from nothing else: pneumonia, tumour and scars were never shown to it.",
        "Its probability is not calibrated, and both sets hold far more tuberculosis than any clinic: expect many false alarms.",
        "Small or early disease is lost at 128 pixels.",
    ),
    limits="Trained on 140 films of two sources. It is an example of an application; no patient's care may rest on it.",
)

if __name__ == "__main__":
    main()
