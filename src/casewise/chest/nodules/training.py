"""What a detector's network is trained on: crops of real radiographs with nodules, real or synthetic, and most of them without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from casewise.case import Structure
from casewise.chest.nodules.views import Floats, flipped
from casewise.models.preparation import Preparation
from casewise.models.spec import Spec
from casewise.models.tasks import Batch

NODULE = "nodule"
CHANNELS = 17
EDGE = 112  # places of a crop: 78 mm
_STEP = 42.0  # grey values a local standard deviation, in what is kept
_WEIGHT = 300.0  # places that every nodule counts as, whatever its size
_FOCUS = 2.0  # the focusing parameter of the focal loss (Lin 2017)
Parts = tuple[npt.NDArray[np.uint8], ...]


def spec(branch: str = "both", channels: tuple[int, ...] = (16, 32, 64, 96)) -> Spec:
    """Of a network that marks nodules in the views of :func:`casewise.chest.nodules.views.views`."""
    network = {"kind": "spots", "branch": branch, "channels": list(channels)}
    preparation = Preparation(2, (EDGE, EDGE), CHANNELS, "none")
    return Spec("segmentation", network, preparation, structures=(Structure.parse(NODULE),))


@dataclass(frozen=True)
class FocalObjective:
    """Implements :class:`casewise.training.objectives.Objective`: focal cross-entropy, a place's weight given by the examples.

    The overlap that a segmenter is trained on drives every mark to 0 or 1, so that no order is left among the doubtful.
    """

    measured: str = ""
    key: str = f"focal {_FOCUS}"

    def loss(self, answer: object, batch: Batch) -> Tensor:
        if not isinstance(answer, Tensor) or batch.voxel_weights is None:
            raise TypeError("A heat map is learnt from one tensor of logits, (N, 2, rows, columns), and a weight for every place.")
        odds = (answer[:, 1] - answer[:, 0]).float()
        wrong = torch.where(batch.target > 0, -odds, odds)
        return (torch.sigmoid(wrong) ** _FOCUS * functional.softplus(wrong) * batch.voxel_weights).mean()

    def measure(self, network: nn.Module) -> float:
        """Nothing is set aside while it trains."""
        return 0.0


@dataclass(frozen=True, eq=False)
class Examples:
    """Implements :class:`casewise.training.batches.Batches`.

    x : (N, channels, EDGE, EDGE) uint8, 42 a local standard deviation about 128.

    y : (N, EDGE, EDGE) uint8, 1 where a nodule is. real : (N,) bool, of crops with a real nodule, which make ``share`` of a
    batch. name : what they were made from. cases : keys of the cases they were made from.
    """

    x: npt.NDArray[np.uint8]
    y: npt.NDArray[np.uint8]
    real: npt.NDArray[np.bool_]
    name: str
    share: float = 0.3
    cases: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return f"examples:{self.name}:{len(self.y)}:{self.share}"

    def batch(self, step: int, size: int, rng: np.random.Generator, previous: Tensor | None = None) -> Batch:
        """X (size, 17, EDGE, EDGE), y and weights: mirrored or not, contrast and noise a little changed."""
        count = int(rng.binomial(size, self.share)) if self.real.any() else 0
        count = size if self.real.all() else count
        numbers = np.concatenate(
            [rng.choice(np.flatnonzero(of), many) for of, many in ((self.real, count), (~self.real, size - count)) if many]
        )
        x = (self.x[numbers].astype(np.float32) - 128) / _STEP
        y = self.y[numbers].astype(np.int64)
        for place in range(size):
            for axis in (1, 2):
                if rng.random() < (0.5 if axis == 2 else 0.25):
                    x[place], y[place] = flipped(x[place], axis), np.flip(y[place], axis - 1)
        x *= rng.uniform(0.7, 1.25, (size, 1, 1, 1)).astype(np.float32)
        x += rng.standard_normal((size, 1, *x.shape[2:]), dtype=np.float32) * np.float32(rng.uniform(0, 0.08))
        if x.shape[1] == 1:  # of the whole image alone: what is not known of native pixels is never looked at
            x = np.concatenate([np.zeros((size, CHANNELS - 1, *x.shape[2:]), np.float32), x], axis=1)
        weights = np.stack([_weights(one) for one in y])
        return Batch(torch.from_numpy(x), torch.from_numpy(y), voxel_weights=torch.from_numpy(weights))


def crops(
    seen: Floats,
    marked: npt.NDArray[np.bool_],
    real: npt.NDArray[np.bool_],
    centres: Sequence[tuple[float, float]],
    rng: np.random.Generator,
) -> Parts:
    """(x, y, real): a crop about each centre, moved at random, of what the detector sees of a radiograph or a part of it.

    seen : (17 or 1, rows, columns), see :class:`casewise.chest.nodules.views.View`. marked, real : (rows, columns), where nodules
    of any kind and real ones are.
    """
    shape = marked.shape
    x = np.zeros((len(centres), len(seen), EDGE, EDGE), np.uint8)
    y, holds_real = np.zeros((len(centres), EDGE, EDGE), np.uint8), np.zeros(len(centres), np.uint8)
    for number, centre in enumerate(centres):
        window = tuple(_window(int(at), n, rng) for at, n in zip(centre, shape, strict=True))
        x[number] = np.clip(np.rint(_filled(seen, window) * _STEP + 128), 0, 255)
        y[number] = _filled(marked | real, window)
        holds_real[number] = _filled(real, window).any()
    return x, y, holds_real


def joined(parts: Sequence[Parts], name: str, share: float = 0.3, cases: Sequence[str] = ()) -> Examples:
    x, y, real = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return Examples(x, y, real.astype(bool), name, share, tuple(cases))


def _weights(marked: npt.NDArray[np.int64]) -> Floats:
    """(rows, columns): 1, and on a nodule so much more or less that every nodule counts the same."""
    from scipy.ndimage import label

    parts, count = label(marked)
    if not count:
        return np.ones(marked.shape, np.float32)
    weights = np.clip(_WEIGHT / np.bincount(parts.ravel()), 0.3, 6)
    weights[0] = 1
    return np.asarray(weights[parts], np.float32)


def _window(centre: int, length: int, rng: np.random.Generator) -> tuple[int, int]:
    """(start, stop) of a crop about a centre, moved by up to a third of its edge; beyond the plane only where that is smaller."""
    start = centre - EDGE // 2 + int(rng.integers(-EDGE // 3, EDGE // 3 + 1))
    start = max(0, min(start, length - EDGE))
    return start, start + EDGE


def _filled(values: npt.NDArray[Any], window: tuple[tuple[int, int], ...]) -> npt.NDArray[Any]:
    (top, bottom), (left, right) = window
    cut = values[..., top:bottom, left:right]
    missing = [(0, EDGE - n) for n in cut.shape[-2:]]
    return np.pad(cut, [(0, 0)] * (values.ndim - 2) + missing)
