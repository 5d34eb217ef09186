"""Training with strokes as people draw them, objects that the border cuts, and networks that begin where another ended."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from casewise.interaction.simulation.pictures import Habits, SimulatedUser
from casewise.models.networks.prompt_unet import PromptUNet

GRIDS = ((1.0, 30.0, 60.0, 1.0),)


def disc(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.mgrid[:90, :90]
    truth = np.hypot(rows - 45, columns - 45) < rng.uniform(14, 20)
    return np.clip(0.2 + 0.6 * truth + rng.normal(0, 0.02, truth.shape), 0, 1).astype(np.float32), truth


def user(habits: Habits, size: int = 64) -> SimulatedUser:
    return SimulatedUser(disc, "discs", (size, size), habits)


def answered(source: SimulatedUser, step: int = 0) -> torch.Tensor:
    """The logits of a network that marks nothing."""
    shape = source.batch(step, 4, np.random.default_rng(step)).target.shape
    return torch.stack([torch.ones(shape), -torch.ones(shape)], dim=1)


def marked(source: SimulatedUser, step: int) -> tuple[np.ndarray, np.ndarray]:
    """(foreground, background) (N, row, column) after the answer to the box."""
    logits = answered(source, step)
    x = source.batch(step + 1, 4, np.random.default_rng(step + 1), logits).x.numpy()
    return x[:, 2] == 1, x[:, 3] == 1


def test_many_strokes_at_once_come_after_the_answer_to_the_box() -> None:
    habits = Habits(rounds=3, many=0, start=0, several=0, grids=GRIDS)
    alone, people = user(habits), user(replace(habits, at_once=1.0))
    both = 0
    for step in range(0, 30, 3):
        fore, back = marked(alone, step)
        assert fore.any(axis=(1, 2)).all() and not back.any(), "the protocol's one stroke, on what is missed"
        fore, back = marked(people, step)
        assert (fore | back).any(axis=(1, 2)).all()
        both += int((fore.any(axis=(1, 2)) & back.any(axis=(1, 2))).sum())
    assert both > 20


def test_a_persons_strokes_are_thicker() -> None:
    habits = Habits(rounds=3, many=0, start=0, several=0, grids=GRIDS)
    thin, free = (
        np.mean([marked(user(one), step)[0].sum(axis=(1, 2)).mean() for step in range(0, 15, 3)])
        for one in (habits, replace(habits, freely=1.0))
    )
    assert free > 1.3 * thin


def test_the_border_that_cuts_an_object_is_repeated_and_no_background() -> None:
    source = user(Habits(rounds=3, many=0, start=0, border=1.0, far_off=0, grids=GRIDS))
    cut_ones = 0
    for step in range(0, 12, 3):
        batch = source.batch(step, 4, np.random.default_rng(step))
        for x, truth in zip(batch.x.numpy(), batch.target.numpy().astype(bool), strict=True):
            image, box = x[0], x[1] > 0
            assert truth.any() and not (truth & ~box).any()
            for turn in range(4):
                seen, inside, object_ = (np.rot90(one, turn) for one in (image, box, truth))
                if inside[0].any():
                    cut_ones += 1
                    np.testing.assert_allclose(seen[0], seen[1], atol=0.05)
                    np.testing.assert_array_equal(object_[0], object_[1])
    assert cut_ones >= 8


def test_without_a_border_every_side_of_the_box_is_closed() -> None:
    source = user(Habits(rounds=3, grids=GRIDS))
    box = source.batch(0, 8, np.random.default_rng(0)).x.numpy()[:, 1] > 0
    assert not (box[:, 0].any() or box[:, -1].any() or box[:, :, 0].any() or box[:, :, -1].any())


def test_tasks_of_about_the_batchs_size_are_sought() -> None:
    def of_sizes(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        side = int(rng.choice((8, 60)))
        mask = np.zeros((100, 100), bool)
        mask[20 : 20 + side, 20 : 20 + side] = True
        return mask.astype(np.float32), mask

    def share_of_large(sought: bool) -> float:
        source = SimulatedUser(of_sizes, "squares", (32, 32), Habits(grids=((1.0, 60.0, 90.0, 1.0),), true_sized=sought))
        source._rng, source._sides = np.random.default_rng(0), (60.0, 90.0)
        return float(np.mean([source._sized()[1].sum() > 1000 for _ in range(100)]))

    assert share_of_large(True) > 0.9 > share_of_large(False) + 0.2


def test_a_network_with_more_begins_as_the_one_without() -> None:
    torch.manual_seed(0)
    plain = PromptUNet(2, 1, 2, [4, 8, 8], 7)
    wider = PromptUNet(2, 1, 2, [4, 8, 8], 7, context=8)
    known = plain.state_dict()
    missing = wider.load_state_dict(known, strict=False).missing_keys
    assert missing and all(name.startswith("context.") for name in missing)
    x = torch.rand(2, 8, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(wider(x), plain(x))
        for name, parameter in wider.named_parameters():
            if ".back." in name:
                torch.nn.init.normal_(parameter, std=0.1)
        assert not torch.allclose(wider(x), plain(x))
