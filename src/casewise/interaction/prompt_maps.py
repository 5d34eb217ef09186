"""Prompt maps: box and strokes as channels for a network, kept so that a further stroke costs only its own part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from casewise.image import Box
from casewise.interaction.geodesic import FAR, Floats, geodesic
from casewise.interaction.intensity_likelihood import histogram, log_ratio
from casewise.models.networks.prompts import DEFAULT

Mask = npt.NDArray[np.bool_]

# The channels' scales, as in the class-agnostic training: a model trained with them must be given the same.
_REACH = 6.0  # voxels of the network's grid within which a stroke is near
_NEAR = 4.0
_SHARPNESS = 15.0
LIMIT = 6.0  # of the logit that the distances alone give
SLACK = {2: 10.0, 3: 5.0}  # voxels of a picture, or of a volume's planes, by which boxes are drawn too large, at most


@dataclass(frozen=True, eq=False)
class PromptMaps:
    """A batch of N image crops on a network's grid with a box in each, and what has been marked so far.

    images : (N, C, *grid), 0…1. box : (N, *grid) bool. foreground, background : strokes, (N, *grid) bool. The four distances are
    geodesic, (N, *grid): to the strokes, to all that lies outside the box, and to the box's middle third, which counts as
    foreground until a background stroke touches it. prior : (N, *grid) 0…1, where other images' masks see the object.
    slack : (N, *grid) 0…1, how far inside the box a place lies, 1 from :data:`SLACK` voxels of the image on. slack_through : the
    same across the planes of a volume; 1 in a picture's box.
    """

    images: Floats
    box: Mask
    foreground: Mask
    background: Mask
    to_foreground: Floats
    to_background: Floats
    to_outside: Floats
    to_middle: Floats
    spacing: tuple[float, ...]
    prior: Floats
    slack: Floats
    slack_through: Floats

    @classmethod
    def of(
        cls,
        images: Floats,
        box: Mask,
        spacing: Sequence[float] | None = None,
        prior: Floats | None = None,
        scale: npt.NDArray[np.float64] | None = None,
    ) -> PromptMaps:
        """The maps with nothing marked. spacing : voxel sizes an axis; their ratio counts. scale : (N, axes), the image's voxels to
        one place of the grid along each axis; None where each is one.
        """
        images = brighter_inside(images, box)
        sizes = tuple(float(s) for s in spacing) if spacing is not None else (1.0,) * (box.ndim - 1)
        nothing = np.zeros_like(box)
        far = np.full(box.shape, FAR, np.float32)
        both = geodesic(np.concatenate([images, images]), np.concatenate([~box, middle(box)]), sizes)
        known = np.zeros(box.shape, np.float32) if prior is None else np.where(box, prior, 0).astype(np.float32)
        return cls(
            images,
            box,
            nothing,
            nothing,
            far,
            far,
            both[: len(box)],
            both[len(box) :],
            sizes,
            known,
            _slack(box, scale, (0, 1)),
            _slack(box, scale, (2,)),
        )

    def marked(self, foreground: Mask, background: Mask) -> PromptMaps:
        """The maps with further strokes, each (N, *grid) bool; where a voxel was marked before, the newer stroke counts."""
        new = foreground & ~self.foreground, background & ~self.background
        changed = replace(
            self,
            foreground=(self.foreground | foreground) & ~background,
            background=(self.background | background) & ~foreground,
            to_foreground=self._nearer(self.to_foreground, new[0], self.foreground & background, foreground | self.foreground),
            to_background=self._nearer(self.to_background, new[1], self.background & foreground, background | self.background),
        )
        touched = (background & middle(self.box)).reshape(len(background), -1).any(axis=1)
        if touched.any():
            far = np.where(touched.reshape(-1, *[1] * (self.box.ndim - 1)), FAR, self.to_middle)
            changed = replace(changed, to_middle=far.astype(np.float32))
        return changed

    def _nearer(self, known: Floats, new: Mask, lost: Mask, held: Mask) -> Floats:
        """Distances with the strokes ``new``; computed anew from all that are ``held`` where some were ``lost``."""
        if lost.any():
            return geodesic(self.images, held & ~lost, self.spacing)
        if not new.any():
            return known
        nearer: Floats = np.minimum(known, geodesic(self.images, new, self.spacing))
        return nearer

    def distances(self) -> Floats:
        """(N, *grid): a logit from the geodesic distances alone, within ±:data:`LIMIT`; 0 where nothing tells the object."""
        outer, inner = np.minimum(self.to_background, self.to_outside), np.minimum(self.to_foreground, self.to_middle)
        unknown = (inner >= FAR) != (outer >= FAR)
        logit = np.clip(_SHARPNESS * (outer - inner), -LIMIT, LIMIT)
        logit = np.where(unknown, 0, logit)
        inside: Floats = np.where(self.box, logit, -LIMIT).astype(np.float32)
        return inside

    def channels(self, previous: Floats, prompts: Sequence[str] = DEFAULT) -> Floats:
        """(N, C + prompts, *grid): the images and the ``prompts``, by their names in :mod:`casewise.models.networks.prompts`.

        previous : (N, *grid) the former answer's probability, 0 where there was none.
        """
        made = {
            "box": lambda: self.box,
            "foreground": lambda: _nearness(self.foreground, self.spacing),
            "background": lambda: _nearness(self.background, self.spacing),
            "previous": lambda: previous,
            "near_foreground": lambda: np.exp(-_NEAR * self.to_foreground),
            "near_background": lambda: np.exp(-_NEAR * self.to_background),
            "near_outside": lambda: np.exp(-_NEAR * self.to_outside),
            "likelihood": self._likelihood,
            "stroke_likelihood": self._stroke_likelihood,
            "prior": lambda: self.prior,
            "slack": lambda: self.slack,
            "slack_through": lambda: self.slack_through,
            "distances": self.distances,
        }
        stacked = np.stack([made[name]() for name in prompts], axis=1).astype(np.float32)
        joined: Floats = np.concatenate([self.images, stacked], axis=1)
        return joined

    def _likelihood(self) -> Floats:
        """Of the object's strokes, or without one the box's middle, against the background's strokes and all outside the box."""
        found = []
        for number, image in enumerate(self.images):
            centre = self.to_middle[number] == 0
            inner = histogram(image, self.foreground[number] if self.foreground[number].any() else centre)
            known = [histogram(image, where) for where in (~self.box[number], self.background[number])]
            outer = [one for one in known if one is not None]
            found.append(log_ratio(image, inner, np.mean(outer, axis=0) if outer else None))
        return np.stack(found)

    def _stroke_likelihood(self) -> Floats:
        marked = zip(self.images, self.foreground, self.background, strict=True)
        return np.stack([log_ratio(image, histogram(image, fore), histogram(image, back)) for image, fore, back in marked])


