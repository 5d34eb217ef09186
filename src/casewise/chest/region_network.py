"""From a picture to its regions: its pose, the network, and back to the picture's own grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from casewise.chest.clavicles import clavicle
from casewise.chest.region import (
    HEART,
    LEFT_CLAVICLE,
    LEFT_LUNG,
    LEFT_LUNG_FULL,
    NAMES,
    OVERLAP,
    RIGHT_CLAVICLE,
    RIGHT_LUNG,
    RIGHT_LUNG_FULL,
    UNSIDED,
    Region,
    Regions,
)
from casewise.chest.region_checks import PLAIN, STRUCTURES, Outline, refuse, remarks_on
from casewise.chest.region_evidence import evidence
from casewise.chest.region_masks import cleaned, full_lungs, hidden_lung, on_grid, smoothed
from casewise.chest.region_pose import Plane, Pose, stated_pose, usual_poses
from casewise.chest.region_sides import Sides, decided
from casewise.image import Box, Image

if TYPE_CHECKING:
    from casewise.models.model import Model

MODEL, CLAVICLES = "chest_regions", "chest_clavicles"
Mask = npt.NDArray[np.bool_]
_HARDLY = 1.0  # less than this of both lungs: the file may be wrong in how the picture lies
SCALES = (1.0, 0.9, 1.1)  # better on validation films than the picture as it is, above all for hearts


def regions(image: Image, device: str = "auto", *, model: Model | None = None, clavicles: Model | None = None) -> Regions:
    """Outline lungs, heart and clavicles of a frontal chest radiograph of any resolution, on its own grid.

    ``left_lung`` is the patient's. Which one that is comes from what the file states (DICOM's PatientOrientation, an affine that
    is a coronal plane's), from how pictures are displayed, and from what the picture shows: the heart and what goes with it. Two of
    them must agree, or the picture must show it beyond doubt; else the lungs are named by ``UNSIDED`` and a remark says why. A
    picture may lie in any of the eight ways, and bones may be dark in it: it is handled as what it is, and a remark says so.

    model : a refined model of lungs and heart; None takes the shipped one. clavicles : likewise.
    Raises CasewiseError, one sentence that says what was seen, for a volume and for a picture that is no frontal chest radiograph.
    """
    from casewise.device import resolve_device
    from casewise.models.shipped import load

    refuse(image)
    where = resolve_device(device)
    best, sides = best_outline(model or load(MODEL), image, where)
    remarks = remarks_on(best, image, sides)
    upright = _fields(best, image)
    certainty = dict(best.certainty)
    for name, (mask, probability) in _clavicles(clavicles or load(CLAVICLES), upright, image, best.pose, where).items():
        upright[name], certainty[name] = mask, probability
    return Regions(_found(upright, certainty, best.pose, sides.known), remarks, best.pose, image.affine)


def best_outline(model: Model, image: Image, device: str) -> tuple[Outline, Sides]:
    """The outline in the pose of :func:`best_pose`, seen at each of ``SCALES``; and what is known of its sides."""
    _, sides = best_pose(model, image, device)
    return outlines(model, seen_by(model, image), [sides.pose], device, SCALES)[0], sides


def best_pose(model: Model, image: Image, device: str) -> tuple[float, Sides]:
    """The most plausible of the picture as it should lie and inverted, and where neither is a plain chest, of all its quarter
    turns, with its plausibility (0 to 2); left and right as :func:`casewise.chest.region_sides.decided` has them.

    What a file states of how its picture lies is doubted only where no chest is seen that way, and one plainly in another.
    """
    from casewise.models.shipped import load

    plane = seen_by(model, image)
    stated = stated_pose(image)
    start = stated or usual_poses(image)[0]
    tried = outlines(model, plane, [start, start.then(0, inverted=True)], device)
    most = max(outline.plausibility for outline in tried)
    if most < (2 * PLAIN if stated is None else _HARDLY):
        others = [start.then(turns, inverted) for turns in (1, 2, 3) for inverted in (False, True)]
        turned = outlines(model, plane, others, device)
        if stated is None or max(outline.plausibility for outline in turned) >= 2 * PLAIN:
            tried += turned
    best = max(tried, key=lambda outline: outline.plausibility)
    return best.plausibility, decided(image, best.pose, evidence(load(MODEL), plane, best.pose, device))


def seen_by(model: Model, image: Image) -> Plane:
    """The picture in 0…1 as it is stored, along its two axes; its longer side as long as the network's input."""
    preparation = model.spec.preparation
    (part,) = preparation.parts(Image(image.array))
    size = preparation.scaled_shape(part.shape, (1.0, 1.0))
    shrinks = any(new < old for new, old in zip(size, part.shape, strict=True))
    array = torch.from_numpy(np.ascontiguousarray(part.array))[None]
    return functional.interpolate(array, size=size, mode="bilinear", align_corners=False, antialias=shrinks)[0, 0].numpy()


