"""What recipes share: the command line, the measures of a card, and how a model is shipped with its card."""

from __future__ import annotations

import os
import re
import shutil
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from casewise.case import Case, Structure
from casewise.errors import CasewiseError
from casewise.models import Model
from casewise.statistics import auc, grouped, interval, paired_bootstrap
from casewise.training.metrics import dice
from experiments import datasets, store
from experiments.splits import by_patient, folds, without
from recipes._intended import write as write_intended
from recipes.licences import DATA

SHIPPED = Path(__file__).resolve().parents[1] / "src" / "casewise" / "models" / "shipped"
Train = Callable[[Sequence[Case]], Model]
MEASURED, LIMITS = "Measured when it was made", "Limits"
Stage = TypeVar("Stage")
Scores = list[dict[str, float]]  # one answer a case: class → probability


def crossed(cases: Sequence[Case], train: Train, answer: Callable[[Model, Case], dict[str, float]]) -> Scores:
    """For each case what a model says that was trained without its fold."""
    found: dict[int, dict[str, float]] = {}
    for count, fold in enumerate(folds(cases), start=1):
        model = train(without(cases, fold))
        found |= {number: answer(model, cases[number]) for number in fold}
        report(f"fold {count}: {means([found[number] for number in fold])}")
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
    rows = [{"patient": case.subject, **answer} for answer, case in zip(answers, cases, strict=True)]
    return [mean_row(f"Dice, {name.replace('_', ' ')}", on, list(by_patient(rows, name).values())) for name in answers[0]]


def mean_row(what: str, on: str, values: Sequence[float]) -> Row:
    """The mean of patients' values."""
    return Row(what, on, float(np.mean(values)), *interval(values))


def auc_row(scores: Scores, cases: Sequence[Case], positive: str, on: str) -> Row:
    """Area under the ROC curve of ``positive`` against all the rest; chance is 0.5."""
    values, truth = np.array([score[positive] for score in scores]), np.array([case.category == positive for case in cases])
    low, high = _interval(lambda n: auc(values[n], truth[n]), cases)
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
    subjects = [str(case.subject) for case in cases]
    members = grouped(subjects)
    low, high, _ = paired_bootstrap(lambda drawn: measure(members(drawn)), len(set(subjects)))
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


def above_half_row(scores: Scores, cases: Sequence[Case], positive: str, of: str, on: str) -> Row:
    """The share of the cases of category ``of`` whose probability of ``positive`` is above one half."""
    chosen = [(score, case) for score, case in zip(scores, cases, strict=True) if case.category == of]
    above = np.array([score[positive] > 0.5 for score, _ in chosen], float)
    low, high = _interval(lambda n: float(above[n].mean()), [case for _, case in chosen])
    return Row(f"share of {of} above one half for {positive}", on, float(above.mean()), low, high)


@dataclass(frozen=True)
class Recipe:
    """A recipe's command: ``python -m recipes.NAME``. options : adds its own."""

    about: str | None
    main: Callable[[Namespace], object]
    options: Callable[[ArgumentParser], object] = lambda parser: None

    def run(self, arguments: Sequence[str] | None = None) -> None:
        parser = ArgumentParser(description=self.about, formatter_class=RawDescriptionHelpFormatter)
        parser.add_argument("--output", type=Path, default=SHIPPED, help="folder of the models (else the shipped ones)")
        parser.add_argument("--data", type=Path, help=f"folder of the data sets (else {datasets.VARIABLE})")
        self.options(parser)
        given = parser.parse_args(arguments)
        if given.data:
            os.environ[datasets.VARIABLE] = str(given.data)
        torch.set_num_threads(1)  # so that sums are added in one order and the recipe gives the same weights again
        try:
            self.main(given)
        except CasewiseError as error:
            parser.exit(1, f"{error}\n")


def ship(model: Model, folder: str, rows: Sequence[Row], output: Path = SHIPPED) -> None:
    """Write the model into ``output``, its card with a table of ``rows``."""
    measures = {f"{row.what} | {row.on}": round(row.value, 4) for row in rows}
    # What training itself measured chose the weights, so it is no result; what stands in the table is.
    lineage = replace(model.lineage, measures={}, training_data=DATA[folder])
    model = Model(model.name, model.spec, model.weights, lineage.measured(**measures))
    table = ["| measure | on | value | 95 % interval |", "|---|---|---|---|", *map(str, rows)]
    with_card(folder, model.save, output, {MEASURED: "\n".join(table)})
    (output / folder / "weights.safetensors").chmod(0o644)
    if output == SHIPPED:
        write_intended(folder)
    for row in rows:
        report(str(row))


def with_card(folder: str, save: Callable[[Path], object], output: Path = SHIPPED, made: Mapping[str, str] | None = None) -> None:
    """Save into ``output``, and put what people wrote on the shipped card (data, split, where it fails, limits) on the new one.

    The card's order of sections stays; those that ``save`` or ``made`` (heading → text) give are new.
    """
    shipped = SHIPPED / folder / "card.md"
    known = sections(shipped.read_text(encoding="utf-8")) if shipped.is_file() else {}
    shutil.rmtree(output / folder, ignore_errors=True)
    save(output / folder)
    path = output / folder / "card.md"
    new = {**sections(path.read_text(encoding="utf-8")), **(made or {})}
    kept = {heading: text for heading, text in known.items() if heading not in new or heading == LIMITS}
    both = {**dict.fromkeys(known or new, ""), **new, **kept}
    path.write_text("\n\n".join(f"## {name}\n{text}" if name else text for name, text in both.items()) + "\n", encoding="utf-8")


def sections(card: str) -> dict[str, str]:
    """A card's sections by heading; what comes first under ""."""
    parts = re.split(r"^## (.*)\n", card, flags=re.MULTILINE)
    return dict(zip(["", *parts[1::2]], map(str.strip, parts[::2]), strict=True))


def staged(start: Model, stages: Sequence[Stage], done: Callable[[Model, Stage, int], Model], folder: Path | None) -> Model:
    """The model after every stage, each of which goes on from the one before; ``folder`` keeps what each came to."""
    model = start
    for number, stage in enumerate(stages, start=1):
        model = kept_in(folder and folder / str(number), partial(done, model, stage, number))
    return model


def kept_in(folder: Path | None, make: Callable[[], Model]) -> Model:
    """The model of ``make``, kept where there is a place for it."""
    return store.model(folder, make) if folder else make()


def report(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def progress(step: int, total: int, loss: float) -> None:
    if step % 100 == 0:
        report(f"{step}/{total} {loss:.4f}")
