"""How good a model is on an archive's labels: Dice by structure, or AUC by class, a case at a time, on the images' own grids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt

from casewise.adaptation.sequences import learnable
from casewise.archive import Archive
from casewise.case import Case
from casewise.device import resolve_device
from casewise.errors import CasewiseError, UsageError
from casewise.models.model import Model
from casewise.models.tasks import Classification, Segmentation
from casewise.progress import Progress, silent
from casewise.statistics import auc, grouped, paired_bootstrap
from casewise.training.from_archive import cases_of_sites
from casewise.training.metrics import dice

Statistic = Callable[[npt.NDArray[np.int64]], float | None]


@dataclass(frozen=True)
class Evaluated:
    """One case. known : whether the model was trained on it.

    dice : structure → Dice, of the structures that the case has a mask of. scores : class → probability, for a classifier.
    """

    case: str
    site: str | None
    subject: str
    known: bool
    dice: dict[str, float] = field(default_factory=dict)
    category: str | None = None
    scores: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        document: dict[str, object] = {"case": self.case, "site": self.site, "subject": self.subject, "trained_on": self.known}
        if self.scores:
            return document | {"category": self.category, "scores": self.scores}
        return document | {"dice": self.dice}


@dataclass(frozen=True)
class Measure:
    """A mean over cases, or an area under the curve. n : cases. lower, upper : 95 % interval, None below five subjects."""

    name: str
    label: str
    site: str | None
    value: float
    n: int
    subjects: int
    lower: float | None
    upper: float | None

    def to_json(self) -> dict[str, object]:
        return dict(vars(self))


@dataclass(frozen=True)
class Evaluation:
    """A model on an archive. rows : a case each. measures : over the rows that the model was not trained on, unless those count.

    left_out : rows that do not count. without_label : cases of the archive that have no label of the model's kind.
    """

    model: Model
    rows: tuple[Evaluated, ...]
    measures: tuple[Measure, ...]
    left_out: int
    without_label: int

    def to_json(self) -> dict[str, object]:
        return {
            "model": self.model.name,
            "measures": [measure.to_json() for measure in self.measures],
            "left_out": self.left_out,
            "without_label": self.without_label,
            "cases": [row.to_json() for row in self.rows],
        }


def evaluate_archive(
    model: Model,
    archive: Archive,
    *,
    sites: Sequence[str] = (),
    known: bool = False,
    device: str = "auto",
    seed: int = 0,
    failed: Callable[[Case, str], None] = lambda case, reason: None,
    progress: Progress = silent,
) -> Evaluation:
    """The model against the archive's labels.

    sites : only cases of these. known : whether cases that the model was trained on count. failed : called with a case that cannot
    be read or predicted, and the reason. Raises UsageError as :func:`evaluate` does, and for a site that the archive does not have.
    """
    cases = learnable(model, cases_of_sites(archive, sites))
    rows = evaluate(model, cases, device=device, failed=failed, progress=progress)
    counted = [row for row in rows if known or not row.known]
    without = sum(not model.spec.labelled(case) for case in cases)
    return Evaluation(model, tuple(rows), tuple(measures_of(model, counted, seed)), len(rows) - len(counted), without)


def evaluate(
    model: Model,
    cases: Sequence[Case],
    *,
    device: str = "auto",
    failed: Callable[[Case, str], None] = lambda case, reason: None,
    progress: Progress = silent,
) -> list[Evaluated]:
    """The model's answer for each case that carries a label of its kind, against that label.

    Dice is 1 where both masks are empty. ``failed`` is called with a case that cannot be read or predicted, and the reason.
    Raises UsageError for a model that neither segments nor classifies, and where no case has such a label.
    """
    if not isinstance(model.kind, Segmentation | Classification):
        msg = f"Model {model.name} is for {model.task}; segmenters (Dice) and classifiers (AUC) can be evaluated."
        raise UsageError(msg)
    known = [case for case in cases if model.spec.labelled(case)]
    if not known:
        msg = f"No case has a label that {model.name} predicts ({', '.join(model.labels)}); there is nothing to compare with."
        raise UsageError(msg)
    where = resolve_device(device)
    rows = []
    for number, case in enumerate(known, start=1):
        try:
            rows.append(_evaluated(model, case, where))
        except CasewiseError as error:
            failed(case, str(error))
        progress("Evaluating", number, len(known), case.name)
    return rows


def measures_of(model: Model, rows: Sequence[Evaluated], seed: int = 0) -> list[Measure]:
    """Dice of each structure, or AUC of each class (it against the rest) and the accuracy; over all rows, then site by site.

    Intervals by bootstrap over subjects (2,000 resamples of the percentile method).
    """
    sites = sorted({row.site for row in rows if row.site})
    places: list[str | None] = [None, *(sites if len(sites) > 1 or any(row.site is None for row in rows) else [])]
    found = []
    for site in places:
        own = [row for row in rows if site is None or row.site == site]
        found += (_class_measures if isinstance(model.kind, Classification) else _dice_measures)(model, own, site, seed)
    return found


def _evaluated(model: Model, case: Case, device: str) -> Evaluated:
    prediction = model.predict(case.image, device)
    origin = (case.name or case.key, case.site, case.subject or case.key, case.key in model.trained_on)
    if isinstance(model.kind, Classification):
        return Evaluated(*origin, category=case.category, scores={name: float(p) for name, p in prediction.scores.items()})
    masks = prediction.masks()
    found = {
        structure.name: dice(masks[structure.name], case.label_map([structure]) > 0)
        for structure in model.spec.structures
        if case.has(structure)
    }
    return Evaluated(*origin, dice=found)


def _dice_measures(model: Model, rows: Sequence[Evaluated], site: str | None, seed: int) -> list[Measure]:
    found = []
    for label in model.labels:
        own = [row for row in rows if label in row.dice]
        if own:
            values = np.asarray([row.dice[label] for row in own])
            found.append(_measure("dice", label, site, own, partial(_mean, values), seed))
    return found


def _class_measures(model: Model, rows: Sequence[Evaluated], site: str | None, seed: int) -> list[Measure]:
    truth = np.asarray([row.category for row in rows])
    scores = np.asarray([[row.scores[label] for label in model.labels] for row in rows]).reshape(len(rows), -1)
    right = np.asarray(model.labels)[scores.argmax(axis=1)] == truth if len(rows) else np.zeros(0, bool)
    found = []
    for number, label in enumerate(model.labels):
        own, positive = scores[:, number], truth == label
        if 0 < positive.sum() < len(rows):
            found.append(_measure("auc", label, site, rows, partial(_auc, positive, own), seed))
    if len(rows):
        found.append(_measure("accuracy", "all classes", site, rows, partial(_mean, right.astype(float)), seed))
    return found


def _auc(positive: npt.NDArray[np.bool_], scores: npt.NDArray[np.float64], numbers: npt.NDArray[np.int64]) -> float | None:
    """Of the rows of these numbers; None where they are all of one kind."""
    truth = positive[numbers]
    return auc(scores[numbers], truth) if 0 < truth.sum() < len(truth) else None


def _mean(values: npt.NDArray[np.float64], numbers: npt.NDArray[np.int64]) -> float:
    return float(values[numbers].mean())


def _measure(name: str, label: str, site: str | None, rows: Sequence[Evaluated], value: Statistic, seed: int) -> Measure:
    subjects = [(row.site, row.subject) for row in rows]
    members, count = grouped(subjects), len(set(subjects))
    whole = value(np.arange(len(rows)))
    lower, upper, _ = paired_bootstrap(lambda drawn: value(members(drawn)), count, seed) if count >= 5 else (None, None, None)
    return Measure(name, label, site, float("nan") if whole is None else whole, len(rows), count, lower, upper)
