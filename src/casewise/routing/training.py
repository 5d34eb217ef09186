"""``train_router``: from cases with categories to a router. The network is trained by :func:`casewise.training.fit` alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from casewise.case import Case
from casewise.errors import CasewiseError
from casewise.models.model import Model
from casewise.models.networks.efficient_net import STAGES, EfficientNetLite
from casewise.models.preparation import Preparation
from casewise.models.spec import Spec
from casewise.routing.calibration import calibration_error, fit_temperature, probabilities
from casewise.routing.classifiers import CLASSIFIERS, check_classifier, fit_svm
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
SETTINGS = Settings(steps=600, batch=32, rate=6e-4, augmentation="light")
FROM_NOTHING = Settings(steps=3000, batch=32, rate=2e-3, augmentation="light")  # of SMALL


@dataclass(frozen=True)
class Plan:
    """size : edge of the network's input. channels : of the levels of a small network that begins with random weights; without
    them it is EfficientNet-Lite0, which begins with what was learnt on photographs, and whose first ``frozen`` stages stay so.

    pictures : changed pictures sampled of each category. bank : pictures of each category whose features are kept, half of them
    unchanged. held_out : pictures of each category that temperatures and thresholds are fitted on. classifier : the default one.
    kernel : of the support vector machine.
    """

    size: int = 128
    channels: tuple[int, ...] = ()
    frozen: int = 5
    pictures: int = 1000
    bank: int = 180
    held_out: int = 200
    classifier: str = "softmax"
    kernel: str = "linear"


SMALL = Plan(size=64, channels=(24, 48, 96, 128), pictures=1600, bank=400, kernel="rbf")  # the control: it begins from nothing


def train_router(
    cases: Sequence[Case],
    name: str,
    *,
    validation: Sequence[Case] | None = None,
    plan: Plan | None = None,
    settings: Settings | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
    reading: Callable[[int, int], None] | None = None,
) -> Router:
    """A router of all the categories that ``cases`` have; those of the category ``unknown`` show it what belongs to none.

    validation : held-out cases that temperatures and thresholds are fitted on; without any, subjects of ``cases`` are set aside.
    progress : called with step, steps and loss; reading : with the number of images read and of all.
    Raises CasewiseError for fewer than two categories.
    """
    plan, settings = plan or Plan(), settings or SETTINGS
    check_classifier(plan.classifier)
    training, held_out = (list(cases), list(validation)) if validation is not None else split(cases, seed=settings.seed)
    categories = _categories(training)
    total = len(training) + len(held_out)
    pool = _read(training, categories, True, lambda done: reading(done, total) if reading else None)
    aside = _read(held_out, categories, False, lambda done: reading(len(training) + done, total) if reading else None)
    return router_of(pool, aside, name, plan=plan, settings=settings, checkpoint=checkpoint, progress=progress)


def router_of(
    pool: Sequence[CaseViews],
    aside: Sequence[CaseViews],
    name: str,
    *,
    plan: Plan,
    settings: Settings,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> Router:
    """A router of what is already read: trained on ``pool``, calibrated on ``aside`` (on ``pool`` where that is empty)."""
    categories = tuple(sorted({entry.category for entry in pool} - {UNKNOWN}))
    model = _network(pool, categories, name, plan, settings, checkpoint, progress)
    known = [entry for entry in aside if entry.category in categories]
    return _assembled(model, pool, known or pool, plan, settings)


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


def _network(
    pool: Sequence[CaseViews],
    categories: Sequence[str],
    name: str,
    plan: Plan,
    settings: Settings,
    checkpoint: Path | None,
    progress: Progress | None,
) -> Model:
    classes = (*categories, UNKNOWN)
    start = _start(name, classes, plan, settings.seed)
    needed = -(-settings.steps * settings.batch // len(classes))  # no more than the steps take
    pictures = sampled(pool, classes, min(plan.pictures, needed), settings.seed)
    stages = range(plan.frozen, len(STAGES))
    made = fit(
        start,
        pictures,
        trainable="all" if plan.channels else [*(f"encoder.stages.{stage}." for stage in stages), "head."],
        settings=settings,
        method="initial",
        name=name,
        checkpoint=checkpoint,
        progress=progress,
    )
    keys = frozenset(entry.key for entry in pool)  # the made-up pictures are of nobody
    # Half precision halves the folder; what follows is fitted on the weights as they are kept.
    weights = made.weights if plan.channels else {key: weight.half() for key, weight in made.weights.items()}
    return Model(made.name, made.spec, weights, replace(made.lineage, trained_on=keys))


def _start(name: str, classes: tuple[str, ...], plan: Plan, seed: int) -> Model:
    size = (plan.size, plan.size)
    if plan.channels:
        network = {"kind": "classifier", "channels": list(plan.channels), "patch": 2}
        return Model.initial(name, Spec("classification", network, Preparation(size=size), classes=classes), seed)
    spec = Spec("classification", {"kind": "efficient_classifier"}, Preparation(size=size, channels=3), classes=classes)
    random = Model.initial(name, spec, seed)
    learnt = {f"encoder.{key}": weight for key, weight in EfficientNetLite(3).pretrained().state_dict().items()}
    return replace(random, weights={**random.weights, **learnt})


def _assembled(model: Model, pool: Sequence[CaseViews], aside: Sequence[CaseViews], plan: Plan, settings: Settings) -> Router:
    categories = [label for label in model.labels if label != UNKNOWN]
    device = "cpu"
    known, labels = _pictures(pool, categories, plan.bank, settings.seed + 1)
    found, _ = features(model, known, device)
    svm, bank = fit_svm(found, labels, len(categories), plan.kernel), Known.of(found, labels)
    held_out, truth = _pictures(aside, categories, plan.held_out, settings.seed + 2)
    found, logits = features(model, held_out, device)
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


def _pictures(
    pool: Sequence[CaseViews], categories: Sequence[str], count: int, seed: int
) -> tuple[list[View], npt.NDArray[np.int64]]:
    """Pictures of each category that ``pool`` has, unchanged and changed ones in turn, and the numbers of their categories."""
    there = [name for name in categories if any(entry.category == name for entry in pool)]
    kinds = [sampled(pool, there, count // 2, seed, mild) for mild in (True, False)]
    cases = [case for pair in zip(*kinds, strict=True) for case in pair]
    pictures = [np.asarray(case.image.array[0], np.float32) for case in cases]
    for number in range(2, len(pictures), 8):  # a quarter of the unchanged ones in the other polarity, which says nothing either
        pictures[number] = 1 - pictures[number]
    return pictures, np.array([categories.index(str(case.category)) for case in cases], np.int64)
