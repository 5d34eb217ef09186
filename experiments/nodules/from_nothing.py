"""The same network with a pretrained encoder that stays, with one that is trained on, and from nothing: the whole film reduced.

All three are given the same windows' pixels in the same steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from casewise.chest.segments import PIXEL_MM
from casewise.device import faster
from casewise.irregularities.training import SETTINGS, WINDOW, FocalObjective, Row, Windows, joined, spec, started
from casewise.irregularities.views import QUARTER
from casewise.models import Lineage, Model
from casewise.models.networks.efficient_net import Convolution
from casewise.models.networks.segment_detector import GAIN, PLACE, PLACED, Features, Level, SegmentDetector
from experiments import store
from experiments.nodules.films import Film, films, prepared
from experiments.nodules.networks import NAME, NODULE, VARIANTS, variant
from experiments.nodules.second_look import folds, rest

WORK = store.WORK / "similar"
ARM = "reduced"
SHUFFLED = PLACE // QUARTER  # pixels of the reduced film a place, on each axis
FROZEN, TUNED, NOTHING = "frozen", "tuned", "nothing"
ENCODERS = (FROZEN, TUNED, NOTHING)
RATES = {FROZEN: 0.0, TUNED: 2e-4, NOTHING: 1e-3}  # of the encoder; the heads learn by SETTINGS.rate
STEPS = 300


class Pixels(SegmentDetector):
    """Gives the pixels of the reduced film themselves, those of a place as channels."""

    def __init__(self) -> None:
        super().__init__(2, branch=ARM)
        self.levels = (Level(QUARTER, 0),)

    def encoded(self, pixels: Tensor, levels: Sequence[Level], reduced: int) -> Features:
        return [functional.pixel_unshuffle(pixels.float(), SHUFFLED)]


def opened(network: SegmentDetector, x: Tensor) -> Features:
    """What ``network`` sees of windows that :class:`Pixels` packed."""
    parts = x.reshape(len(x), SHUFFLED**2 + PLACED, WINDOW, WINDOW).split([SHUFFLED**2, PLACED], dim=1)
    return [*network.encoded(functional.pixel_shuffle(parts[0], SHUFFLED), network.levels, QUARTER), parts[1]]


def pixel_rows(film: Film) -> list[Row]:
    """The windows of :func:`networks.rows`, one by one, as pixels; kept on disk. None of a film that the application refuses."""

    def made() -> dict[str, np.ndarray]:
        ready = prepared(film)
        found = [] if ready is None else [row for n in range(VARIANTS) for row in variant(film, ready, n, _pixels())]
        return {name: np.stack([row[place] for row in found]) for place, name in enumerate("xyw")} if found else {}

    kept = store.arrays(WORK / "pixels" / f"{film.folder}-{film.path.stem}.npz", made)
    return list(zip(kept["x"], kept["y"], kept["w"], strict=True)) if "x" in kept else []


@cache
def _pixels() -> Pixels:
    return Pixels()


def fold_network(number: int, encoder: str, seed: int = 0) -> Model:
    """Trained without a fold's films; kept on disk."""
    return store.model(WORK / "folds" / f"{number}-{encoder}-{seed}", lambda: train(samples_of(learnt_from(number)), encoder, seed))


def learnt_from(number: int) -> list[Film]:
    """Of JSRT, outside a fold: all films with a nodule, and of the folder ``jsrt`` those without."""
    return [film for film in rest(folds(films()), number) if film.site == "JSRT" and (film.nodules or film.folder == "jsrt")]


def samples_of(chosen: Sequence[Film]) -> Windows:
    return joined([row for film in chosen for row in pixel_rows(film)], f"pixels:{len(chosen)}", [film.key for film in chosen])


def train(samples: Windows, encoder: str, seed: int, steps: int = STEPS, said: Callable[[str], object] = print) -> Model:
    """Heads and encoder, by the batches, steps and falling rate of :func:`casewise.training.fit`; the encoder at its own rate."""
    described = spec(NODULE, ARM, pixel_mm=PIXEL_MM, placing="lungs")
    start = started(NAME, described, seed)
    network = SegmentDetector(2, branch=ARM)
    network.load_state_dict(start.weights)
    first = torch.from_numpy(np.stack(samples.x[:: max(1, len(samples.x) // 60)]).astype(np.float32))
    if encoder == NOTHING:
        torch.manual_seed(seed)
        from_nothing(network, _pictures(first))
    _standardised(network, first)
    groups = [(network.heads, SETTINGS.rate), (network.encoder, RATES[encoder])]
    optimizer = torch.optim.AdamW(
        [{"params": list(part.parameters()), "lr": rate} for part, rate in groups], weight_decay=SETTINGS.weight_decay
    )
    objective = FocalObjective()
    network.train()
    network.encoder.requires_grad_(RATES[encoder] > 0)
    for step in range(steps):
        batch = samples.batch(step, SETTINGS.batch, np.random.default_rng([seed, step]))
        torch.manual_seed(int(np.random.default_rng([seed, step, 11]).integers(2**62)))
        for group, (_, rate) in zip(optimizer.param_groups, groups, strict=True):
            group["lr"] = rate * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / steps)))
        features = opened(network, batch.x)
        with faster("cpu"):  # of the heads; the encoder's depthwise convolutions gain nothing by it
            answer = network(features)
        loss = objective.loss(answer, batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        if step % 100 == 99:
            said(f"{encoder} {step + 1}: {float(loss.detach()):.3f}")
    weights = {name: tensor.detach().clone().contiguous() for name, tensor in network.state_dict().items()}
    lineage = Lineage(method="initial", trained_on=frozenset(samples.cases))
    return Model(f"{NAME}-{encoder}", described, weights, lineage)


def from_nothing(network: SegmentDetector, pixels: Tensor) -> None:
    """The encoder's weights drawn anew, and brought to answers of mean 0 and deviation 1 layer by layer (Mishkin 2016, LSUV): its
    batch norms are folded into its convolutions, and without either a network of thirty layers says nothing.
    """

    def evened(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, Convolution)
        nn.init.kaiming_normal_(layer.weight)
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        clipped, layer.clipped = layer.clipped, False
        answer = Convolution.forward(layer, *inputs)
        layer.clipped = clipped
        spread, mean = answer.std(dim=(0, 2, 3)) + 1e-3, answer.mean(dim=(0, 2, 3))
        layer.weight.div_(spread[:, None, None, None])
        layer.bias.copy_(-mean / spread)  # type: ignore[union-attr]

    layers = [layer for layer in network.encoder.modules() if isinstance(layer, Convolution)]
    hooks = [layer.register_forward_pre_hook(evened) for layer in layers]
    with torch.no_grad():
        network.encoder(pixels * GAIN)
    for hook in hooks:
        hook.remove()


def _pictures(x: Tensor) -> Tensor:
    parts = x.reshape(len(x), SHUFFLED**2 + PLACED, WINDOW, WINDOW)
    return functional.pixel_shuffle(parts[:, : SHUFFLED**2], SHUFFLED)


def _standardised(network: SegmentDetector, x: Tensor) -> None:
    """Mean and spread of the features that the untrained heads are given, as ``training.measured`` does of frozen ones."""
    with torch.no_grad():
        levels = network.encoded(_pictures(x), network.levels, QUARTER)
    network.mean.copy_(torch.cat([part.mean(dim=(0, 2, 3)) for part in levels]))
    network.spread.copy_(torch.cat([part.std(dim=(0, 2, 3)) for part in levels]) + 1e-3)
