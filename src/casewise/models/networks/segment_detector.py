"""A detector of irregularities in segments: a pretrained encoder at several scales, and heads that are trained on what it sees.

The encoder sees a segment at its native resolution and at half of it, and the whole image at a quarter, which gives context (Huang
2017's skip from coarse to fine; Lin 2017's pyramid). Its weights stay as ImageNet left them, so that its features are computed once
an image, and the heads learn from a few dozen irregularities within minutes on a CPU. A detector of nodules is given besides what
networks of drawn ones see of the whole image (:mod:`casewise.models.networks.spots`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from casewise.errors import ModelError
from casewise.models.networks.efficient_net import STAGES, EfficientNetLite
from casewise.models.networks.spots import FEATURES, SpotNetworks

PLACE = 8  # native pixels a place of the answer, on each axis
ALIGNED = 64  # native pixels: places of the coarsest level
PLACED = 4  # channels that say where in the region a place lies
ENCODED = 5  # stages of the encoder
SPOTS = ENCODED  # in a stage's place: the networks of spots
GAIN = 0.3  # of local deviations, to the range that the encoder's weights were learnt with


class Level(NamedTuple):
    """One stage's output at one scale. reduced : native pixels a pixel that the encoder is given."""

    reduced: int
    stage: int

    @property
    def channels(self) -> int:
        return FEATURES if self.stage == SPOTS else STAGES[self.stage].channels

    @property
    def step(self) -> int:
        """Native pixels a place, after what is finer than a place is averaged."""
        return PLACE if self.stage == SPOTS else max(PLACE, self.reduced * STAGES[self.stage].reduction)


SEGMENT = (Level(1, 1), Level(1, 2), Level(1, 4), Level(2, 1), Level(2, 2), Level(2, 4))
WHOLE = (Level(4, 0), Level(4, 1), Level(4, 2), Level(4, 4))
DRAWN = Level(4, SPOTS)
BRANCHES: Mapping[str, tuple[Level, ...]] = {"reduced": WHOLE, "native": SEGMENT, "both": (*SEGMENT, *WHOLE)}
PARTS: Mapping[str, tuple[str, ...]] = {"reduced": ("reduced",), "native": ("native",), "both": ("native", "reduced")}


def levels_of(branch: str, spots: bool = False) -> tuple[Level, ...]:
    """What a detector of ``branch`` sees, finest scale first; with ``spots`` what those see of the whole image too."""
    return (*BRANCHES[branch], DRAWN) if spots and branch != "native" else BRANCHES[branch]


@dataclass(frozen=True)
class Reporting:
    """film_slope, film_shift : by which the log-odds of an image's best mark become those that it shows an irregularity at all.
    film_from : that probability from which any mark is reported. mark_from : what each must reach then.
    """

    film_slope: float = 1.0
    film_shift: float = 0.0
    film_from: float = 0.0
    mark_from: float = 0.0


Features = list[Tensor]  # of each level (N, channels, rows, columns), and last where each place lies (N, PLACED, rows, columns)


class SegmentDetector(nn.Module):
    """Input: :data:`Features`, or a batch of them as :func:`packed` makes it; output (N, outputs, rows, columns) logits of places.

    branch : what it sees: ``native`` segments, the ``reduced`` whole image, or ``both``. Each of these parts has a head of its own
    that learns alone, and their mean is the answer. width : channels of a scale; middle : of what joins them. members : heads of
    each part. spots : whether it sees what networks of spots see.
    ``spread`` and ``mean`` of the features are measured once (:meth:`measured`), before the heads are trained.
    """

    judge: nn.Linear | None  # of a second look at its marks
    reporting: Reporting
    mean: Tensor
    spread: Tensor

    def __init__(
        self, outputs: int, channels: Sequence[int] = (32, 48), branch: str = "both", members: int = 1, spots: bool = False
    ) -> None:
        super().__init__()
        if branch not in BRANCHES:
            msg = f"A detector of segments has a branch, one of {', '.join(BRANCHES)}; got {branch!r}."
            raise ModelError(msg)
        self.branch, self.levels = branch, levels_of(branch, spots)
        self.reporting = Reporting()
        self.judge = None  # not on the class, where it would be found before the module that is set
        self.encoder = EfficientNetLite(1, ENCODED)
        self.spots = SpotNetworks(2) if DRAWN in self.levels else None
        total = sum(level.channels for level in self.levels)
        self.register_buffer("mean", torch.zeros(total))
        self.register_buffer("spread", torch.ones(total))
        parts = [levels_of(part, spots) for _ in range(members) for part in PARTS[branch]]
        self.heads = nn.ModuleList(Head(levels, outputs, channels[0], channels[1]) for levels in parts)

    @property
    def native(self) -> bool:
        """Whether it sees segments at their native resolution."""
        return self.branch != "reduced"

    def encoded(self, pixels: Tensor, levels: Sequence[Level], reduced: int) -> Features:
        """Those of ``levels`` at one scale. pixels : (1, 1, rows, columns) in local deviations, edges multiples of ``ALIGNED``
        native pixels.
        """
        stages = self.encoder.levels_of(pixels * GAIN)
        found = []
        for level in (one for one in levels if one.reduced == reduced):
            if level.stage == SPOTS:
                found.append(self.seen_as_spots(pixels))
            else:
                finer = PLACE // (reduced * STAGES[level.stage].reduction)
                found.append(functional.avg_pool2d(stages[level.stage], finer) if finer > 1 else stages[level.stage])
        return found

    def seen_as_spots(self, pixels: Tensor) -> Tensor:
        if self.spots is None:
            raise ModelError("This detector has no networks of spots.")
        return self.spots.seen(pixels)

    def forward(self, x: Tensor | Features) -> Tensor:
        *levels, where = unpacked(x, self.levels) if isinstance(x, Tensor) else x
        standard: dict[Level, Tensor] = {}
        start = 0
        for level, values in zip(self.levels, levels, strict=True):
            stop = start + level.channels
            mean, spread = (numbers[start:stop, None, None] for numbers in (self.mean, self.spread))
            standard[level] = (values.float() - mean) / spread
            start = stop
        heads = [cast("Head", head) for head in self.heads]
        answers = [head([standard[level] for level in head.levels], where.float()) for head in heads]
        return torch.stack(answers).mean(dim=0)


