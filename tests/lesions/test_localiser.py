"""What draws the map, and what it is trained by."""

from __future__ import annotations

import numpy as np
import torch

from casewise.lesions.batches import LesionBatch, LesionObjective, SliceSampling
from casewise.lesions.prepared import Slices
from casewise.models.networks.lesion_localiser import Localiser
from casewise.models.networks.lesion_parts import LesionAnswer

SIZE = 32


def spots(bright: list[bool], seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures of noise and a spot; in those that are not bright everything is dimmed alike, and the spot is no lesion."""
    generator = torch.Generator().manual_seed(seed)
    x = 0.3 + 0.05 * torch.randn((len(bright), 1, SIZE, SIZE), generator=generator)
    x[:, :, 12:18, 12:18] += 0.4
    mask = torch.zeros((len(bright), SIZE, SIZE))
    for number, own in enumerate(bright):
        if own:
            mask[number, 12:18, 12:18] = 1
        else:
            x[number] *= 0.5
    return x, mask


def test_what_is_brightest_but_not_bright_is_distinguished_from_a_lesion() -> None:
    torch.manual_seed(0)
    network = Localiser(1, 1, (8, 16), 2)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    for step in range(60):
        x, mask = spots([True, False] * 4, step)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(network(x)[:, 0], mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    x, mask = spots([True, False], 1000)
    chance = network(x)[:, 0].sigmoid()
    assert chance[0][mask[0] > 0].mean() > 0.7
    assert chance[1].max() < 0.4


def test_before_any_training_nearly_nothing_is_a_lesion() -> None:
    torch.manual_seed(0)
    chance = Localiser(2, 1, (8, 16), 2)(torch.rand(3, 2, 29, 31))[:, 0].sigmoid()
    assert chance.shape == (3, 29, 31)
    assert float(chance.detach().mean()) < 0.2


def test_a_small_lesion_missed_weighs_although_a_large_one_beside_it_is_right() -> None:
    x, mask = np.full((2, 1, SIZE, SIZE), 0.5, np.float16), np.zeros((2, SIZE, SIZE), np.uint8)
    mask[0, 4:28, 4:28], mask[1, 10:13, 10:13] = 1, 1
    sampling = SliceSampling(("no lesion", "kind"), ("FLAIR",), (0,), part="localise")
    objective = LesionObjective(sampling, [Slices(x, mask, "kind", (0, 1), ())])
    target = torch.from_numpy(mask).float()

    def loss(predicted: torch.Tensor) -> float:
        batch = LesionBatch(torch.from_numpy(x), target, verdicts=torch.ones(2).long(), there=torch.ones(2, 1, dtype=torch.bool))
        return float(objective.loss(LesionAnswer(torch.logit(predicted.clamp(1e-4, 1 - 1e-4)), torch.zeros(2, 2)), batch))

    missed = target.clone()
    missed[1] = 0
    assert loss(missed) > loss(target) + 0.2
