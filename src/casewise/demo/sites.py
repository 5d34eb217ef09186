"""Simulated sites: one real head becomes many patients, imaged by scanners that differ in contrast, field, sharpness and noise.

Anatomy and texture come from the real image; what is simulated is each patient's shape and each scanner's way of imaging it. Image
and masks are sampled at the very same points, so that they stay aligned whatever the deformation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from casewise.header import Header
from casewise.image import Image

Plane = npt.NDArray[np.float32]

_CENTRE = (0.0, -18.0)  # (right, anterior) mm: the middle of an axial cut of the MNI152 brain
_FIELD_MM = (208.0, 176.0)  # (anterior-posterior, right-left): the extent of a slice
_FINE_MM = 1.0  # a slice is made at the template's own 1 mm before the scanner is simulated
_KNOT_MM = 32.0  # distance of the knots between which a deformation is smooth
_LEVELS_MM = (-8.0, 42.0)  # from the midbrain to above the ventricles


@dataclass(frozen=True)
class Site:
    """A scanner and its patients.

    tissue : signal of fluid, grey and white matter (0…1). texture : share of the real image's own variation within a tissue.
    gamma : exponent of the contrast curve. bias : standard deviation of the logarithm of the coil's slowly varying field.
    blur : width (standard deviation) of the point spread in mm. noise : standard deviation, as a share of the full signal.
    spacing : mm between pixels. scale : full signal in the scanner's own numbers. deformation : standard deviation of the
    displacements in mm. size : range of the patients' size relative to the template. sequence : what the scanner calls it.
    """

    name: str
    tissue: tuple[float, float, float]
    texture: float = 1.0
    gamma: float = 1.0
    bias: float = 0.1
    blur: float = 0.4
    noise: float = 0.02
    spacing: float = 1.3
    scale: float = 1000.0
    deformation: float = 2.5
    size: tuple[float, float] = (0.94, 1.04)
    sequence: str = "T1"


@dataclass(frozen=True, eq=False)
class Simulated:
    """A picture (1, row, column) int16, rows to posterior, columns to the patient's left, and its masks (row, column) bool."""

    image: Image
    masks: dict[str, npt.NDArray[np.bool_]]
    site: str
    level_mm: float


KNOWN_SITES = (
    Site("north", tissue=(0.25, 0.62, 0.88), spacing=1.3, scale=900),
    Site("east", tissue=(0.12, 0.50, 0.80), gamma=1.3, bias=0.2, noise=0.035, blur=0.6, spacing=1.5, scale=2400),
    Site("south", tissue=(0.38, 0.66, 0.80), gamma=0.85, bias=0.15, noise=0.025, spacing=1.4, scale=420, size=(0.9, 1.0)),
)
UNSEEN_SITE = Site(
    "west",
    tissue=(0.95, 0.66, 0.46),
    texture=-0.7,
    bias=0.2,
    noise=0.03,
    blur=0.7,
    spacing=1.6,
    scale=1500,
    size=(0.92, 1.06),
    sequence="T2",
)


def simulate(image: Image, masks: Mapping[str, Plane], site: Site, seed: int, level_mm: float | None = None) -> Simulated:
    """One axial slice of one new patient of ``site``; the same arguments give the same pixels.

    image : the real head, (1, i, j, k) in 0…1, zero outside the brain, in MNI space. masks : ``grey_matter`` and ``white_matter`` →
    share of the voxel, (i, j, k) in 0…1. level_mm : height of the slice in MNI space; drawn at random without one.
    """
    rng = np.random.default_rng([seed, *site.name.encode()])
    drawn = float(rng.uniform(*_LEVELS_MM))
    level = drawn if level_mm is None else level_mm
    points = _points(rng, site, level)
    voxels = np.einsum("ij,jrc->irc", np.linalg.inv(image.affine)[:3], points)
    t1, grey, white = (
        ndimage.map_coordinates(volume, voxels, order=1, mode="constant", output=np.float32)
        for volume in (image.array[0], masks["grey_matter"], masks["white_matter"])
    )
    signal = contrast(t1, grey, white, site)
    shape = tuple(round(length / site.spacing) for length in _FIELD_MM)
    scanned = _resample(ndimage.gaussian_filter(signal, site.blur / _FINE_MM), shape, site.spacing / _FINE_MM)
    scanned = magnitude(scanned * _bias_field(rng, shape, site), site.noise, rng)
    grey, white = (_resample(tissue, shape, site.spacing / _FINE_MM) for tissue in (grey, white))
    labelled = {
        "grey_matter": (grey >= 0.5) & (grey >= white),
        "white_matter": (white >= 0.5) & (white > grey),
    }
    picture = np.clip(scanned * site.scale, 0, np.iinfo(np.int16).max).astype(np.int16)
    header = Header(modality="MR", sequence=site.sequence, body_part="HEAD", scanner=f"simulated {site.name}")
    return Simulated(Image(picture[None], _affine(shape, site.spacing, level), header), labelled, site.name, level)


