"""The clavicles of JSRT's 148 films: their surroundings as cases, and the training of the network that outlines one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from casewise import formats
from casewise.case import Case, Structure
from casewise.chest.clavicles import cut, surroundings
from casewise.chest.region import CLAVICLE, HEART, LEFT_CLAVICLE, LEFT_LUNG, RIGHT_CLAVICLE, RIGHT_LUNG
from casewise.hashing import file_key
from casewise.header import Header
from casewise.image import Image
from casewise.models import Model, Preparation, Spec
from casewise.training import Settings, fit
from casewise.training.fit import Progress
from experiments import datasets, store

if TYPE_CHECKING:
    from casewise.models.networks.efficient_unet import EfficientUNet

Mask = npt.NDArray[np.bool_]
FILMS = {"jsrt": "jsrt/images/*.png", "jsrt-more": "jsrt-more/images/*.jpg"}
MASKS = (RIGHT_LUNG, LEFT_LUNG, HEART, RIGHT_CLAVICLE, LEFT_CLAVICLE)
SIDES = ((RIGHT_LUNG, RIGHT_CLAVICLE, False), (LEFT_LUNG, LEFT_CLAVICLE, True))  # (lung, clavicle, mirrored)
NAME = "casewise-chest-clavicles"
NETWORK = {"kind": "efficient_unet", "channels": [16, 32, 48, 96]}
SPEC = Spec("segmentation", NETWORK, Preparation(2, (112, 128)), (Structure.parse(CLAVICLE),))
SETTINGS = Settings(steps=400, batch=8, rate=1.5e-3, augmentation="medium", device="cpu")
FROZEN = ("encoder.net.stem", *(f"encoder.net.stages.{number}" for number in range(3)))  # edges: as photographs taught them
_LONGEST = 512  # pixels of a film's edge for training: somewhat finer than what the network sees
_kept = lru_cache(maxsize=2)(formats.read)  # each mask of a film is read on its grid


def films() -> list[Case]:
    """JSRT's films of both folders with five masks each, one a patient; nothing that was read is kept: they would take 3 GB."""
    return [_film(path, site) for site, pattern in FILMS.items() for path in datasets.files(pattern)]


def _film(path: Path, site: str) -> Case:
    masks = path.parents[1] / "masks"

    def mask(name: str) -> Callable[[], Mask]:
        return lambda: formats.read_mask(masks / name / f"{path.stem}.png", _kept(path))

    return Case(
        key=file_key(path),
        load_image=lambda: _kept(path),
        load_masks={name: mask(name) for name in MASKS},
        subject=f"jsrt/{path.stem}",
        site=site,
        name=datasets.name_of(path),
    )


def at_most(film: Case, longest: int) -> Case:
    """The film, in memory, its edges divided by a whole number to ``longest`` pixels or somewhat more: means of pixels."""
    image = film.image
    step = max(1, max(image.spatial_shape) // longest)
    rows, columns = (n // step * step for n in image.spatial_shape)
    blocks = image.array[:, :rows, :columns].reshape(image.channels, rows // step, step, columns // step, step)
    array = np.rint(blocks.mean(axis=(2, 4), dtype=np.float32)).astype(np.uint8)
    window = np.s_[step // 2 : rows : step, step // 2 : columns : step]
    masks = {name: load()[window].copy() for name, load in film.load_masks.items()}  # a view would keep the whole
    return _held(film, array, masks)


def _held(film: Case, array: npt.NDArray[np.generic], masks: dict[str, Mask]) -> Case:
    image = Image(array, header=Header(spacing_known=False))
    return replace(film, load_image=lambda: image, load_masks={name: _constant(mask) for name, mask in masks.items()})


def _constant(mask: Mask) -> Callable[[], Mask]:
    return lambda: mask


@cache
def reduced(film: Case) -> Case:
    """The film at a quarter of its resolution, in memory and kept on disk: to read it takes as long as to train on it."""

    def make() -> dict[str, npt.NDArray[np.generic]]:
        smaller = at_most(film, _LONGEST)
        return {"image": smaller.image.array, **{name: load() for name, load in smaller.load_masks.items()}}

    kept = store.arrays(store.WORK / "regions" / "reduced" / f"{film.key}.npz", make)
    return _held(film, kept.pop("image"), kept)


@cache
def clavicles_of(film: Case) -> tuple[Case, ...]:
    """One a clavicle: its surroundings, cut by the film's own lungs as the application cuts them; the left one mirrored."""
    smaller, found = reduced(film), []
    masks = {name: load() for name, load in smaller.load_masks.items()}
    for lung, name, mirrored in SIDES:
        box = surroundings(masks[lung], mirrored=mirrored)
        image, mask = (cut(array, box, mirrored=mirrored) for array in (smaller.image.array, masks[name]))
        header = Header(spacing_known=False)
        found.append(Case.of(Image(image, header=header), {CLAVICLE: mask}, subject=film.subject, site=film.site))
    return tuple(found)


def trained(known: Sequence[Case], progress: Progress | None = None, *, pretrained: bool = True) -> Model:
    """The network of one clavicle, trained on both of every film."""
    start = Model.initial(NAME, SPEC, SETTINGS.seed)
    names: str | list[str] = "all"
    if pretrained:
        network = cast("EfficientUNet", start.network())
        network.encoder.pretrained()
        start = replace(start, weights={key: tensor.clone() for key, tensor in network.state_dict().items()})
        names = [name for name in start.weights if not name.startswith(FROZEN)]
    cases = [case for film in known for case in clavicles_of(film)]
    model = fit(start, cases, trainable=names, settings=SETTINGS, method="initial", progress=progress)
    return knowing(model, known)


def knowing(model: Model, known: Sequence[Case]) -> Model:
    """The model with the films themselves as what it was trained on, not the parts of them that it was shown."""
    return replace(model, lineage=replace(model.lineage, trained_on=frozenset(film.key for film in known)))
