"""Lesion networks trained in phases: where first, then what with the where held fixed, then both together (or not)."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from casewise.case import Case, Structure
from casewise.errors import CasewiseError, UsageError
from casewise.lesions.batches import LesionBatches, LesionObjective, SliceSampling
from casewise.lesions.prediction import settings_of
from casewise.lesions.prepared import Slices, prepared
from casewise.lesions.slices import NONE, preparation
from casewise.lesions.tuning import fitted
from casewise.models.model import Model
from casewise.models.spec import Spec
from casewise.models.tasks.lesions import Rule
from casewise.models.tasks.settings import with_settings
from casewise.training.fit import Progress, fit
from casewise.training.settings import Settings

NETWORKS = ("multitask", "fusion", "regression")
WAYS = ("joint", "separate", "unmapped")
_LOCALISER, _CLASSIFIER = ("localiser",), ("classifier",)
_AGAIN = 0.3  # of the rate, where a localiser that has learnt already goes on


class Phase(NamedTuple):
    """part : what is lowered. trainable : beginnings of the names of what is trained. rate : as a share of the plan's."""

    part: str
    trainable: tuple[str, ...]
    steps: int
    rate: float = 1.0


@dataclass(frozen=True)
class Plan:
    """network : ``multitask`` (one encoder), ``fusion`` (a network a sequence) or ``regression`` (a score instead of classes).

    way : ``joint``; ``separate``, in which the localiser goes on alone and the classifier learns from its fixed map for as many
    steps; or ``unmapped``, a classifier without map. steps : of the phases localise, classify, together. size : of the network's
    square input. scores : category → 0 to 1, for a regression network. carries_score : the map's target within a lesion is the
    lesion's score, not 1; for a regression network alone. dropped, synthetic : see :class:`casewise.lesions.batches.SliceSampling`.
    """

    network: str = "multitask"
    way: str = "joint"
    steps: tuple[int, int, int] = (900, 300, 600)
    size: int = 128
    channels: tuple[int, ...] = (16, 32, 64, 96)
    scores: tuple[tuple[str, float], ...] = ()
    dropped: float = 0.3
    synthetic: float = 0.0
    carries_score: bool = False
    mirror: bool = True
    settings: Settings = field(default_factory=lambda: Settings(batch=8, rate=5e-3))

    def __post_init__(self) -> None:
        if self.network not in NETWORKS or self.way not in WAYS:
            msg = (
                f"A lesion network is one of {', '.join(NETWORKS)}, trained in one of the ways {', '.join(WAYS)}; "
                f"got {self.network!r}, {self.way!r}."
            )
            raise UsageError(msg)
        if len(self.steps) != 3 or min(self.steps) < 1:
            raise UsageError(f"A lesion network is trained in three phases of at least one step; got {self.steps}.")
        if not 0 <= self.dropped < 1 or not 0 <= self.synthetic <= 0.33:
            msg = f"A sequence is dropped with a probability from 0 to below 1, at most 0.33 of slices are synthetic; got {self}."
            raise UsageError(msg)
        if not all(0 <= score <= 1 for _, score in self.scores):
            raise UsageError(f"A score is a number from 0 to 1; got {dict(self.scores)}.")
        if self.carries_score and self.network != "regression":
            msg = f"A map carries the score of a regression network; the {self.network} network predicts kinds and has no scores."
            raise UsageError(msg)
        if self.carries_score and self.way == "unmapped":
            raise UsageError("A network without a map has none that could carry a score.")
        if self.carries_score and any(score == 0 for _, score in self.scores):
            named = ", ".join(name for name, score in self.scores if score == 0)
            msg = f"A lesion of score 0 leaves no trace in a map that carries scores, so that it is never found; give {named} more."
            raise UsageError(msg)

    def with_steps(self, steps: int) -> Plan:
        """``steps`` in all, shared among the phases as they are now."""
        share = steps / sum(self.steps)
        first, second = (max(1, round(own * share)) for own in self.steps[:2])
        return replace(self, steps=(first, second, max(1, steps - first - second)))

    def phases(self) -> tuple[Phase, ...]:
        """What is trained, in order."""
        first, second, third = self.steps
        if self.way == "unmapped":
            return (Phase("classify", ("localiser", "classifier"), second + third),)
        start = Phase("localise", _LOCALISER, first)
        if self.way == "separate":
            return (start, Phase("localise", _LOCALISER, third, _AGAIN), Phase("classify", _CLASSIFIER, second + third))
        return (start, Phase("classify", _CLASSIFIER, second), Phase("together", _LOCALISER + _CLASSIFIER, third, _AGAIN))


