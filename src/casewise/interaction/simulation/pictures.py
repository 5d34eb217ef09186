"""Training with a simulated user on pictures: each batch comes in several rounds, with strokes on what the network got wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import expit
from torch import Tensor
from torch.nn import functional

from casewise.image import Box
from casewise.intensity import unit_range
from casewise.interaction.crop import WIDENED, Sides, cut
from casewise.interaction.expected_dice import at_best_threshold
from casewise.interaction.prompt_maps import PromptMaps
from casewise.interaction.simulation.scribbles import at_once, scribble
from casewise.interaction.simulation.user import Hand, largest, middle_line, stroke
from casewise.models.networks.prompts import DEFAULT
from casewise.models.tasks import Batch
from casewise.training.augmentation import Augmentation, augment

Mask = npt.NDArray[np.bool_]
Task = tuple[npt.NDArray[np.float32], Mask]
Ends = tuple[bool, ...]  # of a box: whether (low, high) of each axis in turn is the image's border
Draw = Callable[[np.random.Generator], Task]

_WIDE = 1.5  # times the network's grid: that on which pictures are warped, twice the object's box; the crop is cut from it
_WRONG = 0.07  # of the guesses from other images that are of another object
_FILLING = 0.35  # of its box that an object fills, if it does not run through it
_DRAWS = 5
_SMALLEST = 10  # pixels of an object there
_WARP = Augmentation(rotation=25, scale=0.15, shift=0.0, bend=0.02, intensity=0.4, mirror=True)


@dataclass(frozen=True)
class Habits:
    """How the simulated user works, and on how large images.

    rounds : times that a batch is shown, first with the box alone. many : chance that a task begins with many and long strokes at
    once. at_once : chance that these come, as a person draws them, after the answer to the box. freely : chance that a later
    stroke is drawn as a person does, instead of along the middle. several : chance that a round brings a stroke on each large
    error instead of the largest alone. start : chance that it begins with a poor mask. prior : chance that it has a guess from
    other images. loose : pixels by which a side of the box is off at most; with the chance ``far_off`` half the side instead.
    grids : (times the network's grid, pixels of the box's longer side from and to, share of the batches): a session looks at
    large boxes on a finer grid. true_sized : whether tasks are sought whose own box is about as large. narrow : the least share
    of the longer side that the other side of a box has. best : chance that the user corrects the mask of greatest expected Dice,
    as after the box in a session, instead of all that is more likely than not. bias : chance that a task's border lies a little
    inside or outside of the image's own, all around, as one person draws and another does not: only strokes say so. border :
    chance that the image's border cuts the object. upright : pictures are neither turned nor mirrored nor inverted, since those
    to come lie alike.
    """

    rounds: int = 5
    many: float = 0.12
    several: float = 0.25
    start: float = 0.08
    prior: float = 0.0
    loose: float = 10.0
    grids: tuple[tuple[float, float, float, float], ...] = ((1.0, 16.0, 300.0, 1.0),)
    far_off: float = 0.08
    narrow: float = 1.0
    best: float = 0.0
    bias: float = 0.0
    at_once: float = 0.0
    freely: float = 0.0
    border: float = 0.0
    true_sized: bool = False
    upright: bool = False
    warp: Augmentation = field(default_factory=lambda: _WARP)


class SimulatedUser:
    """Implements :class:`casewise.training.batches.Batches` for pictures. ``draw`` gives a task: a picture (row, column), 0…1, and
    the object in it; ``name`` says which tasks these are. ``size`` : the network's grid. ``cases`` : keys of the cases that the
    tasks come from.
    """

    def __init__(
        self,
        draw: Draw,
        name: str,
        size: tuple[int, ...],
        habits: Habits | None = None,
        prompts: Sequence[str] = DEFAULT,
        cases: Sequence[str] = (),
    ) -> None:
        self._draw, self._name, self._base, self._prompts = draw, name, size, tuple(prompts)
        self.cases = tuple(cases)
        self._habits = habits or Habits()
        self._size, self._sides = (size[0], size[1]), (16.0, 300.0)
        self._maps: PromptMaps | None = None
        self._truth: Mask = np.zeros((0, 0, 0), bool)
        self._previous = np.zeros((0, 0, 0), np.float32)
        self._hands: list[Hand] = []
        self._factors: list[float] = []
        self._rng = np.random.default_rng(0)

    @property
    def key(self) -> str:
        return f"{self._name}{self._base}{self._habits}{self._prompts}"

    def batch(self, step: int, size: int, rng: np.random.Generator, previous: Tensor | None = None) -> Batch:
        """New tasks every ``rounds`` steps, and strokes on what the previous answer got wrong in between; a training that is
        resumed between two of these begins with new tasks.
        """
        begin = step % self._habits.rounds == 0 or self._maps is None or previous is None
        if not begin and previous is not None:
            self._correct(previous.float().cpu())
        self._rng = rng
        if begin:
            self._begin(size)
        maps = self._maps
        if maps is None:  # never: the line above makes one
            raise RuntimeError
        x = torch.from_numpy(maps.channels(self._previous, self._prompts))
        weights = torch.from_numpy(np.where(maps.box, 1.0, 0.02).astype(np.float32))
        return Batch(x, torch.from_numpy(self._truth.astype(np.uint8)), voxel_weights=weights)

    def _correct(self, logits: Tensor) -> None:
        """Draw strokes on what the answer (N, 2, *grid) got wrong, by the random numbers of the step that it answered."""
        if self._maps is None:
            return
        chances = logits.softmax(dim=1)[:, 1].numpy().copy()
        marked = self._maps.foreground | self._maps.background
        unmarked = np.array([not one.any() for one in marked])
        for place in np.flatnonzero(unmarked & (self._rng.random(len(chances)) < self._habits.best)):
            answer = (logits[place, 1] - logits[place, 0]).numpy()
            chances[place] = expit(at_best_threshold(answer, self._maps.box[place]))
        self._previous = np.where(self._maps.box, chances, 0).astype(np.float32)
        foreground, background = np.zeros_like(self._truth), np.zeros_like(self._truth)
        for number, (truth, chance) in enumerate(zip(self._truth, self._previous, strict=True)):
            if unmarked[number] and truth.ndim == 2 and self._rng.random() < self._habits.at_once:
                strokes = at_once(truth, self._maps.box[number], self._rng, self._thickness(number), both=self._rng.random() < 0.6)
                foreground[number], background[number] = strokes
                continue
            mask = chance > 0.5
            mask[self._maps.foreground[number]], mask[self._maps.background[number]] = True, False
            for drawn, is_foreground in self._strokes(truth, mask, self._hands[number]):
                (foreground if is_foreground else background)[number] |= drawn
        self._maps = self._maps.marked(foreground, background & ~foreground)

    def _thickness(self, number: int) -> float:
        """Of a person's stroke, 1 to 5.5 pixels of the image, in places of the network's grid."""
        return float(np.clip(self._rng.uniform(1, 5.5) * self._factors[number], 1, 16))

    def _strokes(self, truth: Mask, mask: Mask, hand: Hand) -> list[tuple[Mask, bool]]:
        first = stroke(truth, mask, hand, self._across())
        if first is None:
            return []
        several = self._rng.random() < self._habits.several
        if truth.ndim == 3 or not (several or self._habits.freely):
            return [first]
        freely = self._rng.random() < self._habits.freely
        if not (several or freely):
            return [first]
        both = [(largest(region), kind) for region, kind in ((truth & ~mask, True), (mask & ~truth, False)) if region.any()]
        chosen = both if several else [one for one in both if one[1] == first[1]]
        if not freely:
            return [(middle_line(region, hand), kind) for region, kind in chosen]
        thickness = hand.thickness * float(self._rng.uniform(1, 3))
        return [(scribble(region, self._rng, thickness), kind) for region, kind in chosen]

    def _across(self) -> tuple[float, ...] | None:
        """Voxel sizes that say across which axis of a volume the next stroke's slice lies."""
        return None

    def _begin(self, size: int) -> None:
        grids = self._habits.grids
        shares = np.array([share for *_, share in grids])
        factor, low, high, _ = grids[int(self._rng.choice(len(grids), p=shares / shares.sum()))]
        self._size = (round(self._base[0] * factor), round(self._base[1] * factor))
        self._sides = (low, high)
        images, truth = self._crops(max(1, round(size / factor**2)))
        ends = [self._cut_off(image, mask) for image, mask in zip(images, truth, strict=True)]
        boxes, self._factors, scale = self._boxes(truth, ends)
        for image, mask, box, ended in zip(images, truth, boxes, ends, strict=True):
            repeat_beyond(image, box, ended)
            repeat_beyond(mask[None], box, ended)
        crops = cut(images, truth, boxes, self._size, (WIDENED, WIDENED), ends)
        self._maps, self._truth = PromptMaps.of(crops.images, crops.inside, scale=scale), crops.truth
        self._hands = [self._hand(factor) for factor in self._factors]
        self._previous = np.zeros(self._truth.shape, np.float32)
        foreground, background = np.zeros_like(self._truth), np.zeros_like(self._truth)
        for number, mask in enumerate(self._truth):
            chance = self._rng.random()
            if chance < self._habits.many and mask.any():
                foreground[number], background[number] = self._everywhere(mask, self._maps.box[number])
            elif chance < self._habits.many + self._habits.start:
                self._previous[number] = _poor(mask, self._rng) & self._maps.box[number]
        self._maps = replace(self._maps.marked(foreground, background & ~foreground), prior=self._priors())

    def _priors(self) -> npt.NDArray[np.float32]:
        """(N, *grid): of some tasks what other images' masks may say of the object, which is also the first former answer."""
        maps, found = self._maps, np.zeros(self._truth.shape, np.float32)
        if maps is None or self._habits.prior <= 0:
            return found
        for number, mask in enumerate(self._truth):
            if self._rng.random() < self._habits.prior:
                other = self._truth[int(self._rng.integers(len(self._truth)))] if self._rng.random() < _WRONG else mask
                found[number] = np.where(maps.box[number], guessed(other, self._rng), 0)
                self._previous[number] = found[number]
        return found

    def _hand(self, factor: float) -> Hand:
        """The protocol's 25 pixels, 1 or 2 thick, in voxels of the network's grid, of which there are ``factor`` to a pixel."""
        thickness = np.clip(round(float(self._rng.integers(1, 3)) * factor), 1, 9)
        return Hand(max(2, round(25 * factor)), int(thickness))

    def _everywhere(self, mask: Mask, box: Mask) -> tuple[Mask, Mask]:
        """Long strokes along the whole of the object and of what is beside it, here and there interrupted, as experts draw them."""
        from scipy.ndimage import binary_erosion, label

        foreground, background = np.zeros_like(mask), np.zeros_like(mask)
        labels, count = label(mask)
        for number in range(1, min(count, 6) + 1):
            foreground |= middle_line(labels == number, Hand(400, int(self._rng.integers(1, 3))))
        beside = binary_erosion(~mask, iterations=int(self._rng.integers(1, 5))) & (box if self._rng.random() < 0.4 else True)
        labels, count = label(beside)
        sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
        for number in np.argsort(-sizes)[: int(self._rng.integers(1, 4))]:
            if sizes[number] > 20:
                background |= middle_line(
                    labels == number + 1, Hand(int(self._rng.integers(20, 160)), int(self._rng.integers(1, 3)))
                )
        gaps = torch.from_numpy(self._rng.random((1, 1, 8, 8), dtype=np.float32))
        kept = functional.interpolate(gaps, size=mask.shape, mode="bilinear")[0, 0].numpy() > self._rng.uniform(0, 0.5)
        return foreground & kept, background & kept

    def _crops(self, size: int) -> tuple[Tensor, Tensor]:
        """(images (N, 1, wide, wide), objects (N, wide, wide) uint8), warped; every object has some pixels."""
        pictures, objects = [], []
        for _ in range(size):
            image, mask = _wide(*self._sized(), round(_WIDE * max(self._size)), None if self._habits.upright else self._rng)
            pictures.append(image)
            objects.append(mask)
        images, masks = torch.stack(pictures), torch.stack(objects)
        generator = torch.Generator().manual_seed(int(self._rng.integers(2**62)))
        warped, (moved,) = augment(images, [(masks, "nearest")], self._habits.warp, generator)
        if self._habits.bias > 0:
            off = [_off(mask, self._rng) if self._rng.random() < self._habits.bias else mask for mask in moved.numpy()]
            moved = torch.from_numpy(np.stack(off))
        kept = (moved.flatten(1).sum(dim=1) >= _SMALLEST)[:, None, None]
        return torch.where(kept[:, None], warped, images), torch.where(kept, moved, masks)

    def _cut_off(self, image: Tensor, mask: Tensor) -> Ends:
        """Which sides of the object (low and high of each axis) the image's border cuts; what lies beyond leaves ``mask``."""
        sides = 2 * mask.ndim
        ends = [False] * sides
        around = Box.around(mask.numpy())
        if around is None:
            return tuple(ends)
        # What runs through a picture, as vessels do, is often seen in a part of it; what fills its box is cut on a side or two.
        runs_through = float(mask.sum()) < _FILLING * float(np.prod(around.shape))
        if self._rng.random() >= self._habits.border * (2 if runs_through else 1):
            return tuple(ends)
        count = int(self._rng.choice((1, 2, 4), p=(0.3, 0.15, 0.55) if runs_through else (0.75, 0.25, 0.0)))
        for side in self._rng.permutation(sides)[:count]:
            axis, high = divmod(int(side), 2)
            off = int(self._rng.uniform(0, 0.3) * around.shape[axis])
            place = around.upper[axis] - off if high else around.lower[axis] + off
            left = mask.clone()
            left.narrow(axis, place if high else 0, mask.shape[axis] - place if high else place).zero_()
            if left.sum() >= _SMALLEST:
                mask.copy_(left)
                ends[int(side)] = True
        return tuple(ends)

    def _sized(self) -> Task:
        """A task; where ``true_sized`` asks for it one whose box is about as large as this batch's, if a few draws bring one."""
        task = self._draw(self._rng)
        for _ in range(_DRAWS if self._habits.true_sized else 0):
            around = Box.around(task[1])
            if around is not None and self._sides[0] / 2 <= max(around.shape) <= 2 * self._sides[1]:
                break
            task = self._draw(self._rng)
        return task

    def _boxes(self, truth: Tensor, ends: Sequence[Ends]) -> tuple[list[Sides], list[float], npt.NDArray[np.float64]]:
        """(sides on the wide grid; voxels of the network's grid per voxel of the image; (N, 2) the image's voxels to one place of
        the network's grid along rows and columns) of each task.
        """
        boxes, factors, voxels = [], [], []
        low, high = np.log(self._sides)
        for mask, ended in zip(truth.numpy(), ends, strict=True):
            around = Box.around(mask) or Box.whole(mask.shape)
            height, width = (float(side) for side in around.shape)
            native = float(np.exp(self._rng.uniform(low, high)))  # the side, in voxels, that this box is taken to have
            scale = max(height, width) / native
            scales = np.array([scale, scale])
            if self._habits.narrow < 1:  # the crop is stretched to the grid, so that a narrow object's pixels are wider there
                scales[int(self._rng.integers(2))] /= float(np.exp(self._rng.uniform(np.log(self._habits.narrow), 0)))
            off = self._rng.uniform(0, self._habits.loose, 4) * scales.repeat(2)
            if self._rng.random() < self._habits.far_off:
                off = self._rng.uniform(0.1, 0.5, 4) * np.array([height, height, width, width])
            off = np.where(ended, 0.0, np.minimum(off, 0.6 * np.array([height, height, width, width])))
            (top, left), (bottom, right) = around.lower, around.upper
            box = (top - off[0], bottom + off[1], left - off[2], right + off[3])
            boxes.append(tuple(float(side) for side in box))
            factors.append(self._size[0] / (WIDENED * max(box[1] - box[0], box[3] - box[2]) / scale))
            voxels.append([WIDENED * (box[2 * n + 1] - box[2 * n]) / self._size[n] / scales[n] for n in range(2)])
        return boxes, factors, np.array(voxels)