class Head(nn.Module):
    """Each level brought to one width, added up scale by scale, and joined by two convolutions."""

    def __init__(self, levels: Sequence[Level], outputs: int, width: int, middle: int) -> None:
        super().__init__()
        self.levels = tuple(levels)
        self.scales = sorted({level.reduced for level in levels})
        self.lateral = nn.ModuleList(nn.Conv2d(level.channels, width, 1) for level in levels)
        self.joined = nn.Conv2d(width * len(self.scales) + PLACED, middle, 3, padding=1)
        self.wider = nn.Conv2d(middle, middle, 3, padding=2, dilation=2)
        self.answer = nn.Conv2d(middle, outputs, 1)
        self.dropped, self.few = nn.Dropout2d(0.2), nn.Dropout2d(0.1)
        rare = torch.full((outputs,), -2.0)
        rare[0] = 2.0
        self.answer.bias = nn.Parameter(rare)

    def forward(self, levels: Sequence[Tensor], where: Tensor) -> Tensor:
        shape = where.shape[2:]
        scales: dict[int, Tensor] = {}
        for level, lateral, x in zip(self.levels, self.lateral, levels, strict=True):
            y = lateral(self.few(x))
            if level.step > PLACE:
                y = functional.interpolate(y, scale_factor=level.step // PLACE, mode="bilinear", align_corners=False)
                y = y[..., : shape[0], : shape[1]]
            scales[level.reduced] = scales[level.reduced] + y if level.reduced in scales else y
        x = self.dropped(torch.cat([*(functional.relu(scales[scale]) for scale in self.scales), where], dim=1))
        x = self.dropped(functional.relu(self.joined(x)))
        answer: Tensor = self.answer(x + functional.relu(self.wider(x)))
        return answer


def packed(features: Features) -> Tensor:
    """(N, values): one row a sample, for trainings, whose inputs are one tensor. The window is square, its edge of ``ALIGNED``."""
    return torch.cat([part.flatten(1) for part in features], dim=1)


def unpacked(x: Tensor, levels: Sequence[Level]) -> Features:
    """What :func:`packed` was given. Raises ModelError for a row of a length that no square window has."""
    coarse = ALIGNED // PLACE
    each = [level.channels * (ALIGNED // level.step) ** 2 for level in levels] + [PLACED * coarse**2]
    blocks = x.shape[1] / sum(each)
    edge = round(blocks**0.5)
    if edge < 1 or edge**2 * sum(each) != x.shape[1]:
        raise ModelError(f"A detector of segments learns from square windows of {ALIGNED} pixels' multiples; got {tuple(x.shape)}.")
    parts = x.split([edge**2 * n for n in each], dim=1)
    steps = [level.step for level in levels] + [PLACE]
    channels = [level.channels for level in levels] + [PLACED]
    return [
        part.reshape(len(x), c, edge * (ALIGNED // step), edge * (ALIGNED // step))
        for part, c, step in zip(parts, channels, steps, strict=True)
    ]


def segment_detector(
    outputs: int,
    channels: Sequence[int],
    branch: str,
    members: int = 1,
    spots: bool = False,
    cues: int = 0,
    reporting: Reporting | None = None,
) -> SegmentDetector:
    """With ``cues``, beside it the weights by which its marks are looked at a second time, which its own answers do not depend on
    (:class:`casewise.chest.nodules.false_positive_reduction.FalsePositiveReducer`).
    """
    network = SegmentDetector(outputs, channels, branch, members, spots)
    network.reporting = reporting or Reporting()
    if cues:
        network.judge = nn.Linear(cues, 1)
    return network
