"""What an upright chest radiograph shows of its sides: whether the patient's right is on its left, or the picture is mirrored.

Two scores, each the difference of a picture and its mirror image, so that neither prefers a side by itself: a linear one of the
region network's features (the aortic arch, the heart's apex, the stomach's bubble leave traces there), and a linear one of its
outlines (where the heart lies, which lung is larger and which reaches lower, how certain the network is of each). Fitted by
``recipes.chest_sides``; how often each is wrong stands on ``models/shipped/chest_sides/card.md``.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from casewise.chest.cardiothoracic_ratio import measured
from casewise.chest.region import HEART, LEFT_LUNG, RIGHT_LUNG
from casewise.chest.region_checks import Outline
from casewise.chest.region_masks import cleaned, smoothed
from casewise.chest.region_pose import Plane, Pose
from casewise.chest.region_sides import Evidence
from casewise.errors import CasewiseError

if TYPE_CHECKING:
    from casewise.models.model import Model
    from casewise.models.networks.efficient_unet import EfficientUNet

Vector = npt.NDArray[np.float32]
CELLS = 6  # an edge of the grid that features are pooled to
LEVELS = 2  # of the network's encoder, the coarsest ones
WEIGHTS = Path(__file__).parents[1] / "models" / "shipped" / "chest_sides" / "weights.safetensors"


def evidence(model: Model, plane: Plane, pose: Pose, device: str) -> Evidence:
    """What ``plane`` shows after ``pose``. model : the shipped region model, on whose features the scores were fitted."""
    features, outlines = differences(model, plane, pose, device)
    by_features, by_outlines = _weights()
    return Evidence(float(features @ by_features), 0.0 if outlines is None else float(outlines @ by_outlines))


def differences(model: Model, plane: Plane, pose: Pose, device: str) -> tuple[Vector, Vector | None]:
    """The features and the outlines' numbers of a picture less those of its mirror image; None where a region is not outlined."""
    preparation = model.spec.preparation
    pictures = [torch.from_numpy(one.seen(plane))[None] for one in (pose, pose.facing())]
    shape = (int(pictures[0].shape[1]), int(pictures[0].shape[2]))
    network = cast("EfficientUNet", model.ready(device))
    with torch.inference_mode():
        x = torch.stack([preparation.resize(picture, (1.0, 1.0), "linear") for picture in pictures]).to(device)
        levels = network.encoder.levels_of(x)
        answers = network.decoded(levels, x.shape[2:]).float().softmax(dim=1).cpu()
        pooled = [functional.adaptive_avg_pool2d(level.float(), CELLS).flatten(1).cpu() for level in levels[-LEVELS:]]
    first, second = torch.cat(pooled, dim=1).numpy()
    chances = [preparation.restore(answer, shape, (1.0, 1.0)).numpy() for answer in answers]
    numbers = [numbers_of(Outline(pose, cleaned(smoothed(found)))) for found in chances]
    difference = None if numbers[0] is None or numbers[1] is None else numbers[0] - numbers[1]
    return first - second, difference


def numbers_of(outline: Outline) -> Vector | None:
    """Certainties, where the heart lies, how the lungs differ, and how sharp the network's answer is.

    None where a region is missing or the lungs are not side by side.
    """
    right, left, heart = (outline.masks[name] for name in (RIGHT_LUNG, LEFT_LUNG, HEART))
    if not (right.any() and left.any() and heart.any()):
        return None
    try:
        lines = measured(right, left, heart)
    except CasewiseError:
        return None
    width = lines.thorax.length
    rows_right, rows_left = (np.flatnonzero(mask.any(axis=1)) for mask in (right, left))
    height = max(rows_right[-1], rows_left[-1]) - min(rows_right[0], rows_left[0])
    if height == 0:  # a single row of pixels
        return None
    chances = outline.chances
    return np.array(
        [
            *(outline.certainty[name] for name in (RIGHT_LUNG, LEFT_LUNG, HEART)),
            (lines.left.length - lines.right.length) / width,
            (np.nonzero(heart)[1].mean() + 0.5 - lines.midline.place) / width,
            (rows_left[-1] - rows_right[-1]) / height,
            (rows_left[0] - rows_right[0]) / height,
            (right.sum() - left.sum()) / (right.sum() + left.sum()),
            (chances * np.log(chances + 1e-6)).sum(axis=0).mean(),
        ],
        np.float32,
    )


@cache
def _weights() -> tuple[Vector, Vector]:
    from safetensors.numpy import load_file

    kept = load_file(WEIGHTS)
    return kept["features"].astype(np.float32), kept["outlines"].astype(np.float32)
