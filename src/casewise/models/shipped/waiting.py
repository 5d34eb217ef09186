"""The default encoder before it is needed: an import that finds nothing new ends without loading a network library."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from casewise.image import Image

if TYPE_CHECKING:
    from casewise.encoder import Encoder

_MODEL = Path(__file__).parent / "encoder" / "model.toml"


class WaitingEncoder:
    """Implements :class:`casewise.encoder.Encoder` by the shipped encoder, which is loaded when the first image is encoded."""

    def __init__(self, device: str = "auto") -> None:
        self._device = device

    @cached_property
    def key(self) -> str:
        return str(tomllib.loads(_MODEL.read_text(encoding="utf-8"))["key"])

    @property
    def dimension(self) -> int:
        return self._encoder.dimension

    def encode(
        self, images: Sequence[Image], regions: Sequence[npt.NDArray[np.bool_] | None] | None = None
    ) -> npt.NDArray[np.float32]:
        return self._encoder.encode(images, regions)

    @cached_property
    def _encoder(self) -> Encoder:
        from casewise.device import resolve_device
        from casewise.models.shipped import default_encoder

        return default_encoder(resolve_device(self._device))
