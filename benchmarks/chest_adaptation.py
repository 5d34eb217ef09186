"""Does refining the region model on the most similar films of a new site help? ``python -m benchmarks.chest_adaptation``

Each site in turn is the new one: the model learnt lungs from the other two alone (``benchmarks.regions`` keeps it). Of the new
site's films some are outlined; the others are the archive. Before each is outlined, the model is refined on 5, 10 or 20 films of
the archive, those whose lungs are most similar or as many drawn at random, a third of which judges, by the rule of
``--adapt similar``. What is done is kept, film by film; a second run goes on.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.regions import base
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
from experiments.regions.cases import all_sites
from experiments.regions.runs import WORK

RESULTS = Path(__file__).parent / "results"
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


def measured(path: Path) -> list[Row]:
    """Every film's rows, those that are lacking made now."""
    rows: list[Row] = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []
    sites = all_sites()
    with tempfile.TemporaryDirectory() as folder:
        for name, cases in sites.items():
            chosen = np.random.default_rng(3).permutation(len(cases))[:QUERIES]
            if len({row["film"] for row in rows if row["site"] == name}) == QUERIES:
                continue
            site = Site(name, base(sites, name), cases, Path(folder))
            done = {row["film"] for row in rows}
            for number in chosen:
                if site.keys[number] in done:
                    continue
                new = list(site.rows(int(number)))
                rows += new
                with path.open("a", encoding="utf-8") as file:
                    file.writelines(json.dumps(row) + "\n" for row in new)
                sys.stderr.write(f"{name} {len(rows)} {new[0]['dice']:.3f}\n")
            site.archive.close()
    return rows


def values(rows: Sequence[Row], arm: str, films: int, site: str | None = None) -> list[float]:
    """One a film, in one order for every arm."""
    chosen = [row for row in rows if row["arm"] == arm and row["films"] == films and site in (None, row["site"])]
    return [float(row["dice"]) for row in sorted(chosen, key=lambda row: str(row["film"]))]


def table(rows: Sequence[Row]) -> str:
    sites = list(dict.fromkeys(str(row["site"]) for row in rows))
    start = values(rows, "unrefined", 0)
    parts = [
        "# Chest radiographs of a new site: the region model refined on similar films",
        "",
        "`python -m benchmarks.chest_adaptation`",
        "",
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}; no GPU.",
        "",
        f"Each site in turn is new to the model, which learnt lungs from the other two; {QUERIES} of its films are outlined, one",
        "by one, and all others of the site are the archive. Dice of both lungs on the film (512 pixels at most), mean over",
        "patients; the difference from the unrefined model with its 95 % interval, and Wilcoxon's p by patient.",
        "",
        "| refined on | Dice | " + " | ".join(sites) + " | against unrefined | p | similar against random, p | refined | seconds |",
        "|---|---|" + "---|" * len(sites) + "---|---|---|---|---|",
        f"| nothing | {np.mean(start):.4f} | "
        + " | ".join(f"{np.mean(values(rows, 'unrefined', 0, s)):.4f}" for s in sites)
        + " | | | | | |",
    ]
    parts += [_line(rows, sites, start, arm, films) for films in COUNTS for arm in ("similar", "random")]
    return "\n".join(
        [*parts, "", "`refined`: of how many films the rule followed the refined weights, halfway or all the way.", ""]
    )


def _line(rows: Sequence[Row], sites: Sequence[str], start: Sequence[float], arm: str, films: int) -> str:
    own = values(rows, arm, films)
    differences = np.array(own) - np.array(start)
    low, high = interval(list(differences))
    of = [row for row in rows if row["arm"] == arm and row["films"] == films]
    against = ""
    if arm == "similar":
        drawn = values(rows, "random", films)
        against = f"{np.mean(np.array(own) - np.array(drawn)):+.4f}, p {paired_p(own, drawn):.2g}"
    return (
        f"| {films} {arm} films | {np.mean(own):.4f} | "
        + " | ".join(f"{np.mean(values(rows, arm, films, site)):.4f}" for site in sites)
        + f" | {differences.mean():+.4f} ({low:+.4f} to {high:+.4f}) | {paired_p(own, start):.2g} | {against} | "
        + f"{sum(float(row['share']) > 0 for row in of)} of {len(of)} | {np.median([float(row['seconds']) for row in of]):.1f} |"
    )


def main() -> None:
    torch.set_num_threads(1)
    rows = measured(WORK / "adaptation.jsonl")
    text = table(rows)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "chest_adaptation.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "chest_adaptation.md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
