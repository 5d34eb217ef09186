"""What a detector's network is trained on: candidates that are nodules, real or synthetic, and some that only look like one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from casewise.detection.polar import CHANNELS, RINGS, SECTORS
from casewise.models.preparation import Preparation
from casewise.models.spec import Spec

CLASSES = ("nothing", "nodule")
SHARES = (0.5, 0.27, 0.23)  # of a batch: nothing, a synthetic nodule, a real one


def spec(branch: str = "both", channels: tuple[int, ...] = (16, 24, 40)) -> Spec:
    """Of a network that takes a candidate's surroundings as :func:`casewise.detection.polar.surroundings` gives them."""
    network = {"kind": "polar", "branch": branch, "channels": list(channels)}
    preparation = Preparation(2, (RINGS, SECTORS), len(CHANNELS), "none")
    return Spec("classification", network, preparation, classes=CLASSES)


@dataclass(frozen=True, eq=False)
class Examples:
    """Batches for ``training.fit(source=…)``. x : (N, 5, 20, 24) float32. kind : (N,) 0 nothing, 1 synthetic, 2 real.

    name : what they were made from.
    """

    x: npt.NDArray[np.float32]
    kind: npt.NDArray[np.uint8]
    name: str

    @property
    def key(self) -> str:
        return f"examples:{self.name}:{len(self.kind)}"

    def batch(self, step: int, size: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """(x, classes (N,), ones): each turned by any angle, mirrored or not, its contrast a little changed."""
        kinds = [kind for kind in range(3) if np.any(self.kind == kind)]
        shares = np.array([SHARES[kind] for kind in kinds])
        counts = rng.multinomial(size, shares / shares.sum())
        numbers = np.concatenate(
            [rng.choice(np.flatnonzero(self.kind == kind), count) for kind, count in zip(kinds, counts, strict=True)]
        )
        x = np.stack(
            [np.roll(self.x[n], int(turn), axis=2) for n, turn in zip(numbers, rng.integers(SECTORS, size=size), strict=True)]
        )
        mirrored = rng.random(size) < 0.5
        x[mirrored] = x[mirrored][..., ::-1]
        gain = rng.uniform(0.8, 1.25, (size, 1, 1, 1)).astype(np.float32)
        return torch.from_numpy(x * gain), torch.from_numpy((self.kind[numbers] > 0).astype(np.int64)), torch.ones(size)

    def answered(self, step: int, logits: Tensor) -> None:
        """The examples stay the same whatever the network answers."""
