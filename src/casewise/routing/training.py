"""``train_router``: from cases with categories to a router.

Its network is the encoder that was learnt on photographs, as it is, with a layer fitted to what it sees: trained further on a few
sources, the encoder knows no more of others, and what is new lies farther from all that it knows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from casewise.case import Case
from casewise.errors import CasewiseError
from casewise.hashing import file_key
from casewise.models.model import Model
from casewise.models.networks.efficient_net import WEIGHTS
from casewise.models.preparation import Preparation
from casewise.models.spec import Lineage, Spec
from casewise.routing.calibration import calibration_error, fit_temperature, probabilities
from casewise.routing.classifiers import CLASSIFIERS, check_classifier, fit_head, fit_svm
from casewise.routing.features import features
from casewise.routing.image_sampling import CaseViews, case_views, sampled
from casewise.routing.out_of_distribution import Doubt, Known, views_of
from casewise.routing.route import UNKNOWN
from casewise.routing.router import Router
from casewise.routing.views import View
from casewise.training.fit import Progress, fit
from casewise.training.settings import Settings
from casewise.training.split import split

Matrix = npt.NDArray[np.float32]
Counted = Callable[[int, int], None]  # called with how many of how many are done
_AT_ONCE = 160  # pictures
FROM_NOTHING = Settings(steps=3000, batch=32, rate=2e-3, augmentation="light")  # of SMALL


@dataclass(frozen=True)
class Plan:
    """size : edge of the network's input. channels : of the levels of a small network that begins with random weights and is
    trained; without them it is the shared encoder, to which a layer is fitted.

    bank : pictures of each category that the classifiers are fitted to and whose features are kept, half of them unchanged.
    held_out : pictures of each category that temperatures and thresholds are fitted on. pictures : of each category that a small
    network is trained on. classifier : the default one. kernel : of the support vector machine.
    """

    size: int = 128
    channels: tuple[int, ...] = ()
    bank: int = 400
    held_out: int = 200
    pictures: int = 0
    classifier: str = "softmax"
    kernel: str = "linear"


SMALL = Plan(size=64, channels=(24, 48, 96, 128), pictures=1600, kernel="rbf")  # the control: it begins from nothing


class Pictures(NamedTuple):
    """views : n pictures. labels : (n,) the numbers of their categories. sites : of each; empty for one that is made up."""

    views: list[View]
    labels: npt.NDArray[np.int64]
    sites: list[str]


def train_router(
    cases: Sequence[Case],
    name: str,
    *,
    validation: Sequence[Case] | None = None,
    plan: Plan | None = None,
    settings: Settings | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
    reading: Counted | None = None,
    looking: Counted | None = None,
) -> Router:
    """A router of all the categories that ``cases`` have; those of the category ``unknown`` show it what belongs to none.

    validation : held-out cases that temperatures and thresholds are fitted on; without any, subjects of ``cases`` are set aside.
    settings : of a small network's training; of the shared encoder's layer, seed and device alone. checkpoint, progress : of such a
    training, the latter called with step, steps and loss. reading, looking : called with the number of images read and of all, and
    with that of pictures whose features are known.
    Raises CasewiseError for fewer than two categories.
    """
    plan, settings = plan or Plan(), settings or Settings()
    check_classifier(plan.classifier)
    training, held_out = (list(cases), list(validation)) if validation is not None else split(cases, seed=settings.seed)
    categories = _categories(training)
    total = len(training) + len(held_out)
    pool = _read(training, categories, True, lambda done: reading(done, total) if reading else None)
    aside = _read(held_out, categories, False, lambda done: reading(len(training) + done, total) if reading else None)
    return router_of(pool, aside, name, plan=plan, settings=settings, checkpoint=checkpoint, progress=progress, looking=looking)


def router_of(
    pool: Sequence[CaseViews],
    aside: Sequence[CaseViews],
    name: str,
    *,
    plan: Plan,
    settings: Settings,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
    looking: Counted | None = None,
) -> Router:
    """A router of what is already read: made of ``pool``, calibrated on ``aside`` (on ``pool`` where that is empty)."""
    categories = tuple(sorted({entry.category for entry in pool} - {UNKNOWN}))
    model = _start(name, (*categories, UNKNOWN), plan, settings.seed)
    if plan.channels:
        model = _trained(model, pool, plan, settings, checkpoint, progress)
    known = [entry for entry in aside if entry.category in categories]
    return _assembled(model, pool, known or pool, plan, settings, looking)


def _categories(cases: Sequence[Case]) -> tuple[str, ...]:
    counts = Counter(case.category for case in cases if case.category and case.category != UNKNOWN)
    if len(counts) < 2:
        found = ", ".join(f"{key} ({n})" for key, n in counts.items())
        msg = f"A router needs cases of two categories or more; there are {found or 'no categories'}."
        raise CasewiseError(msg)
    return tuple(sorted(counts))


def _read(cases: Sequence[Case], categories: Sequence[str], across: bool, progress: Callable[[int], None]) -> list[CaseViews]:
    read = []
    for number, case in enumerate(cases, start=1):
        if case.category in (*categories, UNKNOWN):
            read.append(case_views(case, across))
        progress(number)
    return read


def _start(name: str, classes: tuple[str, ...], plan: Plan, seed: int) -> Model:
    size = (plan.size, plan.size)
    if plan.channels:
        network = {"kind": "classifier", "channels": list(plan.channels), "patch": 2}
        return Model.initial(name, Spec("classification", network, Preparation(size=size), classes=classes), seed)
    spec = Spec("classification", {"kind": "shared_classifier"}, Preparation(size=size, channels=3), classes=classes)
    return Model.initial(name, spec, seed)


def _trained(
    start: Model,
    pool: Sequence[CaseViews],
    plan: Plan,
    settings: Settings,
    checkpoint: Path | None,
    progress: Progress | None,
) -> Model:
    """A small network, which begins from nothing."""
    needed = -(-settings.steps * settings.batch // len(start.labels))  # no more than the steps take
    pictures = sampled(pool, start.labels, min(plan.pictures, needed), settings.seed)
    made = fit(start, pictures, settings=settings, method="initial", name=start.name, checkpoint=checkpoint, progress=progress)
    return replace(made, lineage=replace(made.lineage, trained_on=_keys(pool)))


def _keys(pool: Sequence[CaseViews]) -> frozenset[str]:
    return frozenset(entry.key for entry in pool)  # the made-up pictures are of nobody


def _assembled(
    model: Model,
    pool: Sequence[CaseViews],
    aside: Sequence[CaseViews],
    plan: Plan,
    settings: Settings,
    looking: Counted | None,
) -> Router:
    categories = [label for label in model.labels if label != UNKNOWN]
    shown = _pictures(pool, model.labels, plan.bank, settings.seed + 1)
    held_out = _pictures(aside, categories, plan.held_out, settings.seed + 2)
    total = len(shown.views) + len(held_out.views)
    found, _ = _features(model, shown.views, settings.device, lambda n: looking(n, total) if looking else None)
    of_known = np.flatnonzero(shown.labels < len(categories))
    labels = shown.labels[of_known]
    bank = Known.of(found[of_known], labels, [shown.sites[place] for place in of_known])
    if not plan.channels:
        model = _with_head(model, *fit_head(found, shown.labels, bank.whitening), pool, plan, settings)
    svm = fit_svm(found[of_known], labels, len(categories), plan.kernel, bank.whitening)
    first = len(shown.views)
    found, logits = _features(model, held_out.views, settings.device, lambda n: looking(first + n, total) if looking else None)
    truth = held_out.labels
    seen = views_of(bank.near(found).distances, logits)
    plain = np.arange(len(truth)) % 2 == 0  # every other one is unchanged but for its polarity: what is calibrated for
    images = len({entry.key for entry in aside})
    temperatures, doubts, measures = {}, {}, {"held_out_images": float(images)}
    for name in CLASSIFIERS:
        scores = logits[:, : len(categories)] if name == "softmax" else svm.scores(found)
        temperatures[name] = fit_temperature(scores[plain], truth[plain])
        sure = probabilities(scores, temperatures[name])
        doubts[name] = Doubt.fit(seen[plain], sure.max(axis=1)[plain], images)
        right = sure.argmax(axis=1) == truth
        measures[f"{name}_accuracy"] = float(np.mean([right[plain & (truth == n)].mean() for n in np.unique(truth)]))
        measures[f"{name}_accuracy_on_changed"] = float(np.mean([right[~plain & (truth == n)].mean() for n in np.unique(truth)]))
        measures[f"{name}_calibration_error"] = calibration_error(sure.max(axis=1)[plain], right[plain])
    return Router(model, svm, bank, temperatures, doubts, plan.classifier, measures)


def _features(model: Model, views: Sequence[View], device: str, looked: Callable[[int], None]) -> tuple[Matrix, Matrix]:
    """As :func:`casewise.routing.features.features`, some at a time."""
    parts = []
    for start in range(0, len(views), _AT_ONCE):
        parts.append(features(model, views[start : start + _AT_ONCE], device))
        looked(min(start + _AT_ONCE, len(views)))
    found, logits = (np.concatenate(part) for part in zip(*parts, strict=True))
    return found, logits


def _with_head(start: Model, weights: Matrix, biases: Matrix, pool: Sequence[CaseViews], plan: Plan, settings: Settings) -> Model:
    head = {"head.weight": torch.from_numpy(weights), "head.bias": torch.from_numpy(biases)}
    lineage = Lineage("fitted", file_key(WEIGHTS), "backbone", _keys(pool), settings={"pictures": plan.bank, "seed": settings.seed})
    return Model(start.name, start.spec, head, lineage)


def _pictures(pool: Sequence[CaseViews], names: Sequence[str], count: int, seed: int) -> Pictures:
    """Pictures of each of the categories ``names`` that ``pool`` has and of ``unknown``, unchanged and changed in turn."""
    there = [name for name in names if name == UNKNOWN or any(entry.category == name for entry in pool)]
    kinds = [sampled(pool, there, count // 2, seed, mild) for mild in (True, False)]
    cases = [case for pair in zip(*kinds, strict=True) for case in pair]
    pictures = [_plane(case.image.array) for case in cases]
    for number in range(2, len(pictures), 8):  # a quarter of the unchanged ones in the other polarity, which says nothing either
        pictures[number] = 1 - pictures[number]
    sites = {entry.key: entry.site for entry in pool}
    labels = np.array([names.index(str(case.category)) for case in cases], np.int64)
    return Pictures(pictures, labels, [sites.get(case.key, "") for case in cases])


def _plane(array: npt.NDArray[np.generic]) -> View:
    """(row, column), or (row, column, 3) of colours, of an image's (channel, row, column)."""
    values = np.asarray(array, np.float32)
    return values[0] if len(values) == 1 else np.moveaxis(values, 0, -1)