def repeat_beyond(values: Tensor, box: Sides, ended: Ends) -> None:
    """In place: what lies beyond the sides of the box that are the image's border becomes that border, repeated.

    values : (C, row, column[, plane]). box : its sides, whole numbers where ``ended``.
    """
    for side in np.flatnonzero(ended):
        axis, high = divmod(int(side), 2)
        place, n = round(box[side]), values.shape[axis + 1]
        start, length = (place, n - place) if high else (0, place)
        if length > 0:
            edge = values.narrow(axis + 1, place - 1 if high else place, 1)
            values.narrow(axis + 1, start, length).copy_(edge.clone().expand_as(values.narrow(axis + 1, start, length)))


def _wide(image: npt.NDArray[np.float32], mask: Mask, wide: int, rng: np.random.Generator | None) -> tuple[Tensor, Tensor]:
    """((1, wide, wide), (wide, wide)): twice the object's box, turned or mirrored, perhaps with its intensities exchanged; as it
    lies without ``rng``.
    """
    box = Box.around(mask) or Box.whole(mask.shape)
    margins = [max(6, round(0.5 * side)) for side in box.shape]
    windows = [(lo - n, hi + n, full) for lo, hi, n, full in zip(box.lower, box.upper, margins, mask.shape, strict=True)]
    pads = [(max(0, -low), max(0, high - full)) for low, high, full in windows]
    window = tuple(slice(max(0, low), min(full, high)) for low, high, full in windows)
    picture, labels = np.pad(image[window], pads, mode="edge"), np.pad(mask[window], pads)
    turn, mirror = (int(rng.integers(4)), rng.random() < 0.5) if rng is not None else (0, False)
    picture, labels = np.rot90(picture, turn), np.rot90(labels, turn)
    if mirror:
        picture, labels = picture[:, ::-1], labels[:, ::-1]
    scaled = unit_range(picture)
    scaled = 1 - scaled if rng is not None and rng.random() < 0.25 else scaled
    x = torch.from_numpy(np.ascontiguousarray(scaled))[None, None]
    shrinks = max(scaled.shape) > wide
    x = functional.interpolate(x, size=(wide, wide), mode="bilinear", antialias=shrinks, align_corners=False)[0]
    y = torch.from_numpy(np.ascontiguousarray(labels).astype(np.uint8))[None, None]
    return x, functional.interpolate(y, size=(wide, wide), mode="nearest-exact")[0, 0]


