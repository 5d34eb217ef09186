"""The films that reported nodules are measured on, and what the shipped networks mark in each, kept on disk film by film.

From a file to its candidates every step is the application's own (:mod:`casewise.chest`, :mod:`casewise.chest.nodules.films`).
"""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from casewise import chest, formats
from casewise.chest.nodules.box_fusion import Detection
from casewise.chest.nodules.false_positive_reduction import lungs_of
from casewise.chest.nodules.films import candidates, film_of
from casewise.chest.nodules.froc import Target
from casewise.chest.nodules.views import PIXEL_MM
from casewise.errors import CasewiseError
from casewise.hashing import file_key
from casewise.image import Box, Image
from casewise.models import Model, shipped
from experiments import datasets, store
from experiments.nodules.radiographs import LEAST_MM, Truth, films_of

WORK = store.WORK / "nodules"
JSRT = ("jsrt", "jsrt-more")
SITES = {"jsrt": "JSRT", "jsrt-more": "JSRT", "nih": "NIH", "shenzhen": "Shenzhen", "montgomery": "Montgomery"}


@dataclass(frozen=True)
class Film:
    """A film, of one patient each. folder : below the shared data. nodules : empty where there is none."""

    folder: str
    path: Path
    nodules: tuple[Truth, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.folder}/{self.path.name}"

    @property
    def site(self) -> str:
        return SITES[self.folder]

    @property
    def targets(self) -> list[Target]:
        return [Target(one.row, one.column, max(one.diameter_mm / 2, LEAST_MM) / PIXEL_MM) for one in self.nodules]

    @property
    def learnt_from(self) -> bool:
        """Whether the shipped networks were trained on it."""
        return file_key(self.path) in detector().trained_on


@dataclass(frozen=True)
class Found:
    """found : candidates in the upright film's pixels of ``millimetres``. lungs : their boxes."""

    found: list[Detection]
    lungs: dict[str, Box]
    millimetres: float


@cache
def detector() -> Model:
    return shipped.load("irregularities")


def films() -> list[Film]:
    """JSRT's with and without nodule; healthy ones of Shenzhen and Montgomery; NIH's that are reported as without finding."""
    found = [
        Film(folder, datasets.path(f"{folder}/images/{name}"), nodules) for folder in JSRT for name, nodules in films_of(folder)
    ]
    with (datasets.path("nih-cxr1024/labels.csv")).open(encoding="utf-8") as file:
        names = [row["Image Index"] for row in csv.DictReader(file) if row["Finding Labels"] == "No Finding"]
    found += [Film("nih", datasets.path(f"nih-cxr1024/images/{name}")) for name in sorted(names)]
    for folder in ("shenzhen", "montgomery"):
        found += [Film(folder, path) for path in datasets.files(f"{folder}/images/*_0.png")]
    return found


def found_in(film: Film) -> Found | None:
    """What the shipped networks mark, kept on disk; None where the application refuses the film."""
    kept = store.rows(WORK / f"{film.folder}-{film.path.stem}.json", lambda: (made := found(film.path)) and asdict(made))
    if kept is None:
        return None
    lungs = {name: Box(tuple(box["lower"]), tuple(box["upper"])) for name, box in kept["lungs"].items()}
    return Found([Detection(**one) for one in kept["found"]], lungs, kept["millimetres"])


def found(path: Path) -> Found | None:
    """Of a file; None where the application refuses it."""
    image = formats.read(path)
    try:
        return found_on(image, chest.regions(image))
    except CasewiseError:
        return None


def found_on(image: Image, regions: chest.Regions) -> Found:
    """Of an image whose regions are at hand."""
    film = film_of(image, regions)
    return Found(candidates(film, detector().ready("cpu")), lungs_of(film.regions), film.millimetres)
