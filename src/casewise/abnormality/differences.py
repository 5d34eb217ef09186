"""Abnormality by synthesis: what a network that knows normal images alone would put in place of each part, and how that differs.

The removed parts slide over the picture; where the real picture differs from what was synthesised by more than the synthesis is
usually off, it is abnormal. No lesion labels are used. Only the content of a picture is scored: a difference in its empty border
says nothing of a patient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from casewise.abnormality.inpainting import WITHIN, framed, grid_of_squares, scale_of, without
from casewise.abnormality.residual_calibration import ResidualCalibration
from casewise.case import Case
from casewise.device import resolve_device
from casewise.errors import ModelError
from casewise.finding import Finding
from casewise.image import Box, Image
from casewise.models.model import Model
from casewise.models.tasks import Inpainting
from casewise.models.tasks.inpainting import InpaintingSettings
from casewise.models.tasks.settings import with_settings

Floats = npt.NDArray[np.float32]
NAME = "abnormality"
_BATCH = 32
_STEP = 0.5  # of the removed part's edge: every pixel is synthesised about four times with each size
_SMOOTH = 0.7  # pixels of the network's, for a difference of one pixel is noise
_RIM = 2  # pixels of the network's at the border of what is looked at that are not scored: half of each shows something else
_TOP = 0.01  # a picture's score is the mean of this share of its map, the highest values
_PIXELS = 2000  # of a normal slice, sampled for the calibration


@dataclass(frozen=True, eq=False)
class Abnormality:
    """All (*spatial) float32 on the image's own grid; ``real`` and ``synthesised`` in 0…1 as the network saw them.

    map : the difference, 0 or more; 1 is what four in five differences of normal images stay below. score : of the whole image,
    that of its most abnormal slice. slices : the score of each that was scored, in the order in which the network saw them.
    scale : slope and shift from ``real`` to the image's own intensities.
    """

    real: Floats
    synthesised: Floats
    map: Floats
    score: float
    slices: tuple[float, ...] = ()
    scale: tuple[float, float] = (1.0, 0.0)

    def turned(self, turn: Callable[[Floats], Floats]) -> Abnormality:
        """The same on another grid: each array (*spatial) turned."""
        return replace(self, real=turn(self.real), synthesised=turn(self.synthesised), map=turn(self.map))

    def in_intensities_of(self, image: Image) -> Floats:
        """(*spatial) float32: the synthesised image as ``image`` would have it, which stays where nothing was synthesised."""
        grey = image.array.astype(np.float32).mean(axis=0)
        slope, shift = self.scale
        return np.where(self.synthesised > 0, self.synthesised * slope + shift, grey).astype(np.float32)


def abnormality(
    model: Model,
    image: Image,
    device: str = "auto",
    within: npt.NDArray[np.bool_] | None = None,
    apart_mm: float = 0.0,
) -> Abnormality:
    """Score a picture, or a volume slice by slice, with a model of :func:`casewise.abnormality.inpainting.train_inpainting`.

    within (*spatial) : what is looked at; without it whatever the image shows. apart_mm : between the slices of a volume that are
    scored; thinner ones in between are given what the one before is. Raises ModelError for a model that completes nothing.
    """
    settings = settings_of(model)
    edges, sign = settings.holes, settings.sign
    usual = ResidualCalibration.from_numbers(settings.usual, len(edges))
    cut, displayed, place = framed(image, within)
    preparation = model.spec.preparation
    parts = preparation.parts(cut)
    looked_at = preparation.label_parts(displayed, cut)
    device = resolve_device(device)
    network = model.ready(device)
    planes: list[tuple[Floats, ...]] = []
    scores = []
    step = _step_of(cut, parts[0].view.spacing, apart_mm)
    for number, (part, seen) in enumerate(zip(parts, looked_at, strict=True)):
        x, mask = part.tensor(), part.labels(seen) > 0
        if number % step == 0:
            synthesised, spread = completed(network, x, edges, device)
            difference = difference_map(x, synthesised, spread, usual, sign)
            scores.append(score_of(difference, mask))
        # Beside the smallest removed part most is seen, so that its synthesis is the nearest to anatomy: the picture for people.
        drawn = x, synthesised[:1], difference * _inner(mask), mask[None].float()
        planes.append(tuple(part.restore(plane) for plane in drawn))
    joined = (preparation.assemble([plane[n] for plane in planes], cut)[0] for n in range(4))
    real, made, values, looked = (_pasted(whole, place, image) for whole in joined)
    made = np.where(looked > 0.5, made, np.float32(0))
    return Abnormality(real, made, np.maximum(values, 0), max(scores), tuple(scores), scale_of(image, within))


def calibrated(model: Model, cases: Sequence[Case], device: str = "auto", seed: int = 0) -> Model:
    """The model with the differences that are usual in normal images, learnt from ``cases``."""
    settings = settings_of(model)
    edges = settings.holes
    device = resolve_device(device)
    network = model.ready(device)
    rng = np.random.default_rng(seed)
    found: list[list[Floats]] = [[] for _ in edges]
    for case in cases:
        within = case.load_masks[WITHIN]() if WITHIN in case.load_masks else None
        cut, displayed, _ = framed(case.image, within)
        preparation = model.spec.preparation
        for part, seen in zip(preparation.parts(cut), preparation.label_parts(displayed, cut), strict=True):
            x, inside = part.tensor(), np.argwhere((part.labels(seen) > 0).numpy())
            synthesised, spread = completed(network, x, edges, device)
            rows, columns = inside[rng.permutation(len(inside))[:_PIXELS]].T
            for number in range(len(edges)):
                made = synthesised[number][rows, columns]
                found[number].append(torch.stack([made, spread[number][rows, columns], x[0, rows, columns] - made]).numpy())
    joined = [np.concatenate(pieces, axis=1) for pieces in found]
    normal = [{"synthesised": made, "spread": spread, "off": off} for made, spread, off in joined]
    usual = ResidualCalibration.learnt(normal, settings.sign)
    return replace(model, spec=with_settings(model.spec, {"usual": usual.to_numbers()}))


def findings(scored: Abnormality, threshold: float, least: int = 4, most: int = 20) -> list[Finding]:
    """A finding for each connected part of the map above ``threshold`` of at least ``least`` voxels, the strongest first.

    threshold : of the map, such as its highest value in normal images that the model was not trained on.
    """
    from scipy.ndimage import find_objects, label

    parts, _ = label(scored.map > threshold)
    found = []
    for number, slices in enumerate(find_objects(parts), start=1):
        inside = parts[slices] == number
        voxels = int(inside.sum())
        if voxels >= least:
            strongest = float(scored.map[slices][inside].max())
            box = Box(tuple(s.start for s in slices), tuple(s.stop for s in slices))
            found.append(Finding(NAME, "abnormal", box=box, measures={"difference_times": strongest, "size_voxels": float(voxels)}))
    return sorted(found, key=lambda finding: -finding.measures["difference_times"])[:most]


def threshold_of(model: Model, normal: Sequence[Image], share: float = 0.05, device: str = "auto") -> float:
    """The map's value that no more than ``share`` of the normal images exceed anywhere; give images it was not trained on."""
    highest = [float(abnormality(model, image, device).map.max()) for image in normal]
    return float(np.quantile(highest, 1 - share))


