"""Abnormality by synthesis: what a network that knows normal images alone would put in place of each part, and how that differs.

The removed part slides over the picture; where the real picture differs from what was synthesised, it is abnormal. No lesion
labels are used. Only what a picture shows is judged: a difference in its empty border says nothing of a patient.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from casewise.detection.completion import scaled, without
from casewise.errors import ModelError
from casewise.finding import Finding
from casewise.image import Box, Image
from casewise.models.model import Model

Floats = npt.NDArray[np.float32]
NAME = "abnormality"
_BATCH = 32
_STEP = 0.5  # of the removed part's edge: every pixel is synthesised about four times with each size
_SMOOTH = 1.0  # pixels of the network's, for a difference of one pixel is noise
_TOP = 0.995  # a picture's score is this quantile of its map


@dataclass(frozen=True, eq=False)
class Abnormality:
    """All (*spatial) float32 on the image's own grid; ``real`` and ``synthesised`` in 0…1 as the network saw them.

    map : absolute difference, 0 to 1. score : of the whole image, the map's upper end.
    """

    real: Floats
    synthesised: Floats
    map: Floats
    score: float


def abnormality(model: Model, image: Image, device: str = "cpu") -> Abnormality:
    """Judge a picture, or a volume slice by slice, with a model of :func:`casewise.detection.completion.train_completion`.

    Raises ModelError for a model that completes nothing.
    """
    edges = _edges(model)
    parts = model.spec.preparation.parts(scaled(image))
    network = model.ready(device)
    planes: list[tuple[Floats, ...]] = []
    for part in parts:
        x = part.tensor()
        synthesised, difference = _judged(network, x, edges, device)
        planes.append(tuple(part.restore(plane) for plane in (x, synthesised, difference)))
    assemble = model.spec.preparation.assemble
    real, synthesised_all, difference_all = (assemble([plane[n] for plane in planes], image)[0] for n in range(3))
    difference_all = np.maximum(difference_all, 0)
    score = max(float(np.quantile(plane[2], _TOP)) for plane in planes)
    return Abnormality(real, synthesised_all, difference_all, score)


def findings(judged: Abnormality, threshold: float, least: int = 4, most: int = 20) -> list[Finding]:
    """A finding for each connected part of the map above ``threshold`` of at least ``least`` voxels, the strongest first.

    threshold : of the map, such as its highest value in normal images that the model was not trained on.
    """
    from scipy.ndimage import find_objects, label

    parts, _ = label(judged.map > threshold)
    found = []
    for number, slices in enumerate(find_objects(parts), start=1):
        inside = parts[slices] == number
        voxels = int(inside.sum())
        if voxels >= least:
            strongest = float(judged.map[slices][inside].max())
            box = Box(tuple(s.start for s in slices), tuple(s.stop for s in slices))
            found.append(Finding(NAME, "abnormal", box=box, measures={"difference": strongest, "size_voxels": float(voxels)}))
    return sorted(found, key=lambda finding: -finding.measures["difference"])[:most]


def threshold_of(model: Model, normal: Sequence[Image], share: float = 0.05, device: str = "cpu") -> float:
    """The map's value that no more than ``share`` of the normal images exceed anywhere; give images it was not trained on."""
    highest = [float(abnormality(model, image, device).map.max()) for image in normal]
    return float(np.quantile(highest, 1 - share))


def _edges(model: Model) -> tuple[int, ...]:
    edges = model.spec.network.get("holes")
    if model.task != "encoding" or not isinstance(edges, list):
        msg = f"Model {model.name} completes no pictures; give one that was trained to."
        raise ModelError(msg)
    return tuple(int(edge) for edge in edges)


def _judged(network: torch.nn.Module, x: Tensor, edges: Sequence[int], device: str) -> tuple[Tensor, Tensor]:
    """((1, row, column) synthesised everywhere, (1, row, column) absolute difference) of a picture (1, row, column)."""
    total, count = torch.zeros_like(x), torch.zeros_like(x)
    with torch.inference_mode():
        for gone in _sliding(x.shape[-1], edges):
            whole = x[None].expand(len(gone), -1, -1, -1)
            answer = network(without(whole, gone).to(device)).float().cpu().clamp(0, 1)
            total += (answer * gone).sum(dim=0)
            count += gone.sum(dim=0)
    synthesised = total / count.clamp_min(1)
    shown = _smoothed((x > 0).float()) > 0.5  # what lies in the empty border is no tissue
    return synthesised, _smoothed((x - synthesised).abs()) * shown


def _sliding(size: int, edges: Sequence[int]) -> Iterator[Tensor]:
    """Batches (n, 1, size, size) bool of squares that together cover every pixel, with each edge."""
    squares = []
    for edge in edges:
        starts = sorted({*range(0, size - edge, max(1, round(_STEP * edge))), size - edge})
        squares += [(top, left, edge) for top in starts for left in starts]
    for first in range(0, len(squares), _BATCH):
        batch = squares[first : first + _BATCH]
        gone = torch.zeros((len(batch), 1, size, size), dtype=torch.bool)
        for number, (top, left, edge) in enumerate(batch):
            gone[number, :, top : top + edge, left : left + edge] = True
        yield gone


def _smoothed(plane: Tensor) -> Tensor:
    from scipy.ndimage import gaussian_filter

    return torch.from_numpy(gaussian_filter(plane.numpy(), (0, _SMOOTH, _SMOOTH)))
