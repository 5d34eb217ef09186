"""What a detector's network is trained on: crops of real radiographs with nodules, real or synthetic, and most of them without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from casewise.case import Structure
from casewise.detection.nodules import Nodule, disc, insert
from casewise.detection.views import Floats, flipped
from casewise.models.preparation import Preparation
from casewise.models.spec import Spec

NODULE = "nodule"
CHANNELS = 17
EDGE = 144  # places of a crop: 101 mm
_STEP = 42.0  # grey values a local standard deviation, in what is kept


def spec(branch: str = "both", channels: tuple[int, ...] = (16, 32, 64, 96)) -> Spec:
    """Of a network that marks nodules in what :func:`casewise.detection.views.views` shows."""
    network = {"kind": "spots", "branch": branch, "channels": list(channels)}
    preparation = Preparation(2, (EDGE, EDGE), CHANNELS, "none")
    return Spec("segmentation", network, preparation, structures=(Structure.parse(NODULE),))


@dataclass(frozen=True, eq=False)
class Plane:
    """A radiograph or a part of it to cut crops from. seen : (17 or 1, rows, columns), see :class:`casewise.detection.views.View`.

    places : (rows, columns) bool, where a synthetic nodule may lie. real : nodules that are there, in places.
    """

    seen: Floats
    places: npt.NDArray[np.bool_]
    real: tuple[Nodule, ...] = ()


@dataclass(frozen=True, eq=False)
class Examples:
    """Batches for ``training.fit(source=…)``. x : (N, channels, EDGE, EDGE) uint8, 42 a local standard deviation about 128.

    y : (N, EDGE, EDGE) uint8, 1 where a nodule is. real : (N,) bool, of crops that show a real nodule, which make ``share`` of a
    batch. name : what they were made from.
    """

    x: npt.NDArray[np.uint8]
    y: npt.NDArray[np.uint8]
    real: npt.NDArray[np.bool_]
    name: str
    share: float = 0.3

    @property
    def key(self) -> str:
        return f"examples:{self.name}:{len(self.y)}:{self.share}"

    def batch(self, step: int, size: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """(x (size, 17, EDGE, EDGE), y, ones): mirrored or not, contrast and noise a little changed."""
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
        x *= rng.uniform(0.8, 1.25, (size, 1, 1, 1)).astype(np.float32)
        x += rng.standard_normal((size, 1, *x.shape[2:]), dtype=np.float32) * np.float32(rng.uniform(0, 0.08))
        if x.shape[1] == 1:  # of the whole image alone: what is not known of native pixels is never looked at
            x = np.concatenate([np.zeros((size, CHANNELS - 1, *x.shape[2:]), np.float32), x], axis=1)
        return torch.from_numpy(x), torch.from_numpy(y), torch.ones(y.shape)

    def answered(self, step: int, logits: Tensor) -> None:
        """The examples stay the same whatever the network answers."""


def examples(plane: Plane, count: int, real: int, nodules: int, rng: np.random.Generator) -> tuple[npt.NDArray[np.uint8], ...]:
    """(x, y, real): ``count`` crops of a plane with up to ``nodules`` synthetic nodules each; ``real`` further ones of each real
    nodule. Where crops show real nodules besides synthetic ones, all are marked.
    """
    shape = plane.places.shape
    discs = np.zeros(shape, bool)
    for nodule in plane.real:
        discs |= disc(shape, nodule)  # type: ignore[arg-type]
    rows, columns = np.nonzero(plane.places)
    centres = [(int(rows[n]), int(columns[n])) for n in rng.integers(len(rows), size=count)] if len(rows) else []
    centres += [(int(one.row), int(one.column)) for one in plane.real for _ in range(real)]
    x, y, shown = [], [], []
    for number, centre in enumerate(centres):
        window = tuple(_window(at, n, rng) for at, n in zip(centre, shape, strict=True))
        seen, places, marked = (_filled(values, window) for values in (plane.seen, plane.places, discs))
        changed, added, _ = insert(seen, places & ~marked, nodules if number < count else nodules // 2, rng)
        x.append(np.clip(np.rint(changed * _STEP + 128), 0, 255).astype(np.uint8))
        y.append((marked | added).astype(np.uint8))
        shown.append(bool(marked.any()))
    if not x:
        empty = np.zeros((0, EDGE, EDGE), np.uint8)
        return np.zeros((0, len(plane.seen), EDGE, EDGE), np.uint8), empty, np.zeros(0, np.uint8)
    return np.stack(x), np.stack(y), np.array(shown, np.uint8)


def joined(parts: Sequence[tuple[npt.NDArray[np.uint8], ...]], name: str) -> Examples:
    x, y, real = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return Examples(x, y, real.astype(bool), name)


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