def completed(network: torch.nn.Module, x: Tensor, edges: Sequence[int], device: str) -> tuple[Tensor, Tensor]:
    """(edges, row, column) each, of a picture (1, row, column): what was put at every pixel with each size of the removed part, the
    mean of several places of it, and how far these lie apart (standard deviation).
    """
    means, spreads = [], []
    with torch.inference_mode():
        for edge in edges:
            total, square, count = torch.zeros_like(x), torch.zeros_like(x), torch.zeros_like(x)
            for gone in _sliding(x.shape[-1], edge):
                whole = x[None].expand(len(gone), -1, -1, -1)
                answer = network(without(whole, gone).to(device)).float().cpu().clamp(0, 1)
                total += (answer * gone).sum(dim=0)
                square += (answer.square() * gone).sum(dim=0)
                count += gone.sum(dim=0)
            mean = total / count.clamp_min(1)
            means.append(mean[0])
            spreads.append((square / count.clamp_min(1) - mean.square()).clamp_min(0).sqrt()[0])
    return torch.stack(means), torch.stack(spreads)


def difference_map(x: Tensor, synthesised: Tensor, spread: Tensor, usual: ResidualCalibration, sign: str) -> Tensor:
    """(1, row, column), 0 or more: the difference in units of the usual one, its mean over the sizes of the removed part.

    x : (1, row, column). synthesised, spread : (sizes, row, column) of :func:`completed`. sign : ``brighter`` or ``either``.
    """
    planes = []
    for number, (made, apart) in enumerate(zip(synthesised, spread, strict=True)):
        expected = torch.from_numpy(usual.of(number, made.numpy(), apart.numpy()))
        planes.append((x[0] - made) / expected)
    smooth = smoothed(torch.stack(planes))
    value = smooth.clamp_min(0) if sign == "brighter" else smooth.abs()
    return value.mean(dim=0, keepdim=True)


def score_of(difference: Tensor, mask: Tensor) -> float:
    """Of a map (1, row, column) within ``mask`` (row, column) bool: the mean of its highest hundredth."""
    inside = difference[0][_inner(mask)]
    if not inside.numel():
        return 0.0
    return float(inside.topk(max(1, round(_TOP * inside.numel()))).values.mean())


def _inner(mask: Tensor) -> Tensor:
    from scipy.ndimage import binary_erosion

    return torch.from_numpy(binary_erosion(mask.numpy(), iterations=_RIM))


def _step_of(image: Image, spacing: Sequence[float], apart_mm: float) -> int:
    """One in so many slices is scored. spacing : within a slice."""
    if image.spatial_dims == 2:
        return 1
    thickness = abs(float(np.linalg.det(image.affine[:3, :3]))) / (spacing[0] * spacing[1])
    return max(1, round(apart_mm / thickness))


def _pasted(cut: Floats, place: tuple[slice, ...], image: Image) -> Floats:
    whole = np.zeros(image.spatial_shape, np.float32)
    whole[place] = cut
    return whole


def settings_of(model: Model) -> InpaintingSettings:
    """The settings of an inpainting model. Raises ModelError for another kind."""
    if not isinstance(model.kind, Inpainting):
        msg = f"Model {model.name} completes no pictures; give one that was trained to."
        raise ModelError(msg)
    return model.kind.settings


def _sliding(size: int, edge: int) -> Iterator[Tensor]:
    """Batches (n, 1, size, size) bool of grids of squares that together cover every pixel at least once."""
    step = max(1, round(_STEP * edge))
    furthest = size - edge
    # The last one brings a square to the far border, so that every pixel is covered.
    starts = sorted({*range(0, min(2 * edge, furthest + 1), step), furthest % (2 * edge)})
    grids = [grid_of_squares(size, edge, top, left) for top in starts for left in starts]
    for first in range(0, len(grids), _BATCH):
        yield torch.stack(grids[first : first + _BATCH])


def smoothed(planes: Tensor) -> Tensor:
    """(n, row, column): without the noise of single pixels."""
    from scipy.ndimage import gaussian_filter

    return torch.from_numpy(gaussian_filter(planes.numpy(), (0, _SMOOTH, _SMOOTH)))
