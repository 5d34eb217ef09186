"""A detector learnt from an archive's cases: their windows made once and kept on disk, members trained one by one, and thresholds
chosen on subjects set aside.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from casewise.errors import CasewiseError, UsageError
from casewise.irregularities.detector import ready
from casewise.irregularities.examples import Example, mirrored, rows_of, spoilt
from casewise.irregularities.from_archive import Labelled
from casewise.irregularities.measuring import Measured, measured_on, measures, thresholds
from casewise.irregularities.scenes import Look, Scale, Scene
from casewise.irregularities.training import (
    SETTINGS,
    FocalObjective,
    Irregularity,
    Row,
    Windows,
    joined,
    measured,
    spec,
    spec_of,
    started,
    together,
)
from casewise.models import Model
from casewise.models.networks.segment_detector import BRANCHES, PARTS, SegmentDetector
from casewise.models.spec import Spec
from casewise.training import Settings, fit
from casewise.training.fit import Progress

VARIANTS = 2  # of each plane: as it is, and mirrored, less sharp, with grain
MOST = 2000  # windows in all, about 0.75 MB each on disk; beyond that they are a sample
LEAST_OF_CASE = 4
Reading = Callable[[int, int], None]


@dataclass(frozen=True)
class Plan:
    """branch : what the network sees, one of ``both``, ``native``, ``reduced``. members : heads that are trained and averaged.
    placing, regions : where it looks, for whoever uses the model (:class:`casewise.models.tasks.small_findings`).
    """

    branch: str = "both"
    members: int = 2
    placing: str = "region"
    regions: tuple[str, ...] = ()
    settings: Settings = field(default_factory=lambda: SETTINGS)

    def __post_init__(self) -> None:
        if self.branch not in BRANCHES or self.members < 1:
            msg = f"A detector sees one of {', '.join(BRANCHES)} and has a member or more; got {self.branch!r}, {self.members}."
            raise UsageError(msg)


def train_irregularities(
    training: Sequence[Labelled],
    name: str,
    structure: str,
    look: Look,
    scale: Scale,
    plan: Plan | None = None,
    *,
    validation: Sequence[Labelled] = (),
    kept: Path | None = None,
    progress: Progress | None = None,
    reading: Reading | None = None,
    failed: Callable[[str], None] | None = None,
) -> Model:
    """A detector of ``structure`` in images like those of ``training``.

    look : finds where it looks in an image. validation : of other subjects; what is measured on them stands in the model's
    measures, and the thresholds from which marks are reported are chosen on them. kept : folder where windows, finished members and
    checkpoints lie, so that an interrupted training goes on; it may be deleted afterwards. reading : called with how many cases are
    made ready, and of how many. failed : called with a sentence on each case that cannot be used; without it the CasewiseError is
    raised. Raises CasewiseError where no case gives a window with an irregularity.
    """
    plan = plan or Plan()
    described = _spec(structure, scale, plan)
    with TemporaryDirectory() as temporary:
        folder = kept or Path(temporary)
        samples = _samples(training, _encoder(described, plan), look, plan, folder / "windows", reading, failed)
        models = _trained(name, described, samples, plan, folder, progress)
    model = together(models)
    network = ready(model, plan.settings.device)
    aside = list(_measured(validation, network, look, scale, failed))
    film_from, mark_from = thresholds(aside)
    found = measures(aside, film_from) | {"training_cases": float(len(training)), "validation_cases": float(len(validation))}
    chosen = {"film_from": round(film_from, 6), "mark_from": round(mark_from, 6)}
    lineage = replace(model.lineage.measured(**found), settings={**model.lineage.settings, "members": plan.members})
    return replace(model, spec=replace(model.spec, network={**model.spec.network, **chosen}), lineage=lineage)


def example_of(scene: Scene, one: Labelled) -> Example:
    """A scene with the irregularities of its plane."""
    boxes = [scene.within(box) for box in one.found.get(scene.number, ())]
    return Example(scene.array, scene.regions, tuple(map(Irregularity, boxes)))


def chosen_planes(one: Labelled, most: int, rng: np.random.Generator) -> list[int]:
    """Numbers of the planes with an irregularity and of as many without, at most ``most`` of each; of an image without any, as many
    spread over it.
    """
    held = sorted(one.found)
    others = [number for number in range(one.count) if number not in one.found]
    count = min(most, len(held)) if held else most
    picked = [held[n] for n in rng.permutation(len(held))[:most]] + [others[n] for n in rng.permutation(len(others))[:count]]
    return sorted(picked)


def _spec(structure: str, scale: Scale, plan: Plan) -> Spec:
    described = spec(structure, plan.branch, pixel_mm=scale.pixel_mm, placing=plan.placing)
    own = {"enlarged": scale.enlarged, "overlap": scale.overlap, "edges": list(scale.edges), "regions": list(plan.regions)}
    return replace(described, network={**described.network, **own})


def _encoder(described: Spec, plan: Plan) -> SegmentDetector:
    return ready(started("encoder", described), plan.settings.device)


def _samples(
    training: Sequence[Labelled],
    network: SegmentDetector,
    look: Look,
    plan: Plan,
    folder: Path,
    reading: Reading | None,
    failed: Callable[[str], None] | None,
) -> Windows:
    """Windows of every case, mapped from disk: only those of a batch are in memory."""
    folder.mkdir(parents=True, exist_ok=True)
    most = max(LEAST_OF_CASE, MOST // max(1, len(training)))
    parts: list[Row] = []
    names = []
    for number, one in enumerate(training, start=1):
        name = _digest(one.case.key, one.found, look.key, plan.branch, plan.settings.seed, most)
        try:
            if not (folder / f"{name}.y.npy").exists():
                _keep(folder / name, list(_rows(one, network, look, most, plan.settings.seed)))
            parts += _kept(folder / name)
            names.append(name)
        except CasewiseError as error:
            if failed is None:
                raise
            failed(f"{one.case.name or one.case.key[:12]}: {error}")
        if reading is not None:
            reading(number, len(training))
    if not any(y.any() for _, y, _ in parts):
        msg = "No irregularity lies in what the detector looks at; look at the regions (--region) and at the labels."
        raise CasewiseError(msg)
    return joined(parts, _digest(*names), [key for one in training for key in one.case.keys])


def _rows(one: Labelled, network: SegmentDetector, look: Look, most: int, seed: int) -> Iterator[Row]:
    """At most ``most`` windows of a case; those with an irregularity first, and no fewer than half as many without."""
    rng = np.random.default_rng([seed, int(one.case.key[:8], 16)])
    rows: list[Row] = []
    only = chosen_planes(one, most, rng)
    for scene in look.scenes(one.case.image, one.masks(_names(look)), only):
        example = example_of(scene, one)
        for number in range(VARIANTS):
            seen = mirrored(spoilt(example, rng)) if number else example
            rows += rows_of(network, seen, scene.cut, scene.where, rng)
    held = [row for row in rows if row[1].any()]
    others = [row for row in rows if not row[1].any()]
    share = min(len(others), most - min(len(held), 2 * most // 3))
    yield from (held[n] for n in rng.permutation(len(held))[: most - share])
    yield from (others[n] for n in rng.permutation(len(others))[:share])


def _names(look: Look) -> tuple[str, ...]:
    return tuple(getattr(look, "regions", ()))


def _keep(place: Path, rows: Sequence[Row]) -> None:
    """The targets last: they say that the case is done."""
    columns = [np.stack(column) for column in zip(*rows, strict=True)] if rows else [np.zeros((0, 1))] * 3
    for kind, array in zip("xwy", (columns[0], columns[2], columns[1]), strict=True):
        beside = place.with_name(f"{place.name}.{kind}.part.npy")
        np.save(beside, array)
        beside.replace(place.with_name(f"{place.name}.{kind}.npy"))


def _kept(place: Path) -> list[Row]:
    x = np.load(place.with_name(f"{place.name}.x.npy"), mmap_mode="r", allow_pickle=False)
    y, weights = (np.load(place.with_name(f"{place.name}.{kind}.npy"), allow_pickle=False) for kind in "yw")
    return list(zip(x, y, weights, strict=True))


def _trained(name: str, described: Spec, samples: Windows, plan: Plan, folder: Path, progress: Progress | None) -> list[Model]:
    """A model of each part and member."""
    models: list[Model] = []
    each = [(number, part) for number in range(plan.members) for part in PARTS[plan.branch]]
    for number, part in each:
        own = samples.seen_by(part) if plan.branch == "both" else samples
        done, total = len(models) * plan.settings.steps, len(each) * plan.settings.steps
        moved = None if progress is None else partial(_moved, progress, done, total)
        settings = replace(plan.settings, seed=plan.settings.seed + number)
        models.append(_head(name, spec_of(described, part), own, settings, folder, moved))
    return models


def _moved(progress: Progress, done: int, total: int, step: int, steps: int, loss: float) -> None:
    progress(done + step, total, loss)


def _head(name: str, described: Spec, samples: Windows, settings: Settings, folder: Path, progress: Progress | None) -> Model:
    """One head, kept in ``folder`` when it is finished, and its checkpoint until then."""
    place = folder / f"head-{_digest(described, samples.key, samples.cases, replace(settings, device='cpu'))}"
    if (place / "model.toml").is_file():
        return Model.load(place)
    model = fit(
        measured(started(name, described, settings.seed), samples),
        samples,
        FocalObjective(),
        trainable=("heads",),
        settings=settings,
        method="initial",
        checkpoint=place.with_suffix(".checkpoint"),
        progress=progress,
    )
    shutil.rmtree(place, ignore_errors=True)
    model.save(place)
    return model


def _measured(
    validation: Sequence[Labelled], network: SegmentDetector, look: Look, scale: Scale, failed: Callable[[str], None] | None
) -> Iterator[Measured]:
    for one in validation:
        rng = np.random.default_rng(int(one.case.key[:8], 16))
        try:
            only = chosen_planes(one, MOST, rng) if one.found else chosen_planes(one, 8, rng)
            for scene in look.scenes(one.case.image, one.masks(_names(look)), only):
                yield measured_on(network, scene, example_of(scene, one), one.case.key, scale.edges)
        except CasewiseError as error:
            if failed is None:
                raise
            failed(f"{one.case.name or one.case.key[:12]}: {error}")


def _digest(*parts: object) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=10).hexdigest()
