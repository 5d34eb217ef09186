"""The experiments behind ``sites.py``: a unit is a task, a first, second and deployment site, a fold of patients and a seed."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks._sites_data import PREPARATION, SITES, TARGETS, Site, sites
from casewise.adaptation.sites import DEPLOYED, FURTHER
from casewise.case import Case
from casewise.models import Model, Spec
from casewise.models.shipped import default_encoder
from casewise.training import Settings, fit
from casewise.training.curriculum import CHOICES, ORDERS, likeness, paced, ranked, rehearsed, uncertainties
from casewise.training.metrics import per_case

CHANNELS = (8, 16, 32, 64)
FIRST = Settings(steps=200, batch=8, rate=2e-3, mixed=True, device="cpu")
SECOND = replace(FURTHER, steps=100, mixed=True, device="cpu")
LAST = replace(DEPLOYED, steps=40, mixed=True, device="cpu")
COUNTS = (2, 4, 8)
SEEDS = (0, 1)
PARENT = "random, first site in between"  # the model that is fitted to the deployment site


@dataclass(frozen=True)
class Unit:
    """One training over the sites."""

    task: str
    first: str
    second: str
    deployment: str
    fold: int
    seed: int

    @property
    def name(self) -> str:
        return f"{self.task}-{self.first}-{self.second}-{self.seed}"


def units() -> list[Unit]:
    """Each site in each place once with the first seed and the first fold of patients, and the other way round with the second."""
    found = []
    for seed in SEEDS:
        for turn, task in itertools.product(range(3), SITES):
            names = SITES[task][:: -1 if seed % 2 else 1]
            found.append(Unit(task, *(names[(turn + place) % 3] for place in range(3)), seed, seed))
    return found


def run(unit: Unit) -> dict[str, Any]:
    """The unit's rows and the seconds that they took."""
    began = time.perf_counter()
    rows = [{**vars(unit), **row} for row in _rows(unit)]
    return {"seconds": time.perf_counter() - began, "rows": rows}


def _rows(unit: Unit) -> Iterator[dict[str, object]]:
    data = sites(unit.task, unit.fold)
    first, second = data[unit.first].training, data[unit.second].training
    spec = Spec("segmentation", {"kind": "unet", "channels": CHANNELS, "patch": 2}, PREPARATION, structures=(TARGETS[unit.task],))
    start = fit(
        Model.initial(unit.task, spec, unit.seed), first, settings=replace(FIRST, seed=unit.seed), method="initial", name=unit.task
    )
    models = {"first site alone": start}
    both = replace(FIRST, steps=FIRST.steps + SECOND.steps, seed=unit.seed)
    models["pooled"] = fit(Model.initial(unit.task, spec, unit.seed), [*first, *second], settings=both, method="initial")
    models |= dict(_continued(start, first, second, data, unit))
    for name, model in models.items():
        for site in data.values():
            yield from _tested(model, site, {"part": "sites", "arm": name, "role": _role(site.name, unit)})
    if data[unit.deployment].tests:
        yield from _deployed(models[PARENT], data[unit.deployment], unit)


def _role(site: str, unit: Unit) -> str:
    return {unit.first: "first", unit.second: "second", unit.deployment: "deployment"}[site]


def _continued(
    start: Model, first: Sequence[Case], second: Sequence[Case], data: dict[str, Site], unit: Unit
) -> Iterator[tuple[str, Model]]:
    """The second site's cases in each order, from the model of the first."""
    encoder = default_encoder("cpu")
    vectors = encoder.encode([case.image for case in second])
    of_first = encoder.encode([case.image for case in first])
    mean = np.concatenate([vectors, of_first]).mean(axis=0)
    scores = likeness(vectors, of_first, mean)
    settings = replace(SECOND, seed=unit.seed)
    for how in ORDERS:
        displayed = paced(ranked(scores, how, unit.seed), "growing", settings.steps, settings.batch, unit.seed)
        yield how, fit(start, second, order=displayed, settings=settings)
        mixed = rehearsed(displayed, len(second), len(first), settings.steps * settings.batch, unit.seed)
        yield f"{how}, first site in between", fit(start, [*second, *first], order=mixed, settings=settings)


def _deployed(model: Model, site: Site, unit: Unit) -> Iterator[dict[str, object]]:
    """The deployment site's annotated cases, so many of them and chosen so."""
    common = {"part": "deployment", "role": "deployment"}
    yield from _tested(model, site, {**common, "arm": "none", "count": 0})
    scores = uncertainties(model, site.training)
    settings = replace(LAST, seed=unit.seed)
    for how, count in itertools.product(CHOICES, COUNTS):
        chosen = [site.training[n] for n in ranked(scores, how, unit.seed)[:count]]
        order = paced(range(count), "rounds", settings.steps, settings.batch, unit.seed)
        tuned = fit(model, chosen, order=order, settings=settings)
        yield from _tested(tuned, site, {**common, "arm": how, "count": count})


def _tested(model: Model, site: Site, common: dict[str, object]) -> Iterator[dict[str, object]]:
    values = per_case(model.ready("cpu"), model.spec, site.tests)["dice"] if site.tests else []
    for case, value in zip(site.tests, values, strict=True):
        yield {**common, "site": site.name, "patient": case.subject, "dice": round(value, 5)}
