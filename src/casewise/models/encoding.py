"""A model's latent space: the encoder's last level, pooled to a few cells, as vectors that an archive compares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from casewise.image import Box, Image
from casewise.models.networks.projected import Projected
from casewise.models.preparation import Preparation

CELLS = {
    2: 4,
    3: 2,
}  # the grid that the last level is pooled to: coarse enough to forgive a shift, fine enough to see the anatomy
_SLICES = (0.35, 0.5, 0.65)  # where a volume is looked at by a 2D network, as a share of its slices
_MARGIN = 0.1
_BATCH = 32


class ModelEncoder:
    """Implements :class:`casewise.encoder.Encoder` by the encoding part of a network (:meth:`casewise.models.Model.encoder`).

    encoder : gives features in places, which are pooled to a few cells; a :class:`Projected` network gives vectors.
    preparation, key : of the model.
    """

    ARCHITECTURES = ("unet", "efficient_unet", "classifier", "autoencoder")  # whose part ``encoder`` gives a latent space

    def __init__(self, encoder: nn.Module, preparation: Preparation, key: str, device: str) -> None:
        self._encoder, self._preparation, self.key, self._device = encoder, preparation, key, device
        self._cells = CELLS[preparation.spatial_dims]
        if isinstance(encoder, Projected):
            self._dimension = encoder.dimension
            self._grey = replace(preparation, channels=1)
        else:
            channels = list(encoder.parameters())[-1].shape[0]
            self._dimension = int(channels) * self._cells**preparation.spatial_dims
            self._grey = preparation

    @property
    def dimension(self) -> int:
        return int(self._dimension)

    def encode(
        self, images: Sequence[Image], regions: Sequence[npt.NDArray[np.bool_] | None] | None = None
    ) -> npt.NDArray[np.float32]:
        """(n, dimension) float32. ``regions`` (*spatial): only the box around each, widened by a tenth, is looked at."""
        tensors, owners = [], []
        for number, image in enumerate(images):
            region = regions[number] if regions is not None else None
            for tensor in self.views(image if region is None else crop(image, region)):
                tensors.append(tensor)
                owners.append(number)
        vectors = np.zeros((len(images), self._dimension), np.float32)
        counts = np.bincount(owners, minlength=len(images))
        with torch.inference_mode():
            batch = _BATCH if self._preparation.uniform else 1  # at a given spacing each has its own size
            for start in range(0, len(tensors), batch):
                found = self._pooled(self._encoder(torch.stack(tensors[start : start + batch]).to(self._device)).float())
                np.add.at(vectors, owners[start : start + batch], found.cpu().numpy())
        return (vectors / counts[:, None]).astype(np.float32)

    def _pooled(self, features: torch.Tensor) -> torch.Tensor:
        """(n, dimension)."""
        if features.ndim == 2:
            return features
        pool = functional.adaptive_avg_pool2d if features.ndim == 4 else functional.adaptive_avg_pool3d
        return pool(features, self._cells).flatten(1)

    def views(self, image: Image) -> list[torch.Tensor]:
        """(C, *network) each: what the network sees of ``image``; of a volume a 2D network sees three slices."""
        preparation = self._grey if image.channels == 1 else self._preparation  # one channel is prepared once, not three times
        parts = preparation.parts(image)
        if len(parts) > len(_SLICES):
            parts = [parts[int(share * len(parts))] for share in _SLICES]
        channels = self._preparation.channels
        return [tensor.expand(channels, *tensor.shape[1:]) for tensor in (part.tensor() for part in parts)]


def crop(image: Image, region: npt.NDArray[np.bool_]) -> Image:
    """The box around ``region`` (*spatial), widened by a tenth a side, with its geometry; the whole image for an empty one."""
    box = Box.around(region)
    if box is None:
        return image
    lower = [max(0, lo - max(1, round(_MARGIN * n))) for lo, n in zip(box.lower, box.shape, strict=True)]
    upper = [
        min(full, hi + max(1, round(_MARGIN * n))) for hi, n, full in zip(box.upper, box.shape, image.spatial_shape, strict=True)
    ]
    return image.crop(Box(tuple(lower), tuple(upper)))
