"""Labelled examinations made ready for training, once: slices and their masks in a folder, read from there as they are needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from casewise.case import Case
from casewise.errors import CasewiseError
from casewise.lesions.slices import preparation, scaled, shows, window

MOST = 64  # slices of an examination with lesions; half as many without
_SHARE = 0.5  # of a pixel that is lesion, from which on it counts as such
_LEAST = 4  # pixels of lesion, at the network's scale, from which on a slice has one


@dataclass(frozen=True, eq=False)
class Slices:
    """Of one examination: x (N, sequences, row, column) float16 in 0…1; mask (N, row, column) uint8, evenly spread over it.

    filled, empty : numbers of the slices with lesions and of those without.
    """

    x: npt.NDArray[np.float16]
    mask: npt.NDArray[np.uint8]
    category: str | None
    filled: tuple[int, ...]
    empty: tuple[int, ...]

    @property
    def there(self) -> npt.NDArray[np.bool_]:
        """(sequences,): which the examination has."""
        return np.asarray(np.any(self.x[:, :, ::4, ::4], axis=(0, 2, 3)))


def prepared(
    examinations: Sequence[Case],
    sequences: Sequence[str],
    size: int,
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
    failed: Callable[[str], None] | None = None,
) -> list[Slices]:
    """The slices of each examination; those that lie in ``folder`` from an earlier time are not made again.

    failed : called with a sentence on one that cannot be used, which then has no slices; without it the CasewiseError is raised.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for number, examination in enumerate(examinations, start=1):
        place = folder / f"{'-'.join(examination.keys)[:120]}-{size}-{'_'.join(sequences).replace(' ', '')}"
        try:
            if not place.with_suffix(".mask.npy").exists():
                _make(examination, sequences, size, place)
            found.append(_read(place, examination.category))
        except CasewiseError as error:
            if failed is None:
                raise
            failed(str(error))
            found.append(Slices(np.zeros((0, len(sequences), 1, 1), np.float16), np.zeros((0, 1, 1), np.uint8), None, (), ()))
        if progress is not None:
            progress(number, len(examinations))
    return found


def _make(examination: Case, sequences: Sequence[str], size: int, place: Path) -> None:
    image, lesions = examination.loaded(sequences)
    mask = lesions.union()
    whole, way = scaled(image), preparation(len(sequences), size)
    box = window(whole)
    ready = whole.crop(box)
    parts, pieces = way.parts(ready), way.label_parts(mask[box.slices].astype(np.float32), ready)
    # By area, not by the nearest voxel, so that a lesion of a pixel or two does not vanish by chance.
    masks = [
        way.resize(torch.from_numpy(piece.copy())[None], part.view.spacing, "linear")[0].numpy() >= _SHARE
        for part, piece in zip(parts, pieces, strict=True)
    ]
    filled = [n for n, own in enumerate(masks) if own.sum() >= _LEAST]
    empty = [n for n, (part, own) in enumerate(zip(parts, masks, strict=True)) if not own.any() and shows(part)]
    chosen = sorted([*_spread(filled, MOST), *_spread(empty, MOST // 2)])
    shape = (0, len(sequences), size, size)
    x = np.stack([parts[n].tensor().numpy().astype(np.float16) for n in chosen]) if chosen else np.zeros(shape, np.float16)
    chosen_masks = np.stack([masks[n].astype(np.uint8) for n in chosen]) if chosen else np.zeros((0, size, size), np.uint8)
    for kind, array in (("x", x), ("mask", chosen_masks)):  # the mask last: it says that the examination is done
        beside = place.with_suffix(f".{kind}.part.npy")
        np.save(beside, array)
        beside.replace(place.with_suffix(f".{kind}.npy"))


def _read(place: Path, category: str | None) -> Slices:
    x = np.load(place.with_suffix(".x.npy"), mmap_mode="r", allow_pickle=False)
    mask = np.load(place.with_suffix(".mask.npy"), allow_pickle=False)
    filled = mask.any(axis=(1, 2))
    return Slices(x, mask, category, tuple(np.flatnonzero(filled).tolist()), tuple(np.flatnonzero(~filled).tolist()))


def _spread(numbers: Sequence[int], most: int) -> list[int]:
    if len(numbers) <= most:
        return list(numbers)
    return [numbers[int(n)] for n in np.linspace(0, len(numbers) - 1, most).round()]