def _points(rng: np.random.Generator, site: Site, level: float) -> Plane:
    """(4, row, column) homogeneous RAS mm in the template: where each pixel of this patient's slice is taken from."""
    rows, columns = (round(length / _FINE_MM) for length in _FIELD_MM)
    down = -(np.arange(rows) - (rows - 1) / 2) * _FINE_MM
    across = -(np.arange(columns) - (columns - 1) / 2) * _FINE_MM
    anterior, right = np.meshgrid(down, across, indexing="ij")
    flat = np.stack([right, anterior, np.zeros_like(right)])
    size = rng.uniform(*site.size, size=2)
    flat[:2] /= size[:, None, None]
    turned = np.einsum("ij,jrc->irc", rotation(np.radians(rng.normal(0, (4, 4, 5)))), flat)
    bent = turned + np.stack([smooth(rng, (rows, columns), _FINE_MM) for _ in range(3)]) * site.deformation
    centre = np.array([*_CENTRE, level]) + np.array([*rng.normal(0, 2, 2), 0])
    return np.concatenate([bent + centre[:, None, None], np.ones((1, rows, columns))]).astype(np.float32)


def rotation(angles: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_euler("xyz", angles).as_matrix())


def smooth(rng: np.random.Generator, shape: tuple[int, ...], spacing: float) -> Plane:
    """(row, column): a smooth random surface of mean 0 and standard deviation near 1."""
    knots = tuple(int(np.ceil(n * spacing / _KNOT_MM)) + 3 for n in shape)
    where = np.meshgrid(*(1 + np.arange(n) * spacing / _KNOT_MM for n in shape), indexing="ij")
    # A cubic B-spline averages its knots: 1.5 brings the standard deviation back to about 1.
    return np.asarray(1.5 * ndimage.map_coordinates(rng.standard_normal(knots), where, order=3, prefilter=False, output=np.float32))


def contrast(t1: Plane, grey: Plane, white: Plane, site: Site) -> Plane:
    """(row, column) in about 0…1: each tissue at the site's signal, with the real image's own texture on top, zero outside."""
    brain = np.clip(t1 * 4, 0, 1)  # no tissue is darker than a quarter of the signal: below it lies the brain's edge
    fluid = np.clip(brain - grey - white, 0, 1)
    shares = np.stack([fluid, grey, white])
    expected = np.tensordot(np.array(_TEMPLATE_SIGNAL, np.float32), shares, axes=1)
    wanted = np.tensordot(np.array(site.tissue, np.float32), shares, axes=1)
    return np.asarray(np.clip(wanted + site.texture * brain * (t1 - expected), 0, 1) ** site.gamma)


_TEMPLATE_SIGNAL = (0.39, 0.65, 0.84)  # mean of fluid, grey and white matter in the template


def _bias_field(rng: np.random.Generator, shape: tuple[int, ...], site: Site) -> Plane:
    return np.asarray(np.exp(site.bias * smooth(rng, shape, site.spacing)))


def magnitude(signal: Plane, noise: float, rng: np.random.Generator) -> Plane:
    """The magnitude of a complex signal with normal noise in both parts (Rician noise), as MR scanners give it."""
    real, imaginary = rng.normal(0, noise, (2, *signal.shape))
    return np.asarray(np.hypot(signal + real, imaginary))


def _resample(plane: Plane, shape: tuple[int, ...], step: float) -> Plane:
    """(row, column) of ``shape`` whose pixels are ``step`` of the plane's wide, about the same middle; each averages a little."""
    covered = ndimage.gaussian_filter(plane, 0.3 * step)
    where = np.meshgrid(
        *((np.arange(n) - (n - 1) / 2) * step + (old - 1) / 2 for n, old in zip(shape, plane.shape, strict=True)),
        indexing="ij",
    )
    return np.asarray(ndimage.map_coordinates(covered, where, order=1, mode="nearest", output=np.float32))


def _affine(shape: tuple[int, ...], spacing: float, level: float) -> npt.NDArray[np.float64]:
    """Rows run to posterior, columns to the left, the third axis up: RAS mm."""
    affine = np.zeros((4, 4))
    affine[:, 0] = (0, -spacing, 0, 0)
    affine[:, 1] = (-spacing, 0, 0, 0)
    affine[:, 2] = (0, 0, spacing, 0)
    first = np.array([(shape[1] - 1) / 2 * spacing, (shape[0] - 1) / 2 * spacing])
    affine[:, 3] = (*(first + np.array(_CENTRE)), level, 1)
    return affine
