"""Simulated volumes: the same real head as whole volumes of several patients, one of them with bright spots in its white matter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from casewise.demo.sites import Site, contrast, magnitude, rotation, smooth
from casewise.demo.sources import Template
from casewise.header import Header
from casewise.image import Image

Map = npt.NDArray[np.float32]
Shape = tuple[int, ...]
Steps = tuple[float, float, float]

_CENTRE_MM = (0.0, -18.0, 12.0)  # the middle of the MNI152 brain
_LESION_MM = (3.0, 6.5)  # half axes
_COARSE_MM = 8.0
_EDGE = 0.1  # of the template's signal: what is darker lies outside the brain


@dataclass(frozen=True)
class Protocol:
    """How a volume is taken. extent : mm along rows, columns and slices. spacing : mm of a voxel along them."""

    site: Site
    spacing: Steps
    extent: Steps = (196.0, 160.0, 150.0)


FLAIR = Protocol(Site("north", (0.12, 0.62, 0.5), texture=0.4, noise=0.015, blur=0.3, sequence="FLAIR"), (1.2, 1.2, 4.0))
T1 = Protocol(Site("east", (0.2, 0.58, 0.86), noise=0.02, blur=0.3, sequence="T1"), (1.5, 1.5, 1.5))


def simulate_volume(head: Template, protocol: Protocol, seed: int, lesions: int = 0) -> Image:
    """(1, row, column, slice) int16 of one new patient; rows run to posterior, columns to the left, slices up.

    lesions : how many bright spots its white matter has. The same arguments give the same voxels.
    """
    rng = np.random.default_rng([seed, *protocol.site.name.encode(), *protocol.site.sequence.encode()])
    site = protocol.site
    shape = tuple(round(length / step) for length, step in zip(protocol.extent, protocol.spacing, strict=True))
    voxels = np.einsum("ij,jrcs->ircs", np.linalg.inv(head.image.affine)[:3], _points(rng, shape, protocol.spacing, site))
    t1, grey, white = (
        ndimage.map_coordinates(volume, voxels, order=1, mode="constant", output=np.float32)
        for volume in (head.image.array[0], head.tissues["grey_matter"], head.tissues["white_matter"])
    )
    signal = contrast(t1, grey, white, site)
    bright = _lesions(rng, white, protocol.spacing, lesions)
    signal = signal * (1 - bright) + 0.95 * bright
    signal = ndimage.gaussian_filter(signal, [site.blur / step for step in protocol.spacing])
    field = np.exp(site.bias * _smoothly(rng, shape, protocol.spacing))
    scanned = magnitude(signal * field, site.noise, rng)
    scanned *= t1 > _EDGE  # nothing but the brain, as after its extraction
    picture = np.clip(scanned * site.scale, 0, np.iinfo(np.int16).max).astype(np.int16)
    header = Header(modality="MR", sequence=site.sequence, body_part="HEAD", scanner=f"simulated {site.name}")
    return Image(picture[None], _affine(shape, protocol.spacing), header)


def _points(rng: np.random.Generator, shape: Shape, spacing: Steps, site: Site) -> npt.NDArray[np.float64]:
    """(4, row, column, slice) homogeneous RAS mm in the template: where each voxel of this patient is taken from."""
    affine, centre = _affine(shape, spacing), np.array(_CENTRE_MM)[:, None]
    mm = affine[:3, :3] @ np.indices(shape, np.float64).reshape(3, -1) + affine[:3, 3:] - centre
    mm[:2] /= rng.uniform(*site.size, size=2)[:, None]
    mm = rotation(np.radians(rng.normal(0, 4, 3))) @ mm + centre
    mm += np.stack([_smoothly(rng, shape, spacing).ravel() for _ in range(3)]) * site.deformation
    return np.concatenate([mm, np.ones((1, mm.shape[1]))]).reshape(4, *shape)


def _smoothly(rng: np.random.Generator, shape: Shape, spacing: Steps) -> Map:
    """(row, column, slice): smooth over centimetres, of mean 0 and standard deviation near 1; made on a coarse grid."""
    steps = np.array(spacing) / _COARSE_MM
    coarse = smooth(rng, tuple(int(np.ceil(n * step)) + 1 for n, step in zip(shape, steps, strict=True)), _COARSE_MM)
    where = np.indices(shape, np.float32) * steps.astype(np.float32)[:, None, None, None]
    return np.asarray(ndimage.map_coordinates(coarse, where, order=1, mode="nearest", output=np.float32))


def _lesions(rng: np.random.Generator, white: Map, spacing: Steps, count: int) -> Map:
    """(row, column, slice) in 0…1: round spots, soft at their border, deep in the white matter."""
    found = np.zeros(white.shape, np.float32)
    if not count:
        return found
    deep = np.argwhere(ndimage.distance_transform_edt(white > 0.8, sampling=spacing) > 4)
    grid = np.indices(white.shape, np.float32)
    for centre in deep[rng.integers(len(deep), size=count)]:
        radius = rng.uniform(*_LESION_MM, 3)
        distance = sum(((grid[axis] - centre[axis]) * spacing[axis] / radius[axis]) ** 2 for axis in range(3))
        found = np.maximum(found, np.clip(1.8 - distance, 0, 1))
    return np.asarray(found * np.clip(2 * white, 0, 1), np.float32)


def _affine(shape: Shape, spacing: Steps) -> npt.NDArray[np.float64]:
    """Rows run to posterior, columns to the left, slices up: RAS mm, the middle at the brain's."""
    affine = np.zeros((4, 4))
    affine[1, 0], affine[0, 1], affine[2, 2], affine[3, 3] = -spacing[0], -spacing[1], spacing[2], 1
    affine[:3, 3] = np.array(_CENTRE_MM) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine
