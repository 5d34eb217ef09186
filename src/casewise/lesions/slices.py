"""What a lesion network sees: the sequences of an examination as channels of slices, dark where there is nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from casewise.image import Image
from casewise.models.preparation import Part, Preparation

NONE = "no lesion"
_DARK, _SPAN = 3.0, 8.0  # deviations below the mean that count as black, and from there to white
_SHOWS = 0.02  # a slice of which less is brighter than black shows nothing


def preparation(sequences: int, size: int) -> Preparation:
    """Slices of ``sequences`` channels, fitted into ``size`` × ``size``."""
    return Preparation(2, (size, size), sequences, "none")


def scaled(image: Image) -> Image:
    """(sequences, *spatial) float32 in 0…1 of an examination's normalised sequences (mean 0, deviation 1), as
    :meth:`casewise.anatomy.examination.Examination.stacked` gives them; one in ``header["absent"]`` stays 0.

    Black is what the network's padding holds, so that a brain's surroundings and a missing sequence look alike to it.
    """
    names = image.header.get("sequences")
    absent = image.header.get("absent") or ()
    gone = [name in absent for name in names] if isinstance(names, tuple) and isinstance(absent, tuple) else []
    parts = [
        np.zeros(image.spatial_shape, np.float32)
        if number < len(gone) and gone[number]
        else np.clip((channel.astype(np.float32) + np.float32(_DARK)) / np.float32(_SPAN), 0, 1)
        for number, channel in enumerate(image.array)
    ]
    return image.with_array(np.stack(parts))


def shows(part: Part) -> bool:
    """Whether there is something to be seen in a slice."""
    return bool(np.mean(part.array.max(axis=0) > 1 / _SPAN) > _SHOWS)


def only(array: npt.NDArray[np.float32], kept: Sequence[int]) -> npt.NDArray[np.float32]:
    """(N, sequences, row, column) with all but the ``kept`` sequences missing."""
    changed = np.zeros_like(array)
    changed[:, list(kept)] = array[:, list(kept)]
    return changed
