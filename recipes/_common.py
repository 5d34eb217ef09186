"""What the recipes of the small applications share: folds by subject, measures with intervals, and the card."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from casewise.case import Case, Structure
from casewise.models import Model
from casewise.statistics import auc, interval, paired_bootstrap
from casewise.training.metrics import dice
from experiments.splits import folds, without
from recipes.licences import DATA

SHIPPED = Path(__file__).resolve().parents[1] / "src" / "casewise" / "models" / "shipped"
Train = Callable[[Sequence[Case]], Model]
Scores = list[dict[str, float]]  # one answer a case: class → probability


def prepare_machine() -> None:
    """One thread, so that sums are added in one order and the recipe gives the same weights again."""
    torch.set_num_threads(1)


def crossed(cases: Sequence[Case], train: Train, answer: Callable[[Model, Case], dict[str, float]]) -> Scores:
    """For each case what a model says that was trained without its fold."""
    found: dict[int, dict[str, float]] = {}
    for count, fold in enumerate(folds(cases), start=1):
        model = train(without(cases, fold))
        found |= {number: answer(model, cases[number]) for number in fold}
        told(f"fold {count}: {means([found[number] for number in fold])}")
    return [found[number] for number in range(len(cases))]


def means(answers: Scores) -> dict[str, float]:
    return {name: round(float(np.nanmean([answer[name] for answer in answers])), 3) for name in answers[0]}


def dice_of(model: Model, case: Case, structures: Sequence[Structure]) -> dict[str, float]:
    """Dice of each structure on the image's own grid."""
    mask, truth = model.predict(case.image, "cpu").mask, case.label_map(structures)
    return {structure.name: dice(mask == number, truth == number) for number, structure in enumerate(structures, start=1)}


def scores_of(model: Model, case: Case) -> dict[str, float]:
    return dict(model.predict(case.image, "cpu").scores)


@dataclass(frozen=True)
class Row:
    """One line of a card's table: what was measured, on whom, its value and its 95 % interval."""

    what: str
    on: str
    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"| {self.what} | {self.on} | {self.value:.3f} | {self.low:.3f} to {self.high:.3f} |"


def dice_rows(answers: Scores, cases: Sequence[Case], on: str) -> list[Row]:
    """A row a structure: the mean over patients of the mean over each one's images; the interval by bootstrap over patients."""
    subjects = list(dict.fromkeys(str(case.subject) for case in cases))
    rows = []
    for name in answers[0]:
        values = [
            float(np.mean([answer[name] for answer, case in zip(answers, cases, strict=True) if str(case.subject) == subject]))
            for subject in subjects
        ]
        rows.append(Row(f"Dice, {name.replace('_', ' ')}", on, float(np.mean(values)), *interval(values)))
    return rows


def auc_row(scores: Scores, cases: Sequence[Case], positive: str, on: str) -> Row:
    """Area under the ROC curve of ``positive`` against all the rest; chance is 0.5."""
    values, truth = np.array([score[positive] for score in scores]), np.array([case.category == positive for case in cases])
    low, high = _interval(lambda n: auc(values[n], truth[n]) if 0 < truth[n].sum() < len(n) else 0.5, cases)
    return Row(f"AUROC, {positive} against the rest", on, auc(values, truth), low, high)


def accuracy_row(scores: Scores, cases: Sequence[Case], on: str) -> Row:
    """Balanced accuracy: the mean over the classes of the share that is recognised; chance is 1 / classes."""
    answers = np.array([max(score, key=lambda name: score[name]) for score in scores])
    truth = np.array([str(case.category) for case in cases])

    def balanced(n: np.ndarray) -> float:
        return float(np.mean([(answers[n][truth[n] == name] == name).mean() for name in np.unique(truth[n])]))

    classes = len(np.unique(truth))
    value = balanced(np.arange(len(cases)))
    return Row(f"balanced accuracy (chance {1 / classes:.2f})", on, value, *_interval(balanced, cases))


