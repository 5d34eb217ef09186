"""An nnU-Net's ``checkpoint_*.pth``: the weights and the few words beside them, read without running anything that is in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from casewise.errors import ModelError
from casewise.models.foreign.torchscript import ensure_not_inflated

# nnU-Net writes its curves as numpy's numbers; these make such numbers and nothing else.
_SCALAR = np.float64(0).__reduce__()[0]
_NUMBERS: list[Any] = [np.dtype, *((_SCALAR, f"numpy.{place}.multiarray.scalar") for place in ("core", "_core"))]
_NUMBERS += [type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """weights : of one fold. mirroring : axes of the patch that the training mirrored."""

    weights: Mapping[str, Tensor]
    trainer: str
    configuration: str
    mirroring: tuple[int, ...]


def read_checkpoint(path: Path) -> Checkpoint:
    """Raises ModelError, one sentence, for a file that is damaged, that holds code, or that is no nnU-Net's."""
    found = _opened(path)
    weights, about = found.get("network_weights"), found.get("init_args")
    if not isinstance(weights, Mapping) or not weights or not all(isinstance(value, Tensor) for value in weights.values()):
        raise ModelError(f"{path} holds no network_weights (names and tensors); it is no checkpoint that nnU-Net wrote.")
    if any(value.numel() * value.element_size() > value.untyped_storage().nbytes() for value in weights.values()):
        raise ModelError(f"{path} holds tensors that are larger than what is stored of them; copy it again.")
    trainer, configuration = found.get("trainer_name"), about.get("configuration") if isinstance(about, Mapping) else None
    if not isinstance(trainer, str) or not isinstance(configuration, str):
        raise ModelError(f"{path} does not say its trainer and its configuration; it is no checkpoint of nnU-Net v2.")
    axes = found.get("inference_allowed_mirroring_axes") or ()
    if not isinstance(axes, list | tuple) or not all(isinstance(axis, int) and 0 <= axis < 3 for axis in axes):
        raise ModelError(f"{path} names the axes {axes!r} to mirror along; they are of 0, 1 and 2.")
    named = {str(name).removeprefix("module.").removeprefix("_orig_mod."): value for name, value in weights.items()}
    return Checkpoint(named, trainer, configuration, tuple(axes))


def _opened(path: Path) -> Mapping[str, Any]:
    try:
        ensure_not_inflated(path)
        with torch.serialization.safe_globals(_NUMBERS):
            found = torch.load(path, weights_only=True, map_location="cpu")
    except ModelError:
        raise
    except FileNotFoundError as error:
        raise ModelError(f"nnU-Net left no {path.name} in {path.parent}; name a fold that was trained to its end.") from error
    except Exception as error:  # torch raises whatever a damaged or forbidden pickle makes it stumble over
        detail = " ".join(str(error).split())[:160]
        raise ModelError(
            f"{path} is damaged, or holds Python objects, which casewise never makes ({detail}); "
            "copy it again from where it was trained."
        ) from error
    if not isinstance(found, Mapping):
        raise ModelError(f"{path} holds a {type(found).__name__}; it is no checkpoint that nnU-Net wrote.")
    return found
