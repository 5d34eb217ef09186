"""Initial models from labelled cases, and models continued from one that is there; both through :func:`casewise.training.fit`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from casewise.case import Case, Structure
from casewise.errors import CasewiseError, UsageError
from casewise.models.model import Model
from casewise.models.preparation import Preparation
from casewise.models.spec import Spec
from casewise.models.tasks import Classification, Segmentation
from casewise.training.empty_labels import split_with_drawn
from casewise.training.fit import Progress, fit
from casewise.training.metrics import measure
from casewise.training.settings import Settings
from casewise.training.split import split

CHANNELS = {"segmentation": (16, 32, 64), "classification": (16, 32, 64, 128)}
PATCH = 2


@dataclass(frozen=True)
class Input:
    """What a new model is to take: ``size`` voxels an axis, ``dimensions`` 2 (volumes slice by slice) or 3.

    window : lower and upper intensity (CT in HU); None scales each image by its percentiles.
    """

    size: int = 128
    dimensions: int = 2
    window: tuple[float, float] | None = None
    channels: tuple[int, ...] | None = None

    def preparation(self, colour: bool = False) -> Preparation:
        intensity = "window" if self.window else "percentile"
        return Preparation(self.dimensions, (self.size,) * self.dimensions, 3 if colour else 1, intensity, self.window)


def train_segmenter(
    cases: Sequence[Case],
    structures: Sequence[Structure],
    name: str,
    *,
    input: Input | None = None,
    parent: Model | None = None,
    settings: Settings | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> Model:
    """A segmenter of ``structures`` from the cases that are labelled with at least one of them, or ``parent`` continued on them.

    Measures of the model returned: ``validation_dice`` over subjects set aside, and ``before_dice`` of the parent on the same.
    Raises CasewiseError where no case is labelled, or all masks of a structure are empty.
    """
    if parent is not None and not isinstance(parent.kind, Segmentation):
        msg = f"Model {parent.name} is for {parent.task}; a segmenter can only be continued from a segmenter."
        raise UsageError(msg)
    if parent is not None:
        parent.check_trainable()
    wanted = tuple(structures) or (parent.spec.structures if parent else ())
    if parent is not None and tuple(s.name for s in wanted) != parent.labels:
        msg = f"Model {parent.name} segments {', '.join(parent.labels)}; continued, it keeps them, in that order."
        raise UsageError(msg)
    labelled = [case for case in cases if any(case.has(structure) for structure in wanted)]
    if not labelled:
        have = sorted({mask for case in cases for mask in case.load_masks})
        sought = ", ".join(map(str, wanted)) or "any structure"
        msg = f"No case has a mask for {sought}; there are masks for {', '.join(have) or 'nothing'}."
        raise CasewiseError(msg)
    network = {"kind": "unet", "channels": list((input or Input()).channels or CHANNELS["segmentation"]), "patch": PATCH}
    if parent is not None:
        start = Model(parent.name, _with_structures(parent.spec, wanted), parent.weights, parent.lineage, parent.foreign)
    else:
        spec = Spec("segmentation", network, (input or Input()).preparation(), structures=wanted)
        start = Model.initial(name, spec, (settings or Settings()).seed)
    return _train(start, labelled, name, parent, settings, None, checkpoint, progress)


def train_classifier(
    cases: Sequence[Case],
    categories: Sequence[str],
    name: str,
    *,
    input: Input | None = None,
    parent: Model | None = None,
    settings: Settings | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> Model:
    """A classifier of ``categories`` (all that the cases have, when empty), rare ones weighted up; or ``parent`` continued."""
    if parent is not None and not isinstance(parent.kind, Classification):
        msg = f"Model {parent.name} is for {parent.task}; a classifier can only be continued from a classifier."
        raise UsageError(msg)
    classes = parent.spec.classes if parent else tuple(categories) or tuple(sorted({c.category for c in cases if c.category}))
    labelled = [case for case in cases if case.category in classes]
    counts = Counter(case.category for case in labelled)
    if len(classes) < 2 or min((counts[name] for name in classes), default=0) == 0:
        found = ", ".join(f"{key} ({n})" for key, n in Counter(c.category for c in cases if c.category).items())
        msg = f"A classifier needs cases of two categories or more, each of those named; there are {found or 'no categories'}."
        raise CasewiseError(msg)
    if parent is None:
        network = {
            "kind": "classifier",
            "channels": list((input or Input()).channels or CHANNELS["classification"]),
            "patch": PATCH,
        }
        start = Model.initial(
            name, Spec("classification", network, (input or Input()).preparation(), classes=classes), (settings or Settings()).seed
        )
    else:
        start = parent
    return _train(start, labelled, name, parent, settings, counts, checkpoint, progress)


def _train(
    start: Model,
    cases: Sequence[Case],
    name: str,
    parent: Model | None,
    settings: Settings | None,
    counts: Counter[str | None] | None,
    checkpoint: Path | None,
    progress: Progress | None,
) -> Model:
    seed = (settings or Settings()).seed
    training, validation = split_with_drawn(cases, start.spec.structures, seed) if counts is None else split(cases, seed=seed)
    weights = [len(cases) / (len(counts) * counts[case.category]) for case in training] if counts else None
    model = fit(
        start,
        training,
        weights=weights,
        settings=settings,
        validation=validation,
        method="continued" if parent else "initial",
        name=name,
        checkpoint=checkpoint,
        progress=progress,
    )
    device = (settings or Settings()).device
    extra = {f"validation_{key}": value for key, value in measure(model, validation, device).items()} if validation else {}
    if parent is not None and validation:
        extra |= {f"before_{key}": value for key, value in measure(start, validation, device).items()}
    extra |= {"training_cases": float(len(training)), "validation_cases": float(len(validation))}
    return Model(model.name, model.spec, model.weights, model.lineage.measured(**extra), model.foreign)


def _with_structures(spec: Spec, structures: tuple[Structure, ...]) -> Spec:
    return Spec(spec.task, spec.network, spec.preparation, structures, spec.classes)