def _interval(measure: Callable[[np.ndarray], float], cases: Sequence[Case]) -> tuple[float, float]:
    """Bootstrap over subjects."""
    subjects = list(dict.fromkeys(str(case.subject) for case in cases))
    numbers = [np.array([n for n, case in enumerate(cases) if str(case.subject) == subject]) for subject in subjects]
    low, high, _ = paired_bootstrap(lambda drawn: measure(np.concatenate([numbers[d] for d in drawn])), len(subjects))
    return low, high


def two_class_calibration(scores: Scores, cases: Sequence[Case], positive: str, normals: float) -> tuple[float, float]:
    """(slope, shift) of a classifier's log odds of ``positive``: a logistic regression with both classes of equal weight (Platt) of
    scores on images of sites that the model did not see, whose shift is then lowered until at most ``normals`` of the others are
    above one half.
    """
    from sklearn.linear_model import LogisticRegression

    chances = np.clip([score[positive] for score in scores], 1e-6, 1 - 1e-6)
    odds, truth = np.log(chances / (1 - chances)), np.array([case.category == positive for case in cases])
    fitted = LogisticRegression(class_weight="balanced").fit(odds[:, None], truth)
    slope, shift = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
    highest = float(np.quantile(slope * odds[~truth] + shift, 1 - normals, method="higher"))
    return slope, shift - max(0.0, highest + 1e-3)


def with_calibration(model: Model, slope: float, shift: float) -> Model:
    """A classifier of two classes whose log odds of the second are ``slope`` times what they were, plus ``shift``."""
    weights = dict(model.weights)
    weights["head.weight"] = weights["head.weight"] * slope
    weights["head.bias"] = weights["head.bias"] * slope + torch.tensor([-shift / 2, shift / 2])
    return replace(model, weights=weights)


def above_half_row(scores: Scores, cases: Sequence[Case], positive: str, of: str, on: str) -> Row:
    """The share of the cases of category ``of`` whose probability of ``positive`` is above one half."""
    chosen = [(score, case) for score, case in zip(scores, cases, strict=True) if case.category == of]
    above = np.array([score[positive] > 0.5 for score, _ in chosen], float)
    low, high = _interval(lambda n: float(above[n].mean()), [case for _, case in chosen])
    return Row(f"share of {of} above one half for {positive}", on, float(above.mean()), low, high)


@dataclass(frozen=True)
class Card:
    """What a card says beside what the model itself knows: licences of the data, how it was split, where the model fails."""

    command: str
    data: Sequence[str]
    split: str
    fails: Sequence[str]
    limits: str


def ship(model: Model, folder: str, rows: Sequence[Row], card: Card, output: Path = SHIPPED) -> None:
    """Write the model to the shipped ones, its card with the data, the split, the table and the limits."""
    measures = {f"{row.what} | {row.on}": round(row.value, 4) for row in rows}
    # What training itself measured chose the weights, so it is no result; what stands in the table is.
    lineage = replace(model.lineage, measures={}, training_data=DATA[folder])
    model = Model(model.name, model.spec, model.weights, lineage.measured(**measures))
    shutil.rmtree(output / folder, ignore_errors=True)
    path = model.save(output / folder) / "card.md"
    settings = path.read_text(encoding="utf-8").partition("## Settings")[2].partition("## Limits")[0]
    generated = path.read_text(encoding="utf-8").partition("## Measured")[0] + "## Settings" + settings
    text = [
        generated.rstrip(),
        "",
        "## Data, split, command",
        f"`{card.command}` remakes the weights and the table below. Trained on:",
        "",
        *(f"- {line}" for line in card.data),
        "",
        card.split,
        "",
        "## Measured when it was made",
        "| measure | on | value | 95 % interval |",
        "|---|---|---|---|",
        *map(str, rows),
        "",
        "## Where it fails",
        *(f"- {line}" for line in card.fails),
        "",
        "## Limits",
        f"Not a medical device; for research. {card.limits}",
        "",
    ]
    path.write_text("\n".join(text), encoding="utf-8")
    (path.parent / "weights.safetensors").chmod(0o644)
    if output == SHIPPED:
        from recipes.intended import write

        write(folder)
    for row in rows:
        told(str(row))


def told(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def progress(step: int, total: int, loss: float) -> None:
    if step % 100 == 0:
        told(f"{step}/{total} {loss:.4f}")