def outlines(model: Model, plane: Plane, poses: Sequence[Pose], device: str, scales: Sequence[float] = (1.0,)) -> list[Outline]:
    """What the network says of ``plane`` in each pose: the mean over the picture seen at each of ``scales``."""
    preparation = model.spec.preparation
    turned = [torch.from_numpy(pose.seen(plane))[None] for pose in poses]
    one = (1.0, 1.0)
    with torch.inference_mode():
        x = torch.stack([preparation.resize(picture, one, "linear") for picture in turned])
        answers = _at_scales(model.ready(device), x.to(device), scales).cpu()
        chances = [
            preparation.restore(answer, (int(picture.shape[1]), int(picture.shape[2])), one).numpy()
            for answer, picture in zip(answers, turned, strict=True)
        ]
    return [Outline(pose, cleaned(smoothed(found))) for pose, found in zip(poses, chances, strict=True)]


def _at_scales(network: nn.Module, x: Tensor, scales: Sequence[float]) -> Tensor:
    """Mean probabilities (N, 1 + structures, row, column); what a closer view leaves out is taken from the others."""
    total, weight = torch.zeros(1), torch.zeros(1)
    for scale in scales:
        if scale == 1:
            chances, seen = network(x).float().softmax(dim=1), torch.ones_like(x[:, :1])
        else:
            answer = network(_zoomed(x, scale)).float().softmax(dim=1)
            chances, seen = _zoomed(answer, 1 / scale), _zoomed(torch.ones_like(x[:, :1]), 1 / scale)
        total, weight = total.to(x.device) + chances, weight.to(x.device) + seen
    return total / weight


def _zoomed(x: Tensor, scale: float) -> Tensor:
    """``x`` (N, C, row, column) as seen from ``scale`` times as far, zeros around it."""
    theta = torch.tensor([[scale, 0.0, 0.0], [0.0, scale, 0.0]], device=x.device).repeat(len(x), 1, 1)
    grid = functional.affine_grid(theta, list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _fields(outline: Outline, image: Image) -> dict[str, Mask]:
    """Lungs and heart as outlined, and what follows from them, on the image's grid, upright."""
    rows, columns = image.spatial_shape
    masks = on_grid(outline.chances, (columns, rows) if outline.pose.turns % 2 else (rows, columns))
    upright = {name: mask for name, mask in zip(STRUCTURES, masks, strict=True) if outline.seen(name) and mask.any()}
    if HEART in upright:
        hidden = hidden_lung(upright[HEART], [mask for name, mask in upright.items() if name != HEART])
        upright |= {OVERLAP: hidden} if hidden.any() else {}
    if all(name in upright for name in STRUCTURES):
        full = full_lungs(upright[RIGHT_LUNG], upright[LEFT_LUNG], upright[HEART])
        upright |= dict(zip((RIGHT_LUNG_FULL, LEFT_LUNG_FULL), full, strict=True))
    return upright


def _clavicles(model: Model, upright: Mapping[str, Mask], image: Image, pose: Pose, device: str) -> dict[str, tuple[Mask, float]]:
    """Of each lung that was outlined its clavicle, upright, and the mean probability there."""
    array = image.array.max() - image.array if pose.inverted else image.array
    picture = Image(pose.upright(array))
    found = {}
    for lung, name, mirrored in ((RIGHT_LUNG, RIGHT_CLAVICLE, False), (LEFT_LUNG, LEFT_CLAVICLE, True)):
        seen = clavicle(model, picture, upright[lung], device, mirrored=mirrored) if lung in upright else None
        if seen is not None:
            found[name] = seen
    return found


def _found(upright: Mapping[str, Mask], certainty: Mapping[str, float], pose: Pose, sided: bool) -> dict[str, Region]:
    found = {}
    for name in (one for one in NAMES if one in upright):
        back = np.ascontiguousarray(pose.back(upright[name]))
        box = Box.around(back)
        if box is not None:
            public = name if sided else UNSIDED.get(name, name)
            found[public] = Region(public, back, box, certainty.get(name))
    return found
