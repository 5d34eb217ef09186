"""The whole way of an image: read → similar cases → refine, or choose a subset's model → predict → findings → report."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from casewise import formats
from casewise.adaptation import Plan, SimilarRefinement, refine, subsets, usable_cases
from casewise.applications.organs import findings_of
from casewise.case import Case
from casewise.device import resolve_device
from casewise.errors import ArchiveError, CasewiseError, UsageError
from casewise.image import Image
from casewise.models import Model, Prediction
from casewise.reporting.jsonsafe import dumps
from casewise.reporting.report import file_stem, write_index, write_report
from casewise.reporting.similar import SimilarPicture
from casewise.result import ModelUse, Result, SimilarCase

if TYPE_CHECKING:
    from casewise.adaptation.vote import Vote
    from casewise.archive import Archive

ADAPT = ("none", "similar", "subset")
_SHOWN = 8  # similar cases shown in a report


@dataclass(frozen=True)
class Failure:
    """An image that could not be analysed, and why (one sentence)."""

    image: str
    reason: str


@dataclass
class _Clock:
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - began, 4)


@dataclass(frozen=True)
class _Adapted:
    """The model that answers for one image, where it came from, and the similar cases that were looked at."""

    use: ModelUse
    model: Model
    similar: Sequence[SimilarCase] = ()
    notes: tuple[str, ...] = ()
    vote: Vote | None = None

    def predict(self, image: Image, device: str) -> Prediction:
        answer = self.model.predict(image, device)
        return self.vote.joined(answer) if self.vote is not None else answer


def _refined(parent: Model, done: SimilarRefinement) -> _Adapted:
    made = done.refinement
    name = parent.name if made.used else None
    refined_on = tuple(case.name for case in made.trained_on) if made.used else ()
    voted = tuple(case.name for case in done.vote.cases) if done.vote is not None and done.vote.used else ()
    use = ModelUse(done.model.name, name, refined_on, "similar", made.reason, made.before, made.after, voted)
    return _Adapted(use, done.model, done.similar, (done.advice,) if done.advice else (), done.vote)


def _chosen(parent: Model, subset: subsets.Subset, model: Model, score: float, members: tuple[str, ...]) -> _Adapted:
    told = ", and the model refined on it was used" if subset.refined else ", whose refined model was not better than its parent"
    reason = f"The image is most like {subset.name} ({subset.size} cases, cosine {score:.2f}){told}."
    name = parent.name if subset.refined else None
    return _Adapted(ModelUse(model.name, name, members if subset.refined else (), "subset", reason), model)


class Analyzer:
    """What stays the same for all the images of a call: the model, the archive, the way of adapting, the folder for results.

    adapt : ``none``, ``similar`` (refined for each image) or ``subset`` (the model of the precomputed subset most like the image).
    notes : sentences that every report is to carry (the demo says there which pixels are simulated).
    """

    def __init__(
        self,
        model: Model,
        output: Path,
        *,
        archive: Archive | None = None,
        adapt: str = "none",
        application: str = "organs",
        plan: Plan | None = None,
        device: str = "auto",
        seed: int = 0,
        notes: Sequence[str] = (),
    ) -> None:
        if adapt not in ADAPT:
            msg = f"A model is adapted by one of {', '.join(ADAPT)}; given was {adapt!r}."
            raise UsageError(msg)
        if adapt != "none" and archive is None:
            msg = f"Adapting by {adapt!r} needs an archive of labelled cases; name one with --archive, or choose --adapt none."
            raise UsageError(msg)
        self.model, self.output, self.archive, self.adapt = model, output, archive, adapt
        self.application, self.device, self.notes = application, resolve_device(device), tuple(notes)
        plan = plan or Plan()
        self.plan = replace(plan, settings=replace(plan.settings, device=self.device, seed=seed))
        self._names: dict[str, int] = {}
        try:
            output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"The results cannot be written to {output}: {error.strerror}; choose another folder with --output."
            raise UsageError(msg) from error

    @cached_property
    def _subsets(self) -> subsets.Subsets:
        if self.archive is None:
            msg = "Subsets belong to an archive; name one with --archive."
            raise ArchiveError(msg)
        return subsets.load(subsets.default_folder(self.archive, self.model))

    @cached_property
    def _cases(self) -> dict[str, Case]:
        return {case.key: case for case in usable_cases(self.model, self.archive)} if self.archive is not None else {}

    def one(self, path: Path) -> Result:
        """Analyse one file or folder. Raises CasewiseError, one sentence; nothing of this image reaches the next."""
        clock = _Clock()
        with clock.step("read"):
            image = formats.read(path)
        adapted = self._adapted(image, clock)
        with clock.step("predict"):
            prediction = adapted.predict(image, self.device)
        name = self._name(path)
        with clock.step("report"):
            masks = self._write_masks(prediction, image, name)
            findings = tuple(findings_of(prediction, image, self.application, masks))
            result = Result(
                str(path),
                adapted.use,
                findings,
                tuple(adapted.similar[:_SHOWN]),
                None,
                dict(clock.seconds),
                self.output / f"{name}.html",
                (*self.notes, *adapted.notes),
            )
            report = write_report(
                result,
                image,
                prediction.masks(),
                self.output,
                self._pictures(adapted.similar),
                common=self._common(adapted.similar),
                name=name,
            )
        result = replace(result, seconds=dict(clock.seconds), report=report)
        (self.output / f"{name}.json").write_text(dumps(result.to_json(), indent=1), encoding="utf-8")
        return result

    def _adapted(self, image: Image, clock: _Clock) -> _Adapted:
        if self.adapt == "similar" and self.archive is not None:
            with clock.step("refine"):
                return _refined(self.model, refine(self.model, image, self.archive, plan=self.plan))
        if self.adapt == "subset":
            with clock.step("choose"):
                subset, model, score = subsets.choose(self._subsets, self.model, image, self.device)
            members = tuple(self._cases[key].name for key in subset.members if key in self._cases)
            with clock.step("similar"):
                similar = self._like(image, subset.members)
            return replace(_chosen(self.model, subset, model, score, members), similar=similar)
        use = ModelUse(self.model.name, self.model.lineage.parent_name, reason="The model was used as it is.")
        if self.archive is None:
            return _Adapted(use, self.model)
        with clock.step("similar"):
            return _Adapted(use, self.model, self._like(image, self._cases.keys()))

    def _like(self, image: Image, among: Collection[str]) -> Sequence[SimilarCase]:
        """Cases most like the image, for the reader to compare; none without an archive."""
        if self.archive is None or not among:
            return ()
        return self.archive.similar(image, k=_SHOWN, encoder=self.model.encoder(self.device), among=set(among))

    def _write_masks(self, prediction: Prediction, image: Image, name: str) -> dict[str, Path]:
        written = {}
        for label, mask in prediction.masks().items():
            path = self.output / f"{name}-{file_stem(label)}{formats.mask_suffix(image)}"
            written[label] = formats.write_mask(path, mask.astype(np.uint8), image)
        return written

    def _pictures(self, similar: Sequence[SimilarCase]) -> list[SimilarPicture]:
        pictures = []
        for found in similar[:_SHOWN]:
            case = self._cases.get(found.key)
            if case is not None:
                masks = {s.name: case.label_map([s]) > 0 for s in self.model.spec.structures if case.has(s)}
                pictures.append(SimilarPicture(found, case.image, masks))
        return pictures

    def _common(self, similar: Sequence[SimilarCase]) -> list[str]:
        from casewise.archive.content import common

        shown = [case.key for case in similar[:_SHOWN] if case.key in self._cases]
        return list(common([dict(self._cases[key].content) for key in shown])) if len(shown) > 1 else []

    def _name(self, path: Path) -> str:
        stem = file_stem(path.name)
        self._names[stem] = self._names.get(stem, 0) + 1
        return stem if self._names[stem] == 1 else f"{stem}-{self._names[stem]}"


def analyze(
    analyzer: Analyzer, paths: Sequence[Path], progress: Callable[[int, int, str], None] | None = None
) -> tuple[list[Result], list[Failure]]:
    """Analyse every path; one that fails is named and the others go on. Several get an index page beside their reports."""
    results: list[Result] = []
    failures: list[Failure] = []
    for number, path in enumerate(paths, start=1):
        try:
            results.append(analyzer.one(path))
        except CasewiseError as error:
            failures.append(Failure(str(path), str(error)))
        if progress is not None:
            progress(number, len(paths), path.name)
    if len(paths) > 1:
        write_index(results, analyzer.output, [(failure.image, failure.reason) for failure in failures])
    return results, failures
