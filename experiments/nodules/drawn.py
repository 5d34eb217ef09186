"""Networks that learn drawn nodules in NLM's films: what a detector is given before it sees any film of JSRT.

The films have about 512 pixels over the chest, so that they show the whole image at 0.7 mm a pixel alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import affine_transform, binary_dilation, gaussian_filter, label
from skimage.morphology import convex_hull_image
from torch import Tensor

from casewise.case import Case, Structure
from casewise.chest.nodules.synthetic import PLACE_MM, insert
from casewise.chest.segments import LUNGS_MM
from casewise.errors import CasewiseError
from casewise.image import Box
from casewise.irregularities.training import FocalObjective
from casewise.irregularities.views import Floats, Mask, evened
from casewise.models import Model
from casewise.models.networks.spots import CHANNELS, RANGE
from casewise.models.preparation import Preparation
from casewise.models.spec import Spec
from casewise.models.tasks import Batch
from casewise.training import Settings, fit
from casewise.training.fit import Progress
from experiments import store
from experiments.cases import chest
from experiments.nodules.films import WORK

NAME, NODULE = "casewise-drawn-nodules", "nodule"
EDGE = 112  # pixels of a crop: 78 mm
VARIANTS, MOST, ELSEWHERE = 12, 8, 4  # of a film; nodules in each at most; crops of each elsewhere
NEAR = 22  # pixels outside a lung where a nodule may be drawn, behind heart and diaphragm: 15 mm
BESIDE = 6  # pixels beyond the lungs' hull where it may be drawn too
ASIDE = 4  # every fourth healthy film is set aside
MEMBERS = ("normals", "chests")  # learnt from healthy films, from all films
SETTINGS = Settings(steps=6000, batch=8, rate=1.5e-3, augmentation="none", device="cpu", mixed=True)
_STEP = 42.0  # grey values a local standard deviation, in what is kept
_EVEN = 300.0  # pixels that every nodule counts as, whatever its size
_AROUND = 40  # pixels about the lungs that are kept
Parts = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]


def spec() -> Spec:
    network = {"kind": "spots", "channels": list(CHANNELS)}
    return Spec("segmentation", network, Preparation(2, (EDGE, EDGE), 1, "none"), structures=(Structure.parse(NODULE),))


@dataclass(frozen=True, eq=False)
class Crops:
    """Implements :class:`casewise.training.batches.Batches`.

    x : (N, EDGE, EDGE) uint8, ``_STEP`` a local standard deviation about 128. y : (N, EDGE, EDGE), 1 where a nodule is. cases :
    keys of the films that they were cut from.
    """

    x: npt.NDArray[np.uint8]
    y: npt.NDArray[np.uint8]
    name: str
    cases: tuple[str, ...]

    @property
    def key(self) -> str:
        return f"drawn nodules:{self.name}:{len(self.y)}"

    def batch(self, step: int, size: int, rng: np.random.Generator, previous: Tensor | None = None) -> Batch:
        """X (size, 1, EDGE, EDGE), y and weights: mirrored or not, contrast and noise a little changed."""
        numbers = rng.choice(len(self.y), size)
        x, y = (self.x[numbers].astype(np.float32) - 128) / _STEP, self.y[numbers].astype(np.int64)
        for place in range(size):
            for axis in (0, 1):
                if rng.random() < (0.25, 0.5)[axis]:
                    x[place], y[place] = np.flip(x[place], axis), np.flip(y[place], axis)
        x *= rng.uniform(0.7, 1.25, (size, 1, 1)).astype(np.float32)
        x += rng.standard_normal(x.shape, dtype=np.float32) * np.float32(rng.uniform(0, 0.08))
        weights = np.stack([_weights(one) for one in y])
        return Batch(torch.from_numpy(x[:, None]), torch.from_numpy(y), voxel_weights=torch.from_numpy(weights))


def healthy() -> list[Case]:
    return [case for site in ("shenzhen", "montgomery") for case in chest(site) if case.category == "normal"]


def films() -> list[Case]:
    """The healthy and, after them, those with tuberculosis: what a nodule is not, whatever else they show."""
    sick = [case for site in ("shenzhen", "montgomery") for case in chest(site) if case.category != "normal"]
    return [*healthy(), *sick]


def drawn_model(progress: Progress | None = None) -> Model:
    """Both members as one model; each is kept on disk."""
    models = [store.model(WORK / "drawn" / member, lambda m=member: trained(m, progress)) for member in MEMBERS]  # type: ignore[misc]
    described = replace(models[0].spec, network={**models[0].spec.network, "members": len(models)})
    weights = {
        f"members.{n}.{name.removeprefix('members.0.')}": value
        for n, model in enumerate(models)
        for name, value in model.weights.items()
    }
    trained_on: frozenset[str] = frozenset().union(*(model.trained_on for model in models))
    return Model(NAME, described, weights, replace(models[-1].lineage, trained_on=trained_on))


def trained(member: str, progress: Progress | None = None, steps: int = SETTINGS.steps) -> Model:
    count, every = len(healthy()), films()
    numbers = [n for n in range(count) if n % ASIDE]
    numbers += range(count, len(every)) if member == "chests" else ()
    parts = [crops_of(every[number], number) for number in numbers]
    x, y = (np.concatenate(column) for column in zip(*parts, strict=True))
    crops = Crops(x, y, member, tuple(every[number].key for number in numbers))
    start = Model.initial(NAME, spec(), SETTINGS.seed)
    return fit(start, crops, FocalObjective(), settings=replace(SETTINGS, steps=steps), method="initial", progress=progress)


def crops_of(case: Case, number: int) -> Parts:
    """Crops of one film in several variants, kept on disk; ``number`` is the film's, for the random numbers."""

    def made() -> dict[str, npt.NDArray[np.generic]]:
        parts = []
        for variant in range(VARIANTS):
            rng = np.random.default_rng([8, number, variant])
            film, lungs = turned(case, rng)
            places = hidden(lungs)
            film, marked, placed = insert(spoilt(film, lungs, rng), places, MOST, rng)
            centres = [(one.row, one.column) for one in placed] + _drawn(places, ELSEWHERE, rng)
            parts.append(_crops(evened(film), marked, centres, rng))
        return dict(zip("xy", (np.concatenate(column) for column in zip(*parts, strict=True)), strict=True))

    kept = store.arrays(WORK / "drawn" / "crops" / f"{number}.npz", made)
    return kept["x"], kept["y"]


