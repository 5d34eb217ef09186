"""The analysis in one call, and the analyzer of many images with its parts opened by name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from casewise.adaptation import subsets
from casewise.adaptation.similar import Usable
from casewise.applications.detected import declared_for, is_detector
from casewise.applications.organs import NAME as ORGANS
from casewise.applications.registry import Registry, default_registry
from casewise.applications.runner import Runner
from casewise.errors import UsageError
from casewise.examination.sources import sources
from casewise.files import protecting
from casewise.models import Model, load, shipped
from casewise.models.registry import registered
from casewise.pipeline.analyzer import Analyzer
from casewise.pipeline.ways import Chosen
from casewise.progress import Progress, silent
from casewise.result import Result
from casewise.routing.router import Router

if TYPE_CHECKING:
    from casewise.archive import Archive

StrPath = str | os.PathLike[str]


def analyze(
    path: StrPath | None = None,
    *,
    sequences: Mapping[str, StrPath] | None = None,
    reference: str | None = None,
    register: str | None = None,
    model: StrPath | Model | None = None,
    archive: StrPath | Archive | None = None,
    adapt: str | None = None,
    region: str | None = None,
    application: str | None = None,
    declarations: Sequence[StrPath] = (),
    site: str | None = None,
    output: StrPath | None = None,
    device: str = "auto",
    seed: int = 0,
    progress: Progress = silent,
) -> Result:
    """Analyse one image: its kind, the applications for that kind, a model fitted to it, and the findings with their masks.

    path : a file, or a folder that holds a DICOM series or an MR examination of several.
    sequences : instead of ``path``, the images of one examination by their sequences' names, the reference first.
    reference, register : of an examination: the sequence whose grid the others are brought to, and how (``rigid``, ``deformable``,
        ``none``).
    model : a model, or its folder, file or name; without one the newest that was trained on the archive, if any.
    archive : an archive of similar cases, or where one lies.
    adapt : ``none``, ``similar`` (the model is refined on the similar cases) or ``subset`` (the model of the image's subset); by
        default ``similar`` for a segmenter with an archive, else ``none``.
    region : a structure of the model, within which similar cases are compared.
    application : the name of the only application to run; by default those of the image's kind, and the model.
    declarations : TOML files that declare applications and rules. site : where the image comes from, for these rules.
    output : a folder for the report, the masks and the result as JSON; without one nothing is written.
    device : ``auto``, ``cpu`` or ``cuda``. seed : the same seed gives the same result.
    progress : called with a step's name, how much of it is done, and of how much.

    The result's masks are a label map on the image's grid; its findings name files only where there is an ``output``.
    Raises CasewiseError, one sentence, for an image that cannot be analysed, and UsageError for options that do not go together.

    >>> result = casewise.analyze("chest.png")
    >>> print(result)
    >>> [(finding.label, finding.probability, result.mask_of(finding)) for finding in result.summary.findings]
    """
    images = [Path(path)] if path is not None else []
    named = [(name, Path(file)) for name, file in (sequences or {}).items()]
    (source,) = sources(images, named, reference, register)
    opening = open_analyzer(
        model=model,
        archive=archive,
        adapt=adapt,
        region=region,
        application=application,
        declarations=declarations,
        site=site,
        output=output,
        device=device,
        seed=seed,
        progress=progress,
    )
    with protecting([*images, *(file for _, file in named)], command="analyze"), opening as analyzer:
        return analyzer.one(source)


@contextmanager
def open_analyzer(
    *,
    model: StrPath | Model | None = None,
    archive: StrPath | Archive | None = None,
    adapt: str | None = None,
    region: str | None = None,
    application: str | None = None,
    declarations: Sequence[StrPath] = (),
    registry: Registry | None = None,
    site: str | None = None,
    output: StrPath | None = None,
    device: str = "auto",
    seed: int = 0,
    runner: Runner | None = None,
    newest: StrPath | None = None,
    progress: Progress = silent,
    notify: Callable[[str], None] = lambda sentence: None,
) -> Iterator[Analyzer]:
    """An :class:`Analyzer` for many images, by the options of :func:`analyze`; an archive that it opens is closed at the end.

    registry : of applications and rules, in place of ``declarations``.
    newest : the model in place of the archive's newest, where none is named: so that calls of one analysis take the same.
    runner : of the applications, which stays open at the end; None: one of its own, with as many processes as there are cores.
    notify : called with a sentence that says which of several models was taken.
    """
    with ExitStack() as stack:
        opened = stack.enter_context(_archive(archive)) if isinstance(archive, (str, os.PathLike)) else archive
        network = model if isinstance(model, Model) else _model(model or newest, opened, notify)
        registry = registry or default_registry([Path(file) for file in declarations] or None)
        if network is not None and is_detector(network):
            registry, network = _with_detector(registry, network, adapt, application, stack), None
        regions = _region_model(opened) if adapt == "similar" else None
        if network is None and ((adapt not in (None, "none") and regions is None) or application == ORGANS):
            msg = (
                "Name a model with --model, or an archive that one was trained on with --archive: "
                "`casewise models` lists the models that are there, `casewise train` makes one."
            )
            raise UsageError(msg)
        first = Chosen(network, adapt or _usual(network, opened), regions)
        _check(first, opened)  # no subsets were made: an error now, not one for every image

        def choose(name: str | None, way: str | None) -> Chosen:
            """What a rule names, where the caller has not."""
            of_rule = network if name is None or model is not None else None if name == "none" else _model(name, opened, notify)
            if is_detector(of_rule):
                raise UsageError(f"A rule names {name}, a detector of irregularities; declare it as an application instead.")
            given = adapt or way
            of_regions = _region_model(opened) if given == "similar" else None
            if given not in (None, "none") and of_rule is None and of_regions is None:
                raise UsageError(
                    f"A rule says adapt = {given!r}, and there is no model to adapt; name one in the rule, or train one."
                )
            return _check(Chosen(of_rule, given or _usual(of_rule, opened), of_regions), opened)

        router = _router(opened) if application is None else None
        if router is not None and declarations:
            registry.check_categories(router.categories)
        yield Analyzer(
            first.model,
            Path(output) if output is not None else None,
            archive=opened,
            adapt=first.adapt,
            regions=first.regions,
            router=router,
            applications=registry,
            application=application,
            site=site,
            choose=choose,
            region=region,
            device=device,
            seed=seed,
            ahead=network is None,
            runner=runner,
            progress=progress,
        )


def _archive(path: StrPath) -> Archive:
    from casewise.archive import Archive  # SQLAlchemy, for those alone who have an archive

    return Archive.open(Path(path))


def _with_detector(registry: Registry, model: Model, adapt: str | None, application: str | None, stack: ExitStack) -> Registry:
    """``registry`` with a detector of irregularities as an application, which its process loads from a folder."""
    if adapt not in (None, "none"):
        raise UsageError(f"{model.name} detects irregularities, and is not adapted; leave --adapt out.")
    if application == ORGANS:
        raise UsageError(f"{model.name} detects irregularities, which is an application of its own; leave --application out.")
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="casewise-detector-"))) / "model"
    model.save(folder)
    return registry.with_application(declared_for(model, folder))


def _usual(model: Model | None, archive: Archive | None) -> str:
    """How a model is adapted where nobody says: classifiers gained nothing from refinement where it was measured
    (benchmarks/results/similar_cases.md). Some models are never trained.
    """
    return "similar" if archive and model and model.kind.dense and not model.kind.fixed else "none"


def _check(chosen: Chosen, archive: Archive | None) -> Chosen:
    """Raises CasewiseError where the subsets that it names were not made, or are compared by another encoder than today's."""
    if archive and chosen.model and chosen.adapt == "subset":
        subsets.of(archive, chosen.model)
    return chosen


def newest_of(archive: Archive | None, notify: Callable[[str], None]) -> Path | None:
    """The folder of the newest model that the archive knows, if any."""
    known = registered(archive)
    if not known:
        return None
    newest, folder = known[-1]
    if len(known) > 1:
        notify(f"Of the {len(known)} models trained on this archive the newest is used, {newest}; --model names another.")
    return folder


def _model(name: StrPath | None, archive: Archive | None, notify: Callable[[str], None]) -> Model | None:
    """The model of that name; without one the newest that the archive knows, if any."""
    if name is not None:
        return load(name, archive=archive)
    folder = newest_of(archive, notify)
    return None if folder is None else load(folder)


def _region_model(archive: Archive | None) -> Model | None:
    """The model of a chest radiograph's regions, where the archive has labels from which it can learn."""
    model = load("chest_regions") if archive is not None else None
    return model if model is not None and archive is not None and archive.count(Usable(model, archive).where) else None


def _router(archive: Archive | None) -> Router | None:
    """The shipped router, with the archive's own table of categories, if it has one."""
    router = Router.load() if "router" in shipped.names() else None
    return router.extended_by(archive.folder) if router is not None and archive is not None else router
