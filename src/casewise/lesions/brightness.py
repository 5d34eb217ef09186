"""A map drawn out to where a sequence is bright, voxel by voxel on the examination's own grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from casewise.errors import ModelError
from casewise.lesions.postprocessing import SUREST
from casewise.probability import logistic

Floats = npt.NDArray[np.float32]
_THICK_MM, _SMOOTH_MM = 2.5, 0.7  # along an axis of thinner slices or pixels, brightness is smoothed


@dataclass(frozen=True)
class Brightness:
    """chance = σ(trust · logit of the network's chance + weight · (brightness of ``sequence`` − level)).

    Brightness counts deviations above the mean of the whole examination. A network says roughly where lesions are, on a coarser
    grid and as the raters of its training drew them; how far one reaches, brightness says better, at the image's own resolution.
    A model's own is in the settings of its network, as ``brightness``.
    """

    sequence: str
    trust: float
    weight: float
    level: float

    @classmethod
    def of(cls, network: Mapping[str, object]) -> Brightness | None:
        """As a model's settings have it; None where they have none. Raises ModelError for another thing."""
        given = network.get("brightness")
        if given is None:
            return None
        names = ("sequence", "trust", "weight", "level")
        if (
            not isinstance(given, Mapping)
            or set(given) != set(names)
            or not isinstance(given["sequence"], str)
            or not all(isinstance(given[name], int | float) for name in names[1:])
        ):
            raise ModelError(
                f"A lesion model's brightness has a sequence's name and the numbers trust, weight, level; got {given!r}."
            )
        return cls(given["sequence"], *(float(given[name]) for name in names[1:]))

    def applied(self, chances: Floats, values: Floats, spacing: Sequence[float]) -> Floats:
        """(*spatial) 0…1. chances : (*spatial) 0…1. values : the same grid, mean 0 and deviation 1. spacing : mm."""
        smooth = gaussian_filter(values.astype(np.float32), [_SMOOTH_MM / mm if mm < _THICK_MM else 0.0 for mm in spacing])
        kept = np.clip(chances, SUREST, 1 - SUREST)
        logits = np.float32(self.trust) * np.log(kept / (1 - kept)) + np.float32(self.weight) * (smooth - np.float32(self.level))
        return np.asarray(logistic(logits), np.float32)

    def settings(self) -> dict[str, str | float]:
        """As a model's settings hold it."""
        return asdict(self)
