"""Several sites and the deployment site: site after site from a pretrained model.

The further sites' cases are ordered by their similarity to the first site's, and training goes on from the pretrained model; at the
deployment site its annotated cases are ordered by how uncertain the model is of them. What each stage did for every site is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from casewise.adaptation.site_learning import ImageLearning, Learning
from casewise.adaptation.site_measuring import Crew, Measuring
from casewise.case import Case
from casewise.errors import CasewiseError, UsageError
from casewise.hashing import combined_key
from casewise.models.model import Model
from casewise.progress import Progress as Moved
from casewise.progress import silent
from casewise.training.curriculum import CHOICES, ORDERS, PACES, ScheduledTraining, Vectors, likeness, paced, ranked, rehearsed
from casewise.training.settings import Settings
from casewise.training.split import split

if TYPE_CHECKING:
    from casewise.archive import Archive
    from casewise.encoder import Encoder

Progress = Callable[[str, int, int, float], None]  # stage, step, steps, loss
HELD_OUT = 0.25

# What each default gains, and where none does, is in benchmarks/results/sites.md.
FURTHER = Settings(steps=200, batch=8, rate=1e-3, augmentation="strong")
DEPLOYED = Settings(steps=60, batch=4, rate=5e-4, augmentation="strong")


@dataclass(frozen=True)
class Plan:
    """How a model is taken from site to site.

    order : which cases of a further site come first: those ``similar`` to the first site's, ``dissimilar``, or ``random``.
    pace : ``growing`` (from the first third to all) or ``rounds`` (all of them in this order, again and again).
    choice : which annotated cases of the deployment site come first: those the model is ``uncertain`` or ``certain`` of, or
    ``random``.
    annotated : how many of these are used, None for all. rehearsed : whether the earlier sites' cases are trained on in between.
    further, deployed : settings of the training on a further site, and on the deployment site.
    """

    order: str = "similar"
    pace: str = "growing"
    choice: str = "uncertain"
    annotated: int | None = None
    rehearsed: bool = True
    further: Settings = FURTHER
    deployed: Settings = DEPLOYED

    def __post_init__(self) -> None:
        for name, given, allowed in (
            ("order", self.order, ORDERS),
            ("pace", self.pace, PACES),
            ("choice", self.choice, CHOICES),
        ):
            if given not in allowed:
                raise UsageError(f"The {name} of cases is one of {', '.join(allowed)}; got {given!r}.")
        if self.annotated is not None and self.annotated < 1:
            raise UsageError(f"At least one annotated case is used; got {self.annotated}.")


@dataclass(frozen=True)
class Stage:
    """One site's training.

    role : ``further`` or ``deployment``. cases : that it was trained on, in order. scores : by which they were ordered, the
    likeness to the first site (−1 to 1) or the uncertainty (0 to 1). accuracy : of each site's held-out cases after this stage.
    used : whether its model was kept; where it was worse on the site's own held-out cases, training goes on from the one before.
    """

    site: str
    role: str
    cases: tuple[Case, ...]
    scores: tuple[float, ...]
    accuracy: Mapping[str, float]
    used: bool
    reason: str


@dataclass(frozen=True)
class Sites:
    """What came of it.

    measure : ``dice`` or ``accuracy``. likeness : of each site to the first. held_out : cases that each site is measured on, none
    of them ever trained on. before : accuracy of the pretrained model by site; a site without held-out cases has none.
    annotate : cases of the deployment site without labels that the model is least sure of, with their uncertainty.
    """

    model: Model
    first: str
    measure: str
    likeness: Mapping[str, float]
    held_out: Mapping[str, int]
    before: Mapping[str, float]
    stages: tuple[Stage, ...] = ()
    annotate: tuple[tuple[Case, float], ...] = field(default=())

    @property
    def after(self) -> Mapping[str, float]:
        """Accuracy of the model that was kept, by site."""
        kept = [stage.accuracy for stage in self.stages if stage.used]
        return kept[-1] if kept else self.before

    def to_json(self) -> dict[str, object]:
        names = list(self.likeness)
        return {
            "first": self.first,
            "measure": self.measure,
            "sites": [
                {
                    "name": name,
                    "likeness": self.likeness[name],
                    "held_out": self.held_out[name],
                    "before": self.before.get(name),
                    "after": self.after.get(name),
                }
                for name in names
            ],
            "stages": [
                {
                    "site": stage.site,
                    "role": stage.role,
                    "order": [{"image": case.name, "score": score} for case, score in zip(stage.cases, stage.scores, strict=True)],
                    "accuracy": dict(stage.accuracy),
                    "used": stage.used,
                    "reason": stage.reason,
                }
                for stage in self.stages
            ],
            "annotate": [{"image": case.name, "uncertainty": score} for case, score in self.annotate],
        }


def vectors_of(archive: Archive, encoder: Encoder, progress: Moved = silent) -> dict[str, Vectors]:
    """The archive's embeddings, by case key, each (dimension,); those that are missing are made."""
    archive.embed(encoder, progress)
    keys, rows, base = archive.vectors(encoder)
    return {key: np.asarray(base[row], np.float32) for key, row in zip(keys, rows.tolist(), strict=True)}


