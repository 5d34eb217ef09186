"""What a detector's heads are trained on: windows of segments, as the network's frozen encoder sees them.

An irregularity lies whole in at least one segment and partly in an overlap of two (:func:`casewise.segments.segments`), the heart's
segment is one of them, and each is seen in several variants of its image.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from casewise.case import Structure
from casewise.errors import ModelError
from casewise.image import Box
from casewise.irregularities.views import Floats, Mask, View
from casewise.models import Model
from casewise.models.networks.segment_detector import ALIGNED, PARTS, PLACE, PLACED, levels_of, packed, unpacked
from casewise.models.preparation import Preparation
from casewise.models.spec import Spec
from casewise.models.tasks import Batch
from casewise.training import Settings

WINDOW = 48  # places of a window's edge: 384 native pixels, 67 mm of a radiograph
MOVED = 14  # places that a window's middle is moved by, at most
ELSEWHERE = 1  # windows of a segment that are drawn anywhere in it
ABOUT = 2  # windows about each irregularity in it, times its weight
LEAST = 16.0  # pixels: of an irregularity's radius, that it covers a few places
_EVEN = 100.0  # places that every irregularity counts as, whatever its size
_NEAR = 0.3  # weight of the places around it, whose border nobody can draw
_FOCUS = 2.0  # the focusing parameter of the focal loss (Lin 2017)
Row = tuple[npt.NDArray[np.float16], Mask, npt.NDArray[np.float16]]  # x, y, weights of a window
SETTINGS = Settings(steps=600, batch=8, rate=2e-3, weight_decay=1e-2, augmentation="none", mixed=True)


@dataclass(frozen=True)
class Irregularity:
    """Its box in the image's pixels; it is taken for the ellipse in it. weight : against others."""

    box: Box
    weight: float = 1.0


def spec(
    name: str,
    branch: str = "both",
    channels: tuple[int, int] = (32, 48),
    pixel_mm: float = 0.0,
    placing: str = "region",
    spots: bool = False,
) -> Spec:
    """Of a detector of irregularities called ``name``. placing : ``region`` or ``lungs``, what its places are measured by.
    spots : whether it sees what networks of drawn nodules see, too, where it sees the whole image.
    """
    network = {"kind": "segment_detector", "branch": branch, "channels": list(channels), "pixel_mm": pixel_mm, "placing": placing}
    network |= {"spots": True} if spots else {}
    values = sum(level.channels for level in levels_of(branch, spots)) + PLACED
    return Spec("segmentation", network, Preparation(2, (WINDOW, WINDOW), values, "none"), structures=(Structure.parse(name),))


@dataclass(frozen=True)
class FocalObjective:
    """Implements :class:`casewise.training.objectives.Objective`: focal cross-entropy, a place's weight given by the batch.

    The overlap that a segmenter is trained on drives every mark to 0 or 1, so that no order is left among the doubtful.
    """

    measured: str = ""
    key: str = f"focal {_FOCUS}"

    def loss(self, answer: object, batch: Batch) -> Tensor:
        if not isinstance(answer, Tensor) or batch.voxel_weights is None:
            raise TypeError("A detector is learnt from one tensor of logits, (N, 2, rows, columns), and a weight for every place.")
        odds = (answer[:, 1] - answer[:, 0]).float()
        wrong = torch.where(batch.target > 0, -odds, odds)
        return (torch.sigmoid(wrong) ** _FOCUS * functional.softplus(wrong) * batch.voxel_weights).sum() / len(odds) / _EVEN

    def measure(self, network: nn.Module) -> float:
        """Nothing is set aside while it trains."""
        return 0.0