def turned(case: Case, rng: np.random.Generator) -> tuple[Floats, Mask]:
    """(film, lungs) of unknown pixel size, so enlarged that its lungs are as high as in the films that the detector is made for, a
    little more or less, and turned a little.
    """
    lungs = np.asarray(case.load_masks["lung"](), bool)
    box = Box.around(lungs)
    if box is None:
        msg = f"The lungs of {case.name} are not marked; drawn nodules need them."
        raise CasewiseError(msg)
    scale = LUNGS_MM / PLACE_MM / box.shape[0] * rng.uniform(0.85, 1.15)
    angle = np.deg2rad(rng.uniform(-8, 8))
    shape = tuple(round(n * scale) for n in lungs.shape)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / scale
    offset = (np.array(lungs.shape) - 1) / 2 - matrix @ ((np.array(shape) - 1) / 2)

    def moved(values: npt.NDArray[np.generic]) -> Floats:
        return np.asarray(affine_transform(values.astype(np.float32), matrix, offset, shape, order=1, mode="nearest"), np.float32)

    film, inside = moved(case.image.array[0]), moved(lungs) > 0.5
    around = Box.around(inside) or Box((0, 0), shape)
    window = tuple(slice(max(0, lo - _AROUND), hi + _AROUND) for lo, hi in zip(around.lower, around.upper, strict=True))
    return film[window], inside[window]


def hidden(lungs: Mask) -> Mask:
    """Where a nodule may lie: in the lungs, between them and just beside them, since some hide behind heart and diaphragm."""
    near = binary_dilation(lungs, iterations=NEAR) & convex_hull_image(lungs)
    return np.asarray(near | binary_dilation(lungs, iterations=BESIDE))


def spoilt(film: Floats, lungs: Mask, rng: np.random.Generator) -> Floats:
    """Half the time a little less sharp; a little grain."""
    if rng.random() < 0.5:
        film = np.asarray(gaussian_filter(film, rng.uniform(0.3, 1.0)), np.float32)
    grain = np.float32(film[lungs].std() * rng.uniform(0, 0.04))
    return film + grain * rng.standard_normal(film.shape, dtype=np.float32)


def _drawn(places: Mask, count: int, rng: np.random.Generator) -> list[tuple[float, float]]:
    rows, columns = np.nonzero(places)
    return [(float(rows[n]), float(columns[n])) for n in rng.integers(len(rows), size=count)] if len(rows) else []


def _crops(seen: Floats, marked: Mask, centres: Sequence[tuple[float, float]], rng: np.random.Generator) -> Parts:
    """(x, y): a crop about each centre, moved at random. seen, marked : (rows, columns)."""
    x, y = (np.zeros((len(centres), EDGE, EDGE), np.uint8) for _ in range(2))
    grey = np.clip(np.rint(np.clip(seen, -RANGE, RANGE) * _STEP + 128), 0, 255)
    for number, centre in enumerate(centres):
        window = tuple(_window(int(at), n, rng) for at, n in zip(centre, marked.shape, strict=True))
        cut = grey[window]
        x[number] = 128  # beyond the film
        x[number, : cut.shape[0], : cut.shape[1]], y[number, : cut.shape[0], : cut.shape[1]] = cut, marked[window]
    return x, y


def _window(centre: int, length: int, rng: np.random.Generator) -> slice:
    """Of a crop about a centre, moved by up to a third of its edge; beyond the plane only where that is smaller."""
    start = centre - EDGE // 2 + int(rng.integers(-EDGE // 3, EDGE // 3 + 1))
    start = max(0, min(start, length - EDGE))
    return slice(start, start + EDGE)


def _weights(marked: npt.NDArray[np.int64]) -> Floats:
    """(rows, columns): 1, and on a nodule so much more or less that every nodule counts the same."""
    parts, count = label(marked)
    if not count:
        return np.ones(marked.shape, np.float32)
    weights = np.clip(_EVEN / np.bincount(parts.ravel()), 0.3, 6)
    weights[0] = 1
    return np.asarray(weights[parts], np.float32)
