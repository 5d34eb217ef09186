"""NLM's films with synthetic nodules: what a detector learns from before it sees any film of JSRT.

They have 512 pixels, so that they show the whole image alone.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import affine_transform, binary_dilation, gaussian_filter
from skimage.morphology import convex_hull_image

from casewise.case import Case
from casewise.chest.nodules.synthetic import insert
from casewise.chest.nodules.training import Parts, crops
from casewise.chest.nodules.views import PLACE_MM, Floats, evened
from casewise.chest.segments import LUNGS_MM
from casewise.errors import CasewiseError
from casewise.image import Box
from experiments.cases import chest

VARIANTS, MOST, ELSEWHERE = 12, 8, 4  # of a film; nodules in each at most; crops of each elsewhere
NEAR = 22  # places outside a lung where a synthetic nodule may lie, behind heart and diaphragm: 15 mm
EDGE = 6  # places beyond the lungs' hull where it may lie too
_AROUND = 40  # places about the lungs that are kept
Mask = npt.NDArray[np.bool_]


def normals() -> list[Case]:
    """The healthy."""
    return [case for site in ("shenzhen", "montgomery") for case in chest(site) if case.category == "normal"]


def chests() -> list[Case]:
    """The healthy and, after them, those with tuberculosis: what a nodule is not, whatever else they show."""
    sick = [case for site in ("shenzhen", "montgomery") for case in chest(site) if case.category != "normal"]
    return [*normals(), *sick]


def chest_crops(case: Case, number: int) -> Parts:
    """Crops of one film in several variants, each with nodules of its own; ``number`` is the film's, for the random numbers."""
    parts = []
    for variant in range(VARIANTS):
        rng = np.random.default_rng([8, number, variant])
        film, lungs = turned(case, rng)
        places = hidden(lungs)
        film, marked, placed = insert(spoilt(film, lungs, rng), places, MOST, rng)
        centres = [(one.row, one.column) for one in placed] + drawn(places, ELSEWHERE, rng)
        parts.append(crops(evened(film)[None], marked, np.zeros_like(marked), centres, rng))
    return tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))


def turned(case: Case, rng: np.random.Generator | None) -> tuple[Floats, Mask]:
    """(film, lungs) of unknown pixel size, so enlarged that its lungs are as high as the films' that the detector is made for, and,
    with random numbers, a little more or less, and turned a little.
    """
    lungs = np.asarray(case.load_masks["lung"](), bool)
    box = Box.around(lungs)
    if box is None:
        msg = f"The lungs of {case.name} are not marked; the benchmark needs them."
        raise CasewiseError(msg)
    scale = LUNGS_MM / PLACE_MM / box.shape[0] * (1 if rng is None else rng.uniform(0.85, 1.15))
    angle = 0.0 if rng is None else np.deg2rad(rng.uniform(-8, 8))
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
    return np.asarray(
        (binary_dilation(lungs, iterations=NEAR) & convex_hull_image(lungs)) | binary_dilation(lungs, iterations=EDGE)
    )


def spoilt(film: Floats, lungs: Mask, rng: np.random.Generator) -> Floats:
    """Half the time a little less sharp; a little grain."""
    if rng.random() < 0.5:
        film = np.asarray(gaussian_filter(film, rng.uniform(0.3, 1.0)), np.float32)
    grain = np.float32(film[lungs].std() * rng.uniform(0, 0.04))
    return film + grain * rng.standard_normal(film.shape, dtype=np.float32)


def drawn(places: Mask, count: int, rng: np.random.Generator) -> list[tuple[float, float]]:
    rows, columns = np.nonzero(places)
    return [(float(rows[n]), float(columns[n])) for n in rng.integers(len(rows), size=count)] if len(rows) else []
