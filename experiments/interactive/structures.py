"""Objects of small labelled pictures that are not radiographs: nuclei, vessels, lesions on ultrasound, wounds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, label, zoom

from casewise import formats
from casewise.case import Case
from casewise.intensity import grey, unit_range
from experiments.structures import label_of, split

# Those whose licences let weights be passed on: of the vessels CHASE's, not DRIVE's.
TRAINED_ON = {"breast-ultrasound": "*", "dsb2018": "*", "retina": "chase-", "wound": "*"}
_EDGES = {"retina": 640}  # pixels that a picture's longer side is reduced to
_EDGE = 320
_LEAST = 20  # pixels of an object


@dataclass(frozen=True, eq=False)
class Labelled:
    """picture : (row, column) float32, 0…1. labels : (row, column) int32, 0 or an object's number. kept : the objects of some size.
    key : of the picture's case. folder : the set.
    """

    picture: np.ndarray
    labels: np.ndarray
    kept: tuple[int, ...]
    key: str
    folder: str


class LabelledPictures:
    """Draws (picture, object): one object, some near each other or all; of the whole picture or of a part of it."""

    def __init__(self, pictures: Sequence[Labelled]) -> None:
        self.folders = [[one for one in pictures if one.folder == name] for name in dict.fromkeys(p.folder for p in pictures)]

    def __call__(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The object has at least 20 pixels and leaves at least some of the picture."""
        while True:
            among = self.folders[int(rng.integers(len(self.folders)))]
            picture, mask = _task(among[int(rng.integers(len(among)))], rng)
            if _LEAST <= mask.sum() <= 0.8 * mask.size:
                return picture, mask


def labelled_pictures() -> Iterator[Labelled]:
    """Those of :data:`TRAINED_ON` that are not held back."""
    for folder, beginning in TRAINED_ON.items():
        for path in split(folder)[0]:
            if beginning == "*" or path.name.startswith(beginning):
                image = formats.read(path)
                labels = formats.read(label_of(path)).array[0].astype(np.int32)
                yield _labelled(unit_range(grey(image.array)), labels, folder, Case.of(image).key)


def _labelled(picture: np.ndarray, labels: np.ndarray, folder: str, key: str) -> Labelled:
    factor = min(1.0, _EDGES.get(folder, _EDGE) / max(picture.shape))
    if labels.max() == labels[labels > 0].min(initial=1 << 20):  # one number for all: its parts are the objects
        labels = label(labels > 0)[0].astype(np.int32)
    if factor < 1:
        picture = zoom(gaussian_filter(picture, 0.4 / factor), factor, order=1)
        rows, columns = (
            np.minimum(((np.arange(n) + 0.5) / factor).astype(int), full - 1)
            for n, full in zip(picture.shape, labels.shape, strict=True)
        )
        labels = labels[np.ix_(rows, columns)]
    sizes = np.bincount(labels.ravel())
    kept = tuple(int(n) for n in np.flatnonzero(sizes >= _LEAST) if n > 0)
    return Labelled(np.clip(picture, 0, 1).astype(np.float32), labels, kept, key, folder)


def _task(one: Labelled, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    picture, labels = one.picture, one.labels
    if not one.kept:
        return picture, np.zeros(picture.shape, bool)
    chosen = int(rng.choice(one.kept))
    if rng.random() < 0.5 and min(picture.shape) > 96:
        picture, labels = _part(picture, labels, chosen, rng)
    how = rng.random()
    if len(one.kept) == 1 or how < 0.4:
        return picture, labels == chosen
    if how < 0.75:
        return picture, labels > 0
    places = np.argwhere(labels > 0)
    here = np.argwhere(labels == chosen)
    if not len(here):
        return picture, labels > 0
    near = np.argsort(np.hypot(*(places - here[len(here) // 2]).T), kind="stable")[: int(rng.integers(200, 3000))]
    return picture, np.isin(labels, np.unique(labels[tuple(places[near].T)]))


def _part(picture: np.ndarray, labels: np.ndarray, chosen: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A window of 96 to 256 pixels that holds a place of the object."""
    places = np.argwhere(labels == chosen)
    at, side = places[int(rng.integers(len(places)))], int(rng.integers(96, 257))
    window = []
    for place, full in zip(at, picture.shape, strict=True):
        start = int(np.clip(place - rng.integers(side), 0, max(0, full - side)))
        window.append(slice(start, start + side))
    return picture[tuple(window)], labels[tuple(window)]
