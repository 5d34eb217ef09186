"""Small images that a network learns in seconds: a bright disc or ball on noise, with its mask."""

from __future__ import annotations

import numpy as np

from casewise.case import Case, Structure
from casewise.image import Image
from casewise.models import Model, Preparation, Spec

DISC = Structure("disc", ("disc",))


def disc(seed: int, shape: tuple[int, ...] = (32, 32), spacing: tuple[float, ...] | None = None) -> tuple[Image, np.ndarray]:
    """An image (1, *shape) float32 with a disc (a ball) somewhere in its middle half, and the disc's mask (*shape)."""
    rng = np.random.default_rng(seed)
    centre = [rng.uniform(0.35, 0.65) * n for n in shape]
    radius = rng.uniform(0.15, 0.25) * min(shape)
    grid = np.meshgrid(*[np.arange(n) for n in shape], indexing="ij")
    mask = sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)) <= radius**2
    array = 0.6 * mask + rng.normal(0.2, 0.05, shape)
    sizes = [*(spacing or (1.0,) * len(shape)), 1.0][:3]
    return Image(array[None].astype(np.float32), np.diag([*sizes, 1.0])), mask


def disc_case(seed: int, shape: tuple[int, ...] = (32, 32), category: str | None = None) -> Case:
    image, mask = disc(seed, shape)
    return Case.of(image, {"disc": mask}, category=category, name=f"disc {seed}")


def segmenter(dims: int = 2, size: int = 32, channels: tuple[int, ...] = (4, 8), **preparation: object) -> Model:
    """An untrained segmenter of discs."""
    prepared = Preparation(spatial_dims=dims, size=(size,) * dims, **preparation)  # type: ignore[arg-type]
    return Model.initial("discs", Spec("segmentation", {"kind": "unet", "channels": channels}, prepared, (DISC,)))


def classifier(dims: int = 2, size: int = 32, classes: tuple[str, ...] = ("full", "empty")) -> Model:
    prepared = Preparation(spatial_dims=dims, size=(size,) * dims)
    return Model.initial("fullness", Spec("classification", {"kind": "classifier", "channels": (4, 8)}, prepared, classes=classes))


def autoencoder(dims: int = 2, size: int = 32) -> Model:
    prepared = Preparation(spatial_dims=dims, size=(size,) * dims)
    return Model.initial("likeness", Spec("encoding", {"kind": "autoencoder", "channels": (4, 8)}, prepared))
