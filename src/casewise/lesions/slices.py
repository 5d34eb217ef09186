"""What a lesion network takes: the sequences of an examination as channels of slices, dark where there is nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from casewise.image import Box, Image
from casewise.models.preparation import Part, Preparation

NONE = "no lesion"
_DARK, _SPAN = 3.0, 8.0  # deviations below the mean that count as black, and from there to white
_EDGE = 0.005  # of a line of voxels; less brighter than black is noise
_SHOWS = 0.02  # a slice of which less is brighter than black shows nothing


def preparation(sequences: int, size: int) -> Preparation:
    """Slices of ``sequences`` channels, fitted into ``size`` × ``size``."""
    return Preparation(2, (size, size), sequences, "none")


def scaled(image: Image) -> Image:
    """(sequences, *spatial) float32 in 0…1 of an examination's normalised sequences (mean 0, deviation 1), as
    :meth:`casewise.examination.examination.Examination.stacked` gives them; one in ``header.absent`` stays 0.

    Black is what the network's padding holds, so that a brain's surroundings and a missing sequence look alike to it.
    """
    names = image.header.sequences
    absent = image.header.absent
    gone = [name in absent for name in names] if isinstance(names, tuple) and isinstance(absent, tuple) else []
    parts = [
        np.zeros(image.spatial_shape, np.float32)
        if number < len(gone) and gone[number]
        else np.clip((channel.astype(np.float32) + np.float32(_DARK)) / np.float32(_SPAN), 0, 1)
        for number, channel in enumerate(image.array)
    ]
    return image.with_array(np.stack(parts))


def window(image: Image) -> Box:
    """What a scaled image shows, without the empty space around it, which would cost resolution."""
    visible = image.array.max(axis=0) > 1 / _SPAN
    lower, upper = [], []
    for axis, size in enumerate(visible.shape):
        others = tuple(other for other in range(visible.ndim) if other != axis)
        filled = np.flatnonzero(visible.mean(axis=others) > _EDGE)
        lower.append(int(filled[0]) if filled.size else 0)
        upper.append(int(filled[-1]) + 1 if filled.size else size)
    return Box(tuple(lower), tuple(upper))


def shows(part: Part) -> bool:
    """Whether a slice has content."""
    return bool(np.mean(part.array.max(axis=0) > 1 / _SPAN) > _SHOWS)


def only(array: npt.NDArray[np.float32], kept: Sequence[int]) -> npt.NDArray[np.float32]:
    """(N, sequences, row, column) with all but the ``kept`` sequences missing."""
    changed = np.zeros_like(array)
    changed[:, list(kept)] = array[:, list(kept)]
    return changed