def train_lesions(
    examinations: Sequence[Case],
    name: str,
    plan: Plan | None = None,
    *,
    lesion: Structure | None = None,
    validation: Sequence[Case] = (),
    kept: Path | None = None,
    progress: Progress | None = None,
    reading: Callable[[int, int], None] | None = None,
    failed: Callable[[str], None] | None = None,
) -> Model:
    """A model of where the lesions of such examinations are and what they are.

    Classes are ``no lesion`` and the categories of the examinations (``lesion`` where they have none); sequences are all that they
    have. validation : examinations of other patients, which choose among each phase's states and, where they are three volumes or
    more, what of the map counts as a lesion (:func:`casewise.lesions.tuning.fitted`). kept : folder where prepared slices,
    finished phases and checkpoints lie, so that an interrupted training goes on; it may be deleted afterwards.
    reading : called with the number of examinations prepared, and of all. failed : called with each that cannot be used, in one
    sentence, and the others go on; without it the first such error is raised.
    Raises CasewiseError where there is no lesion to learn from, or some examinations have a category and others have none.
    """
    plan = plan or Plan()
    classes, sequences = _classes(examinations), _sequences(examinations)
    described = spec(plan, classes, sequences, class_sequences(examinations, sequences), lesion or Structure.parse("lesion"))
    with TemporaryDirectory() as temporary:
        folder = kept or Path(temporary)
        slices = prepared([*examinations, *validation], sequences, plan.size, folder / "slices", reading, failed)
        training, aside = slices[: len(examinations)], slices[len(examinations) :]
        usable = [examination for examination, own in zip(examinations, training, strict=False) if len(own.x)]
        keys = [key for examination in usable for key in examination.keys]
        model = train_slices(Model.initial(name, described, plan.settings.seed), training, aside, keys, plan, folder, progress)
    if plan.carries_score:
        return by_score(model)
    return model if plan.way == "unmapped" else fitted(model, validation)


def by_score(model: Model) -> Model:
    """``model``, whose map carries scores, with the rule for it: such a map is no probability of a lesion.

    It comes up to the score of a lesion, and to half of the lowest one at its edge.
    """
    half = min(score for score in settings_of(model).scores if score > 0) / 2
    return replace(model, spec=with_settings(model.spec, {"map_score": True, "rule": Rule(threshold=half, peak=half)}))


def spec(plan: Plan, classes: Sequence[str], sequences: Sequence[str], class_sequences: Sequence[int], lesion: Structure) -> Spec:
    """The description of the network of ``plan``. classes : the first is none."""
    network: dict[str, object] = {
        "kind": f"lesion_{plan.network}",
        "channels": list(plan.channels),
        "patch": 2,
        "sequences": list(sequences),
        "told_by": list(class_sequences),
        "mapped": plan.way != "unmapped",
    }
    if plan.network == "regression":
        network["scores"] = list(_scores(plan, classes))
    return Spec("lesions", network, preparation(len(sequences), plan.size), structures=(lesion,), classes=tuple(classes))


