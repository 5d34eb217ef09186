"""Image-specific fine-tuning: labels and the network's last block are found in turn, on features that are computed once.

Wang et al. 2018 (arXiv 1710.04043), unsupervised after the box, supervised after strokes. The network step is
:func:`casewise.training.fit` on the features as an image of many channels, weighted voxel by voxel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import expit
from torch import Tensor

from casewise.case import Case, Structure
from casewise.errors import UsageError
from casewise.image import Image
from casewise.interaction.graph_cut import least_energy
from casewise.interaction.prompt_maps import PromptMaps
from casewise.models.model import Model
from casewise.models.preparation import Preparation
from casewise.models.spec import Spec
from casewise.models.tasks import Batch
from casewise.training.fit import fit
from casewise.training.settings import Settings

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_OBJECT = Structure.parse("object")


@dataclass(frozen=True)
class FineTuning:
    """Which parts of the fine-tuning run, and how. What is on by default is what benchmarks/interaction_tuning.py found to help.

    trainable : ``head``, a classifier of the image's own features (:mod:`casewise.interaction.image_head`), in pictures and single
    planes; ``last``, the network's last block on features that are computed once; ``all``, the whole network, many times slower.
    supervised : tune after strokes. acceptance : use the head only where it predicts held-back strokes better than the network.
    extension : where it is not used, and in volumes, carry strokes of one kind on to what looks like them.
    supposition : where the first strokes are background and contradict the answer, and the network is unsure with them, ask it as
    if the object filled its box, and take that where it is surer then.

    The rest is the source's, for ``last`` and ``all``. unsupervised : tune after the box alone. graph_cut : give the mask its least
    energy by max-flow; without it the network's own labels are learnt from and answered. weigh_strokes : strokes count ``omega``
    times, and not what lies within ``epsilon`` (geodesic) of a stroke of the other label. weigh_doubt : voxels with a probability
    between ``uncertain`` do not count. rounds : of label and network step in turn, each of ``steps`` optimiser steps at ``rate``.
    smoothness, sigma : λ and σ of the graph cut's energy.
    """

    trainable: str = "head"
    unsupervised: bool = False
    supervised: bool = True
    acceptance: bool = True
    extension: bool = True
    supposition: bool = True
    graph_cut: bool = False
    weigh_strokes: bool = True
    weigh_doubt: bool = True
    rounds: int = 1
    steps: int = 20
    rate: float = 1e-3
    omega: float = 5.0
    epsilon: float = 0.2
    uncertain: tuple[float, float] = (0.2, 0.7)
    smoothness: float = 3.0
    sigma: float = 0.1

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.steps < 1 or not 0 < self.rate < 1 or self.omega < 0 or self.smoothness < 0 or self.sigma <= 0:
            msg = f"Fine-tuning needs a round, a step, a rate between 0 and 1, and weights of 0 or more; got {self}."
            raise UsageError(msg)
        if self.trainable == "head" and self.unsupervised:
            msg = "A head is fitted to strokes; after the box alone the 'last' block or 'all' of the network can be tuned."
            raise UsageError(msg)
        if self.trainable not in ("head", "last", "all"):
            msg = f"Fine-tuning fits a 'head', or trains the 'last' block or 'all' of the network; got {self.trainable!r}."
            raise UsageError(msg)

    def wanted(self, maps: PromptMaps) -> bool:
        """Whether the network's own weights are tuned for such an answer."""
        marked = bool(maps.foreground.any() or maps.background.any())
        return self.trainable != "head" and (self.supervised if marked else self.unsupervised)

    def heads(self, maps: PromptMaps) -> bool:
        """Whether a head is fitted to the strokes: in pictures, and in one plane of a volume."""
        return self.trainable == "head" and self.supervised and (maps.box.ndim == 3 or maps.box.shape[-1] == 1)

    @property
    def extends(self) -> bool:
        """Whether the network's own answer is extended after strokes: in pictures and in volumes."""
        return self.trainable == "head" and self.supervised and self.extension


