"""An image made ready as nnU-Net's plans say: axes as they are stored, cropped to what is not 0, normalised, resampled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from casewise.errors import CasewiseError
from casewise.image import Array, Image
from casewise.models.planned.canonical import nearest
from casewise.models.planned.plan import Intensity, Plan, Resampling
from casewise.models.planned.resampling import resampled, scaled
from casewise.models.planned.windows import STEP, slide
from casewise.models.preparation import Part, Preparation
from casewise.models.regions import Regions, chances
from casewise.models.view import View
from casewise.orientation import volume_rows_first

_PICTURE = 999.0  # how many times as long as its pixels nnU-Net says that a picture is thick
_LABELS = Resampling(order=0)
_LARGEST = (
    1 << 18
)  # voxels of a training's windows, and of all of a step: what a network of 32 channels keeps of them is half a GiB
Floats = npt.NDArray[np.float32]
Box = tuple[slice, slice, slice]
Kept = tuple[View, tuple[int, ...], Box]
_KEPT: WeakKeyDictionary[Image, dict[Plan, Kept]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Planned(Preparation):
    """The preparation of a model of the kind ``nnunet``.

    nnU-Net does not know how a volume lies in the patient: its networks see the voxels as the file stores them, unless its reader
    turns them to RAS. A DICOM series is seen as SimpleITK reads it. TotalSegmentator's are turned to RAS and resampled before.
    """

    plan: Plan | None = None

    def __post_init__(self) -> None:
        """The plan has been checked where it was read."""

    @classmethod
    def of(cls, plan: Plan) -> Planned:
        return cls(plan.axes, plan.patch, len(plan.channels), "none", spacing=plan.spacing, plan=plan)

    @property
    def own(self) -> Plan:
        if self.plan is None:
            raise ValueError("a planned preparation has its plan")
        return self.plan

    @property
    def unit_range(self) -> bool:
        return False

    @property
    def training_size(self) -> tuple[int, ...]:
        """The patch, halved along its longest axes until a training of it needs little memory."""
        size = list(self.size)
        while prod(size) > _LARGEST:
            axes = [axis for axis, stride in enumerate(self.own.stride) if size[axis] // 2 >= 2 * stride]
            if not axes:
                break
            axis = max(axes, key=lambda one: size[one])
            size[axis] = size[axis] // 2 // self.own.stride[axis] * self.own.stride[axis]
        return tuple(size)

    def at_once(self, wanted: int) -> int:
        """As many as nnU-Net itself takes where that is more, while memory allows."""
        return max(1, min(max(wanted, self.own.batch), _LARGEST // prod(self.training_size)))

    @property
    def mirrored(self) -> tuple[int, ...]:
        return self.own.mirrored

    @property
    def pooled(self) -> bool:
        return self.own.pooled

    @property
    def step(self) -> float:
        """The share of a window by which the next one is moved."""
        return STEP if self.own.canonical is None else self.own.canonical.step

    @property
    def sequences(self) -> tuple[str, ...]:
        named = self.own.channels
        return named if len(named) > 1 and "RGBTo01Normalization" not in self.own.schemes else ()

    @property
    def regions(self) -> Regions:
        return self.own.regions

    def to_toml(self) -> dict[str, Any]:
        """For people to read: all of it follows from the network's plans."""
        return {"spatial_dims": self.spatial_dims, "size": self.size, "channels": self.channels, "spacing": self.spacing}

    def slide(self, network: Callable[[Tensor], Tensor], x: Tensor, thorough: bool = True) -> Tensor:
        answers = [slide(network, one[None], self.size, self.mirrored if thorough else (), self.step) for one in x]
        return torch.cat(answers)

    def parts(self, image: Image) -> list[Part]:
        view, array = self.seen(image)
        return self.parts_of(array, view, self._kept(image, view, array)[2])

    def seen(self, image: Image) -> tuple[View, npt.NDArray[Any]]:
        """What nnU-Net is given, (C, slices, rows, columns), and how it lies in the image; its voxels are of the view's spacing."""
        view = self._view(image)
        array = _laid(view, self._ordered(image))
        canonical = self.own.canonical
        if canonical is None:
            return view, array
        spacing = canonical.lengths(view.spacing, self.own.transpose)
        return replace(view, spacing=spacing), canonical.bring(array, view.spacing, self.own.transpose)

    def parts_of(self, array: Array, view: View, box: Box | None = None) -> list[Part]:
        """As :meth:`parts`, of what :meth:`seen` gave. box : where it is not 0, where that is known."""
        array = array[(slice(None), *(box or box_of(array)))]
        if not np.isfinite(array).all():
            count = int(array.size - np.isfinite(array).sum())
            msg = f"{count} of the image's values are not finite numbers; set them to the background's value first."
            raise CasewiseError(msg)
        mask = _filled(array) if any(self.own.masked) else None
        known = zip(array, self.own.schemes, self.own.masked, self.own.intensities, strict=True)
        array = np.stack([_normalised(one, scheme, mask if masked else None, own) for one, scheme, masked, own in known])
        return [PlannedPart(self, np.ascontiguousarray(plane), view, number) for number, plane in enumerate(self._cut(array))]

    def label_parts(self, labels: Array, image: Image) -> list[Array]:
        view, shape, box = self._kept(image)
        laid = nearest(_laid(view, labels[None]), shape)
        return [piece[0] for piece in self._cut(laid[(slice(None), *box)])]

    def assemble(self, planes: list[Floats], image: Image) -> Floats:
        """Beyond the cropped box is background, the first of the answers."""
        view, shape, box = self._kept(image)
        whole = np.zeros((planes[0].shape[0], *shape), np.float32)
        whole[0] = 1
        whole[(slice(None), *box)] = np.stack(planes, axis=1) if self.spatial_dims == 2 else planes[0]
        if self.own.canonical is not None:
            return self.back(whole, image)
        if view.slices:
            return view.backward(list(np.moveaxis(whole, 1, 0)))
        return view.backward([whole[:, 0] if image.spatial_dims == 2 else whole])

    def _kept(self, image: Image, view: View | None = None, array: Array | None = None) -> Kept:
        """(how an image is turned, the shape of what :meth:`seen` gives, where that is not 0), found once an image.

        view, array : what :meth:`seen` gave, where that is at hand.
        """
        kept = _KEPT.setdefault(image, {})
        if self.own not in kept:
            if view is None or array is None:
                view, array = self.seen(image)
            kept[self.own] = view, tuple(array.shape[1:]), box_of(array)
        return kept[self.own]

    def back(self, array: npt.NDArray[Any], image: Image) -> npt.NDArray[Any]:
        """(K, *spatial) on the image's grid from (K, …) on that of :meth:`seen` of a volume, by the nearest voxel."""
        view = self._view(image)
        return view.backward([nearest(array, [image.spatial_shape[axis] for axis in view.order])])

    def _cut(self, array: Array) -> list[Array]:
        """The slices of (C, slices, rows, columns), or the whole."""
        return [array[:, k] for k in range(array.shape[1])] if self.spatial_dims == 2 else [array]

    def resize(self, array: Tensor, spacing: tuple[float, ...], mode: str) -> Tensor:
        """Spacing : three lengths, of a 2D model's plane with its thickness first."""
        shape = self.scaled_shape(tuple(array.shape[1:]), spacing)
        way = self.own.data if mode == "linear" else _LABELS
        three = self._volume(array.numpy())
        answer = resampled(three.astype(np.float32, copy=False), self._long(shape), spacing, self._target(spacing), way)
        tensor = torch.from_numpy(np.ascontiguousarray(answer.reshape(array.shape[0], *shape)))
        return functional.pad(tensor.to(array.dtype), self._padding(shape))

    def restore(self, array: Tensor, shape: tuple[int, ...], spacing: tuple[float, ...]) -> Tensor:
        inner = self.scaled_shape(shape, spacing)
        padding = self._padding(inner)
        lows = [padding[2 * (len(inner) - 1 - axis)] for axis in range(len(inner))]
        window = tuple(slice(low, low + n) for low, n in zip(lows, inner, strict=True))
        three = self._volume(array[(slice(None), *window)].numpy())
        answer = resampled(three, self._long(shape), self._target(spacing), spacing, self.own.answer)
        return torch.from_numpy(np.ascontiguousarray(answer.reshape(array.shape[0], *shape)))

    def scaled_shape(self, shape: tuple[int, ...], spacing: tuple[float, ...]) -> tuple[int, ...]:
        return scaled(shape, spacing[-len(shape) :], self.own.spacing)

    def _target(self, spacing: tuple[float, ...]) -> tuple[float, ...]:
        return (*spacing[: 3 - self.spatial_dims], *self.own.spacing)

    def _volume(self, array: Floats) -> Floats:
        return array[:, None] if self.spatial_dims == 2 else array

    def _long(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (1, *shape) if self.spatial_dims == 2 else shape

    def _view(self, image: Image) -> View:
        """How the image's axes become the network's; of a volume, of slices too, in its order of three."""
        if image.spatial_dims == 2 or image.is_loop:
            return self._of_plane(image)
        image.check_volume("an nnU-Net")
        if self.own.turned or self.own.canonical is not None:
            full = View.of(image, 3, "SAR")
            base, flipped = full.order, full.flips
        else:
            base, flipped = ((2, 0, 1) if volume_rows_first(image) else (2, 1, 0)), ()
        order = tuple(base[axis] for axis in self.own.transpose)
        flips = tuple(place for place, axis in enumerate(self.own.transpose) if axis in flipped)
        return View(order, flips, tuple(image.spacing[axis] for axis in order), slices=False)

    def _of_plane(self, image: Image) -> View:
        if self.spatial_dims == 3:
            raise CasewiseError("The model takes volumes and this image is a picture of two axes; give it the whole series.")
        view = View.of(image, 2, "PLS")
        pixel = view.spacing if self.own.spaced else (1.0, 1.0)
        return View(view.order, view.flips, (_PICTURE * max(pixel), *pixel), view.slices)


@dataclass(frozen=True, eq=False)
class PlannedPart(Part):
    """Of an image that nnU-Net's plans prepared."""

    def probabilities(self, answer: Tensor, regions: Regions = ()) -> Floats:
        """nnU-Net resamples logits, and only then looks which is largest."""
        return chances(torch.from_numpy(self.restore(answer))[None], regions)[0].numpy()


def _laid(view: View, array: Array) -> Array:
    """(C, slices, rows, columns)."""
    turned = view.forward(array)
    if turned.ndim == 3:
        return turned[:, None]
    return np.moveaxis(turned, -1, 1) if view.slices else turned


def box_of(array: Array) -> Box:
    """Where (C, a, b, c) is not 0 in every channel; the whole where it is 0 everywhere."""
    there = (array != 0).any(axis=0)
    edges = []
    for axis in range(3):
        held = np.flatnonzero(there.any(axis=tuple(other for other in range(3) if other != axis)))
        edges.append(slice(int(held[0]), int(held[-1]) + 1) if len(held) else slice(0, there.shape[axis]))
    return edges[0], edges[1], edges[2]


def _filled(array: Array) -> npt.NDArray[np.bool_]:
    """Where (C, a, b, c) is not 0 in every channel, with its holes."""
    from scipy.ndimage import binary_fill_holes

    return np.asarray(binary_fill_holes((array != 0).any(axis=0)))


def _normalised(values: Floats, scheme: str, mask: npt.NDArray[np.bool_] | None, known: Intensity) -> Floats:
    """(a, b, c) of one channel. mask : the voxels that alone count and change, of a ZScoreNormalization."""
    small = 1e-8
    if scheme == "CTNormalization":
        clipped = np.clip(values, known.percentile_00_5, known.percentile_99_5) - np.float32(known.mean)
        return np.asarray(clipped / np.float32(max(known.std, small)), np.float32)
    if scheme == "ZScoreNormalization":
        inside = values if mask is None else values[mask]
        scaled_values = (values - inside.mean()) / max(inside.std(), small)
        return np.asarray(scaled_values if mask is None else np.where(mask, scaled_values, values), np.float32)
    if scheme == "RescaleTo01Normalization":
        raised = values - values.min()
        return np.asarray(raised / max(raised.max(), small), np.float32)
    if scheme == "RGBTo01Normalization":
        if values.min() < 0 or values.max() > 255:
            raise CasewiseError("The model takes pictures with values of 0 to 255, and this image has others.")
        return np.asarray(values / 255, np.float32)
    return values
