"""From what is marked in a region to the network's answer about it."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import expit
from torch import Tensor, nn

from casewise.device import computes_in_bfloat16
from casewise.errors import ModelError
from casewise.interaction.expected_dice import at_best_threshold, expected_dice
from casewise.interaction.fine_tuning import FineTuning, graph_cut_mask, tuned, wholly_tuned
from casewise.interaction.image_head import ImageHead
from casewise.interaction.prompt_maps import PromptMaps
from casewise.models.model import Model
from casewise.models.networks import INTERACTIVE
from casewise.models.tasks import Interactive

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_BATCH = 16  # planes of a volume at once
_SURE = 8.0  # the logit that a graph cut's label is given
_MIRRORED: tuple[tuple[int, ...], ...] = ((), (1,), (2,), (1, 2))  # axes of (channel, row, column)
_UNSURE = 0.65  # of the expected Dice, below which a network hardly knows what the object is
_SURER = 0.03  # of the expected Dice, by which something else must lead to more
_FEWER = 1.5  # times the network's grid from which on pictures are predicted on one of their sides alone


@dataclass(frozen=True, eq=False)
class Predictor:
    """An interactive model, ready to predict; ``mirrored``: pictures are predicted in their mirror images and on their side too,
    and the logits averaged, but for a model whose settings say that it answers ``upright`` ones. ``best``: after the box alone,
    where a network is least sure, the mask is the one of greatest expected Dice; after strokes it is what is more likely than not.

    Raises ModelError for a model of another kind.
    """

    model: Model
    device: str
    fine_tuning: FineTuning
    mirrored: bool = True
    best: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.model.kind, Interactive):
            msg = (
                f"Model {self.model.name} takes no box and no strokes; interactive networks are of the kinds "
                f"{', '.join(INTERACTIVE)}, and one comes with casewise: interactive_2d."
            )
            raise ModelError(msg)

    @cached_property
    def _kind(self) -> Interactive:
        return Interactive(self.model.spec)

    @property
    def size(self) -> tuple[int, ...]:
        """The network's grid."""
        return self.model.spec.preparation.size

    @cached_property
    def _network(self) -> nn.Module:
        return self.model.ready(self.device)

    @cached_property
    def _fast(self) -> nn.Module | None:
        """The network in bfloat16, where that is faster; one border voxel in a thousand comes out otherwise."""
        return _in_bfloat16(self._network) if self.device == "cpu" and computes_in_bfloat16() else None

    def logits(self, maps: PromptMaps, previous: Floats) -> Floats:
        """(*grid) logits of the object, from the prompt maps of one crop; ``previous`` (*grid) is the former probability, 0
        without one.

        Several channels (sequences) are answered each by itself and their logits averaged.
        """
        if maps.box.ndim == 3 and self.model.spec.preparation.spatial_dims == 3:
            msg = f"Model {self.model.name} takes volumes, and this image is a picture; choose a model for pictures."
            raise ModelError(msg)
        answers = [self._channel(maps, previous, channel) for channel in range(maps.images.shape[1])]
        logits: Floats = np.mean(answers, axis=0, dtype=np.float32) if len(answers) > 1 else answers[0]
        if self.best and not maps.foreground.any() and not maps.background.any():
            logits = at_best_threshold(logits, maps.box[0])
        if self.fine_tuning.graph_cut:
            mask = graph_cut_mask(maps, expit(logits), self.fine_tuning)
            logits = np.where(mask == (logits > 0), logits, np.where(mask, _SURE, -_SURE)).astype(np.float32)
        return logits

    def surer(self, maps: PromptMaps, former: Floats, supposed: Floats) -> Floats:
        """(*grid) :meth:`logits` with ``supposed`` in the place of the ``former`` probability where the network is unsure with this
        and clearly surer with that, by the expected Dice of its answer to the picture as it lies; else with the former one.
        """
        sure = self._sureness(maps, former)
        changes = sure < _UNSURE and self._sureness(maps, supposed) > sure + _SURER
        return self.logits(maps, supposed if changes else former)

    def _sureness(self, maps: PromptMaps, former: Floats) -> float:
        return expected_dice(self.one_view.logits(maps, former), maps.box[0])

    def supposes(self, maps: PromptMaps) -> bool:
        """Whether, of an answer that strokes contradict, something else is supposed: in pictures, and in one plane of a volume."""
        return self.fine_tuning.heads(maps) and self.fine_tuning.supposition

    def fitted(self, head: ImageHead, maps: PromptMaps, evidence: tuple[Mask, Mask], logits: Floats) -> Floats | None:
        """(*grid) logits fitted to this image's strokes; None where ``logits``, the network's own, stand. evidence : the strokes
        by which that is decided, (object, rest), each (*grid) bool.
        """
        how = self.fine_tuning
        if not how.heads(maps):
            return None
        return head.chosen(maps, evidence, logits, self.one_view.logits) if how.acceptance else head.fitted(maps, logits)

    def extended(self, head: ImageHead, maps: PromptMaps, logits: Floats) -> Floats:
        """(*grid) ``logits``, the network's own, carried to what looks like the strokes; themselves where that is not wanted."""
        return head.extended(maps, logits) if self.fine_tuning.extends else logits

    @cached_property
    def one_view(self) -> Predictor:
        """Eight times as fast, for what is only compared."""
        return replace(self, mirrored=False)

    def _channel(self, maps: PromptMaps, previous: Floats, channel: int) -> Floats:
        x = torch.from_numpy(maps.channels(previous[None], self._kind.prompts)[0])
        prompts = maps.images.shape[1]
        x = torch.cat([x[channel : channel + 1], x[prompts:]])
        keep = self.fine_tuning.wanted(maps)
        planar = self.model.spec.preparation.spatial_dims == 2 and x.ndim == 4
        logits, features = self._by_plane(x, maps, keep) if planar else self._whole(x, keep)
        if keep and self.fine_tuning.trainable == "all":
            return wholly_tuned(self.model, x, maps, logits, self.fine_tuning)
        if keep and features is not None:
            head = {name: tensor.cpu() for name, tensor in self._network.head.state_dict().items()}  # type: ignore[union-attr]
            return tuned(head, features, maps, logits, self.fine_tuning)
        return logits

    def _whole(self, x: Tensor, keep: bool) -> tuple[Floats, Tensor | None]:
        if self.mirrored and not self._kind.settings.upright and x.ndim == 3 and not keep:
            ways = self._ways(x)
            _, answers = self._run(torch.stack([_seen(x, *way) for way in ways]), keep)
            return np.mean([_as_it_lies(one, *way) for one, way in zip(answers, ways, strict=True)], axis=0, dtype=np.float32), None
        features, logits = self._run(x[None], keep)
        return logits[0], None if features is None else features[0]

    def _ways(self, x: Tensor) -> list[tuple[bool, tuple[int, ...]]]:
        """(on its side, mirrored axes) of each view of x (channel, row, column): eight, so that a picture that is turned is
        answered alike; on a finer grid, where a view costs four times as much, four, from the side on which it lies.
        """
        if x.shape[-1] != x.shape[-2]:
            sides = [False]
        elif x.shape[-1] < _FEWER * self.size[-1]:
            sides = [False, True]
        else:
            sides = [_lies(x[0])]
        return [(side, way) for side in sides for way in _MIRRORED]

    def _by_plane(self, x: Tensor, maps: PromptMaps, keep: bool) -> tuple[Floats, Tensor | None]:
        """The planes of a volume that the box meets, each by the network for pictures; the others are surely background."""
        within = np.flatnonzero(maps.box[0].any(axis=(0, 1)))
        logits = np.full(maps.box[0].shape, -_SURE, np.float32)
        features = None
        for start in range(0, len(within), _BATCH):
            chosen = within[start : start + _BATCH]
            found, answers = self._run(x[..., chosen].movedim(-1, 0), keep)
            logits[..., chosen] = np.moveaxis(answers, 0, -1)
            if found is not None:
                features = torch.zeros(found.shape[1], *logits.shape) if features is None else features
                features[..., torch.from_numpy(chosen)] = found.movedim(0, -1)
        return logits, features

    def _run(self, x: Tensor, keep: bool) -> tuple[Tensor | None, Floats]:
        """(features (N, F + 1, *grid) where they are wanted, logits (N, *grid))."""
        with torch.inference_mode():
            if self._fast is not None and not keep:
                answer = self._fast(x.to(torch.bfloat16)).float()
                return None, (answer[:, 1] - answer[:, 0]).numpy()
            features = self._network.features(x.contiguous().to(self.device))  # type: ignore[operator]
            answer = self._network.head(features)  # type: ignore[operator]
        logits: Floats = (answer[:, 1] - answer[:, 0]).float().cpu().numpy()
        return (features.float().cpu().clone() if keep else None), logits


@lru_cache(maxsize=4)
def _in_bfloat16(network: nn.Module) -> nn.Module:
    """A copy that all sessions with the network share."""
    fast = copy.deepcopy(network).to(torch.bfloat16)
    for module in fast.modules():
        if isinstance(module, nn.Conv2d):
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack this form
    return fast


def _seen(x: Tensor, on_its_side: bool, way: tuple[int, ...]) -> Tensor:
    return (x.transpose(1, 2) if on_its_side else x).flip(way)


def _as_it_lies(answer: Floats, on_its_side: bool, way: tuple[int, ...]) -> Floats:
    """The way back of an answer (row, column)."""
    upright = np.flip(answer, tuple(axis - 1 for axis in way))
    return upright.T if on_its_side else upright


def _lies(picture: Tensor) -> bool:
    """Whether the brightness of (row, column) spreads further along its rows than along its columns."""
    spreads = []
    for axis in (0, 1):
        profile = picture.sum(dim=1 - axis).double()
        places = torch.arange(len(profile), dtype=torch.float64)
        centre = (profile * places).sum() / profile.sum().clamp_min(1e-9)
        spreads.append(float((profile * (places - centre) ** 2).sum()))
    return spreads[1] > spreads[0]