def train_sites(
    model: Model,
    cases: Sequence[Case],
    vectors: Mapping[str, Vectors],
    plan: Plan | None = None,
    *,
    first: str,
    deployment: str | None = None,
    unlabelled: Sequence[Case] = (),
    folder: Path | None = None,
    progress: Progress | None = None,
    learning: Learning | None = None,
    crew: Crew | None = None,
) -> Sites:
    """Continue ``model``, pretrained on the site ``first``, on the other sites, the one most like the first one first.

    cases : labelled, each with its ``site``; about a quarter of each site's subjects are held out to measure it, never one that the
    model was trained on. vectors : by case key, of one encoder. deployment : the site that comes last, by uncertainty.
    unlabelled : cases of it to be named in the order in which they should be annotated.
    folder : where finished stages are kept, from which a stopped call goes on. learning : of lesion networks, whose cases are
    examinations (:class:`casewise.lesions.sites.LesionLearning`); None for segmenters and classifiers of images.
    crew : who measures, and says how unsure models are; None: this process, as always for training.
    Raises UsageError for a site that has no cases, and CasewiseError where there is no site to go on with.
    """
    model.check_trainable()
    plan = plan or Plan()
    by_site = _by_site(cases, vectors)
    check_sites(by_site, first, deployment)
    learning = learning or ImageLearning(model, plan.further)
    measuring = Measuring(learning, [*(case for own in by_site.values() for case in own), *unlabelled], folder, crew)
    run = _Run(model, by_site, vectors, plan, first, learning, measuring, folder, progress)
    for site in run.further(deployment):
        run.go_on(site)
    if deployment:
        run.deploy(deployment)
    return run.result(unlabelled)


def check_sites(sites: Collection[str], first: str, deployment: str | None) -> None:
    """Raises UsageError for a site without labelled cases, and CasewiseError where there is none but the first."""
    for site in (first, *([deployment] if deployment else [])):
        if site not in sites:
            raise UsageError(f"There are no labelled cases of site {site!r}; the sites are {', '.join(sites) or 'not named'}.")
    if first == deployment:
        raise UsageError(f"{first!r} is both the first and the deployment site; a model is deployed at another one.")
    if len(sites) < 2:
        raise CasewiseError(f"All labelled cases are of site {first!r}; import another site's, with --site.")


