"""``Analyzer``: images, one after another, from the file to a result; what they share is loaded once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING

from casewise.adaptation.adapter import DISPLAYED, Adapted, Adapter
from casewise.adaptation.refinement import Plan
from casewise.applications.conditions import facts_of
from casewise.applications.decision import Decision
from casewise.applications.organs import NAME as ORGANS
from casewise.applications.organs import detected_by, findings_of
from casewise.applications.outcome import Done, Job, JobResult
from casewise.applications.runner import Runner
from casewise.device import resolve_device
from casewise.errors import CasewiseError, UsageError
from casewise.finding import with_mask_names
from casewise.image import Image
from casewise.models import Model
from casewise.pipeline.prepared import Clock, Prepared
from casewise.pipeline.ways import Choose, Chosen, Way, Ways
from casewise.pipeline.writing import FileNames, ResultWriter, make_folder
from casewise.prefetch import MANY, LoadedImage, prefetch
from casewise.progress import Progress, silent
from casewise.reporting.finding_files import masks_of
from casewise.reporting.page import prepare
from casewise.reporting.report import file_stem
from casewise.result import ModelUse, Result

if TYPE_CHECKING:
    from casewise.applications.declared import Declared
    from casewise.applications.registry import Registry
    from casewise.archive import Archive
    from casewise.chest import Regions
    from casewise.examination.examination import Examination
    from casewise.examination.reading import Source
    from casewise.routing.route import Route
    from casewise.routing.router import Router


@dataclass(frozen=True)
class Failure:
    """An image that could not be analysed, and why (one sentence). decision : of the rules, where they say that it is not to be."""

    image: str
    reason: str
    decision: Decision | None = None


class Analyzer:
    """What stays the same for all the images of a call.

    model : finds structures or a class in every image, as the application ``organs``; None for the route's applications alone.
    output : folder of reports, masks and results; None writes nothing, and a result's masks are in memory alone.
    archive, adapt : whether the model is refined on similar cases, chosen among the subsets' models, or left alone.
    regions : the model of a chest radiograph's regions, to be refined on the archive's similar films before the applications that
    start from regions run; None: they use the shipped one as it is.
    router, applications : the router says which kind of image it is, and the registry which applications take it; None for neither.
    region : a structure of the model, within which similar cases are compared; None: as a whole.
    application : only this one is run. site : where the images come from, for the registry's rules.
    choose : gives the model and adaptation that a rule names; None: those of this call, whatever the rules say.
    notes : sentences that every report is to carry (the demo says there which pixels are simulated).
    ahead : whether a second process reads and routes the next images of a call with many; see
    :func:`casewise.prefetch.prefetch`.
    runner : of the applications, kept by the caller; None: one of its own.
    progress : reports how far the long steps of an image are.

    As a context manager it keeps the applications' processes from one call to the next, until the block ends.
    """

    def __init__(
        self,
        model: Model | None,
        output: Path | None = None,
        *,
        archive: Archive | None = None,
        adapt: str = "none",
        regions: Model | None = None,
        router: Router | None = None,
        applications: Registry | None = None,
        application: str | None = None,
        site: str | None = None,
        choose: Choose | None = None,
        region: str | None = None,
        plan: Plan | None = None,
        device: str = "auto",
        seed: int = 0,
        notes: Sequence[str] = (),
        ahead: bool = False,
        runner: Runner | None = None,
        progress: Progress = silent,
    ) -> None:
        self.output, self.device, self.notes, self.site = output, resolve_device(device), tuple(notes), site
        self.seed, self.progress = seed, progress
        plan = plan or Plan()
        self.plan = replace(plan, settings=replace(plan.settings, device=self.device, seed=seed))
        self.router, self.registry = router, applications
        self._only = _only(application, model, applications)
        alone = self._only is not None or model is None
        if region is not None and alone:
            msg = "--region names a structure that a model outlines; name a segmenter with --model, without another --application."
            raise UsageError(msg)
        self._ways = Ways(
            Chosen(None if alone else model, adapt, regions),
            archive,
            self.plan,
            self.device,
            region,
            progress,
            with_examples=router is not None,
            choose=choose if application is None else None,
        )
        self._routed = application is None
        self._ahead = ahead
        self._runner, self._owned = runner, runner is None
        self._names = FileNames()
        if output is not None:
            make_folder(output)

    def __enter__(self) -> Analyzer:
        if self._owned:
            self._runner = Runner()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._runner is not None and self._owned:
            self._runner.close()
            self._runner = None

    def one(self, path: Path | Source) -> Result:
        """Analyse one file, folder or examination. Raises CasewiseError, one sentence; nothing of this image reaches the next."""
        answer = next(iter(self.all([path])))
        if isinstance(answer, Failure):
            raise CasewiseError(answer.reason)
        return answer

    def all(self, paths: Sequence[Path | Source], names: Sequence[str | None] | None = None) -> Iterator[Result | Failure]:
        """Each image's result, in the order of ``paths``; one that fails is named and the others go on.

        names : stems of each image's files; None: made of its own file's name, one that fails to be read taking none.
        While an image is read, routed, adapted to and reported here, the applications see others in processes of their own.
        """
        ahead = self._ahead and len(paths) >= MANY
        coming = prefetch(paths, self.router, self.device, ahead=ahead, seed=self.seed, progress=self.progress)
        with closing(coming):
            yield from self.loaded(coming, names)

    def loaded(
        self, images: Iterable[tuple[Path | Source, LoadedImage | CasewiseError]], names: Sequence[str | None] | None = None
    ) -> Iterator[Result | Failure]:
        """As :meth:`all`, of images that the caller read and routed; a failure names the first of the pair."""
        failed: deque[tuple[int, Failure]] = deque()
        with ExitStack() as stack:
            folder = self.output or Path(stack.enter_context(TemporaryDirectory(prefix="casewise-")))
            runner = self._runner or stack.enter_context(Runner())
            for ran in runner.run(self._jobs(images, names, failed, folder)):
                prepared = _tag(ran)
                yield from _drained(failed, before=prepared.number)
                yield self._finished(prepared, ran)
            yield from _drained(failed)

    def wants_sequences(self, loaded: LoadedImage) -> bool:
        """Whether the model, or an application that is given the image, takes several sequences of its examination."""
        decision = self._decided(loaded)
        return any(one.sequences for one in self._applications(decision)) or bool(self._taken(decision))

    def sequences_of_model(self, loaded: LoadedImage) -> tuple[str, ...]:
        """The sequences that the model for an image takes together; empty where it takes a single image."""
        return self._taken(self._decided(loaded))

    def _taken(self, decision: Decision) -> tuple[str, ...]:
        adapter = self._ways.of(decision).adapter
        return () if adapter is None else adapter.model.spec.preparation.sequences

    def _jobs(
        self,
        loaded: Iterable[tuple[Path | Source, LoadedImage | CasewiseError]],
        names: Sequence[str | None] | None,
        failed: deque[tuple[int, Failure]],
        folder: Path,
    ) -> Iterator[Job]:
        for number, (path, found) in enumerate(loaded):
            try:
                if isinstance(found, CasewiseError):
                    raise found
                decision = self._decided(found)
                if decision.skip:
                    sentence = f"Nothing was analysed, by a rule. {decision.sentence}"
                    failed.append((number, Failure(str(path), sentence, decision)))
                    continue
                yield self._job(number, found, decision, folder, names[number] if names is not None else None)
                if self.output is not None:  # the applications see the image meanwhile
                    prepare()
            except CasewiseError as error:
                failed.append((number, Failure(str(path), str(error))))

    def _decided(self, loaded: LoadedImage) -> Decision:
        """Which applications see an image, and what rules say besides."""
        if self._only is not None:
            return Decision((self._only.name,))
        if self.registry is None or not self._routed:
            return Decision()
        known = {"site": self.site, **loaded.known}
        return self.registry.decide(_category(loaded), facts_of(loaded.image, self.registry.needed, **known))

    def _job(self, number: int, loaded: LoadedImage, decision: Decision, folder: Path, given: str | None) -> Job:
        path, image, route = loaded.path, loaded.image, loaded.route
        way = self._ways.of(decision)
        clock, place = Clock(dict(loaded.seconds)), loaded.results
        name, shown = (file_stem(place.name), Path(place.name)) if place else (given or self._names.next(path), path)
        if place is not None:
            make_folder(folder := place.folder)
        examination = loaded.examination
        notes = (
            *loaded.notes,
            *(examination.notes if examination is not None else ()),
            *([decision.sentence] if decision.why else []),
        )
        use = _without_model((), route)
        prepared = Prepared(number, shown, name, clock, use, decision, way, notes=notes, route=route, examination=examination)
        prepared = replace(prepared, folder=place.folder if place is not None else self.output)
        if (writer := self._writer_of(prepared)) is not None:
            writer.claim(name)
        if way.adapter is not None:
            prepared = self._predicted(way.adapter, prepared, _for_model(way.adapter.model, image, examination))
        category = _category(loaded)
        if way.examples is not None:
            with clock.step("examples"):
                examples, note = way.examples.nearest(image, category)
            prepared = replace(prepared, examples=examples, notes=(*prepared.notes, *([note] if note else [])))
        member = None
        if examination is not None:
            path, member = examination.channels[0].given.path, examination.channels[0].given.member
        applications = self._applications(decision)
        if way.adapter is None:
            prepared = replace(prepared, use=_without_model(applications, route))
        stacked = examination.stacked if examination is not None else None
        regions, notes = self._adapted_regions(way, image, applications, clock)
        prepared = replace(prepared, notes=(*prepared.notes, *notes))
        return Job(path, image, applications, folder / f"{name}-files", category, member, prepared, stacked, regions)

    def _adapted_regions(
        self, way: Way, image: Image, applications: Sequence[Declared], clock: Clock
    ) -> tuple[Regions | None, tuple[str, ...]]:
        """The refined regions of a chest for the applications that start from them, and the sentence that says which model it was.

        None where none of them is given the image, or where it is refused: they refuse it themselves.
        """
        if way.regions is None or not any(one.regions for one in applications):
            return None, ()
        try:
            with clock.step("refine_regions"):
                found = way.regions.outlined(image)
        except CasewiseError:
            return None, ()
        return found.regions, (f"Regions: {found.reason}",)

    def _predicted(self, adapter: Adapter, prepared: Prepared, image: Image) -> Prepared:
        """With the answer of the model, fitted to the image."""
        adapted: Adapted = adapter.fit(image, prepared.clock.step)
        with prepared.clock.step("predict"):
            prediction = adapted.predict(image, self.device)
        masks = prediction.masks()
        writer = self._writer_of(prepared)
        files = writer.write_masks(masks, image, prepared.name) if writer is not None else {}
        return replace(
            prepared,
            use=adapted.use,
            findings=tuple(replace(one, mask_name=one.label) for one in findings_of(prediction, image, ORGANS, files)),
            label_map=masks,
            similar=adapted.similar,
            notes=(*prepared.notes, *adapted.notes, *_given_alone(adapter.model, prepared.examination)),
        )

    def _applications(self, decision: Decision) -> tuple[Declared, ...]:
        if self._only is not None:
            return (self._only,)
        return () if self.registry is None else tuple(self.registry.get(name) for name in decision.applications)

    def _finished(self, prepared: Prepared, ran: JobResult) -> Result | Failure:
        try:
            result = self._result(prepared, ran)
            writer = self._writer_of(prepared)
            return writer.write(result, prepared, ran) if writer is not None else result.in_memory()
        except CasewiseError as error:
            return Failure(str(prepared.path), str(error))

    def _result(self, prepared: Prepared, ran: JobResult) -> Result:
        route, image = prepared.route, ran.job.image
        adapter = prepared.way.adapter
        names = [*([ORGANS] if adapter else []), *(application.name for application in ran.job.applications)]
        done = [outcome for outcome in ran.outcomes if isinstance(outcome, Done)]
        notes = [f"{outcome.application}: {note}" for outcome in done for note in outcome.notes]
        found = with_mask_names(ran.findings, prepared.label_map)
        return Result(
            str(prepared.path),
            prepared.use,
            (*prepared.findings, *found),
            tuple(prepared.similar[:DISPLAYED]),
            None if route is None else {**route.to_json(), "applications": names},
            {**prepared.clock.seconds, **ran.seconds},
            notes=(*self.notes, *prepared.notes, *notes),
            applications=tuple(outcome.to_json() for outcome in ran.outcomes),
            examples=prepared.examples,
            examination=prepared.examination.to_json() if prepared.examination is not None else None,
            detects=_detects(adapter, ran.job.applications),
            decision=prepared.decision.to_json() if self._only is None and self.registry is not None else None,
            masks=prepared.label_map | masks_of(found, image),
        )

    def _writer_of(self, prepared: Prepared) -> ResultWriter | None:
        return None if prepared.folder is None else ResultWriter(prepared.folder, prepared.way.adapter, prepared.way.examples)


def _category(loaded: LoadedImage) -> str:
    return loaded.route.category if loaded.route is not None else "unknown"


def _detects(adapter: Adapter | None, applications: Sequence[Declared]) -> dict[str, tuple[str, ...] | None]:
    """What the applications that were given the image look for, the model's own answer first."""
    own: dict[str, tuple[str, ...] | None] = {} if adapter is None else {ORGANS: detected_by(adapter.model)}
    return own | {application.name: application.detects for application in applications}


