"""P-Net as its source has it: it sees the image of a box alone, and its last block is tuned on the image that is segmented.

Wang et al. 2018 (BIFSeg, arXiv 1710.04043).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor

from casewise.hashing import file_key
from casewise.image import Box, Image
from casewise.interaction import FineTuning
from casewise.interaction.crop import WIDENED, Region, cut
from casewise.interaction.fine_tuning import graph_cut_mask, tuned
from casewise.interaction.prompt_maps import PromptMaps
from casewise.models import Model, Preparation, Spec
from casewise.models.tasks import Batch
from casewise.training import Settings, fit
from casewise.training.augmentation import Augmentation, augment
from experiments import datasets
from experiments.interaction import jsrt
from experiments.interaction.tasks import Task, films, heart
from experiments.interactive.network import OBJECT

SIZE = (64, 64)
LEARNT = ("left_lung", "right_lung", "left_clavicle", "right_clavicle")
_WIDE = 96  # pixels of what is turned, scaled and mirrored: twice the object's box
PATIENTS = 10  # of either set
_ROUND = 2.0
_MARGIN = 10  # pixels of a film by which a side of a box is pushed out at most, as in the source
_WARP = Augmentation(rotation=25, scale=0.15, shift=0.0, bend=0.0, intensity=0.0, mirror=True)
_SMALLEST = 10  # pixels of an object
_SURE = 8.0  # the logit that a graph cut's label is given

_PARTS = FineTuning(trainable="last", unsupervised=False, supervised=False, graph_cut=False)
PLAIN = _PARTS
CUT = replace(_PARTS, graph_cut=True)
SOURCE = replace(CUT, unsupervised=True, supervised=True, rounds=4, steps=20, rate=1e-2)


@dataclass(frozen=True)
class Network:
    """One network and how it is trained."""

    name: str
    settings: Mapping[str, object]
    steps: int = 600
    batch: int = 4
    rate: float = 1e-3

    def trained(self, pieces: Sequence[Piece], checkpoint: Path, seed: int = 0) -> Model:
        """Object against rest, whatever the object is. A training that was stopped goes on from ``checkpoint``."""
        spec = Spec("segmentation", dict(self.settings), Preparation(2, SIZE), (OBJECT,))
        settings = Settings(self.steps, self.batch, self.rate, augmentation="none", device="cpu", mixed=True, seed=seed)
        model = Model.initial(f"casewise-source-{self.name}", spec, seed)
        return fit(model, BoxCrops(pieces, _prompted(model)), settings=settings, method="initial", checkpoint=checkpoint)


P_NET = Network("p_net", {"kind": "p_net", "channels": [64, 64], "prompts": ["distances"]})
U_NET = Network("unet", {"kind": "unet", "channels": [16, 32, 64, 128]})


@dataclass(frozen=True, eq=False)
class Piece:
    """picture : (row, column) float32. mask : (row, column) bool, one object. key : of the case that it is from."""

    picture: np.ndarray
    mask: np.ndarray
    key: str


def pieces(count: int | None = None) -> list[Piece]:
    """Either lung and either clavicle of ``count`` films of JSRT, none of a patient that is tested."""
    found = []
    for path in datasets.files("jsrt-more/images/*")[:count]:
        picture, key = jsrt.film(path), file_key(path)
        found += [Piece(picture, jsrt.mask("jsrt-more", organ, path.stem), key) for organ in LEARNT]
    return found


def tasks(patients: int = PATIENTS) -> Iterator[Task]:
    """What the networks never saw, the heart on films and both ventricles on MR, and what they did, of other patients.

    patients : of either set.
    """
    for task in islice(films(patients), 2 * patients):  # heart and left lung of JSRT; other sites' follow
        yield task
        if task.structure == "heart":
            clavicle = jsrt.mask("jsrt", "left_clavicle", Path(task.name.rsplit(" ", 1)[0]).stem)
            yield replace(task, name=task.name.replace(" heart", " clavicle"), structure="left_clavicle", truth=clavicle, seen=True)
    yield from (task for task in heart(patients, middle_alone=True) if task.structure != "myocardium")


class BoxCrops:
    """Implements :class:`casewise.training.batches.Batches`: crops around one object each, in a box that is too large on each side
    by 0 to 10 pixels, mirrored, turned and scaled at random. What lies outside the box is not learnt from.
    """

    def __init__(self, pieces: Sequence[Piece], prompted: bool) -> None:
        self._pieces, self._prompted = list(pieces), prompted
        self.cases = tuple(dict.fromkeys(piece.key for piece in pieces))
        self.key = f"box crops {len(self._pieces)}{SIZE}{_WIDE}{_WARP}{_MARGIN}{prompted}"

    def batch(self, step: int, size: int, rng: np.random.Generator, previous: Tensor | None = None) -> Batch:
        wide = [_turned(self._pieces[int(rng.integers(len(self._pieces)))], rng) for _ in range(size)]
        images, masks = torch.stack([image for image, _, _ in wide]), torch.stack([mask for _, mask, _ in wide])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        warped, (moved,) = augment(images, [(masks, "nearest")], _WARP, generator)
        kept = (moved.flatten(1).sum(dim=1) >= _SMALLEST)[:, None, None]
        images, masks = torch.where(kept[:, None], warped, images), torch.where(kept, moved, masks)
        boxes = [_loose(mask.numpy(), scales, rng) for mask, (_, _, scales) in zip(masks, wide, strict=True)]
        crops = cut(images, masks, boxes, SIZE, (WIDENED, WIDENED))
        weights = torch.from_numpy(crops.inside.astype(np.float32))
        target = torch.from_numpy(crops.truth.astype(np.uint8))
        return Batch(_given(torch.from_numpy(crops.images), self._prompted), target, voxel_weights=weights)


def _turned(piece: Piece, rng: np.random.Generator) -> tuple[Tensor, Tensor, tuple[float, float]]:
    """((1, wide, wide), (wide, wide) uint8, places of it to one pixel along rows and columns), by quarter turns."""
    turn = int(rng.integers(4))
    picture, mask = np.rot90(piece.picture, turn).copy(), np.rot90(piece.mask, turn).copy()
    around = Box.around(mask) or Box.whole(mask.shape)
    sides = tuple(float(end) for pair in zip(around.lower, around.upper, strict=True) for end in pair)
    wide = (_WIDE, _WIDE)
    tensors = torch.from_numpy(picture.astype(np.float32))[None, None], torch.from_numpy(mask)[None]
    crops = cut(*tensors, [sides], wide, (_ROUND, _ROUND))
    height, width = (_WIDE / (_ROUND * side) for side in around.shape)
    return torch.from_numpy(crops.images[0]), torch.from_numpy(crops.truth[0].astype(np.uint8)), (height, width)


def _loose(mask: np.ndarray, scales: tuple[float, float], rng: np.random.Generator) -> tuple[float, ...]:
    """(low, high) of each axis in turn: the object's box, each side pushed out by up to ``_MARGIN`` pixels of the film."""
    around = Box.around(mask) or Box.whole(mask.shape)
    off = rng.integers(_MARGIN + 1, size=(2, 2)) * np.array(scales)[:, None]
    ends = zip(around.lower, around.upper, off, strict=True)
    return tuple(float(end) for low, high, (before, after) in ends for end in (low - before, high + after))


