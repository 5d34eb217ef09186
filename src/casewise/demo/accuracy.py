"""How well the demonstration's images were segmented, against the true masks that the simulation knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from casewise import formats
from casewise.demo.images import Labelled
from casewise.models import Prediction
from casewise.training import dice


@dataclass(frozen=True)
class Accuracy:
    """Mean Dice over one image's structures, on its own grid: ``before`` by the first model, ``after`` by the one used."""

    before: float
    after: float


def dice_of_prediction(prediction: Prediction, labelled: Labelled) -> float:
    """Mean Dice of a prediction of ``labelled.image``."""
    return _mean_dice(prediction.masks(), labelled)


def dice_of_files(masks: Mapping[str, Path], labelled: Labelled) -> float:
    """Mean Dice of mask files as an analysis wrote them; a structure without a file counts as not found."""
    image = formats.read(labelled.image)
    return _mean_dice({name: formats.read_mask(path, image) for name, path in masks.items()}, labelled)


def _mean_dice(masks: Mapping[str, npt.NDArray[np.bool_]], labelled: Labelled) -> float:
    image = formats.read(labelled.image)
    nothing = np.zeros(image.spatial_shape, bool)
    scores = [dice(masks.get(name, nothing), formats.read_mask(path, image)) for name, path in labelled.masks.items()]
    return float(np.mean(scores))