def brighter_inside(images: Floats, box: Mask) -> Floats:
    """(N, C, *grid): each channel, 0…1, inverted where the middle of its box is darker than what lies outside the box.

    A picture and its negative are then one and the same to a network. Of a box that leaves nothing outside, what is not its middle
    counts instead.
    """
    found = images.copy()
    for number, (centre, inside) in enumerate(zip(middle(box), box, strict=True)):
        beside = ~inside if not inside.all() else ~centre
        for channel in found[number] if beside.any() and centre.any() else ():
            if channel[centre].mean() < channel[beside].mean():
                channel[:] = 1 - channel
    return found


def middle(box: Mask) -> Mask:
    """The central third, along each axis, of the box in each of ``box`` (N, *grid)."""
    found = np.zeros_like(box)
    for number, one in enumerate(box):
        around = Box.around(one)
        if around is not None:
            # As many places on either side of it, so that a mirror image has the same middle.
            thirds = [third + (side - third) % 2 for side in around.shape for third in (max(1, round(side / 3)),)]
            starts = [lo + (n - third) // 2 for lo, n, third in zip(around.lower, around.shape, thirds, strict=True)]
            found[number][tuple(slice(start, start + third) for start, third in zip(starts, thirds, strict=True))] = True
    return found


def _slack(box: Mask, scale: npt.NDArray[np.float64] | None, axes: Sequence[int]) -> Floats:
    """How far inside its box each place of ``box`` (N, *grid) lies along ``axes``, as a share of what a box is too large by."""
    found = np.zeros(box.shape, np.float32)
    most = SLACK[box.ndim - 1]
    for number, one in enumerate(box):
        around = Box.around(one)
        if around is None:
            continue
        depth = np.ones([1] * one.ndim)
        for axis in (axis for axis in axes if axis < one.ndim):
            places = np.arange(one.shape[axis]) + 0.5
            low, high = around.lower[axis], around.upper[axis]
            voxels = 1.0 if scale is None else float(scale[number, axis])
            within = np.minimum(places - low, high - places) * voxels / most
            depth = np.minimum(depth, within.reshape([-1 if n == axis else 1 for n in range(one.ndim)]))
        found[number] = np.clip(depth, 0, 1) * one
    return found


def _nearness(strokes: Mask, spacing: Sequence[float]) -> Floats:
    """exp(−distance / reach) to the nearest marked voxel, in voxels of the finest axis; 0 in a crop without any."""
    from scipy.ndimage import distance_transform_edt

    near = np.zeros(strokes.shape, np.float32)
    sizes = [s / min(spacing) for s in spacing]
    for number, one in enumerate(strokes):
        if one.any():
            near[number] = np.exp(-distance_transform_edt(~one, sampling=sizes) / _REACH)
    return near