def train_slices(
    start: Model,
    slices: Sequence[Slices],
    aside: Sequence[Slices],
    keys: Sequence[str],
    plan: Plan,
    folder: Path | None = None,
    progress: Progress | None = None,
    phases: Sequence[Phase] | None = None,
) -> Model:
    """``start`` trained through the phases of ``plan`` (or ``phases``), each by :func:`casewise.training.fit`.

    keys : of the images that the slices come from. folder : finished phases and the checkpoint of the one under way are kept there;
    None keeps nothing.
    """
    network = settings_of(start)
    sampling = SliceSampling(
        start.spec.classes,
        network.sequences,
        network.class_sequences,
        network.scores,
        plan.dropped,
        plan.synthetic,
        plan.carries_score,
        augmentation=plan.settings.augmentation,
        mirror=plan.mirror,
    )
    model, done = start, 0
    todo = tuple(phases if phases is not None else plan.phases())
    total = sum(phase.steps for phase in todo)
    for number, phase in enumerate(todo, start=1):
        part = replace(sampling, part=phase.part)
        batches, objective = LesionBatches(slices, part, cases=keys), LesionObjective(part, aside)
        digest = hashlib.blake2b(f"{model.key}{batches.key}{objective.key}{plan}{phase}".encode(), digest_size=8).hexdigest()
        place = None if folder is None else folder / f"phase-{number}-{digest}"
        if place is not None and (place / "model.toml").is_file():
            model = Model.load(place)
        else:
            model = fit(
                model,
                batches,
                objective,
                trainable=phase.trainable,
                settings=replace(
                    plan.settings,
                    steps=phase.steps,
                    rate=plan.settings.rate * phase.rate,
                    augmentation="none",
                    seed=plan.settings.seed + number,
                ),
                method="initial",
                checkpoint=None if place is None else place.with_suffix(".checkpoint"),
                progress=_moved(progress, done, total),
            )
            if place is not None:
                shutil.rmtree(place, ignore_errors=True)
                model.save(place)
        done += phase.steps
    settings = {key: value for key, value in asdict(plan).items() if key not in ("settings", "scores")}
    own = {key: value for key, value in asdict(plan.settings).items() if key not in ("device", "steps")}
    flat = {key: list(value) if isinstance(value, tuple) else value for key, value in (settings | own).items()}
    return replace(model, name=start.name, lineage=replace(model.lineage, settings=flat | {"cases": len(keys)}))


def class_sequences(examinations: Sequence[Case], sequences: Sequence[str]) -> tuple[int, ...]:
    """Numbers of the sequences that examinations of every category have; all where no sequence is so common.

    One that a category never has would give the category away by being there.
    """
    has: dict[str | None, set[str]] = {}
    for examination in examinations:
        has.setdefault(examination.category, set()).update(examination.sequences)
    common = [n for n, name in enumerate(sequences) if all(name in own for own in has.values())]
    return tuple(common or range(len(sequences)))


def _classes(examinations: Sequence[Case]) -> tuple[str, ...]:
    named = sorted({examination.category for examination in examinations if examination.category})
    if named and any(not examination.category for examination in examinations):
        count = sum(not examination.category for examination in examinations)
        msg = f"{count} of {len(examinations)} examinations have no category; give each one, or none."
        raise CasewiseError(msg)
    if NONE in named:
        raise CasewiseError(f"The category {NONE!r} is what slices without a lesion are called; name the lesions' kind.")
    return (NONE, *(named or ["lesion"]))


def _sequences(examinations: Sequence[Case]) -> tuple[str, ...]:
    """All that there are, the most frequent first."""
    counts = Counter(name for examination in examinations for name in examination.sequences)
    if not counts:
        raise CasewiseError("There is no examination with a mask of lesions to train on.")
    return tuple(sorted(counts, key=lambda name: (-counts[name], name)))


def _scores(plan: Plan, classes: Sequence[str]) -> tuple[float, ...]:
    given = dict(plan.scores)
    if len(classes) == 2 and not given:
        return (0.0, 1.0)
    missing = [name for name in classes[1:] if name not in given]
    if missing:
        raise UsageError(f"A regression network needs a score from 0 to 1 for each category; {', '.join(missing)} has none.")
    return (0.0, *(given[name] for name in classes[1:]))


def _moved(progress: Progress | None, done: int, total: int) -> Progress | None:
    if progress is None:
        return None
    return lambda step, _, loss: progress(done + step, total, loss)