class InBox:
    """A network of :class:`Network` as a method of annotation: ``how`` says which parts of its fine-tuning run.

    Tuning begins anew from the trained weights in every round. Strokes are obeyed in any case.
    """

    def __init__(self, model: Model, how: FineTuning) -> None:
        self._network, self._how, self._prompted = model.ready("cpu"), how, _prompted(model)

    def begin(self, image: Image, box: Box) -> np.ndarray:
        self._region = replace(Region.around(image, box, SIZE), grid=SIZE)  # the networks know no finer grid
        crop = self._region.crop(image)[None]
        self._maps = PromptMaps.of(crop, self._region.inside()[None])
        x = _given(torch.from_numpy(crop), self._prompted)
        with torch.inference_mode():
            self._features = self._network.features(x) if self._prompted else None  # type: ignore[operator]
            answer = self._network(x) if self._features is None else self._network.head(self._features)  # type: ignore[operator]
        self._logits = (answer[0, 1] - answer[0, 0]).numpy()
        nothing = np.zeros(image.spatial_shape, bool)
        return self.go_on(nothing, nothing)

    def go_on(self, foreground: np.ndarray, background: np.ndarray) -> np.ndarray:
        marks = (self._region.marks(np.argwhere(strokes))[None] for strokes in (foreground, background))
        maps, logits = self._maps.marked(*marks), self._logits
        if self._features is not None and self._how.wanted(maps):
            head = self._network.head.state_dict()  # type: ignore[union-attr]
            window = _within(maps)
            part = tuned(
                head, self._features[0][(slice(None), *window)].clone(), _windowed(maps, window), logits[window], self._how
            )
            logits = np.where(maps.box[0], logits, -_SURE).astype(np.float32)
            logits[window] = np.where(maps.box[0][window], part, -_SURE)
        if self._how.graph_cut:
            labels = graph_cut_mask(maps, expit(logits), self._how)
            logits = np.where(labels == (logits > 0), logits, np.where(labels, _SURE, -_SURE)).astype(np.float32)
        mask = np.zeros(foreground.shape, bool)
        for index, plane in self._region.planes(logits):
            mask[index] = plane > 0
        mask[foreground], mask[background] = True, False
        return mask


class Ellipse:
    """The ellipse that fills the box, strokes obeyed: what a box says without the image."""

    def begin(self, image: Image, box: Box) -> np.ndarray:
        self._mask = np.zeros(image.spatial_shape, bool)
        across = np.meshgrid(*((np.arange(side) + 0.5) / side * 2 - 1 for side in box.shape), indexing="ij")
        self._mask[box.slices] = np.sum([places**2 for places in across], axis=0) <= 1
        return self._mask.copy()

    def go_on(self, foreground: np.ndarray, background: np.ndarray) -> np.ndarray:
        return (self._mask | foreground) & ~background


def _within(maps: PromptMaps) -> tuple[slice, ...]:
    """The box and one place around it: what is tuned, since nothing beyond counts, in two thirds of the time."""
    around = Box.around(maps.box[0]) or Box.whole(maps.box[0].shape)
    ends = zip(around.lower, around.upper, maps.box[0].shape, strict=True)
    return tuple(slice(max(0, low - 1), min(n, high + 1)) for low, high, n in ends)


def _windowed(maps: PromptMaps, window: tuple[slice, ...]) -> PromptMaps:
    return replace(maps, **{name: one[(..., *window)] for name, one in vars(maps).items() if isinstance(one, np.ndarray)})


def _prompted(model: Model) -> bool:
    return "prompts" in model.spec.network


def _given(images: Tensor, prompted: bool) -> Tensor:
    """(N, 1, *grid), or (N, 2, *grid) for a network with a prompt: its channel stays empty, so that the image alone counts."""
    return torch.cat([images, torch.zeros_like(images)], dim=1) if prompted else images
