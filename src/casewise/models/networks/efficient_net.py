"""EfficientNet-Lite0 as an encoder (Tan 2019, arXiv 1905.11946; the Lite variant has no squeeze-and-excitation and clips at 6).

Batch norms are folded into the convolutions before them, so that a few steps on a few alike images cannot spoil their statistics.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

WEIGHTS = Path(__file__).parents[1] / "shipped" / "backbone" / "weights.safetensors"
STEM = 32
MIDDLE, DEVIATION = 127 / 255, 128 / 255  # of grey values from 0 to 1, as the weights were trained


class Stage(NamedTuple):
    """Of ``blocks`` inverted residuals: the first with ``stride``, each ``expansion`` times as wide within."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int
    reduction: int  # pixels of the input a place of the output, on each axis


STAGES = (
    Stage(1, 3, 1, 1, 16, 2),
    Stage(2, 3, 2, 6, 24, 4),
    Stage(2, 5, 2, 6, 40, 8),
    Stage(3, 3, 2, 6, 80, 16),
    Stage(3, 5, 1, 6, 112, 16),
    Stage(4, 5, 2, 6, 192, 32),
    Stage(1, 3, 1, 6, 320, 32),
)


class EfficientNetLite(nn.Module):
    """Input (N, channels, rows, columns), about −1 to 1: (value − ``MIDDLE``) / ``DEVIATION`` of values from 0 to 1.

    channels : of the input; those of the pretrained weights, red, green and blue, are added up and shared out evenly over them.
    stages : how many of ``STAGES``, whose outputs :meth:`levels_of` gives.
    """

    def __init__(self, channels: int = 1, stages: int = len(STAGES)) -> None:
        super().__init__()
        self.stem = Convolution(channels, STEM, 3, stride=2)
        self.stages = nn.ModuleList()
        inputs = STEM
        for stage in STAGES[:stages]:
            sizes = [(inputs, stage.stride)] + [(stage.channels, 1)] * (stage.blocks - 1)
            self.stages.append(
                nn.Sequential(*(InvertedResidual(i, stage.channels, stage.kernel, s, stage.expansion) for i, s in sizes))
            )
            inputs = stage.channels
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def levels_of(self, x: Tensor) -> list[Tensor]:
        """Every stage's output, finest first: (N, channels, rows / reduction, columns / reduction), rounded up."""
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        return levels

    def forward(self, x: Tensor) -> Tensor:
        return self.levels_of(x)[-1]

    def pretrained(self) -> EfficientNetLite:
        """The same with the weights learnt on ImageNet that come with casewise (``shipped/backbone``)."""
        from safetensors.torch import load_file

        kept = {name: tensor.float() for name, tensor in load_file(WEIGHTS).items()}
        stem = kept["stem.weight"]
        channels = self.stem.weight.shape[1]
        kept["stem.weight"] = (
            stem if channels == stem.shape[1] else stem.sum(dim=1, keepdim=True).repeat(1, channels, 1, 1) / channels
        )
        own = self.state_dict()
        self.load_state_dict({name: kept[name] for name in own})
        return self


class OnShared(nn.Module):
    """A network on the shared ``encoder``: the one that was learnt on photographs and comes with casewise (``shipped/backbone``).

    The encoder is not trained, and not among the weights (:meth:`state_dict`).
    """

    _SHARED = "encoder."

    def __init__(self, channels: int = 1, stages: int = len(STAGES)) -> None:
        super().__init__()
        self.encoder = EfficientNetLite(channels, stages).pretrained().requires_grad_(False)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Without the encoder, which comes with casewise."""
        return {name: value for name, value in super().state_dict(*args, **kwargs).items() if not name.startswith(self._SHARED)}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Of :meth:`state_dict`."""
        own = {name: value for name, value in super().state_dict().items() if name.startswith(self._SHARED)}
        return super().load_state_dict({**own, **state_dict}, strict, assign)


class Convolution(nn.Conv2d):
    """Padded as TensorFlow's ``SAME`` is, by which the weights were learnt: a stride of 2 pads the far side first."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, *, clipped: bool = True) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding=kernel // 2 if stride == 1 else 0, groups=groups)
        self.clipped = clipped

    def forward(self, x: Tensor) -> Tensor:
        size, step = self.kernel_size[0], self.stride[0]
        if step > 1:
            missing = [max((-(-n // step) - 1) * step + size - n, 0) for n in (x.shape[3], x.shape[2])]
            x = functional.pad(x, [side for m in missing for side in (m // 2, m - m // 2)])
        x = super().forward(x)
        return functional.relu6(x, inplace=not torch.is_grad_enabled()) if self.clipped else x


class InvertedResidual(nn.Module):
    """A pointwise convolution that widens, one a channel, and one that narrows again (Sandler 2018)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = inputs * expansion
        self.expand = Convolution(inputs, width, 1) if expansion > 1 else nn.Identity()
        self.depthwise = Convolution(width, width, kernel, stride, groups=width)
        self.project = Convolution(width, outputs, 1, clipped=False)
        self.skip = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.skip else y
