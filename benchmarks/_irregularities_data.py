"""JSRT's radiographs with their nodules, and the crops that a detector is trained on, kept on disk image by image."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_dilation, binary_erosion
from skimage.morphology import convex_hull_image
from skimage.transform import resize

from benchmarks._cases import ROOT, chest
from casewise import formats
from casewise.case import Case
from casewise.detection.chest import LUNGS_MM, MARGIN_MM, chest_segments
from casewise.detection.nodules import Nodule, disc
from casewise.detection.training import Plane, examples
from casewise.detection.views import COARSE, PIXEL_MM, View, evened, views
from casewise.errors import CasewiseError
from casewise.image import Box, Image

WORK = Path(__file__).resolve().parents[1] / ".work" / "irregularities"
CROPS, REAL, NODULES, NORMAL_CROPS = 4, 3, 4, 48  # crops a segment, further ones a real nodule, most nodules a crop, crops a film
NEAR = 22  # places outside a lung where a synthetic nodule may lie: 15 mm
LEAST_MM = 10.0  # a finding hits a nodule whose centre is nearer than its radius, or than this


@dataclass(frozen=True)
class Truth:
    """A real nodule: its place in the image's pixels, diameter in mm, subtlety from 1 (hardly to be seen) to 5."""

    row: float
    column: float
    diameter_mm: float
    subtlety: int

    @property
    def nodule(self) -> Nodule:
        return Nodule(self.row, self.column, self.diameter_mm / PIXEL_MM)

    @property
    def reach(self) -> float:
        """Pixels within which a finding hits it."""
        return max(self.diameter_mm / 2, LEAST_MM) / PIXEL_MM


@dataclass(frozen=True)
class Radiograph:
    name: str
    nodules: tuple[Truth, ...]

    @property
    def path(self) -> Path:
        return ROOT / "jsrt" / "images" / self.name

    @cached_property
    def image(self) -> Image:
        return formats.read(self.path)

    @cached_property
    def regions(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Found by the shipped model, which never saw these films; kept on disk."""
        kept = WORK / "regions" / f"{self.name}.npz"
        if not kept.exists():
            from benchmarks._irregularities_regions import chest_regions

            kept.parent.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(kept, **chest_regions(self.image))
        return dict(np.load(kept))


def radiographs() -> list[Radiograph]:
    with (ROOT / "jsrt" / "metadata.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [Radiograph(row["study"], _truth(row)) for row in rows]


def _truth(row: dict[str, str]) -> tuple[Truth, ...]:
    if not row["nodule_size_mm"]:
        return ()
    place = float(row["y_px2048"]), float(row["x_px2048"])
    return (Truth(*place, float(row["nodule_size_mm"]), int(row["subtlety_1to5"])),)


Parts = tuple[npt.NDArray[np.uint8], ...]  # x, y, real, as casewise.detection.training.examples gives them


def bank(radiograph: Radiograph, number: int) -> Parts:
    """Crops of one radiograph, made once and kept; ``number`` is the radiograph's own, for the random numbers."""
    return _kept(WORK / "bank" / f"{radiograph.name}.npz", lambda: _crops(radiograph, np.random.default_rng([7, number])))


def normals() -> list[Case]:
    """NLM's films without disease: of 512 pixels, so that they show the whole image alone."""
    return [case for site in ("shenzhen", "montgomery") for case in chest(site) if case.category == "normal"]


def normal_bank() -> Parts:
    """Crops of them with synthetic nodules, made once and kept."""

    def made() -> Parts:
        planes = [_plane(case) for case in normals()]
        parts = [
            examples(plane, NORMAL_CROPS, 0, NODULES, np.random.default_rng([8, number])) for number, plane in enumerate(planes)
        ]
        return tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))

    return _kept(WORK / "bank" / "normals.npz", made)


def _kept(path: Path, make: Callable[[], Parts]) -> Parts:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        x, y, real = make()
        beside = path.with_suffix(".part.npz")
        np.savez(beside, x=x, y=y, real=real)
        beside.replace(path)
    with np.load(path) as found:
        return found["x"], found["y"], found["real"]


def _plane(case: Case) -> Plane:
    """A film of unknown pixel size, so enlarged that its lungs are as high as the films' that the detector is made for."""
    lungs = np.asarray(case.load_masks["lung"](), bool)
    box = Box.around(lungs)
    if box is None:
        msg = f"The lungs of {case.name} are not marked; the benchmark needs them."
        raise CasewiseError(msg)
    scale = LUNGS_MM / (PIXEL_MM * COARSE) / box.shape[0]
    shape = tuple(round(n * scale) for n in lungs.shape)
    film = resize(case.image.array[0].astype(np.float32), shape, order=1, anti_aliasing=scale < 1).astype(np.float32)
    inside = resize(lungs.astype(np.float32), shape, order=1) > 0.5
    near = binary_dilation(inside, iterations=NEAR) & convex_hull_image(inside)  # nodules hide behind heart and diaphragm too
    return Plane(evened(film)[None], near)


def _crops(radiograph: Radiograph, rng: np.random.Generator) -> Parts:
    parts = []
    array = radiograph.image.array[:1]
    boxes = tuple(_box(truth.nodule, array.shape[1:]) for truth in radiograph.nodules)
    for view in views(chest_segments(radiograph.regions, PIXEL_MM, boxes), array):
        real = [_in_view(truth, view) for truth in radiograph.nodules]
        shown = tuple(one for one in real if _holds(view, one))
        away = binary_erosion(view.inside, iterations=round(MARGIN_MM / (PIXEL_MM * COARSE)))
        for one in shown:
            away &= ~disc(away.shape, Nodule(one.row, one.column, one.diameter + 12))
        parts.append(examples(Plane(view.seen, away, shown), CROPS, REAL, NODULES, rng))
    return tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))


def _in_view(truth: Truth, view: View) -> Nodule:
    row, column = ((at - o) / s - 0.5 for at, o, s in zip((truth.row, truth.column), view.origin, view.step, strict=True))
    return Nodule(row, column, truth.nodule.diameter / view.step[0])


def _holds(view: View, one: Nodule) -> bool:
    row, column = round(one.row), round(one.column)
    rows, columns = view.inside.shape
    return 0 <= row < rows and 0 <= column < columns and bool(view.inside[row, column])


def _box(nodule: Nodule, shape: tuple[int, ...]) -> Box:
    half = nodule.diameter / 2
    lower = tuple(int(np.clip(place - half, 0, n - 2)) for place, n in zip((nodule.row, nodule.column), shape, strict=True))
    upper = tuple(int(np.clip(place + half + 1, 2, n)) for place, n in zip((nodule.row, nodule.column), shape, strict=True))
    return Box(lower, upper)
