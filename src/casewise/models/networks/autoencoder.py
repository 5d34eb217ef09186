"""An autoencoder: what its narrow middle keeps of an image is the latent space in which images are compared."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from casewise.models.networks.unet import Encoder, block


class Autoencoder(nn.Module):
    """Input (N, in_channels, *spatial); output the same shape: the image, rebuilt without skip connections.

    ``outputs`` is the number of channels that are rebuilt.
    """

    def __init__(self, spatial_dims: int, in_channels: int, outputs: int, channels: Sequence[int] = (8, 16, 32, 32)) -> None:
        super().__init__()
        self.encoder = Encoder(spatial_dims, in_channels, channels)
        reverse = list(reversed(channels))
        self.decoder = nn.ModuleList(block(spatial_dims, low, high) for low, high in pairwise(reverse))
        self.head = (nn.Conv2d if spatial_dims == 2 else nn.Conv3d)(channels[0], outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.encoder(x)
        for level in self.decoder:
            x = level(nn.functional.interpolate(x, scale_factor=2, mode="nearest"))
        answer: Tensor = self.head(x)
        return answer
