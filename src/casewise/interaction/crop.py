"""Where an interactive network looks: a box, widened, brought to the network's grid, and the way back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from casewise.errors import CasewiseError
from casewise.image import Array, Box, Image
from casewise.intensity import unit_range_each

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Points = npt.NDArray[np.int64]
Sides = tuple[float, ...]  # of a box: (low, high) of each axis in turn, in voxels from the first one's outer edge

WIDENED = 1.35  # the crop's side as a multiple of the box's, in training and in use
THROUGH = 1.16  # the same across a volume's planes, where planes beyond the box are looked at: what lies farther off says little
_LEAST = 4  # voxels by which a side is widened at least
_EVEN = 1.5  # voxels whose longest side is less than this times their shortest count as even
# (the window as a multiple of the network's grid, the finer grid then taken); for pictures, and for networks that take volumes.
_FINER = {2: ((1.5, 2.0), (1.0, 1.5)), 3: ((1.75, 1.5), (1.33, 1.25))}
DEEPEST = 64  # planes of a volume that are kept apart; more are reduced to these


@dataclass(frozen=True)
class Region:
    """A widened box of one image. All that is kept of it has the axes (row, column) of a picture or (row, column, plane) of a
    volume, in which planes lie across the axis of the longest voxels, or across the one along which the box is one voxel thick.

    box : in the image's own axes. lower, upper : the window, in the order (row, column, plane); it may reach beyond the image,
    whose border is then repeated. order : the image's axes in that order. grid : the network's. extent : the image without a
    picture's rows and columns of one value at its border, in the image's own axes.
    """

    box: Box
    lower: tuple[int, ...]
    upper: tuple[int, ...]
    order: tuple[int, ...]
    grid: tuple[int, ...]
    spacing: tuple[float, ...]
    extent: Box

    @classmethod
    def around(cls, image: Image, box: Box, size: Sequence[int]) -> Region:
        """The region of a box; ``size``: rows and columns of the network's grid, perhaps also planes at most.

        A box that ``size`` cannot hold voxel by voxel is given a finer grid, up to twice ``size``; not where the planes of a volume
        are answered one by one.
        """
        order = _order(image, box)
        lower, upper = [], []
        for place, axis in enumerate(order):
            side = box.upper[axis] - box.lower[axis]
            least = _LEAST if place < 2 else _planes_beyond(image, side)
            widened = WIDENED if place < 2 else THROUGH
            margin = max(least, round((widened - 1) / 2 * side)) if least else 0
            lower.append(box.lower[axis] - margin)
            upper.append(box.upper[axis] + margin)
        window = [high - low for low, high in zip(lower, upper, strict=True)]
        deepest = size[2] if len(size) > 2 else DEEPEST
        steps = _FINER[len(order)] if len(size) == len(order) else ()
        finer = next((factor for least, factor in steps if max(window[:2]) > least * max(size[:2])), 1.0)
        plane = (round(size[0] * finer), round(size[1] * finer))
        grid = (*plane, min(window[2], deepest)) if len(order) == 3 else plane
        lengths = [image.spacing[axis] * n / g for axis, n, g in zip(order, window, grid, strict=True)]
        # A picture's grid counts as square, as in the training: a long object's crop is stretched.
        across = (lengths[0] * lengths[1]) ** 0.5
        spacing = (1.0, 1.0) if len(order) == 2 else (across, across, lengths[2])
        return cls(box, tuple(lower), tuple(upper), order, grid, spacing, _extent(image, box))

    @property
    def window(self) -> tuple[int, ...]:
        """Voxels of the window in (row, column[, plane])."""
        return tuple(high - low for low, high in zip(self.lower, self.upper, strict=True))

    @property
    def scale(self) -> npt.NDArray[np.float64]:
        """(1, axes): the image's voxels to one place of the grid, along rows and columns, and in volumes across planes."""
        return np.array([[n / g for n, g in zip(self.window, self.grid, strict=True)]])

    def crop(self, image: Image) -> Floats:
        """(C, *grid) float32; each channel's 0.5th to 99.5th percentile in the window becomes 0…1."""
        planes = (
            [self._plane(image, place) for place in range(self.window[2])] if len(self.order) == 3 else [self._plane(image, None)]
        )
        volume = torch.stack(planes, dim=-1) if len(self.order) == 3 else planes[0]
        if len(self.order) == 3 and volume.shape[-1] != self.grid[2]:
            volume = functional.interpolate(volume[None], size=self.grid, mode="area")[0]
        values = volume.numpy()
        if not np.isfinite(values).all():
            msg = "Some of the image's values around the box are not finite numbers; set them to the background's value first."
            raise CasewiseError(msg)
        return unit_range_each(values)

    def inside(self) -> Mask:
        """(*grid): the box, and beyond the image what lies on from a side of the box that is the image's own border.

        Were it the rest's, its repeated pixels would take the object's last ones away.
        """
        found = np.zeros(self.grid, bool)
        window = []
        for place, axis in enumerate(self.order):
            scale = self.grid[place] / self.window[place]
            start = round((self.box.lower[axis] - self.lower[place]) * scale)
            stop = max(start + 1, round((self.box.upper[axis] - self.lower[place]) * scale))
            open_low = self.box.lower[axis] <= self.extent.lower[axis]
            open_high = self.box.upper[axis] >= self.extent.upper[axis]
            window.append(slice(0 if open_low else start, self.grid[place] if open_high else stop))
        found[tuple(window)] = True
        return found

    def marks(self, points: Points) -> Mask:
        """(*grid) bool: the places whose middle lies in one of ``points`` (n, axes), voxels of the image, or, where voxels are the
        smaller ones, that a voxel's middle lies in; voxels beyond the window are passed over.
        """
        found = np.zeros(self.grid, bool)
        ranges = []
        kept = np.ones(len(points), bool)
        for place, axis in enumerate(self.order):
            at = points[:, axis] - self.lower[place]
            kept &= (at >= 0) & (at < self.window[place])
            scale = self.grid[place] / self.window[place]
            if scale < 1:
                first = np.floor((at + 0.5) * scale).astype(int)
                ranges.append((first, first + 1))
            else:
                ranges.append((np.ceil(at * scale - 0.5).astype(int), np.ceil((at + 1) * scale - 0.5).astype(int)))
        longest = [int((last - first)[kept].max(initial=1)) for first, last in ranges]
        for shift in np.ndindex(*longest):
            places = [first[kept] + s for (first, _), s in zip(ranges, shift, strict=True)]
            within = np.logical_and.reduce([p < last[kept] for p, (_, last) in zip(places, ranges, strict=True)])
            found[tuple(np.minimum(p[within], n - 1) for p, n in zip(places, self.grid, strict=True))] = True
        return found

    def sampled(self, mask: Mask) -> Floats:
        """(*grid) float32: the share of ``mask`` (*spatial of the image) at each place, 0 beyond the image."""
        image = Image(mask[None])
        planes = range(self.window[2]) if len(self.order) == 3 else [None]
        found = torch.stack([self._plane(image, place, outside=0.0)[0] for place in planes], dim=-1)
        if len(self.order) == 3 and found.shape[-1] != self.grid[2]:
            found = functional.interpolate(found[None, None], size=self.grid, mode="area")[0, 0]
        shares: Floats = (found if len(self.order) == 3 else found[..., 0]).numpy()
        return shares

    def planes(self, values: Floats) -> Iterator[tuple[tuple[slice | int, ...], Floats]]:
        """The way back of ``values`` (*grid), plane by plane: (index into the image's axes, float32 values in the box there)."""
        rows, columns = (slice(self.box.lower[axis], self.box.upper[axis]) for axis in self.order[:2])
        if len(self.order) == 2:
            yield self._index(rows, columns, None), self._restored(torch.from_numpy(values))
            return
        tensor = torch.from_numpy(np.ascontiguousarray(np.moveaxis(values, -1, 0)))
        axis = self.order[2]
        for place in range(self.box.lower[axis], self.box.upper[axis]):
            at = (place - self.lower[2] + 0.5) * self.grid[2] / self.window[2] - 0.5
            low = min(max(0, int(np.floor(at))), self.grid[2] - 1)
            high, share = min(low + 1, self.grid[2] - 1), min(max(at - low, 0.0), 1.0)
            mixed = tensor[low] if share == 0 else (1 - share) * tensor[low] + share * tensor[high]
            yield self._index(rows, columns, place), self._restored(mixed)

    def _index(self, rows: slice, columns: slice, plane: int | None) -> tuple[slice | int, ...]:
        index: list[slice | int] = [slice(None)] * len(self.order)
        index[self.order[0]], index[self.order[1]] = rows, columns
        if plane is not None:
            index[self.order[2]] = plane
        return tuple(index)

    def _restored(self, plane: Tensor) -> Floats:
        full = functional.interpolate(plane[None, None], size=self.window[:2], mode="bilinear", align_corners=False)[0, 0]
        starts = [self.box.lower[axis] - low for axis, low in zip(self.order[:2], self.lower[:2], strict=True)]
        sides = [self.box.upper[axis] - self.box.lower[axis] for axis in self.order[:2]]
        cut: Floats = full[tuple(slice(s, s + n) for s, n in zip(starts, sides, strict=True))].numpy()
        return cut if self.order[0] < self.order[1] else cut.T

    def _plane(self, image: Image, place: int | None, outside: float | None = None) -> Tensor:
        """(C, rows, columns of the grid): one plane of the window, beyond the image its border, or ``outside``."""
        shape = [image.spatial_shape[axis] for axis in self.order]
        index: list[slice | int] = [slice(None)] * (len(self.order) + 1)
        pads = [(0, 0)]
        for n, axis in enumerate(self.order[:2]):
            low, high = self.lower[n], self.upper[n]
            first, last = (self.extent.lower[axis], self.extent.upper[axis]) if outside is None else (0, shape[n])
            index[axis + 1] = slice(max(first, low), min(last, high))
            pads.append((max(0, first - low), max(0, high - last)))
        if place is not None:
            at = self.lower[2] + place
            if outside is not None and not 0 <= at < shape[2]:
                return torch.full((image.channels, *self.grid[:2]), outside)
            index[self.order[2] + 1] = min(max(0, at), shape[2] - 1)
        plane: Array = image.array[tuple(index)].astype(np.float32)
        plane = np.pad(plane, pads, mode="edge") if outside is None else np.pad(plane, pads, constant_values=outside)
        tensor = torch.from_numpy(np.ascontiguousarray(plane))[None]
        shrinks = any(new < old for new, old in zip(self.grid, plane.shape[1:], strict=False))
        return functional.interpolate(tensor, size=self.grid[:2], mode="bilinear", align_corners=False, antialias=shrinks)[0]


