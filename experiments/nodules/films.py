"""The films that nodules are learnt from and measured on, each as the application prepares it."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from casewise import chest, formats
from casewise.chest.nodules.films import Film as Prepared
from casewise.chest.nodules.films import film_of
from casewise.chest.region import NAMES, Region, Regions
from casewise.chest.region_pose import Pose
from casewise.errors import CasewiseError
from casewise.hashing import file_key
from casewise.image import Box, Image
from casewise.irregularities.froc import Target
from experiments import datasets, store
from experiments.nodules.radiographs import LEAST_MM, PIXEL_MM, Truth, films_of

WORK = store.WORK / "nodules-native"
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
    def key(self) -> str:
        return file_key(self.path)

    @property
    def targets(self) -> list[Target]:
        return [Target(one.row, one.column, max(one.diameter_mm / 2, LEAST_MM) / PIXEL_MM) for one in self.nodules]


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


def prepared(film: Film) -> Prepared | None:
    """As the application prepares it; None where it refuses the film. The regions, by the shipped model, are kept on disk."""
    image = formats.read(film.path)
    try:
        return film_of(image, regions_of(film, image))
    except CasewiseError:
        return None


def regions_of(film: Film, image: Image) -> Regions:
    def found() -> dict[str, np.ndarray]:
        try:
            regions = chest.regions(image, "cpu")
        except CasewiseError:
            return {}
        pose = np.array([regions.pose.turns, regions.pose.mirrored, regions.pose.inverted])
        return {"pose": pose, **{name: np.packbits(mask) for name, mask in regions.by_place.items()}}

    kept = store.arrays(WORK / "regions" / f"{film.folder}-{film.path.stem}.npz", found)
    if "pose" not in kept:
        raise CasewiseError(f"{film.name} was refused.")
    turns, mirrored, inverted = (int(n) for n in kept["pose"])
    rows, columns = image.spatial_shape
    parts = {}
    for name in NAMES:
        if name in kept:
            mask = np.unpackbits(kept[name], count=rows * columns).reshape(rows, columns).astype(bool)
            parts[name] = Region(name, mask, Box.around(mask) or Box((0, 0), (rows, columns)))
    return Regions(parts, (), Pose(turns, bool(mirrored), bool(inverted)), image.affine)