class _Run:
    """One call of :func:`train_sites`: the model as it stands, and what is held out."""

    def __init__(
        self,
        model: Model,
        by_site: Mapping[str, list[Case]],
        vectors: Mapping[str, Vectors],
        plan: Plan,
        first: str,
        learning: Learning,
        measuring: Measuring,
        folder: Path | None,
        progress: Progress | None,
    ) -> None:
        self.model, self.plan, self.first, self.folder, self.progress = model, plan, first, folder, progress
        self.parts = {site: _parted(model, cases, site == first, plan.further.seed) for site, cases in by_site.items()}
        self.learning, self.measure, self.measuring = learning, learning.measure, measuring
        everything = np.stack([vectors[case.key] for cases in by_site.values() for case in cases])
        mean = everything.mean(axis=0, dtype=np.float64)
        start = np.stack([vectors[case.key] for case in by_site[first]])
        self.scores = {
            case.key: float(score)
            for cases in by_site.values()
            for case, score in zip(cases, likeness(np.stack([vectors[c.key] for c in cases]), start, mean), strict=True)
        }
        self.likeness = {site: float(np.mean([self.scores[case.key] for case in cases])) for site, cases in by_site.items()}
        self.before = self._accuracy(model)
        self.standing = self.before
        self.known = list(self.parts[first][0])
        self.stages: list[Stage] = []

    def further(self, deployment: str | None) -> list[str]:
        """The sites to go on with, the one most like the first one first."""
        names = [site for site, (new, _) in self.parts.items() if new and site not in (self.first, deployment)]
        return sorted(names, key=lambda site: -self.likeness[site])

    def go_on(self, site: str) -> None:
        cases = self.parts[site][0]
        scores = [self.scores[case.key] for case in cases]
        self._stage(site, "further", cases, scores, self.plan.order, self.plan.further)
        self.known += cases

    def deploy(self, site: str) -> None:
        cases = self.parts[site][0]
        if not cases:
            raise CasewiseError(f"The model was already trained on all labelled cases of {site}; label new ones there.")
        scores = self.measuring.uncertainties(self.model, cases)
        self._stage(site, "deployment", cases, scores, self.plan.choice, self.plan.deployed)

    def _stage(self, site: str, role: str, cases: Sequence[Case], scores: Sequence[float], how: str, settings: Settings) -> None:
        order = ranked(scores, how, settings.seed)
        order = order[: self.plan.annotated] if role == "deployment" else order
        ordered = [cases[n] for n in order]
        schedule = paced(range(len(ordered)), self.plan.pace, settings.steps, settings.batch, settings.seed)
        if self.plan.rehearsed and self.known:
            schedule = rehearsed(schedule, len(ordered), len(self.known), settings.steps * settings.batch, settings.seed)
        trained = self._trained(ordered, schedule, settings, site)
        accuracy = self._accuracy(trained)
        used, reason = self._verdict(site, accuracy)
        by_score = tuple(float(scores[n]) for n in order)
        self.stages.append(Stage(site, role, tuple(ordered), by_score, accuracy, used, reason))
        if used:
            self.model, self.standing = trained, accuracy

    def _trained(self, cases: Sequence[Case], schedule: Sequence[int], settings: Settings, site: str) -> Model:
        number = len(self.stages) + 1
        everything = [*cases, *(self.known if self.plan.rehearsed else [])]
        words = [self.model.key, repr(settings), *(f"{n} {case.key}" for n, case in enumerate(everything)), str(list(schedule))]
        kept = self.folder / f"stage-{number}-{combined_key(words)[:12]}" if self.folder is not None else None
        if kept is not None and kept.exists():
            return Model.load(kept)
        progress = self.progress
        trained = self.learning.continued(
            self.model,
            everything,
            ScheduledTraining(
                schedule,
                settings,
                self.folder / f"stage-{number}.checkpoint" if self.folder is not None else None,
                None if progress is None else lambda step, steps, loss: progress(site, step, steps, loss),
            ),
        )
        if kept is not None:
            trained.save(kept)
        return trained

    def _verdict(self, site: str, accuracy: Mapping[str, float]) -> tuple[bool, str]:
        if site not in accuracy:
            return True, f"No case of {site} could be held out, so nothing says whether it helped."
        before, after, count = self.standing[site], accuracy[site], len(self.parts[site][1])
        measured = (
            f"{self.measure.replace('dice', 'Dice')} {before:.3f} before, {after:.3f} after, on {count} held-out cases of {site}"
        )
        if after >= before:
            return True, f"It was kept: {measured}."
        return False, f"It was not better, so training went on from the model before: {measured}."

    def _accuracy(self, model: Model) -> dict[str, float]:
        return self.measuring.accuracies(model, {site: held for site, (_, held) in self.parts.items()})

    def result(self, unlabelled: Sequence[Case]) -> Sites:
        unsure = self.measuring.uncertainties(self.model, unlabelled) if unlabelled else []
        annotate = tuple((unlabelled[n], unsure[n]) for n in ranked(unsure, "uncertain"))
        held = {site: len(part[1]) for site, part in self.parts.items()}
        measures = {f"{when}_{_word(site)}": value for when, values in self._told() for site, value in values.items()}
        model = replace(self.model, lineage=self.model.lineage.measured(**measures))
        return Sites(model, self.first, self.measure, self.likeness, held, self.before, tuple(self.stages), annotate)

    def _told(self) -> tuple[tuple[str, Mapping[str, float]], ...]:
        return (("before", self.before), ("after", self.standing))


def _by_site(cases: Sequence[Case], vectors: Mapping[str, Vectors]) -> dict[str, list[Case]]:
    """Cases without a site, or that could not be embedded, are left out."""
    found: dict[str, list[Case]] = {}
    for case in cases:
        if case.site and case.key in vectors:
            found.setdefault(case.site, []).append(case)
    return found


def _parted(model: Model, cases: Sequence[Case], first: bool, seed: int) -> tuple[list[Case], list[Case]]:
    """(to train on, held out). Of the first site all that the model was not trained on is held out, if it was trained on some."""
    new = [case for case in cases if case.key not in model.trained_on]
    if first and len(new) < len(cases):
        return [case for case in cases if case.key in model.trained_on], new
    return split(new, share=HELD_OUT, seed=seed)


def _word(site: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in site.lower())
