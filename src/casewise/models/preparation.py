"""From an image to what a network takes, and from what it gives back to the image's own grid."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from casewise.errors import CasewiseError, ModelError
from casewise.image import Array, Image
from casewise.intensity import grey, percentile_range, rescaled
from casewise.models.regions import Regions, combined
from casewise.models.steps import Step, before_the_grid, of_one_shape, prepare, steps_of, tables
from casewise.models.steps.moves import Move
from casewise.models.view import View

INTENSITIES = ("percentile", "window", "minmax", "normal", "none")
AXES = "PLS"
BLENDINGS = ("gaussian", "constant")
PADDINGS = ("constant", "reflect", "replicate", "circular")
RESTORED = ("linear", "nearest", "logits")
_BACKGROUND = 30.0  # a logit: its probability is 1 beside zeros
_PAIR = {letter: pair for pair in ("AP", "LR", "SI") for letter in pair}
_OLD = 6  # settings that models of every version write, where they are not None


@dataclass(frozen=True)
class Preparation:
    """How a model's input is made, and how its answer comes back to the image's grid.

    spatial_dims : 2 (a volume is then taken slice by slice) or 3.
    size : what the network takes, one number an axis. Without ``spacing`` the whole picture or volume is fitted into it, its
        aspect kept, the rest padded with 0; with ``spacing`` (mm, one an axis) it is resampled to that and the
        network slides over it in windows of ``size``.
    channels : 1 (colour becomes luminance), 3, or as many as an image has sequences.
    intensity : ``percentile`` (0.5th to 99.5th to 0…1), ``window`` (``window`` = lower, upper to 0…1; CT in HU), ``minmax``
        (smallest to largest to 0…1), ``normal`` (mean 0, standard deviation 1) or ``none``. The statistics are the whole image's.
    axes : where the three axes of a volume run to when the network sees it, nibabel's letters: casewise's own networks see rows to
        Posterior, columns to Left, slices to Superior. A picture is seen as it is displayed, whatever its file stores first
        (:func:`casewise.orientation.displayed`), and counts as rows to P and columns to L.
    steps : what a foreign model's own pipeline does, in its order (:mod:`casewise.models.steps`), once the axes run as ``axes``
        says. They take the place of ``intensity``, ``spacing`` and the fitting into ``size``.
    overlap : the share of a window that the next one covers, where the network slides over the image in windows of ``size``; None:
        0.25 with ``spacing``, and without it the network takes the whole. blending : how windows are weighted, ``gaussian`` or
        ``constant``. padding : what surrounds an image that is smaller than a window (``constant``: 0).
    restored : how an answer comes back from the grid that ``steps`` lead to: its probabilities by the steps' own interpolation
        (``linear``) or from the ``nearest`` voxel, or its ``logits`` before they become probabilities.
    channel_names : of sequences that the model takes together, a channel each; none where its channels are colours, or unnamed.
    """

    spatial_dims: int = 2
    size: tuple[int, ...] = (128, 128)
    channels: int = 1
    intensity: str = "percentile"
    window: tuple[float, float] | None = None
    spacing: tuple[float, ...] | None = None
    axes: str = AXES
    steps: tuple[Step, ...] = ()
    overlap: float | None = None
    blending: str = "gaussian"
    padding: str = "constant"
    restored: str = "linear"
    channel_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not all(isinstance(n, int) for n in (self.spatial_dims, self.channels, *self.size)) or self.channels < 1:
            msg = f"A model's axes, size and channels are whole numbers; got {self.spatial_dims}, {self.size}, {self.channels}."
            raise ModelError(msg)
        if not isinstance(self.axes, str) or sorted(_PAIR.get(letter, "?") for letter in self.axes) != ["AP", "LR", "SI"]:
            msg = f"Axes are three letters, one of each pair of L and R, A and P, S and I (such as RAS); got {self.axes!r}."
            raise ModelError(msg)
        if self.spatial_dims not in (2, 3) or len(self.size) != self.spatial_dims or min(self.size) < 8:
            msg = f"A model takes 2 or 3 axes of at least 8 voxels; got {self.spatial_dims} axes of size {self.size}."
            raise ModelError(msg)
        bounds = self.window
        if (
            self.intensity not in INTENSITIES
            or (self.intensity == "window") != (bounds is not None)
            or (bounds is not None and (len(bounds) != 2 or not bounds[0] < bounds[1]))
        ):
            msg = (
                f"Intensity is one of {', '.join(INTENSITIES)}; 'window' alone has bounds (lower, upper); "
                f"got {self.intensity!r}, {self.window}."
            )
            raise ModelError(msg)
        if self.spacing is not None and (len(self.spacing) != self.spatial_dims or min(self.spacing) <= 0):
            msg = f"Spacing is one positive number of mm for each of {self.spatial_dims} axes; got {self.spacing}."
            raise ModelError(msg)
        self._check_steps()

    def _check_steps(self) -> None:
        try:
            object.__setattr__(self, "steps", steps_of(self.steps))
        except msgspec.ValidationError as error:
            raise ModelError(f"A step of a model's preparation lacks or misspells a setting ({error}).") from error
        if self.steps and (self.intensity, self.spacing) != ("none", None):
            msg = f"Steps take the place of spacing and intensity; got {self.intensity!r} and {self.spacing} beside them."
            raise ModelError(msg)
        sides = [getattr(step, name, None) for step in self.steps for name in ("mm", "size", "divisible")]
        if any(isinstance(given, tuple) and len(given) != self.spatial_dims for given in sides):
            msg = f"A model of {self.spatial_dims} axes has steps with as many numbers; got {tables(self.steps)}."
            raise ModelError(msg)
        if self.channel_names and len(set(self.channel_names)) != self.channels:
            raise ModelError(f"A model of {self.channels} channels names each, differently; got {', '.join(self.channel_names)}.")
        if self.overlap is not None and not 0 <= self.overlap < 1:
            raise ModelError(f"Windows overlap by a share from 0 to below 1; got {self.overlap}.")
        for given, allowed in ((self.blending, BLENDINGS), (self.padding, PADDINGS), (self.restored, RESTORED)):
            if given not in allowed:
                raise ModelError(f"Blending, padding and restored are settings of windows and steps; got {given!r} for {allowed}.")

    @property
    def unit_range(self) -> bool:
        """Whether what the network sees lies in 0…1."""
        return self.intensity not in ("normal", "none")

    @property
    def windowed(self) -> bool:
        """Whether the network slides over the image in windows of ``size``."""
        return self.spacing is not None or self.overlap is not None

    @property
    def stepwise(self) -> bool:
        """Whether ``steps`` lead to the network's grid, if only by leaving the image's."""
        return bool(self.steps) or (self.overlap is not None and self.spacing is None)

    @property
    def uniform(self) -> bool:
        """Whether what the network sees has the same shape for every image."""
        return not self.windowed and (not self.stepwise or of_one_shape(self.steps))

    @property
    def training_size(self) -> tuple[int, ...]:
        """Voxels of the windows that a model at a given spacing is trained on."""
        return self.size

    def at_once(self, wanted: int) -> int:
        """How many samples a step of a training takes, where ``wanted`` are asked for."""
        return wanted

    @property
    def mirrored(self) -> tuple[int, ...]:
        """The network's axes along which its answers to the mirrored image count too: a training mirrors images as well."""
        return ()

    @property
    def pooled(self) -> bool:
        """Whether a training's Dice is of all samples of a step together, and not of each."""
        return False

    @property
    def sequences(self) -> tuple[str, ...]:
        """Names of the sequences that a model takes together, a channel each; empty where it takes a single image."""
        return self.channel_names

    @property
    def regions(self) -> Regions:
        """Of structures that overlap; see :mod:`casewise.models.regions`."""
        return ()

    def slide(self, network: Callable[[Tensor], Tensor], x: Tensor, thorough: bool = True) -> Tensor:
        """The answer (1, outputs, *spatial) to x (1, C, *spatial), in windows. thorough : to predict, not to measure a training."""
        from monai.inferers import sliding_window_inference

        ways: dict[str, Any] = {}
        if thorough or self.stepwise:
            overlap = 0.25 if self.overlap is None else self.overlap
            ways = {"overlap": overlap, "mode": self.blending, "padding_mode": self.padding}
        answer: Tensor = sliding_window_inference(x, self.size, 4, network, **ways)
        return answer.float()

    def to_toml(self) -> dict[str, Any]:
        """What is not None; of the axes and what follows them only what is not the default."""
        late = {field.name: field.default for field in fields(self)[_OLD:]}
        document = {
            key: value for key, value in vars(self).items() if value is not None and (key not in late or value != late[key])
        }
        return document | {"steps": tables(self.steps)} if self.steps else document

    def parts(self, image: Image) -> list[Part]:
        """What the network sees of ``image``: itself, or for a 2D model of a volume its slices, first to last.

        Raises CasewiseError for voxels that are not numbers, and for axes or channels that the model does not take.
        """
        view = View.of(image, self.spatial_dims, self.axes)
        array = np.asarray(view.forward(self._ordered(image)), np.float32)
        if not np.isfinite(array).all():
            count = int(array.size - np.isfinite(array).sum())
            msg = f"{count} of the image's {array.size} values are not finite numbers; set them to the background's value first."
            raise CasewiseError(msg)
        array = self._scaled(array)
        first = before_the_grid(self.steps)  # as all of casewise's: the statistics are the whole image's, not a slice's
        if first:
            given = torch.from_numpy(np.ascontiguousarray(array))
            array = prepare(self.steps[:first], given, view.spacing)[0].numpy()
        return [Part(self, plane.astype(np.float32, copy=False), view, number) for number, plane in enumerate(view.planes(array))]

    def label_parts(self, labels: Array, image: Image) -> list[Array]:
        """``labels`` (*spatial) of ``image`` cut as :meth:`parts` cuts the image, not yet resized."""
        view = View.of(image, self.spatial_dims, self.axes)
        return [plane[0] for plane in view.planes(view.forward(labels[None]))]

    def assemble(self, planes: list[npt.NDArray[np.float32]], image: Image) -> npt.NDArray[np.float32]:
        """(K, *spatial) on the image's grid from each part's (K, *part) answer."""
        return View.of(image, self.spatial_dims, self.axes).backward(planes)

    def _ordered(self, image: Image) -> npt.NDArray[np.float32]:
        """(channels, *spatial) in the order of the model's sequences, by their names where the image has names."""
        held, wanted = image.header.sequences, self.sequences
        if wanted and image.channels != self.channels:
            raise CasewiseError(
                f"The model takes {', '.join(wanted)} together and the image has {image.channels} of them; give the examination: "
                + " ".join(f"--sequence '{name}=FILE'" for name in wanted)
            )
        if not wanted or len(held) < 2:
            return self._channelled(image.array)
        order = [name.casefold() for name in held]
        if sorted(order) != sorted(name.casefold() for name in wanted):
            raise CasewiseError(f"The model takes {', '.join(wanted)} and the image has {', '.join(held)}; name its sequences so.")
        return self._channelled(image.array)[[order.index(name.casefold()) for name in wanted]]

    def _channelled(self, array: Array) -> npt.NDArray[np.float32]:
        floats = array.astype(np.float32, copy=False)
        if floats.shape[0] == self.channels:
            return floats
        if floats.shape[0] == 3 and self.channels == 1:
            return grey(floats)[None]
        if floats.shape[0] == 1 and self.channels == 3:
            return np.repeat(floats, 3, axis=0)
        msg = f"The model takes {self.channels} channels and the image has {floats.shape[0]}; choose one of them when reading it."
        raise CasewiseError(msg)

    def _scaled(self, array: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        if self.intensity == "none":
            return array
        if self.intensity == "normal":
            deviation = float(array.std(dtype=np.float64))
            return (array - np.float32(array.mean(dtype=np.float64))) / np.float32(deviation if deviation > 0 else 1)
        lower, upper = self._bounds(array)
        if upper <= lower:
            return np.zeros_like(array)
        return rescaled(array, lower, upper)

    def _bounds(self, array: npt.NDArray[np.float32]) -> tuple[float, float]:
        if self.window is not None:
            return self.window
        return (float(array.min()), float(array.max())) if self.intensity == "minmax" else _percentiles(array)

    def resize(self, array: Tensor, spacing: tuple[float, ...], mode: str) -> Tensor:
        """(C, *part) at the network's scale: fitted into ``size``, or at the model's spacing. mode: ``linear`` or ``nearest``."""
        shape = tuple(array.shape[1:])
        scaled = _interpolate(array, self.scaled_shape(shape, spacing), mode)
        return functional.pad(scaled, self._padding(tuple(scaled.shape[1:])))

    def restore(self, array: Tensor, shape: tuple[int, ...], spacing: tuple[float, ...]) -> Tensor:
        """The inverse of :meth:`resize`: (K, *network) back to (K, *shape), linear."""
        scaled = self.scaled_shape(shape, spacing)
        padding = self._padding(scaled)
        lows = [padding[2 * (len(scaled) - 1 - axis)] for axis in range(len(scaled))]
        window = tuple(slice(low, low + n) for low, n in zip(lows, scaled, strict=True))
        return _interpolate(array[(slice(None), *window)], shape, "linear")

    def scaled_shape(self, shape: tuple[int, ...], spacing: tuple[float, ...]) -> tuple[int, ...]:
        """Voxels an axis after scaling, before padding."""
        if self.spacing is not None:
            return tuple(max(1, round(n * s / t)) for n, s, t in zip(shape, spacing, self.spacing, strict=True))
        factor = min(target / n for target, n in zip(self.size, shape, strict=True))
        return tuple(min(t, max(1, round(n * factor))) for n, t in zip(shape, self.size, strict=True))

    def _padding(self, scaled: tuple[int, ...]) -> list[int]:
        """(last axis low, high, …, first axis low, high), as torch's pad takes it."""
        padding: list[int] = []
        for n, target in reversed(list(zip(scaled, self.size, strict=True))):
            missing = max(0, target - n)
            padding += [missing // 2, missing - missing // 2]
        return padding


@dataclass(frozen=True, eq=False)
class Part:
    """A picture, a slice or a volume, as a model's preparation cut it: ``array`` (C, *part) float32, intensities scaled."""

    preparation: Preparation
    array: npt.NDArray[np.float32]
    view: View
    number: int

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape[1:])

    def tensor(self) -> Tensor:
        """(C, *network) float32, ready for the network. Raises CasewiseError for an image that the preparation does not take."""
        if self.preparation.stepwise:
            return self._stepped[0]
        return self.preparation.resize(torch.from_numpy(np.ascontiguousarray(self.array)), self.view.spacing, "linear")

    def labels(self, labels: Array) -> Tensor:
        """(*network) uint8 from (*part)."""
        return self.mapped(torch.from_numpy(np.ascontiguousarray(labels)).to(torch.uint8), "nearest")

    def mapped(self, values: Tensor, mode: str) -> Tensor:
        """(*network) from (*part): values on the image's voxels, brought to the network's. mode: ``linear`` or ``nearest``."""
        values = values[None]
        if not self.preparation.stepwise:
            return self.preparation.resize(values, self.view.spacing, mode)[0]
        for move in self._stepped[1]:
            values = move.forward(values, mode)
        return values[0]

    def restore(self, answer: Tensor) -> npt.NDArray[np.float32]:
        """(K, *part) from the network's (K, *network): probabilities, or logits where the preparation restores those."""
        if not self.preparation.stepwise:
            return self.preparation.restore(answer.float(), self.shape, self.view.spacing).numpy()
        restored, answer = self.preparation.restored, answer.float()
        for move in reversed(self._stepped[1]):
            mode = "nearest" if restored == "nearest" else "linear"
            answer = move.back(answer, mode, _BACKGROUND if restored == "logits" else 1.0)
        return answer.numpy()

    @cached_property
    def _stepped(self) -> tuple[Tensor, tuple[Move, ...]]:
        steps = self.preparation.steps[before_the_grid(self.preparation.steps) :]
        return prepare(steps, torch.from_numpy(np.ascontiguousarray(self.array)), self.view.spacing)

    def probabilities(self, answer: Tensor, regions: Regions = ()) -> npt.NDArray[np.float32]:
        """(1 + kinds, *part) from a segmenter's logits (outputs, *network). regions : see :mod:`casewise.models.regions`."""
        if regions:
            return combined(self._each(answer)).numpy()
        if self.preparation.restored == "logits":
            return torch.from_numpy(self.restore(answer)).softmax(dim=0).numpy()
        return self.restore(answer.softmax(dim=0))

    def _each(self, answer: Tensor) -> Tensor:
        """(structures, *part): the probability of each by itself, 0 where the network saw nothing."""
        if not self.preparation.stepwise:
            return torch.from_numpy(self.restore(answer.sigmoid()))
        logits, answer = self.preparation.restored == "logits", answer.float()
        answer = answer + _BACKGROUND if logits else answer.sigmoid()
        for move in reversed(self._stepped[1]):
            answer = move.back(answer, "nearest" if self.preparation.restored == "nearest" else "linear", 0.0)
        return (answer - _BACKGROUND).sigmoid() if logits else answer


def _percentiles(array: npt.NDArray[np.float32]) -> tuple[float, float]:
    step = max(1, math.ceil(array.size / 1_000_000))  # a million voxels are enough for the percentiles
    return percentile_range(array.reshape(-1)[::step])


def _interpolate(array: Tensor, shape: tuple[int, ...], mode: str) -> Tensor:
    if tuple(array.shape[1:]) == tuple(shape):
        return array
    if mode == "nearest":
        return functional.interpolate(array[None], size=shape, mode="nearest-exact")[0]
    if array.ndim == 3:
        shrinks = any(new < old for new, old in zip(shape, array.shape[1:], strict=True))
        return functional.interpolate(array[None], size=shape, mode="bilinear", align_corners=False, antialias=shrinks)[0]
    # Three axes have no antialiasing filter: average when an axis shrinks to half or less, else interpolate.
    if any(2 * new <= old for new, old in zip(shape, array.shape[1:], strict=True)):
        return functional.interpolate(array[None], size=shape, mode="area")[0]
    return functional.interpolate(array[None], size=shape, mode="trilinear", align_corners=False)[0]
