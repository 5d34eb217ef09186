"""An interactive model that was never trained (its answer is then mostly the geodesic distances'), and pictures of discs."""

from __future__ import annotations

import numpy as np
import pytest

from casewise.case import Structure
from casewise.image import Image
from casewise.models import Model, Preparation, Spec


@pytest.fixture(scope="session")
def model() -> Model:
    spec = Spec(
        "segmentation",
        {"kind": "prompt_unet", "channels": [4, 8, 8]},
        Preparation(2, (48, 48)),
        structures=(Structure.parse("object"),),
    )
    return Model.initial("untrained", spec)


def disc_picture(size: int = 90, radius: float = 18, channels: int = 1) -> tuple[Image, np.ndarray]:
    """(image, object): a bright disc in the middle of a dark picture with a little noise."""
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[:size, :size]
    truth = np.hypot(rows - size / 2, columns - size / 2) < radius
    return Image((rng.normal(0, 0.02, (channels, size, size)) + 0.2 + 0.6 * truth).astype(np.float32)), truth


def ball_volume(
    shape: tuple[int, int, int] = (50, 46, 18), spacing: tuple[float, ...] = (0.5, 0.5, 1.6)
) -> tuple[Image, np.ndarray]:
    """(volume of anisotropic voxels, object): a bright ball, 12 voxels across in plane."""
    rng = np.random.default_rng(4)
    grid = np.indices(shape).astype(float)
    truth = np.sqrt(sum(((g - n / 2) * s) ** 2 for g, n, s in zip(grid, shape, spacing, strict=True))) < 7.0
    return Image((rng.normal(0, 0.02, shape) + 0.2 + 0.6 * truth).astype(np.float32)[None], np.diag([*spacing, 1.0])), truth


@pytest.fixture
def disc() -> tuple[Image, np.ndarray]:
    return disc_picture()


@pytest.fixture
def ball() -> tuple[Image, np.ndarray]:
    return ball_volume()
