"""What is a brain without its skull: by its empty surroundings, size, texture and the brightness under its surface."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from casewise import formats
from casewise.applications.brain import check_brain
from casewise.errors import CasewiseError
from casewise.image import Image

SHAPE, MM = (96, 110, 20), (2.0, 2.0, 5.0)


def head(rim: float = 1.0, bone: float = 1.0, size: float = 0.72, mm: tuple[float, ...] = MM, seed: int = 0) -> Image:
    """An ellipsoid with texture. rim, bone : brightness of its outermost shell and of the one below, as multiples."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij"))
    radius = np.sqrt((grid[:2] ** 2).sum(axis=0)) / size
    array = 100 + gaussian_filter(rng.normal(0, 30, SHAPE), (1, 1, 0)) * 3
    array[radius > 0.80] *= bone
    array[radius > 0.90] *= rim / bone
    return Image(np.where(radius < 1, array, 0).astype(np.float32)[None], np.diag([*mm, 1.0]))


def test_a_brain_is_taken_at_any_scale_of_its_values() -> None:
    for seed in range(3):
        image = head(seed=seed)
        check_brain(image, "x")
        check_brain(image.with_array(image.array * 37 - 5), "x")
        check_brain(image.with_array(image.array[:, :, ::-1].copy()), "x")


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (head(size=1.5), "shows more"),
        (head(rim=2.2, bone=0.3), "below this image's surface"),
        (head(rim=0.2, bone=0.3), "below this image's surface"),
        (head(mm=(0.5, 0.5, 5.0)), "mm large in a slice"),
        (head(mm=(4.0, 4.0, 5.0)), "mm large in a slice"),
        (head().with_array((head().array > 0).astype(np.float32)), "no texture"),
    ],
    ids=["no background", "skull", "dark rim", "small", "large", "drawn"],
)
def test_what_is_none_is_refused_with_its_reason(image: Image, reason: str) -> None:
    with pytest.raises(CasewiseError, match=reason):
        check_brain(image, "brain-lesions")


def test_without_a_known_voxel_size_no_size_is_asked() -> None:
    small = head(mm=(0.5, 0.5, 5.0))
    check_brain(Image(small.array, small.affine, {"spacing_known": False}), "x")


def test_real_brains_are_taken_and_real_heads_refused(shared_data: Path) -> None:
    for pattern in ("wmh/*/t2flair-stripped.nii.gz", "brats-cbica/*/T1.nii.gz"):
        check_brain(formats.read(min(shared_data.glob(pattern))), "x")
    for path in shared_data.glob("pyradiomics-mr/brain*_image.nrrd"):
        with pytest.raises(CasewiseError, match="remove the skull first"):
            check_brain(formats.read(path), "x")