def _without_model(applications: Sequence[Declared], route: Route | None) -> ModelUse:
    """What answered where no model was asked for, by name: an image that nothing but a check of its quality sees says so."""
    ran = ", ".join(one.name for one in applications)
    strange = "The kind of image is not recognised. " if route is not None and route.category == "unknown" else ""
    return ModelUse("none", method="route", reason=strange + (f"Applications that ran: {ran}." if ran else "No application ran."))


def _for_model(model: Model, image: Image, examination: Examination | None) -> Image:
    """The sequences that the model takes, each in its own intensities, of an examination; else the image itself."""
    wanted = model.spec.preparation.sequences
    return examination.of_model(wanted) if wanted and examination is not None else image


def _given_alone(model: Model, examination: Examination | None) -> tuple[str, ...]:
    """A note where an examination has sequences that the model was not given."""
    if examination is None or len(examination.names) < 2 or model.spec.preparation.sequences:
        return ()
    first, *others = examination.names
    return (f"{model.name} takes a single image: it was given {first}, the reference, and not {', '.join(others)}.",)


def _only(application: str | None, model: Model | None, registry: Registry | None) -> Declared | None:
    """The one application that was asked for by name; None where that is the model's own, or none was named."""
    if application is None:
        return None
    if application == ORGANS:
        if model is None:
            raise UsageError(
                "The application organs reports what a model finds; name one with --model, or an --archive that has one."
            )
        return None
    if registry is None:
        raise UsageError(f"There is no application {application!r} here; {ORGANS} is the only one without a registry.")
    return registry.get(application)


def _tag(ran: JobResult) -> Prepared:
    if not isinstance(ran.job.tag, Prepared):
        raise TypeError(type(ran.job.tag))
    return ran.job.tag


def _drained(failed: deque[tuple[int, Failure]], before: int | None = None) -> Iterator[Failure]:
    """The failures of images with lower numbers than ``before``; None: all."""
    while failed and (before is None or failed[0][0] < before):
        yield failed.popleft()[1]
