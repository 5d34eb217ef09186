"""Tasks on which settings of the interactive networks are chosen: of no image of the test, and of no object of the training.

Of the kinds of object the training has painted walls and cavities, of other draws and in other pictures, and nuclei.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from casewise import formats
from casewise.image import Image
from casewise.intensity import grey
from experiments import datasets
from experiments.cases import hippocampus
from experiments.interaction import jsrt
from experiments.interaction.tasks import Task, hippocampi
from experiments.interactive.shapes import painted
from experiments.structures import label_of, split

_WINDOW = 224  # pixels of a part of a large picture
_CANVAS = 128  # pixels of a picture that a wall is painted into
_FILMS = ("heart", "left_clavicle", "right_lung")


def tasks() -> Iterator[Task]:
    """99 tasks: walls and cavities, radiographs, vessels, cells and the rings around them, nuclei on histology, hippocampi."""
    yield from walls(36, 1.0)
    yield from walls(10, 0.0)
    yield from films(15)
    yield from vessels(8)
    yield from cells(8)
    yield from nuclei(8)
    yield from sagittal(6)


def films(count: int) -> Iterator[Task]:
    """JSRT's further films at 256 pixels; no network that comes with casewise is trained on any."""
    paths = datasets.files("jsrt-more/images/*")
    for number, path in enumerate(paths[:: max(1, len(paths) // count)][:count]):
        structure = _FILMS[number % len(_FILMS)]
        truth = jsrt.mask("jsrt-more", structure, path.stem)
        yield Task(f"{path.stem} {structure}", "validation", structure, path.stem, Image(jsrt.film(path)[None]), truth)


def walls(count: int, share: float) -> Iterator[Task]:
    """Objects of the size that hearts have, painted into films and ultrasound: walls around cavities, by ``share``, or cavities."""
    name = "wall" if share else "cavity"
    made, number = 0, 0
    while made < count:
        rng = np.random.default_rng([number, 77 if share else 78])
        picture, owner = _canvas(number, rng)
        image, mask = painted(picture, rng, 1.0, share, 0.5)
        number += 1
        if mask.sum() >= 100:
            made += 1
            yield Task(f"{name} {made}", "validation", name, owner, Image(image[None]), mask)


def _canvas(number: int, rng: np.random.Generator) -> tuple[np.ndarray, str]:
    """(a window of a film, or of every third ultrasound picture without a finding, 0…1; whose it is)."""
    paths = datasets.files("busi/normal/*.png" if number % 3 == 2 else "jsrt-more/images/*")
    path = paths[(7 * number + 1) % len(paths)]
    picture = grey(formats.read(path).array).astype(np.float32)
    step = max(1, min(picture.shape) // (3 * _CANVAS))
    window = []
    for side in (n // step for n in picture.shape):
        low = int(rng.integers(0, max(1, side - _CANVAS)))
        window.append(slice(low, low + _CANVAS))
    cut = picture[::step, ::step][tuple(window)]
    return (cut - cut.min()) / max(float(np.ptp(cut)), 1e-6), path.stem


def vessels(count: int) -> Iterator[Task]:
    """DRIVE."""
    for path in _some("retina", count, "drive"):
        labels = formats.read(label_of(path)).array[0]
        yield _cropped("vessels", path.stem, grey(formats.read(path).array), labels > 0)


def cells(count: int) -> Iterator[Task]:
    """Electron microscopy: the cell of middle size, and the ring of membrane around it."""
    for path in _some("em-membrane", count):
        inner, number = ndimage.label(formats.read(label_of(path)).array[0] > 0)
        sizes = np.bincount(inner.ravel(), minlength=number + 1)
        sizes[0] = 0
        large = np.flatnonzero(sizes >= 400)
        cell = inner == large[np.argsort(sizes[large], kind="stable")[len(large) // 2]]
        picture = grey(formats.read(path).array)
        yield _cropped("cell", path.stem, picture, cell)
        yield _cropped("ring", path.stem, picture, ndimage.binary_dilation(cell, iterations=6) & (inner == 0))


def nuclei(count: int) -> Iterator[Task]:
    """Histology: one of the three largest nuclei."""
    for number, path in enumerate(_some("nuclei-gbm", count)):
        labels = formats.read(label_of(path)).array[0]
        sizes = np.bincount(labels[labels > 0].ravel())
        chosen = int(np.argsort(sizes, kind="stable")[-1 - number % 3])
        yield _cropped("nucleus", path.stem, grey(formats.read(path).array), labels == chosen)


def sagittal(count: int) -> Iterator[Task]:
    """Hippocampi of none of the test's patients: the slice across the first axis where they are largest."""
    tested = {task.patient for task in hippocampi()}
    cases = [case for case in hippocampus() if str(case.subject) not in tested]
    for case in cases[:: max(1, len(cases) // count)][:count]:
        truth = case.load_masks["hippocampus"]()
        place = int(truth.sum(axis=(1, 2)).argmax())
        image = Image(np.take(case.image.array, place, 1).astype(np.float32))
        yield Task(f"{case.name} sagittal", "validation", "hippocampus", str(case.subject), image, truth[place])


def _some(folder: str, count: int, beginning: str = "") -> list:
    paths = [path for path in split(folder)[0] if path.name.lower().startswith(beginning)]
    return paths[:: max(1, len(paths) // count)][:count]


def _cropped(structure: str, name: str, picture: np.ndarray, mask: np.ndarray) -> Task:
    """A window around the middle of the object."""
    at = np.median(np.argwhere(mask), axis=0).astype(int)
    window = []
    for place, n in zip(at, picture.shape, strict=True):
        start = int(np.clip(place - _WINDOW // 2, 0, max(0, n - _WINDOW)))
        window.append(slice(start, start + _WINDOW))
    image, truth = picture[tuple(window)], mask[tuple(window)]
    return Task(f"{structure} {name}", "validation", structure, name, Image(image[None].astype(np.float32)), truth)
