"""Does refining the region model on the most similar films of a new site help? ``python -m benchmarks.chest_adaptation``

Each site in turn is the new one: the model learnt lungs from the other two alone (``benchmarks.regions`` keeps it). Of the new
site's films some are outlined; the others are the archive. Before each is outlined, the model is refined on 5, 10 or 20 films of
the archive, those whose lungs are most similar or as many drawn at random, a third of which judges, by the rule of
``--adapt similar``. What is done is kept, film by film; a second run goes on.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import driver
from benchmarks.tables import spread, table
from casewise.adaptation.refinement import REFINEMENT, Plan, refine_on
from casewise.adaptation.regions import lungs_of, region_plan
from casewise.archive import Archive
from casewise.case import Case
from casewise.chest import regions
from casewise.errors import CasewiseError
from casewise.header import Header
from casewise.image import Image
from casewise.models import Model
from casewise.statistics import interval, paired_p
from casewise.training.metrics import dice
from experiments.cases import CHEST
from experiments.regions.cases import all_sites
from experiments.regions.runs import base

COUNTS = (5, 10, 20)
QUERIES = 7  # films of a site
EDGE = 512
Row = dict[str, float | str]


def plan_for(films: int) -> Plan:
    """So many films in all, about a third of them judges."""
    aside = max(1, films // 3)
    return region_plan(Plan(k=films - aside, held_out=aside, settings=replace(REFINEMENT, device="cpu")))


def small(case: Case) -> Case:
    """At most ``EDGE`` pixels an edge: the network sees fewer, and the archive is quick to search."""
    step = max(1, max(case.image.spatial_shape) // EDGE)
    image, masks = case.image, {name: load() for name, load in case.load_masks.items()}
    rows, columns = (side // step * step for side in image.spatial_shape)
    blocks = image.array[0, :rows, :columns].reshape(rows // step, step, columns // step, step).mean(axis=(1, 3))
    array = np.rint(blocks).astype(image.array.dtype)[None]
    reduced = {name: mask[step // 2 : rows : step, step // 2 : columns : step] for name, mask in masks.items()}
    return Case.of(Image(array, header=Header(spacing_known=False)), reduced, subject=case.subject, site=case.site)


class Site:
    """A site that is new to the model, and its films as an archive."""

    def __init__(self, name: str, model: Model, cases: Sequence[Case], folder: Path) -> None:
        self.name, self.model = name, model
        self.encoder = model.encoder("cpu")
        self.films = [small(case) for case in cases]
        self.archive = Archive.open(folder / name, create=True)
        self.keys = [
            self.archive.add(film.image, {name: load() for name, load in film.load_masks.items()}, site=name, subject=film.subject)
            for film in self.films
        ]
        self.cases = {case.key: case for case in self.archive.cases()}  # kept, so that each is prepared once

    def rows(self, number: int) -> Iterator[Row]:
        """Dice of both lungs of a film: unrefined, and refined in every way."""
        film, key = self.films[number], self.keys[number]
        known = {"site": self.name, "film": key}
        start = outlined_lungs(self.model, film.image)
        yield {**known, "arm": "unrefined", "films": 0, "dice": lung_dice(start, film), "share": 0.0, "seconds": 0.0}
        others = [other for other in self.keys if other != key]
        found = self.archive.similar(
            film.image, k=max(COUNTS), encoder=self.encoder, region=start, exclude=[key], among=set(others)
        )
        drawn = np.random.default_rng([7, number]).permutation(len(others))
        arms = {"similar": [one.key for one in found], "random": [others[n] for n in drawn[: max(COUNTS)]]}
        for arm, keys in arms.items():
            for count in COUNTS:
                began = time.perf_counter()
                plan = plan_for(count)
                done = refine_on(self.model, [self.cases[one] for one in keys[:count]], plan, "similar")
                seconds = time.perf_counter() - began
                value = lung_dice(outlined_lungs(done.model, film.image), film)
                yield {**known, "arm": arm, "films": count, "dice": value, "share": done.share, "seconds": seconds}


def outlined_lungs(model: Model, image: Image) -> np.ndarray:
    """(row, column) bool; nothing of a film that is refused."""
    try:
        return lungs_of(regions(image, "cpu", model=model), image)
    except CasewiseError:
        return np.zeros(image.spatial_shape, bool)


def lung_dice(mask: np.ndarray, film: Case) -> float:
    return dice(mask, film.load_masks["right_lung"]() | film.load_masks["left_lung"]())


def site_rows(name: str) -> list[Row]:
    """The rows of the site's films that are outlined."""
    sites = all_sites()
    with tempfile.TemporaryDirectory() as folder:
        site = Site(name, base(sites, name), sites[name], Path(folder))
        chosen = np.random.default_rng(3).permutation(len(sites[name]))[:QUERIES]
        rows = [row for number in chosen for row in site.rows(int(number))]
        site.archive.close()
    return rows


def values(rows: Sequence[Row], arm: str, films: int, site: str | None = None) -> list[float]:
    """One a film, in one order for every arm."""
    chosen = [row for row in rows if row["arm"] == arm and row["films"] == films and site in (None, row["site"])]
    return [float(row["dice"]) for row in sorted(chosen, key=lambda row: str(row["film"]))]


def figures(units: driver.Rows) -> Mapping[str, Any]:
    rows, sites = [row for of in units.values() for row in of], list(units)
    start = values(rows, "unrefined", 0)
    head = ["refined on", "Dice", *sites, "against unrefined", "p", "similar against random, p", "refined", "seconds"]
    means = [f"{np.mean(values(rows, 'unrefined', 0, site)):.4f}" for site in sites]
    lines: list[list[object]] = [["nothing", f"{np.mean(start):.4f}", *means, "", "", "", "", ""]]
    lines += [_line(rows, sites, start, arm, films) for films in COUNTS for arm in ("similar", "random")]
    return {"queries": QUERIES, "table": table(head, lines)}


def _line(rows: Sequence[Row], sites: Sequence[str], start: Sequence[float], arm: str, films: int) -> list[object]:
    own = values(rows, arm, films)
    differences = np.array(own) - np.array(start)
    of = [row for row in rows if row["arm"] == arm and row["films"] == films]
    against = ""
    if arm == "similar":
        drawn = values(rows, "random", films)
        against = f"{np.mean(np.array(own) - np.array(drawn)):+.4f}, p {paired_p(own, drawn):.2g}"
    return [
        f"{films} {arm} films",
        f"{np.mean(own):.4f}",
        *(f"{np.mean(values(rows, arm, films, site)):.4f}" for site in sites),
        spread((float(differences.mean()), *interval(list(differences))), "+.4f"),
        f"{paired_p(own, start):.2g}",
        against,
        f"{sum(float(row['share']) > 0 for row in of)} of {len(of)}",
        f"{np.median([float(row['seconds']) for row in of]):.1f}",
    ]


BENCHMARK = driver.Benchmark(
    "chest_adaptation", __doc__, lambda options: [driver.Unit(name, partial(site_rows, name)) for name in CHEST], figures
)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
