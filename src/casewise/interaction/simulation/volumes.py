"""Training with a simulated user on volumes: boxes, strokes in single planes, and voxels from even to very thick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from casewise.image import Box
from casewise.intensity import unit_range
from casewise.interaction.crop import THROUGH, WIDENED, Sides, cut
from casewise.interaction.prompt_maps import PromptMaps
from casewise.interaction.simulation.pictures import Draw, Ends, Habits, SimulatedUser, repeat_beyond
from casewise.interaction.simulation.scribbles import scribble
from casewise.interaction.simulation.user import Hand, largest
from casewise.models.networks.prompts import DEFAULT
from casewise.training.augmentation import Augmentation, augment

Mask = npt.NDArray[np.bool_]
Voxels = tuple[float, float, float]  # places of the grid to one voxel of the image, along each axis

_WIDE = 1.4  # times the network's grid: that on which volumes are warped; the object's box is ``_FILLED`` of it
_FILLED = 0.5
_LENGTH = 25  # voxels of the image that a stroke along the middle is long
_FEWEST = 8  # planes on a finer grid
_SMALLEST = 40  # voxels of an object there
_FINEST = (0.6, 5.0)  # places of the grid to a voxel, at least and at most
_THICK = 0.35  # of the batches have planes much thicker than their pixels
WARP = Augmentation(rotation=20, scale=0.12, shift=0.0, bend=0.015, intensity=0.35, mirror=True)


class SimulatedUserInVolumes(SimulatedUser):
    """As :class:`~casewise.interaction.simulation.pictures.SimulatedUser`; ``draw`` gives a volume (row, column, plane), 0…1, and
    the object in it. ``size`` : the network's grid, planes last. ``turned`` : whether its voxels are even, so that its axes may be
    exchanged. ``planes`` : other numbers of planes that a batch may have; those of a batch are then as many in all as usual. Of the
    habits' ``grids`` the times of the grid and the shares count; a finer grid has fewer planes.
    """

    def __init__(
        self,
        draw: Draw,
        name: str,
        size: tuple[int, int, int],
        habits: Habits | None = None,
        prompts: Sequence[str] = DEFAULT,
        turned: bool = True,
        planes: Sequence[int] = (),
        cases: Sequence[str] = (),
    ) -> None:
        super().__init__(draw, name, size, habits or Habits(rounds=6, warp=WARP, prior=0.25, best=0.6), prompts, cases)
        self._volume, self._turned, self._planes = size, turned, tuple(planes)
        self._spacing = (1.0, 1.0, 1.0)
        self._voxels: list[Voxels] = []

    @property
    def key(self) -> str:
        return f"{super().key}{self._planes}{self._turned}"

    def _across(self) -> tuple[float, ...]:
        """Thick planes are drawn in; in even voxels any plane may be."""
        if self._spacing[2] > 2.5:
            return self._spacing
        chosen = [1.0, 1.0, 1.0]
        chosen[int(self._rng.integers(3))] = 2.0
        return tuple(chosen)

    def _begin(self, size: int) -> None:
        factor = self._factor()
        rows, columns, usual = (round(n * times) for n, times in zip(self._volume, (factor, factor, 1 / factor**2), strict=True))
        planes = int(self._rng.choice(self._planes)) if self._planes else self._volume[2]
        planes = max(_FEWEST, round(planes / factor**2)) if factor > 1 else planes
        grid, wide = (rows, columns, planes), (round(_WIDE * rows), round(_WIDE * columns), round(_WIDE * planes))
        images, truth, shapes = self._warped(max(1, round(size * usual / planes)), wide)
        thick = self._rng.random() < _THICK
        if thick:
            # The thickness of a plane in pixels of the grid, and pixels of the grid to one of the image.
            ratio = float(np.exp(self._rng.uniform(np.log(3), np.log(14))))
            finer = float(np.exp(self._rng.uniform(np.log(0.7), np.log(3))))
            self._voxels = [(finer, finer, 1.0)] * len(images)
        else:
            self._voxels = [_even(shape, grid) for shape in shapes]
            ratio = float(np.exp(np.mean([np.log(voxels[:2]).mean() for voxels in self._voxels])))
        self._spacing = (1.0, 1.0, ratio)
        if self._habits.bias > 0:
            truth = torch.from_numpy(np.stack([self._biased(*pair) for pair in zip(truth.numpy(), self._voxels, strict=True)]))
        cuts = self._habits.border > 0
        ends = [self._cut_off(*pair) if cuts else (False,) * 6 for pair in zip(images, truth, strict=True)]
        masks = truth.numpy().astype(bool)
        boxes = [
            self._loosened(mask, voxels, grid, thick, ended) for mask, voxels, ended in zip(masks, self._voxels, ends, strict=True)
        ]
        for image, mask, box, ended in zip(images, truth, boxes, ends, strict=True):
            repeat_beyond(image, box, ended)
            repeat_beyond(mask[None], box, ended)
        scale = np.array([_scale(mask, sides, one) for mask, sides, one in zip(masks, boxes, self._voxels, strict=True)])
        crops = cut(images, truth, boxes, grid, _widened(thick), ends)
        self._maps, self._truth = PromptMaps.of(crops.images, crops.inside, self._spacing, scale=scale), crops.truth
        self._hands = [self._hand(float(np.sqrt(voxels[0] * voxels[1]))) for voxels in self._voxels]
        self._previous = np.zeros(self._truth.shape, np.float32)
        self._maps = replace(self._maps, prior=self._priors())

    def _factor(self) -> float:
        """How many times the network's grid this batch's is."""
        factors = [factor for factor, *_ in self._habits.grids]
        shares = np.array([share for *_, share in self._habits.grids])
        return factors[int(self._rng.choice(len(factors), p=shares / shares.sum()))] if len(factors) > 1 else factors[0]

    def _hand(self, factor: float) -> Hand:
        return Hand(max(3, round(_LENGTH * factor)), int(np.clip(round(self._rng.integers(1, 3) * factor), 1, 5)))

    def _strokes(self, truth: Mask, mask: Mask, hand: Hand) -> list[tuple[Mask, bool]]:
        """A stroke in one plane of the image is as thick as that is on the grid; with the chance ``freely`` a person draws it."""
        made = [
            (self._drawn(line, (truth & ~mask) if kind else (mask & ~truth), hand), kind)
            for line, kind in super()._strokes(truth, mask, hand)
        ]
        return [(_as_thick(drawn, self._spacing[2], truth == kind), kind) for drawn, kind in made]

    def _drawn(self, line: Mask, error: Mask, hand: Hand) -> Mask:
        """The ``line`` along the middle of an error in one plane, or what a person draws there, 1 to 5 of its pixels thick."""
        places = np.argwhere(line)
        across = [axis for axis in (2, 0, 1) if len(places) and np.ptp(places[:, axis]) == 0]
        if not across or self._rng.random() >= self._habits.freely:
            return line
        plane = tuple(int(places[0, axis]) if axis == across[0] else slice(None) for axis in range(3))
        found = np.zeros_like(line)
        thickness = max(1.0, hand.length / _LENGTH * float(self._rng.uniform(1, 5)))
        found[plane] = scribble(largest(error[plane]), self._rng, thickness)
        return found

    def _biased(self, mask: npt.NDArray[np.uint8], voxels: Voxels) -> npt.NDArray[np.uint8]:
        """With the chance ``bias`` the mask with its border moved in or out by up to a voxel of the image."""
        from scipy.ndimage import gaussian_filter

        if self._rng.random() >= self._habits.bias:
            return mask
        soft = gaussian_filter(mask.astype(np.float32), self._rng.uniform(0.5, 1.4) * np.array(voxels))
        moved: npt.NDArray[np.uint8] = (soft > self._rng.uniform(0.25, 0.75)).astype(np.uint8)
        return moved if moved.sum() >= max(_SMALLEST, 0.6 * mask.sum()) else mask

    def _warped(self, size: int, wide: tuple[int, int, int]) -> tuple[Tensor, Tensor, list[tuple[int, ...]]]:
        """(images (N, 1, *wide), objects (N, *wide) uint8, voxels a side that each had), warped; every object has some voxels."""
        made = [_around(*self._draw(self._rng), wide, self._rng, self._turned) for _ in range(size)]
        images, masks = torch.stack([image for image, _, _ in made]), torch.stack([mask for _, mask, _ in made])
        generator = torch.Generator().manual_seed(int(self._rng.integers(2**62)))
        warped, (moved,) = augment(images, [(masks, "nearest")], self._habits.warp, generator)
        kept = (moved.flatten(1).sum(dim=1) >= _SMALLEST)[:, None, None, None]
        return torch.where(kept[:, None], warped, images), torch.where(kept, moved, masks), [shape for _, _, shape in made]

    def _loosened(self, mask: Mask, voxels: Voxels, grid: tuple[int, int, int], thick: bool, ended: Ends) -> Sides:
        """(low, high) of each axis on the wide grid; each side off by 0–5 voxels, by 0–2 along the axis of the longest ones, and
        not at all where it has ``ended`` at the image's border.

        Even voxels have no longest side, and any of their axes may be the one.
        """
        sides: list[float] = []
        longest = 2 if thick else int(self._rng.integers(3))
        around = Box.around(mask) or Box.whole(mask.shape)
        for axis in range(3):
            side = float(around.shape[axis])
            # A voxel of the image in those of the wide grid, whose crop of the box becomes the network's grid.
            unit = voxels[axis] * _widened(thick)[axis] * side / grid[axis]
            off = self._rng.integers(0, 3 if axis == longest else 6, 2) * unit
            off = np.where(ended[2 * axis : 2 * axis + 2], 0.0, np.minimum(off, 0.4 * side))
            sides += [float(around.lower[axis] - off[0]), float(around.upper[axis] + off[1])]
        return tuple(sides)


def _widened(thick: bool) -> tuple[float, float, float]:
    """The crop's side as a multiple of the box's along each axis."""
    return WIDENED, WIDENED, 1.0 if thick else THROUGH


def _even(shape: tuple[int, ...], grid: tuple[int, int, int]) -> Voxels:
    """Places of the grid to a voxel along each axis, where voxels are even, planes not reduced, and a box of this ``shape``."""
    across = THROUGH / WIDENED * shape[2] / grid[2]
    pixels = [np.clip(grid[axis] / shape[axis] * across, _FINEST[0], _FINEST[1]) for axis in (0, 1)]
    return float(pixels[0]), float(pixels[1]), 1.0


def _as_thick(drawn: Mask, times: float, within: Mask) -> Mask:
    """A stroke that lies in one row or column, ``times`` as thick across it; one within a plane as it is."""
    from scipy.ndimage import binary_dilation

    places = np.argwhere(drawn)
    flat = [axis for axis in (0, 1) if len(places) and np.ptp(places[:, axis]) == 0]
    if len(flat) != 1 or round(times) < 2:
        return drawn
    across = np.ones([min(round(times), 4) if axis == flat[0] else 1 for axis in range(3)], bool)
    thicker: Mask = binary_dilation(drawn, across) & within
    return thicker


def _around(
    image: npt.NDArray[np.float32], mask: Mask, wide: tuple[int, int, int], rng: np.random.Generator, turned: bool
) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """((1, *wide), (*wide), voxels a side): twice the object's box, mirrored, perhaps its axes or intensities exchanged."""
    windows, pads, box = [], [], Box.around(mask) or Box.whole(mask.shape)
    for axis in range(3):
        margin = max(3, round((1 / _FILLED - 1) / 2 * box.shape[axis]))
        low, high = box.lower[axis] - margin, box.upper[axis] + margin
        windows.append(slice(max(0, low), min(mask.shape[axis], high)))
        pads.append((max(0, -low), max(0, high - mask.shape[axis])))
    picture, labels = np.pad(image[tuple(windows)], pads, mode="edge"), np.pad(mask[tuple(windows)], pads)
    order = tuple(int(n) for n in rng.permutation(3)) if turned else (0, 1, 2)
    mirrored = tuple(slice(None, None, -1) if rng.random() < 0.5 else slice(None) for _ in range(3))
    picture, labels = picture.transpose(order)[mirrored], labels.transpose(order)[mirrored]
    scaled = unit_range(picture)
    scaled = 1 - scaled if rng.random() < 0.25 else scaled
    x = torch.from_numpy(np.ascontiguousarray(scaled))[None, None]
    y = torch.from_numpy(np.ascontiguousarray(labels).astype(np.uint8))[None, None]
    x = functional.interpolate(x, size=wide, mode="trilinear", align_corners=False)[0]
    sides = (Box.around(labels) or Box.whole(labels.shape)).shape
    return x, functional.interpolate(y, size=wide, mode="nearest-exact")[0, 0], sides


def _scale(mask: Mask, sides: Sides, voxels: Voxels) -> list[float]:
    """The image's voxels to one of the grid along each axis, once the box has the sides it was drawn with."""
    tight = (Box.around(mask) or Box.whole(mask.shape)).shape
    return [(sides[2 * axis + 1] - sides[2 * axis]) / (tight[axis] * voxels[axis]) for axis in range(3)]
