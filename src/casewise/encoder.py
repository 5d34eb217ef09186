"""What the archive needs of a network: vectors whose cosine says how alike two images are; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from casewise.image import Image


class Encoder(Protocol):
    """Turns images into latent vectors.

    key : identity (a model's content hash); vectors of different keys are never compared.
    dimension : length of a vector.
    """

    @property
    def key(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    def encode(
        self, images: Sequence[Image], regions: Sequence[npt.NDArray[np.bool_] | None] | None = None
    ) -> npt.NDArray[np.float32]:
        """(n, dimension) float32, one row an image; ``regions`` (each (*spatial) bool or None) limit what is looked at."""
        ...
