"""A head that never was, seen by several sequences: the same tissues everywhere, each sequence with its own brightness for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.uid import MRImageStorage, generate_uid

from casewise.image import Image
from tests.formats.synthetic import Plan, instance, placed

SHAPE, VOXEL = (56, 64, 40), 3.0
# Air, brain, fluid, nuclei, a lesion.
BRIGHTNESS = {
    "T1": (0, 600, 200, 780, 350),
    "T1 post": (0, 620, 210, 800, 990),
    "T2": (0, 400, 950, 300, 820),
    "FLAIR": (0, 450, 90, 350, 900),
    "PD": (0, 700, 820, 640, 790),
    "ADC": (0, 800, 3000, 760, 1300),
    "DWI": (0, 300, 60, 340, 480),
}
_BALLS = (  # tissue, centre in mm, semi-axes in mm
    (1, (0, 0, 0), (66, 78, 50)),
    (2, (-12, 8, 6), (7, 26, 12)),
    (2, (13, 5, 5), (9, 22, 11)),
    (3, (-28, -6, -4), (9, 14, 9)),
    (3, (25, -12, -8), (8, 11, 12)),
    (2, (5, -50, -20), (14, 8, 8)),
    (4, (36, 30, 16), (9, 7, 8)),
    (3, (-34, 38, 20), (10, 12, 6)),
    (2, (-40, -40, 10), (6, 10, 9)),
    (4, (-10, 50, -22), (8, 6, 7)),
)
LESION = (36.0, 30.0, 16.0)


def affine(shape: tuple[int, ...] = SHAPE, voxel: float | tuple[float, ...] = VOXEL) -> np.ndarray:
    """(4, 4) with the middle of the grid at 0."""
    sides = np.broadcast_to(np.asarray(voxel, float), 3)
    matrix = np.diag([*sides, 1.0])
    matrix[:3, 3] = -sides * (np.asarray(shape) - 1) / 2
    return matrix


def tissues(matrix: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(*shape) int: the tissue at each voxel's place in mm."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), -1)
    places = index @ matrix[:3, :3].T + matrix[:3, 3]
    labels = np.zeros(shape, int)
    for tissue, centre, axes in _BALLS:
        labels[(((places - centre) / axes) ** 2).sum(-1) <= 1] = tissue
    return labels


def head(
    kind: str,
    moved: np.ndarray | None = None,
    *,
    shape: tuple[int, ...] = SHAPE,
    voxel: float | tuple[float, ...] = VOXEL,
    noise: float = 15.0,
    seed: int = 0,
) -> Image:
    """(1, *shape) float32. moved : (4, 4), the patient's motion in RAS mm that the file does not know of."""
    matrix = affine(shape, voxel)
    values = np.asarray(BRIGHTNESS[kind], np.float32)[tissues(matrix, shape)]
    rough = np.random.default_rng([seed, *kind.encode()]).normal(0, noise, shape)
    array = np.where(values > 0, values + rough, np.abs(rough) if kind != "ADC" else 0).astype(np.float32)
    return Image(array[None], matrix if moved is None else moved @ matrix, {"modality": "MR"})


def motion(degrees: float, mm: float, seed: int = 0) -> np.ndarray:
    """(4, 4): a turn about, and a shift along, directions drawn at random."""
    rng = np.random.default_rng(seed)
    axis, shift = (vector / np.linalg.norm(vector) for vector in rng.normal(size=(2, 3)))
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    angle = np.radians(degrees)
    matrix = np.eye(4)
    matrix[:3, :3] += np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    matrix[:3, 3] = mm * shift
    return matrix


def distance(transform: Any, truth: np.ndarray, image: Image, reached: Any = None) -> float:
    """Mean distance in mm, over the inner part of ``image``, between where a transform takes its points and where they are.

    transform : SimpleITK's, in LPS mm. truth : (4, 4), RAS mm, after ``reached`` (another such transform) if one is given.
    """
    corners = np.stack(np.meshgrid(*[np.linspace(0.15 * n, 0.85 * n, 5) for n in image.spatial_shape], indexing="ij"), -1)
    places = corners.reshape(-1, 3) @ image.affine[:3, :3].T + image.affine[:3, 3]
    flip = np.array([-1.0, -1.0, 1.0])
    lps = (places * flip).tolist()
    got = np.asarray([transform.TransformPoint(point) for point in lps]) * flip
    start = places if reached is None else np.asarray([reached.TransformPoint(point) for point in lps]) * flip
    return float(np.linalg.norm(got - (start @ truth[:3, :3].T + truth[:3, 3]), axis=1).mean())


def dicom_series(folder: Path, kind: str, number: int, *, skip: int | None = None, scale: float = 1.0, **tags: Any) -> Path:
    """An axial series of the head, one file a slice; ``skip`` leaves one out. Returns its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    volume = np.clip(head(kind).array[0] * scale, 0, 60000).astype(np.uint16)
    # Rows run to posterior, columns to the left, as a scanner stores an axial slice; the phantom's axes run to R, A and S.
    rows = volume[::-1, ::-1].transpose(1, 0, 2)
    start = affine()[:3, 3]
    plan = Plan(origin=(start[0], start[1], start[2]), spacing=(VOXEL, VOXEL), gap=VOXEL)
    series = tags.pop("SeriesInstanceUID", None) or generate_uid()
    about = {
        "Modality": "MR",
        "SeriesNumber": number,
        "SeriesDescription": kind,
        "ImageType": ["ORIGINAL", "PRIMARY", "M"],
        "BodyPartExamined": "BRAIN",
        "SeriesInstanceUID": series,
        "FrameOfReferenceUID": "1.2.3.9",
        "RescaleSlope": 1,
        "RescaleIntercept": 0,
    } | tags
    for index in range(rows.shape[2]):
        if index != skip:
            own = {"InstanceNumber": index + 1, **placed(plan, index), **about}
            instance(folder / f"{number}-{index:03d}.dcm", np.ascontiguousarray(rows[:, :, index]), MRImageStorage, **own)
    return folder
