"""A small U-Net (Ronneberger 2015) that sees a box, strokes and the former answer beside the image, as ScribblePrompt's does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from casewise.models.networks.head import Head
from casewise.models.networks.prompts import DEFAULT, check_prompted

_AT_ONCE = 8  # planes of a volume
_GROUP = 8  # channels normalised together: a stroke's strength against the image's must survive


class PromptUNet(nn.Module):
    """Input (N, in_channels + prompts, *spatial), rows and columns a multiple of ``2 ** (len(channels) - 1)``; output
    (N, 2, *spatial).

    A volume (row, column, plane) goes through it plane by plane; at all but the finest level each plane is given a part of its
    neighbours, ``reach`` either way, which begins at none: a network for volumes can begin with the weights of one for pictures and
    answers like it.

    context : width of a level below the deepest one, whose answer is added to that one's; it begins at none, so that a network
    without it can be gone on from.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        channels: Sequence[int],
        prompts: int = len(DEFAULT),
        context: int = 0,
        reach: int = 1,
    ) -> None:
        super().__init__()
        self.inputs = in_channels + prompts
        self.volumes = spatial_dims == 3
        self.pool = nn.MaxPool2d(2)
        inputs = [self.inputs, *channels[:-1]]
        self.encoder = nn.ModuleList(_block(i, o) for i, o in zip(inputs, channels, strict=True))
        self.decoder = nn.ModuleList(_block(low + skip, skip) for skip, low in reversed(list(pairwise(channels))))
        self.head = Head(spatial_dims, channels[0], out_channels)
        self.context = _Context(channels[-1], context) if context else None
        if self.volumes:
            self.through_encoder = nn.ModuleList(_Through(width, reach) for width in channels[1:])
            self.through_decoder = nn.ModuleList(_Through(width, reach) for width in reversed(channels[1:-1]))

    def features(self, x: Tensor) -> Tensor:
        """(N, channels[0] + 1, *spatial): what ``head`` makes its answer from."""
        found = torch.cat(list(self._parts(x)))
        return found.unflatten(0, (-1, x.shape[-1])).movedim(1, -1) if self.volumes else found

    def forward(self, x: Tensor) -> Tensor:
        if not self.volumes:
            picture: Tensor = self.head(self.features(x))
            return picture
        answers: list[Tensor] = [self.head(part) for part in self._parts(x)]
        volume: Tensor = torch.cat(answers).unflatten(0, (-1, x.shape[-1])).movedim(1, -1)
        return volume

    def _parts(self, x: Tensor) -> Iterator[Tensor]:
        """The features (n, channels[0] + 1, row, column) of pictures, or of a volume's planes, of which some at a time go through
        the finest level: what it holds of all at once would not stay in the processor's cache.
        """
        check_prompted(x, self.inputs)
        count = x.shape[-1] if self.volumes else 1
        planes = x.movedim(-1, 1).flatten(0, 1) if self.volumes else x
        at_once = _AT_ONCE if self.volumes and not self.training else len(planes)
        form = torch.channels_last if self.volumes else torch.contiguous_format  # a fifth faster on a processor
        finest = [self.encoder[0](part.contiguous(memory_format=form)) for part in planes.split(at_once)]
        low = self._coarser(torch.cat([self.pool(part) for part in finest]), count)
        for part, skip, below in zip(planes.split(at_once), finest, low.split(at_once), strict=True):
            yield torch.cat([self._joined(self.decoder[-1], skip, below), part[:, -1:]], dim=1)

    def _coarser(self, x: Tensor, count: int) -> Tensor:
        """What all levels but the finest make of the finest's pooled (N · count, channels[0], row, column)."""
        skips: list[Tensor] = []
        for number, level in enumerate(list(self.encoder)[1:]):
            x = level(self.pool(x) if number else x)
            if count > 1:
                x = self.through_encoder[number](x, count)
            skips.append(x)
        skips.pop()
        if self.context is not None:
            x = self.context(x)
        for number, (level, skip) in enumerate(zip(list(self.decoder)[:-1], reversed(skips), strict=True)):
            x = self._joined(level, skip, x)
            if count > 1:
                x = self.through_decoder[number](x, count)
        return x

    def _joined(self, level: nn.Module, skip: Tensor, low: Tensor) -> Tensor:
        finer: Tensor = level(torch.cat([skip, nn.functional.interpolate(low, size=skip.shape[2:], mode="nearest")], dim=1))
        return finer


class _Context(nn.Module):
    """(N, C, row, column) with what a level of half the rows and columns says of it added."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(2)
        self.level = _block(channels, width)
        self.back = _from_nothing(nn.Conv2d(width, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        below = self.back(self.level(self.pool(x)))
        wider: Tensor = x + nn.functional.interpolate(below, size=x.shape[2:], mode="nearest")
        return wider


class _Through(nn.Module):
    """(N · planes, C, row, column) with a part of the neighbouring planes, ``reach`` either way, added to each; beyond the first
    and the last plane they count as repeated.
    """

    def __init__(self, channels: int, reach: int = 1) -> None:
        super().__init__()
        self.reach = reach
        self.mix = _from_nothing(nn.Conv2d(2 * reach * channels, channels, 1))  # of the planes before, behind, two before, …

    def forward(self, x: Tensor, planes: int) -> Tensor:
        width, reach = x.shape[1], self.reach
        volume = x.permute(0, 2, 3, 1).unflatten(0, (-1, planes))
        padded = torch.cat([*[volume[:, :1]] * reach, volume, *[volume[:, -1:]] * reach], dim=1).permute(0, 4, 1, 2, 3)
        kernel = self.mix.weight.reshape(width, 2 * reach, width).movedim(1, -1)
        itself = torch.eye(width, dtype=kernel.dtype, device=kernel.device)[..., None]
        kernel = torch.cat([kernel[..., ::2].flip(-1), itself, kernel[..., 1::2]], dim=-1)
        mixed = nn.functional.conv3d(padded, kernel[..., None, None], self.mix.bias)
        return mixed.permute(0, 2, 3, 4, 1).flatten(0, 1).permute(0, 3, 1, 2)


def _from_nothing(conv: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


def _block(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in (inputs, outputs):
        norm = nn.GroupNorm(max(1, outputs // _GROUP), outputs)
        layers += [nn.Conv2d(width, outputs, 3, padding=1, bias=False), norm, nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