@dataclass(frozen=True, eq=False)
class Crops:
    """N crops. images : (N, C, *grid) float32, 0…1. inside, truth : (N, *grid) bool: the box, and the object within it."""

    images: Floats
    inside: Mask
    truth: Mask


def cut(
    images: Tensor,
    truth: Tensor,
    boxes: Sequence[Sides],
    grid: Sequence[int],
    widened: Sequence[float],
    ends: Sequence[Sequence[bool]] | None = None,
) -> Crops:
    """The crop around a box of each image, as :class:`Region` cuts it, with sides that may lie between voxels.

    images : (N, C, *spatial). truth : (N, *spatial), above one half in the object. widened : the crop's side as a multiple of the
    box's along each axis: :data:`WIDENED`, across planes :data:`THROUGH` or, where they are thick, 1. ends : which sides of each
    box are taken for the image's border. Beyond an image its border is repeated.
    """
    wide, axes = images.shape[2:], len(grid)
    theta, inside = torch.zeros(len(boxes), axes, axes + 1), np.zeros((len(boxes), *grid), bool)
    for number, sides in enumerate(boxes):
        window = []
        for axis, (n, factor) in enumerate(zip(grid, widened, strict=True)):
            low, high = sides[2 * axis : 2 * axis + 2]
            row = axes - 1 - axis  # torch's grids count axes from the last
            theta[number, row, row] = factor * (high - low) / wide[axis]
            theta[number, row, axes] = (low + high) / wide[axis] - 1
            start, stop = (round((0.5 + sign * 0.5 / factor) * n) for sign in (-1, 1))
            ended = (False, False) if ends is None else ends[number][2 * axis : 2 * axis + 2]
            window.append(slice(0 if ended[0] else start, n if ended[1] else stop))
        inside[number][tuple(window)] = True
    places = functional.affine_grid(theta, [len(boxes), 1, *grid], align_corners=False)
    values = functional.grid_sample(images, places, padding_mode="border", align_corners=False).float().numpy()
    labels = functional.grid_sample(truth[:, None].float(), places, mode="nearest", align_corners=False)[:, 0] > 0.5
    return Crops(unit_range_each(values), inside, labels.numpy() & inside)