@dataclass(frozen=True, eq=False)
class Windows:
    """Implements :class:`casewise.training.batches.Batches`.

    x : float16 rows of :func:`casewise.models.networks.segment_detector.packed`. y : (WINDOW, WINDOW) bool, where irregularities
    are. weights : (WINDOW, WINDOW) float16. name : what they were made from and how. share : of a batch that are windows with an
    irregularity. cases : keys of the cases that they were made from. columns : of the rows that are shown.
    """

    x: list[npt.NDArray[np.float16]]
    y: list[Mask]
    weights: list[npt.NDArray[np.float16]]
    name: str
    share: float = 0.6
    cases: tuple[str, ...] = ()
    columns: tuple[slice, ...] = (slice(None),)

    @property
    def key(self) -> str:
        return f"windows:{self.name}:{len(self.y)}:{self.share}:{[(one.start, one.stop) for one in self.columns]}"

    def seen_by(self, part: str, spots: bool = False) -> Windows:
        """The same windows of ``both`` parts as one of them sees them."""
        levels = levels_of("both", spots)
        ends = np.cumsum([level.channels * (WINDOW * PLACE // level.step) ** 2 for level in levels] + [PLACED * WINDOW**2])
        starts = [0, *ends[:-1]]
        own = [number for number, level in enumerate(levels) if level in levels_of(part, spots)]
        return replace(self, columns=tuple(slice(int(starts[n]), int(ends[n])) for n in (*own, len(levels))))

    def rows(self, numbers: Iterable[int]) -> Tensor:
        """(N, values) float32, as they are shown."""
        chosen = [np.concatenate([self.x[n][columns] for columns in self.columns]) for n in numbers]
        return torch.from_numpy(np.stack(chosen).astype(np.float32))

    @cached_property
    def _kinds(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Numbers of the windows with an irregularity, and of those without."""
        held = np.array([bool(one.any()) for one in self.y])
        return np.flatnonzero(held), np.flatnonzero(~held)

    def batch(self, step: int, size: int, rng: np.random.Generator, previous: Tensor | None = None) -> Batch:
        with_one, without = self._kinds
        count = int(rng.binomial(size, self.share)) if len(with_one) and len(without) else size if len(with_one) else 0
        numbers = [*rng.choice(with_one, count)] if count else []
        numbers += [*rng.choice(without, size - count)] if size > count else []
        y, weights = (np.stack([values[n] for n in numbers]) for values in (self.y, self.weights))
        return Batch(
            self.rows(numbers),
            torch.from_numpy(y.astype(np.int64)),
            voxel_weights=torch.from_numpy(weights.astype(np.float32)),
        )


def windows(view: View, irregularities: Sequence[Irregularity], rng: np.random.Generator) -> list[Row]:
    """(x, y, weights) of windows of one view: some about each irregularity in it, some anywhere."""
    y, weights, middles = _truth(view, irregularities)
    middles += _drawn(view.inside, ELSEWHERE, rng)
    found = []
    for middle in middles:
        start = tuple(_start(at, n, rng) for at, n in zip(middle, y.shape, strict=True))
        parts = [_cut(part[0].float().cpu().numpy(), start, y.shape[0] / part.shape[2]) for part in view.features]
        row = packed([torch.from_numpy(part)[None] for part in parts])[0].numpy().astype(np.float16)
        found.append((row, _cut(y, start), _cut(weights, start).astype(np.float16)))
    return found


def joined(parts: Iterable[Row], name: str, cases: Sequence[str]) -> Windows:
    x, y, weights = (list(column) for column in zip(*parts, strict=True))
    return Windows(x, y, weights, name, cases=tuple(cases))


def measured(model: Model, samples: Windows) -> Model:
    """``model`` with the mean and the spread of every feature over ``samples``, by which it brings them to one scale."""
    levels = levels_of(str(model.spec.network["branch"]), bool(model.spec.network.get("spots")))
    parts = unpacked(samples.rows(range(0, len(samples.y), max(1, len(samples.y) // 60))), levels)[:-1]
    mean = torch.cat([part.mean(dim=(0, 2, 3)) for part in parts])
    spread = torch.cat([part.std(dim=(0, 2, 3)) for part in parts]) + 1e-3
    return replace(model, weights={**model.weights, "mean": mean, "spread": spread})


def started(name: str, described: Spec, seed: int = 0) -> Model:
    """A detector whose encoder is the pretrained one and whose head is untrained; its networks of spots are the shipped ones."""
    from casewise.models.networks.efficient_net import EfficientNetLite
    from casewise.models.networks.segment_detector import ENCODED
    from casewise.models.networks.spots import SpotNetworks, trained_on

    model = Model.initial(name, described, seed)
    learnt = {f"encoder.{key}": value for key, value in EfficientNetLite(1, ENCODED).pretrained().state_dict().items()}
    lineage = model.lineage
    if any(key.startswith("spots.") for key in model.weights):
        learnt |= {f"spots.{key}": value for key, value in SpotNetworks(2).pretrained().state_dict().items()}
        lineage = replace(lineage, trained_on=lineage.trained_on | trained_on())
    return replace(model, weights={**model.weights, **learnt}, lineage=lineage)


def together(models: Sequence[Model]) -> Model:
    """One detector of models that learnt alone, each with one head over the same encoder: as many of each part that was seen.

    Raises ModelError where a model sees both parts already, or one part has more models.
    """
    by_part = {part: [model for model in models if model.spec.network["branch"] == part] for part in PARTS["both"]}
    found = [each for each in by_part.values() if each]
    if sum(map(len, found)) != len(models) or len({len(each) for each in found}) != 1:
        raise ModelError("Detectors are joined of as many that see the reduced image as see native segments, or of one kind alone.")
    branch = "both" if len(found) > 1 else str(models[0].spec.network["branch"])
    described = spec_of(models[0].spec, branch, members=len(found[0]))
    weights = {name: value for name, value in models[0].weights.items() if not name.startswith("heads.")}
    weights |= {name: value for model in models for name, value in model.weights.items() if name.startswith("spots.")}
    weights |= {name: torch.cat([each[0].weights[name] for each in found]) for name in ("mean", "spread")}
    for number, model in enumerate(model for each in zip(*found, strict=True) for model in each):
        weights |= {f"heads.{number}.{k[8:]}": v for k, v in model.weights.items() if k.startswith("heads.0.")}
    trained_on: frozenset[str] = frozenset().union(*(model.trained_on for model in models))
    return Model(models[0].name, described, weights, replace(models[-1].lineage, trained_on=trained_on))


def spec_of(described: Spec, branch: str, members: int = 1) -> Spec:
    """``described`` of a detector that sees another ``branch``."""
    values = sum(level.channels for level in levels_of(branch, bool(described.network.get("spots")))) + PLACED
    network = {**described.network, "branch": branch} | ({"members": members} if members > 1 else {})
    return replace(described, network=network, preparation=replace(described.preparation, channels=values))


def _truth(view: View, irregularities: Sequence[Irregularity]) -> tuple[Mask, Floats, list[tuple[int, int]]]:
    """(where they are, weights, their middles) in a view's places."""
    y, weights = np.zeros(view.inside.shape, bool), view.inside.astype(np.float32)
    middles = []
    rows, columns = view.centres
    for one in irregularities:
        middle = [(a + b) / 2 for a, b in zip(one.box.lower, one.box.upper, strict=True)]
        radii = [max(n * 0.45, LEAST) for n in one.box.shape]
        away = np.hypot((rows[:, None] - middle[0]) / radii[0], (columns[None] - middle[1]) / radii[1])
        own = away <= 1
        count = int((own & view.inside).sum())
        weights[(away <= 1.6) & ~own & ~y] *= _NEAR
        if count:
            y |= own
            weights[own] = one.weight * float(np.clip(_EVEN / count, 0.3, 6))
            place = int((middle[0] - rows[0]) / PLACE), int((middle[1] - columns[0]) / PLACE)
            middles += [place] * max(1, round(ABOUT * one.weight))
    return y, weights, middles


def _drawn(inside: Mask, count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    rows, columns = np.nonzero(inside)
    return [(int(rows[n]), int(columns[n])) for n in rng.integers(len(rows), size=count)] if len(rows) else []


def _start(middle: int, length: int, rng: np.random.Generator) -> int:
    """Of a window about a middle, moved at random; on the grid of the coarsest level."""
    coarse = ALIGNED // PLACE
    start = middle - WINDOW // 2 + int(rng.integers(-MOVED, MOVED + 1))
    return max(0, min(round(start / coarse) * coarse, (length - WINDOW) // coarse * coarse))


def _cut(values: npt.NDArray[Any], start: tuple[int, ...], step: float = 1.0) -> npt.NDArray[Any]:
    """A window (…, WINDOW, WINDOW) of places, of a level whose places are ``step`` times as wide; 0 beyond the segment."""
    factor = round(step)
    edge = WINDOW // factor
    low = [n // factor for n in start]
    cut = values[..., low[0] : low[0] + edge, low[1] : low[1] + edge]
    missing = [(0, edge - n) for n in cut.shape[-2:]]
    return np.pad(cut, [(0, 0)] * (values.ndim - 2) + missing)