def guessed(mask: Mask, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """(*grid) 0…1: the mask as the masks of other images see it: bent, moved, thicker or thinner, its borders soft."""
    from scipy.ndimage import gaussian_filter

    size, dims = torch.Size([1, 1, *mask.shape]), mask.ndim
    strength = float(rng.uniform(0.01, 0.1))
    coarse = torch.from_numpy(rng.normal(0, strength, (1, dims, *[3] * dims)).astype(np.float32))
    mode = "bilinear" if dims == 2 else "trilinear"
    bent = functional.interpolate(coarse, size=mask.shape, mode=mode, align_corners=True).movedim(1, -1)
    moved = torch.from_numpy(rng.normal(0, strength / 2, dims).astype(np.float32))
    theta = torch.cat([torch.eye(dims) * float(np.exp(rng.normal(0, strength))), moved[:, None]], dim=1)[None]
    places = functional.affine_grid(theta, list(size), align_corners=False) + bent
    warped = functional.grid_sample(torch.from_numpy(mask.astype(np.float32))[None, None], places, align_corners=False)[
        0, 0
    ].numpy()
    soft = gaussian_filter(warped, rng.uniform(0.3, 2.5))
    sharp: npt.NDArray[np.float32] = (soft > rng.uniform(0.3, 0.6)).astype(np.float32)
    return sharp


def _off(mask: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """The mask with its border moved in or out by up to about a pixel and a half, rounder; as it was where too little is left."""
    from scipy.ndimage import gaussian_filter

    soft = gaussian_filter(mask.astype(np.float32), rng.uniform(0.8, 2.2))
    moved: npt.NDArray[np.uint8] = (soft > rng.uniform(0.25, 0.75)).astype(np.uint8)
    return moved if moved.sum() >= max(_SMALLEST, 0.5 * mask.sum()) else mask


def _poor(mask: Mask, rng: np.random.Generator) -> Mask:
    """A former mask as another method or another slice leaves it: shifted, swollen or shrunk."""
    from scipy.ndimage import binary_dilation, binary_erosion

    moved = np.roll(mask, tuple(rng.integers(-5, 6, 2)), axis=(0, 1))
    steps = int(rng.integers(0, 5))
    if steps:
        moved = (binary_dilation if rng.random() < 0.5 else binary_erosion)(moved, iterations=steps)
    return moved