def tuned(head: Mapping[str, Tensor], features: Tensor, maps: PromptMaps, logits: Floats, how: FineTuning) -> Floats:
    """(*grid) logits after fine-tuning. ``head`` : the last block's weights. ``features`` (F + 1, *grid). ``maps`` : of one crop.

    logits : (*grid) of the object against the rest, before.
    """
    grid = logits.shape
    flat = features.reshape(features.shape[0], grid[0], -1)
    image = Image(flat.numpy())
    model = _head_model(head, flat)
    for _ in range(how.rounds):
        probability = expit(logits)
        labels = graph_cut_mask(maps, probability, how)
        weights = _weights(maps, probability, how)
        case = Case.of(image, {_OBJECT.name: labels.reshape(flat.shape[1:])})
        settings = Settings(steps=how.steps, batch=1, rate=how.rate, weight_decay=0.0, augmentation="none", device="cpu")
        model = fit(model, [case], weights=[weights.reshape(flat.shape[1:])], settings=settings, method="continued")
        with torch.inference_mode():
            answer = model.ready("cpu")(flat[None].float())[0]
        logits = (answer[1] - answer[0]).reshape(grid).numpy()
    return logits


def wholly_tuned(model: Model, x: Tensor, maps: PromptMaps, logits: Floats, how: FineTuning) -> Floats:
    """As :func:`tuned`, with all of the ``model``'s weights trained. ``x`` (C + prompts, *grid) : what it was given."""
    grid = logits.shape
    planar = model.spec.preparation.spatial_dims < len(grid)  # a network for pictures takes a volume plane by plane

    def batched(tensor: Tensor) -> Tensor:
        return tensor.movedim(-1, 0) if planar else tensor[None]

    for _ in range(how.rounds):
        probability = expit(logits)
        labels = torch.from_numpy(graph_cut_mask(maps, probability, how).astype(np.uint8))
        crop = _OneCrop(
            Batch(batched(x), batched(labels), voxel_weights=batched(torch.from_numpy(_weights(maps, probability, how))))
        )
        settings = Settings(how.steps, 1, how.rate, weight_decay=0.0, augmentation="none", device="cpu", mixed=True)
        model = fit(model, crop, settings=settings)
        with torch.inference_mode():
            answer = model.ready("cpu")(batched(x).float())
        found = answer[:, 1] - answer[:, 0]
        logits = (found.movedim(0, -1) if planar else found[0]).numpy()
    return logits


@dataclass(frozen=True, eq=False)
class _OneCrop:
    """The same crop, or all its planes, at every step: :class:`casewise.training.batches.Batches` that keep no checkpoint."""

    crop: Batch
    key: str = "one crop"
    cases: tuple[str, ...] = ()

    def batch(self, step: int, size: int, rng: np.random.Generator, previous: Tensor | None = None) -> Batch:
        return self.crop


def graph_cut_mask(maps: PromptMaps, probability: Floats, how: FineTuning) -> Mask:
    """(*grid) bool: the graph cut's answer, or without it the probability's own with the strokes obeyed."""
    foreground, background = maps.foreground[0], maps.background[0]
    within = np.where(maps.box[0], probability, 0)
    if how.graph_cut:
        outside = background | ~maps.box[0]
        spread = {"smoothness": how.smoothness, "sigma": how.sigma}
        return least_energy(maps.images[0], within, foreground & maps.box[0], outside, maps.spacing, **spread)
    return np.asarray(((within > 0.5) | foreground) & ~background)


def _weights(maps: PromptMaps, probability: Floats, how: FineTuning) -> Floats:
    weights = maps.box[0].astype(np.float32)
    foreground, background = maps.foreground[0], maps.background[0]
    labels = probability > 0.5
    if how.weigh_doubt:
        weights[(probability > how.uncertain[0]) & (probability < how.uncertain[1])] = 0
    if how.weigh_strokes:
        weights[labels & (maps.to_background[0] < how.epsilon)] = 0
        weights[~labels & (maps.to_foreground[0] < how.epsilon)] = 0
        weights[foreground | background] = how.omega
    else:
        weights[foreground | background] = 1
    return np.asarray(weights if weights.any() else maps.box[0].astype(np.float32))


def _head_model(head: Mapping[str, Tensor], flat: Tensor) -> Model:
    weights = {name: tensor.reshape(*tensor.shape[:2], 1, 1) if tensor.ndim > 2 else tensor for name, tensor in head.items()}
    hidden = int(weights["hidden.weight"].shape[0])
    preparation = Preparation(2, tuple(flat.shape[1:]), channels=int(flat.shape[0]), intensity="none")
    spec = Spec("segmentation", {"kind": "head", "channels": [hidden, hidden]}, preparation, structures=(_OBJECT,))
    return Model("last-block", spec, weights)
