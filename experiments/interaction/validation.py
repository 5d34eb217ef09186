"""Tasks on which settings of the interactive networks are chosen: of no image and no kind of object of training or test."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from casewise import formats
from casewise.image import Image
from casewise.intensity import grey
from experiments import datasets
from experiments.interaction import jsrt
from experiments.interaction.tasks import Task
from experiments.interactive.shapes import painted
from experiments.structures import label_of, split

_WINDOW = 224  # pixels of a part of a large picture
_FILMS = ("heart", "left_clavicle", "right_lung")


def tasks(each: int = 8) -> Iterator[Task]:
    """``each`` of films (heart, clavicle, lung), vessels (DRIVE), membranes, nuclei on histology, and painted walls."""
    yield from films(each)
    for folder, beginning in (("retina", "DRIVE"), ("em-membrane", ""), ("nuclei-gbm", "")):
        chosen = [path for path in split(folder)[0] if path.name.lower().startswith(beginning.lower())]
        for number, path in enumerate(chosen[:: max(1, len(chosen) // each)][:each]):
            labels = formats.read(label_of(path)).array[0]
            picture = grey(formats.read(path).array)
            mask = labels == 0 if folder == "em-membrane" else labels > 0
            if folder == "nuclei-gbm":
                number_of = np.bincount(labels[labels > 0].ravel())
                mask = labels == int(np.argsort(number_of)[-1 - number % 3])
            yield _cropped(folder, path.stem, picture, mask)
    yield from walls(each)


def films(each: int) -> Iterator[Task]:
    """JSRT's further films at 256 pixels; no network that comes with casewise is trained on any."""
    paths = datasets.files("jsrt-more/images/*")
    for number, path in enumerate(paths[:: max(1, len(paths) // each)][:each]):
        structure = _FILMS[number % len(_FILMS)]
        truth = jsrt.mask("jsrt-more", structure, path.stem)
        yield Task(f"{path.stem} {structure}", "validation", structure, path.stem, Image(jsrt.film(path)[None]), truth)


def walls(each: int) -> Iterator[Task]:
    """Walls around cavities painted into films, of the size that hearts have."""
    paths = datasets.files("jsrt-more/images/*")[1::13][:each]
    for number, path in enumerate(paths):
        picture = grey(formats.read(path).array)[600:1400:5, 600:1400:5] / 255
        rng = np.random.default_rng([number, 77])
        made, mask = painted(picture.astype(np.float32), rng, 1.0, 1.0, 0.5)
        if mask.sum() >= 100:
            yield Task(f"wall {number}", "validation", "wall", path.stem, Image(made[None]), mask)


def _cropped(structure: str, name: str, picture: np.ndarray, mask: np.ndarray) -> Task:
    """A window around the middle of the object."""
    at = np.median(np.argwhere(mask), axis=0).astype(int)
    window = []
    for place, n in zip(at, picture.shape, strict=True):
        start = int(np.clip(place - _WINDOW // 2, 0, max(0, n - _WINDOW)))
        window.append(slice(start, start + _WINDOW))
    image, truth = picture[tuple(window)], mask[tuple(window)]
    return Task(f"{structure} {name}", "validation", structure, name, Image(image[None].astype(np.float32)), truth)
