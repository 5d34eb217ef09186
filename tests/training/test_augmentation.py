"""Augmentation moves labels with their image, keeps intensities in range, and mirrors left and right alone."""

from __future__ import annotations

import pytest
import torch

from casewise.training.augmentation import LEVELS, Augmentation, augment

MOVES = Augmentation(intensity=0)


def discs(dims: int, size: int = 48, count: int = 8) -> torch.Tensor:
    """(N, *spatial): discs or balls off the centre."""
    axis = torch.arange(size) - size / 2
    grid = torch.meshgrid(*[axis] * dims, indexing="ij")
    shifts = torch.linspace(-4, 4, count)
    return torch.stack([(sum((g - shift) ** 2 for g in grid) < (0.3 * size) ** 2).float() for shift in shifts])  # type: ignore[arg-type]


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_masks_move_with_their_image(dims: int, seed: int) -> None:
    truth = discs(dims, 48 if dims == 2 else 40)
    image, (mask, weights) = augment(
        truth[:, None], [(truth.to(torch.uint8), "nearest"), (truth, "linear")], MOVES, torch.Generator().manual_seed(seed)
    )  # fmt: skip
    seen, labelled = image[:, 0] > 0.5, mask > 0
    overlap = 2 * (seen & labelled).flatten(1).sum(1) / (seen.flatten(1).sum(1) + labelled.flatten(1).sum(1))
    assert float(overlap.min()) > 0.97
    assert torch.allclose(weights, image[:, 0], atol=1e-5)
    assert mask.dtype == torch.uint8
    unmoved = 2 * (labelled & (truth > 0)).flatten(1).sum(1) / (labelled.flatten(1).sum(1) + truth.flatten(1).sum(1))
    assert float(unmoved.min()) < 0.97  # and it did move


@pytest.mark.parametrize("dims", [2, 3])
def test_mirroring_exchanges_left_and_right_alone(dims: int) -> None:
    """Columns (the second axis) run to the patient's left."""
    still = Augmentation(rotation=0, scale=0, shift=0, bend=0, intensity=0, mirror=True)
    image = torch.rand((16, 1, *[8] * dims), generator=torch.Generator().manual_seed(0))
    moved, _ = augment(image, [], still, torch.Generator().manual_seed(1))
    flipped = image.flip(3)
    kinds = []
    for answer, straight, exchanged in zip(moved, image, flipped, strict=True):
        same, turned = torch.allclose(answer, straight, atol=1e-4), torch.allclose(answer, exchanged, atol=1e-4)
        kinds.append("same" if same else "flipped" if turned else "neither")
    assert set(kinds) == {"same", "flipped"}


def test_nothing_is_mirrored_unless_asked() -> None:
    assert not any(level.mirror for level in LEVELS.values() if level is not None)


@pytest.mark.parametrize("level", ["light", "strong"])
@pytest.mark.parametrize("dims", [2, 3])
def test_intensities_stay_in_range_and_change(level: str, dims: int) -> None:
    image = torch.rand((8, 1, *[16] * dims), generator=torch.Generator().manual_seed(0))
    settings = LEVELS[level]
    assert settings is not None
    moved, _ = augment(image, [], settings, torch.Generator().manual_seed(1))
    assert float(moved.min()) >= 0 and float(moved.max()) <= 1
    assert moved.shape == image.shape
    again, _ = augment(image, [], settings, torch.Generator().manual_seed(1))
    assert torch.equal(moved, again)
    other, _ = augment(image, [], settings, torch.Generator().manual_seed(2))
    assert not torch.equal(moved, other)


def test_other_ranges_are_kept() -> None:
    image = torch.rand((8, 1, 16, 16), generator=torch.Generator().manual_seed(0)) * 2000 - 1000
    strong = LEVELS["strong"]
    assert strong is not None
    moved, _ = augment(image, [], strong, torch.Generator().manual_seed(1), unit_range=False)
    assert -1001 < float(moved.min()) < -900
    assert 900 < float(moved.max()) < 1001
    constant, _ = augment(torch.full((2, 1, 16, 16), 70.0), [], strong, torch.Generator().manual_seed(1), unit_range=False)
    assert torch.allclose(constant, torch.tensor(70.0), atol=1e-3)


def test_beyond_an_image_of_another_range_its_edge_goes_on() -> None:
    image = torch.full((8, 1, 24, 24), 100.0)
    image[..., 8:16, 8:16] = -50
    moved, _ = augment(image, [], MOVES, torch.Generator().manual_seed(1), unit_range=False)
    rims = torch.cat([moved[..., 0, :], moved[..., -1, :], moved[..., 0], moved[..., -1]])
    assert float(rims.min()) > 99
    dark, _ = augment((image > 0).float(), [], MOVES, torch.Generator().manual_seed(1))
    assert float(dark[..., 0, :].min()) == 0  # casewise's own networks know 0 as what lies beyond


def test_an_outlier_does_not_make_the_changes_larger() -> None:
    image = torch.rand((8, 1, 24, 24), generator=torch.Generator().manual_seed(0))
    image[..., 12, 12] = 500
    only = Augmentation(rotation=0, scale=0, shift=0, bend=0, intensity=1)
    moved, _ = augment(image, [], only, torch.Generator().manual_seed(1), unit_range=False)
    others = torch.ones(24, 24, dtype=torch.bool)
    others[11:14, 11:14] = False
    assert 0.01 < float((moved - image)[..., others].std()) < 0.5
    assert float(moved[..., 12, 12].min()) > 400
