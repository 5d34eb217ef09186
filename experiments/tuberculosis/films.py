"""The films: two sites with tuberculosis and normal ones, and a third with other diseases of the lungs, to learn from alone."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from casewise import formats
from casewise.chest import regions
from casewise.chest.diffuse import Lungs, lungs_of
from casewise.hashing import file_key
from experiments import datasets

SITES = ("shenzhen", "montgomery")
OTHER = "nih"
# What NIH's reports mention that is seen as tuberculosis is: in the lung itself, or about it.
DIFFUSE = ("Consolidation", "Infiltration", "Pneumonia", "Fibrosis", "Effusion", "Edema", "Pleural_Thickening")


@dataclass(frozen=True)
class Film:
    """ill : tuberculosis at ``SITES``; at ``OTHER`` one of ``DIFFUSE``, and the healthy are those without any finding."""

    site: str
    path: Path
    ill: bool

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def subject(self) -> str:
        """One film a patient at each site."""
        return f"{self.site}/{self.path.stem}"

    @property
    def category(self) -> str:
        return "tuberculosis" if self.ill else "normal"


@cache
def films(site: str) -> Sequence[Film]:
    if site in SITES:
        return [Film(site, path, path.stem.endswith("_1")) for path in datasets.files(f"{site}/images/*.png")]
    with datasets.path("nih-cxr1024/labels.csv").open(encoding="utf-8") as file:
        labels = {row["Image Index"]: row["Finding Labels"].split("|") for row in csv.DictReader(file)}
    chosen = {name: found for name, found in labels.items() if found == ["No Finding"] or set(found) & set(DIFFUSE)}
    return [
        Film(site, datasets.path(f"nih-cxr1024/images/{name}"), found != ["No Finding"]) for name, found in sorted(chosen.items())
    ]


def lungs(film: Film) -> Lungs:
    """As the applications see them, by the shipped regions."""
    image = formats.read(film.path)
    return lungs_of(image, regions(image, "cpu"))


def keys(found: Sequence[Film]) -> frozenset[str]:
    return frozenset(file_key(film.path) for film in found)


def without_nodule() -> Sequence[Film]:
    """JSRT's films without a nodule, of 2048 pixels; no detector of tuberculosis learns from them."""
    found = [path for folder in ("jsrt", "jsrt-more") for path in datasets.files(f"{folder}/images/JPCNN*")]
    return [Film("jsrt", path, ill=False) for path in found]
