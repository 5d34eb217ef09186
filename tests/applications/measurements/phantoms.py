"""Drawn images of known sizes, densities and noise."""

from __future__ import annotations

import numpy as np

from casewise.header import Header
from casewise.image import Image

SIDE, STEP = 256, 1.5  # pixels of a plane, and their size in mm
FAT, WATER, LUNG, BONE, AIR = -100.0, 30.0, -860.0, 700.0, -1000.0


def disc(radius_mm: float, centre_mm: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """(SIDE, SIDE) bool; the centre counts from the middle of the plane."""
    place = (np.arange(SIDE) - (SIDE - 1) / 2) * STEP
    rows, columns = np.meshgrid(place, place, indexing="ij")
    return np.hypot(rows - centre_mm[0], columns - centre_mm[1]) <= radius_mm


def trunk(noise: float = 0.0, planes: int = 6, table: bool = True, lungs: bool = True) -> Image:
    """CT of a cylinder of 150 mm radius: water, with a rim of fat, two lungs, a spine and a table below it.

    (row, column, slice), 5 mm apart; columns run to the patient's left, rows to posterior.
    """
    plane = np.full((SIDE, SIDE), AIR, np.float32)
    plane[disc(150)] = FAT
    plane[disc(130)] = WATER
    if lungs:
        plane[disc(40, (0, -65))] = LUNG  # towards low columns: the patient's right
        plane[disc(30, (0, 65))] = LUNG
        plane[disc(8, (-40, 0))] = AIR  # the trachea
    plane[disc(15, (90, 0))] = BONE
    if table:
        plane[-24:-22, 20:-20] = 100.0
    volume = np.repeat(plane[..., None], planes, axis=2)
    volume = volume + np.random.default_rng(0).normal(0, noise, volume.shape) if noise else volume
    affine = np.array([[0, -STEP, 0, 0], [-STEP, 0, 0, 0], [0, 0, 5.0, 0], [0, 0, 0, 1.0]])
    return Image(np.rint(volume).astype(np.int16)[None], affine, Header(modality="CT", format="DICOM"))


def magnitude(signal: float, noise: float, shape: tuple[int, ...] = (160, 160)) -> Image:
    """MR magnitude: a disc of ``signal`` in complex noise of this deviation."""
    rng = np.random.default_rng(1)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in shape[:2]], indexing="ij"))
    body = (grid**2).sum(axis=0) < 0.45
    body = body if len(shape) == 2 else np.repeat(body[..., None], shape[2], axis=2)
    real, imaginary = rng.normal(0, noise, (2, *shape))
    return Image(np.hypot(body * signal + real, imaginary).astype(np.float32)[None], header=Header(modality="MR"))
