"""What a detector's network is trained on: crops with a nodule, real or synthetic, and crops that only look like one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from casewise.detection.crops import EDGE
from casewise.models.preparation import Preparation
from casewise.models.spec import Spec

CLASSES = ("nothing", "nodule")
SHARES = (0.5, 0.27, 0.23)  # of a batch: nothing, a synthetic nodule, a real one


def spec(branch: str = "both", channels: Sequence[int] = (16, 24, 40, 64)) -> Spec:
    """Of a network that takes crops as :func:`casewise.detection.crops.crop` cuts them, divided by 255."""
    network = {"kind": "twin", "branch": branch, "channels": list(channels)}
    return Spec("classification", network, Preparation(2, (EDGE, EDGE), 2, "none"), classes=CLASSES)


@dataclass(frozen=True, eq=False)
class Crops:
    """Batches for ``training.fit(source=…)``. pixels : (N, 2, 192, 192) uint8. kind : (N,) 0 nothing, 1 synthetic, 2 real.

    name : what the crops were made from.
    """

    pixels: Sequence[npt.NDArray[np.uint8]]
    kind: npt.NDArray[np.uint8]
    name: str

    @property
    def key(self) -> str:
        return f"crops:{self.name}:{len(self.kind)}"

    def batch(self, step: int, size: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """(x (N, 2, 192, 192) from 0 to 1, classes (N,), ones)."""
        kinds = [kind for kind in range(3) if np.any(self.kind == kind)]
        shares = np.array([SHARES[kind] for kind in kinds])
        numbers = [
            int(rng.choice(np.flatnonzero(self.kind == kind))) for kind in rng.choice(kinds, size=size, p=shares / shares.sum())
        ]
        x = torch.from_numpy(np.stack([self._mirrored(n, rng) for n in numbers])).float() / 255
        # A film's contrast and exposure, as far as they are left; turning and stretching are left to the synthetic nodules.
        gain = torch.from_numpy(rng.uniform(0.8, 1.25, (size, 2, 1, 1)).astype(np.float32))
        offset = torch.from_numpy(rng.uniform(-0.04, 0.04, (size, 2, 1, 1)).astype(np.float32))
        x = ((x - 0.5) * gain + 0.5 + offset).clamp(0, 1)
        target = torch.tensor([int(self.kind[n] > 0) for n in numbers])
        return x, target, torch.ones(size)

    def _mirrored(self, number: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        return self.pixels[number][:, :, ::-1] if rng.random() < 0.5 else self.pixels[number]

    def answered(self, step: int, logits: Tensor) -> None:
        """The crops stay the same whatever the network answers."""
