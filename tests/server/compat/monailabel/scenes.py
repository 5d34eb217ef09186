"""Images that a client sees: a bright ball in noise, on grids that lie in the patient in every way that files have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from casewise.demo.dicom import write_dicom, write_series
from casewise.formats import write
from casewise.header import Header
from casewise.image import Image

SHAPE = (40, 36, 30)
CENTRE = (26, 14, 9)  # of the ball, in the image's own voxels; no axis is symmetrical about it
RADIUS_MM = 8.0


@dataclass(frozen=True, eq=False)
class Scene:
    """An image file, its ball (*spatial) and the place of the ball's centre in RAS."""

    path: Path
    image: Image
    ball: npt.NDArray[np.bool_]

    @property
    def centre(self) -> npt.NDArray[np.float64]:
        return np.asarray(self.image.affine[:3, :3] @ CENTRE + self.image.affine[:3, 3])


def affine_of(kind: str) -> npt.NDArray[np.float64]:
    sizes = np.diag([1.2, 1.0, 1.5])
    if kind == "LAS":  # as most converters write it
        turned = np.diag([-1.0, 1.0, 1.0]) @ sizes
    elif kind == "LPI":
        turned = np.diag([-1.0, -1.0, -1.0]) @ sizes
    elif kind == "PIR":  # axes permuted, and left-handed
        turned = np.array([[0, 0, 1.0], [-1.0, 0, 0], [0, -1.0, 0]]) @ sizes
        turned[:, 0] *= -1
    elif kind in ("oblique", "oblique left-handed"):
        angles = np.deg2rad([20, -15])
        around_x = np.array([[1, 0, 0], [0, np.cos(angles[0]), -np.sin(angles[0])], [0, np.sin(angles[0]), np.cos(angles[0])]])
        around_z = np.array([[np.cos(angles[1]), -np.sin(angles[1]), 0], [np.sin(angles[1]), np.cos(angles[1]), 0], [0, 0, 1]])
        turned = around_x @ around_z @ sizes @ np.diag([1, 1, -1.0 if "left" in kind else 1.0])
    else:
        turned = sizes
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turned, (12.5, -31.0, 47.25)
    return affine


KINDS = ("RAS", "LAS", "LPI", "PIR", "oblique", "oblique left-handed")


def volume(folder: Path, kind: str) -> Scene:
    """A NIfTI file whose axes run as ``kind`` says."""
    affine = affine_of(kind)
    values, ball = _ball(SHAPE, np.linalg.norm(affine[:3, :3], axis=0))
    image = Image(values[None], affine)
    return Scene(write(folder / f"{kind.replace(' ', '-')}.nii.gz", image), image, ball)


def series(folder: Path, downwards: bool) -> Scene:
    """A DICOM series (row, column, slice); ``downwards``: its slices run from the head to the feet."""
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, -1.0, 0], [-1.2, 0, 0], [0, 0, -1.5 if downwards else 1.5]])
    affine[:3, 3] = (60.0, 40.0, 10.0)
    values, ball = _ball(SHAPE, np.linalg.norm(affine[:3, :3], axis=0))
    header = Header(modality="MR", sequence="T1", body_part="HEAD", scanner="simulated")
    image = Image(values[None], affine, header)
    return Scene(write_series(folder / "series", image, "p1"), image, ball)


def picture(folder: Path) -> Scene:
    """A PNG picture (row, column) that says nothing of where it lies."""
    rows, columns = np.mgrid[:60, :80]
    ball = np.hypot(rows - 22, columns - 51) <= 10
    values = np.clip(60 + 120 * ball + np.random.default_rng(5).normal(0, 8, ball.shape), 0, 255).astype(np.uint8)
    image = Image(values[None])
    return Scene(write(folder / "picture.png", image), image, ball)


def frame(folder: Path) -> Scene:
    """A DICOM picture (row, column)."""
    rows, columns = np.mgrid[:60, :80]
    ball = np.hypot(rows - 22, columns - 51) <= 10
    values = (60 + 120 * ball + np.random.default_rng(6).normal(0, 8, ball.shape)).astype(np.int16)
    affine = np.array([[0, 0.8, 0, 5.0], [-0.8, 0, 0, 7.0], [0, 0, 1, 9.0], [0, 0, 0, 1]])
    image = Image(values[None], affine, Header(modality="MR", sequence="T1", body_part="HEAD", scanner="simulated"))
    return Scene(write_dicom(folder / "frame.dcm", image, "p2"), image, ball)


def _ball(shape: tuple[int, ...], sizes: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.bool_]]:
    steps = np.ogrid[tuple(slice(n) for n in shape)]
    squares = sum(((step - place) * size) ** 2 for step, place, size in zip(steps, CENTRE, sizes, strict=True))
    ball = np.asarray(squares <= RADIUS_MM**2)
    noise = np.random.default_rng(4).normal(100, 12, shape)
    return (noise + 150 * ball).astype(np.int16), ball
