"""Tasks on small pictures of very different things: the images of each set that are held back from the training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from casewise import formats
from casewise.image import Image
from casewise.intensity import grey
from experiments import structures
from experiments.interaction.tasks import Task
from experiments.interactive.structures import TRAINED_ON

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Cut = tuple[str, Floats, Mask]  # a structure's name, the picture, its mask

EACH = 8  # images a folder at most, spread over those held back
_EDGE = 256  # pixels of a window
_WIDTH = 512  # to about which a retina is reduced
_LEAST = 40  # pixels of an object


def structure_pictures() -> Iterator[Task]:
    """Grey pictures of every folder; of nuclei and membranes one object and all of them."""
    for folder, cuts in _FOLDERS.items():
        _, held_back = structures.split(folder)
        for path in _spread(held_back):
            owner = folder if folder == "em-membrane" else structures.patient(path)  # its slices are of one volume
            picture, labels = _read(path)
            for name, cut, truth in cuts(picture, labels):
                if truth.sum() >= _LEAST:
                    yield Task(
                        f"{folder} {path.stem} {name}",
                        "structures",
                        name,
                        owner,
                        Image(cut[None]),
                        truth,
                        seen=folder in TRAINED_ON,
                    )


def _read(path: Path) -> tuple[Floats, Labels]:
    label = formats.read(structures.label_of(path))
    return grey(formats.read(path).array), label.array[0].astype(np.int64)


def _spread(paths: list[Path]) -> list[Path]:
    return [paths[n] for n in np.unique(np.linspace(0, len(paths) - 1, min(EACH, len(paths))).astype(int))]


def _lesion(picture: Floats, labels: Labels) -> Iterator[Cut]:
    yield "breast_lesion", picture, labels > 0


def _wound(picture: Floats, labels: Labels) -> Iterator[Cut]:
    yield "wound", picture, labels > 0


def _nuclei(picture: Floats, labels: Labels) -> Iterator[Cut]:
    yield from _one_and_all(picture, labels, "nucleus", "nuclei")


def _stained_nuclei(picture: Floats, labels: Labels) -> Iterator[Cut]:
    yield from _one_and_all(picture, labels, "stained_nucleus", "stained_nuclei")


def _one_and_all(picture: Floats, labels: Labels, one: str, several: str) -> Iterator[Cut]:
    """The object of middle size, and all, in the window that shows most of them."""
    window = _fullest(labels > 0)
    inner = labels[window]
    yield one, picture[window], inner == _middle(inner)
    yield several, picture[window], inner > 0


def _membranes(picture: Floats, labels: Labels) -> Iterator[Cut]:
    """The membranes of a window, and one of the cells between them."""
    window = tuple(slice(0, _EDGE) for _ in range(2))
    cells, _ = ndimage.label(labels[window] > 0)
    yield "membrane", picture[window], cells == 0
    yield "cell", picture[window], cells == _middle(cells)


def _vessels(picture: Floats, labels: Labels) -> Iterator[Cut]:
    factor = max(1, round(picture.shape[1] / _WIDTH))
    smaller, mask = _means(picture, factor), _means((labels > 0).astype(np.float32), factor) >= 0.5
    window = _fullest(mask)
    yield "retinal_vessels", smaller[window], mask[window]


_FOLDERS: dict[str, Callable[[Floats, Labels], Iterator[Cut]]] = {
    "breast-ultrasound": _lesion,
    "dsb2018": _nuclei,
    "em-membrane": _membranes,
    "nuclei-gbm": _stained_nuclei,
    "retina": _vessels,
    "wound": _wound,
}


def _middle(labels: Labels) -> int:
    """The number of the object of middle size among those that the window does not cut, or among all where it cuts each."""
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    cut = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    large = np.flatnonzero(sizes >= _LEAST)
    whole = np.setdiff1d(large, cut)
    chosen = whole if len(whole) else large if len(large) else np.flatnonzero(sizes)
    return int(chosen[np.argsort(sizes[chosen], kind="stable")[len(chosen) // 2]])


def _fullest(mask: Mask) -> tuple[slice, ...]:
    """Of the windows of 256 pixels, 64 apart, the one that holds most of the mask; all of a smaller picture."""
    sides = [min(_EDGE, n) for n in mask.shape]
    rows, columns = (
        np.unique(np.append(np.arange(0, n - side + 1, 64), n - side)) for n, side in zip(mask.shape, sides, strict=True)
    )
    windows = [(slice(r, r + sides[0]), slice(c, c + sides[1])) for r in map(int, rows) for c in map(int, columns)]
    return max(windows, key=lambda window: int(mask[window].sum()))


def _means(array: Floats, factor: int) -> Floats:
    rows, columns = (n // factor for n in array.shape)
    blocks = array[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor)
    return np.asarray(blocks.mean(axis=(1, 3)), np.float32)
