"""Small folders of images for the tests of the archive, an encoder that costs nothing, and what two archives have in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from casewise.archive import Archive
from casewise.archive.catalogue import embeddings, files, images
from casewise.formats import write
from casewise.header import Header
from casewise.image import Image


class MeanEncoder:
    """Mean, spread and two corners of an image."""

    key = "mean-encoder"
    dimension = 4

    def encode(
        self, images: Sequence[Image], regions: Sequence[npt.NDArray[np.bool_] | None] | None = None
    ) -> npt.NDArray[np.float32]:
        rows = []
        for number, image in enumerate(images):
            array = image.array[0].astype(np.float64)
            region = regions[number] if regions is not None else None
            inside = array if region is None else array[region]
            rows.append([inside.mean(), inside.std(), array.flat[0], array.flat[-1]])
        return np.asarray(rows, np.float32)


def picture(path: Path, seed: int, size: int = 16, value: int | None = None) -> Path:
    """A PNG of random grey values, or of one value."""
    pixels = np.random.default_rng(seed).integers(0, 255, (1, size, size)).astype(np.uint8)
    return write(path, Image(pixels if value is None else np.full_like(pixels, value), header=Header(spacing_known=False)))


def volume(path: Path, seed: int, shape: tuple[int, ...] = (6, 7, 5), spacing: float = 1.0) -> Path:
    """A NIfTI (or NRRD) of random values."""
    voxels = np.random.default_rng(seed).integers(0, 1000, (1, *shape)).astype(np.int16)
    return write(path, Image(voxels, np.diag([spacing, spacing, spacing, 1.0])))


def mask(path: Path, values: Sequence[int] = (1,), shape: tuple[int, ...] = (6, 7, 5), spacing: float = 1.0) -> Path:
    """A label map with one row of each value; of a picture's shape if that has two axes."""
    labels = np.zeros((1, *shape), np.uint8)
    for place, value in enumerate(values):
        labels[0, place] = value
    header = {"spacing_known": False} if len(shape) == 2 else {}
    return write(path, Image(labels, np.diag([spacing, spacing, spacing, 1.0]), header))


def paired(folder: Path, count: int, first_seed: int = 0) -> Path:
    """``images/p001_0.png`` beside ``lung_masks/p001_0.png``."""
    for number in range(count):
        picture(folder / "images" / f"p{number:03d}_0.png", first_seed + number)
        mask(folder / "lung_masks" / f"p{number:03d}_0.png", (255,), (16, 16))
    return folder


def snapshot(archive: Archive) -> dict[str, object]:
    """All that an archive knows, but for the order in which it came and the paths of contents that lie at several."""
    with archive._catalogue.read() as connection:
        states = {row.path: (row.state, row.reason) for row in connection.execute(sa.select(files))}
        rows = connection.execute(sa.select(embeddings.c.row)).all()
        known = {row.key: (row.category, row.site, row.subject) for row in connection.execute(sa.select(images))}
    labels = {key: sorted((str(label["name"]), str(label["value"])) for label in archive.labels(key)) for key in known}
    return {"images": known, "labels": labels, "files": states, "vectors": len(rows)}