def _extent(image: Image, box: Box) -> Box:
    """The image, a picture without the rows and columns of one value all along its border: what was padded is not looked at.

    The whole image where nothing else is left, or the box lies beside it.
    """
    whole = Box.whole(image.spatial_shape)
    if image.spatial_dims != 2:
        return whole
    lower, upper = list(whole.lower), list(whole.upper)
    for axis in (0, 1):
        lines = image.array.swapaxes(1, axis + 1)
        while lower[axis] < upper[axis] and _even_line(lines[:, lower[axis]]):
            lower[axis] += 1
        while lower[axis] < upper[axis] and _even_line(lines[:, upper[axis] - 1]):
            upper[axis] -= 1
    sides = zip(lower, upper, box.lower, box.upper, strict=True)
    return Box(tuple(lower), tuple(upper)) if all(max(low, a) < min(high, b) for low, high, a, b in sides) else whole


def _even_line(line: Array) -> bool:
    """Whether (C, n) holds one value a channel."""
    return bool((line == line[:, :1]).all())


def _planes_beyond(image: Image, side: int) -> int:
    """How many planes beyond the box are looked at, at least, and count as background.

    None beside a single plane, nor where planes are thick or of unknown thickness: at the object's place the next one looks like
    the object, and as background it would take the object away.
    """
    even = image.header.spacing_known and max(image.spacing) < _EVEN * min(image.spacing)
    return 1 if side > 1 and even else 0


def _order(image: Image, box: Box) -> tuple[int, ...]:
    if image.spatial_dims == 2:
        return (0, 1)
    thin = [axis for axis, side in enumerate(box.shape) if side == 1]
    longest = max(range(3), key=lambda axis: (image.spacing[axis], axis))
    across = thin[0] if len(thin) == 1 else longest
    return (*(axis for axis in range(3) if axis != across), across)
