"""The classifier's two linear layers, fitted to what the frozen encoder sees; what it sees is computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from casewise.image import Image
from casewise.models import Model
from casewise.models.networks.attended import Attended
from casewise.models.preparation import Preparation
from casewise.models.spec import Lineage, Spec
from experiments.ultrasound.pictures import CLASSES, Picture

NAME = "casewise-breast-ultrasound"
SPEC = Spec("classification", {"kind": "attended"}, Preparation(2, (256, 256)), classes=CLASSES)
PLACE_STRENGTH, CLASS_STRENGTH = 0.003, 0.01  # of the two logistic regressions: the inverse of the penalty
_PLACES = 4000  # at most, of which a quarter lies in a lesion
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Seen:
    """places : (pictures, 2, channels, rows, columns), of a picture and its mirror image. inside : (pictures, 2, rows, columns),
    the share of a place that is lesion; NaN where no mask is known. truth : (pictures,) numbers of the classes.
    """

    places: Floats
    inside: Floats
    truth: npt.NDArray[np.int64]

    @classmethod
    def of(cls, pictures: Sequence[Picture]) -> Seen:
        network = Attended(len(CLASSES)).eval()
        places, inside = [], []
        for picture in pictures:
            x = _tensor(picture.case.image, SPEC.preparation)
            with torch.inference_mode():
                places.append(torch.stack([network.places(one)[0] for one in (x, x.flip(3))]).numpy())
            inside.append(_inside(picture, places[-1].shape[2:]))
        truth = [CLASSES.index(str(picture.case.category)) for picture in pictures]
        return cls(np.stack(places).astype(np.float32), np.stack(inside), np.array(truth))

    @cached_property
    def masked(self) -> npt.NDArray[np.bool_]:
        return ~np.isnan(self.inside[:, 0, 0, 0])


def fitted(seen: Seen, chosen: Sequence[int], seed: int = 0) -> Attended:
    """The network with both layers fitted to the ``chosen`` pictures."""
    numbers = np.asarray(chosen)
    network = Attended(len(CLASSES)).eval()
    places = seen.places[numbers[seen.masked[numbers]]].transpose(0, 1, 3, 4, 2).reshape(-1, seen.places.shape[2])
    lesion = seen.inside[numbers[seen.masked[numbers]]].reshape(-1) > 0.5
    rng = np.random.default_rng(seed)
    within, without = np.flatnonzero(lesion), np.flatnonzero(~lesion)
    drawn = [rng.permutation(within)[: _PLACES // 4], rng.permutation(without)[: 3 * _PLACES // 4]]
    rows = np.concatenate(drawn)
    weight, bias = _linear(places[rows], lesion[rows].astype(int), PLACE_STRENGTH, None)
    with torch.no_grad():
        network.attention.weight.copy_(torch.from_numpy(weight[0])[None, :, None, None])
        network.attention.bias.copy_(torch.from_numpy(bias))
        cues = network.cues(torch.from_numpy(seen.places[numbers]).flatten(0, 1)).numpy()
        weight, bias = _linear(cues, seen.truth[numbers].repeat(2), CLASS_STRENGTH, "balanced")
        network.head.weight.copy_(torch.from_numpy(weight))
        network.head.bias.copy_(torch.from_numpy(bias))
    return network


def answered(network: Attended, seen: Seen, chosen: Sequence[int]) -> list[dict[str, float]]:
    """Class → probability of each of the ``chosen`` pictures."""
    with torch.inference_mode():
        cues = network.cues(torch.from_numpy(seen.places[np.asarray(chosen)]).flatten(0, 1))
        chances = network.head(cues).reshape(-1, 2, len(CLASSES)).mean(dim=1).softmax(dim=1)
    return [dict(zip(CLASSES, row, strict=True)) for row in chances.tolist()]


def model_of(network: Attended, pictures: Sequence[Picture]) -> Model:
    """The two layers that were fitted; the encoder comes with casewise."""
    settings = {"place_strength": PLACE_STRENGTH, "class_strength": CLASS_STRENGTH, "loss": "−ln of the true class's probability"}
    lineage = Lineage(trained_on=frozenset(picture.case.key for picture in pictures), settings=settings)
    return Model(NAME, SPEC, network.state_dict(), lineage)


def _linear(x: Floats, y: npt.NDArray[np.int64], strength: float, weighed: str | None) -> tuple[Floats, Floats]:
    """(weights (outputs, n), biases) of a logistic regression on standardised columns, as they are for the columns themselves."""
    from sklearn.linear_model import LogisticRegression

    mean, spread = x.mean(axis=0), x.std(axis=0) + 1e-6
    found = LogisticRegression(C=strength, max_iter=300, class_weight=weighed).fit((x - mean) / spread, y)
    weight = found.coef_ / spread
    return weight.astype(np.float32), (found.intercept_ - weight @ mean).astype(np.float32)


def _tensor(image: Image, preparation: Preparation) -> Tensor:
    (part,) = preparation.parts(image)
    return part.tensor()[None]


def _inside(picture: Picture, shape: tuple[int, ...]) -> Floats:
    if picture.mask is None:
        return np.full((2, *shape), np.nan, np.float32)
    (part,) = SPEC.preparation.parts(picture.case.image)
    mask = part.labels(picture.mask).float()[None, None]
    share = torch.nn.functional.adaptive_avg_pool2d(mask, list(shape))[0, 0].numpy()
    return np.stack([share, share[:, ::-1]])
