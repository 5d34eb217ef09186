"""What a foreign model takes and answers, as its owner writes it down: ``<file>.toml``, or ``casewise.toml`` in a bundle."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import nn

from casewise.errors import CasewiseError, ModelError
from casewise.models.documents import read
from casewise.models.foreign.remote import NetworkError
from casewise.models.spec import Spec
from casewise.models.stored import StoredModel
from casewise.models.tasks import task_of

TEMPLATE = """\
task = "segmentation"          # or "classification"
structures = ["lung"]          # the network's outputs after background, in order; a classifier has classes = ["normal", "effusion"]
answers = "logits"             # or "probabilities" (softmax is in the network), or "sigmoid" (before it; one output a structure)

[input]
spatial_dims = 2               # 2: pictures, and volumes slice by slice; 3: volumes
size = [256, 256]              # what the network takes: the image is fitted into it ...
# spacing = [0.7, 0.7]         # ... or, with this line, resampled to this many mm and taken in windows of `size`
channels = 1
intensity = "percentile"       # or "minmax", "normal" (mean 0, deviation 1), "none", or "window" with window = [-160.0, 240.0]
axes = "PLS"                   # where rows, columns and slices run to: Posterior, Left, Superior; MONAI's are mostly "RAS"
"""

_LARGEST_TRIAL = 1 << 28  # values
_LONG, _SHORT = 1 << 21, 64  # voxels of a window that takes a minute, and an axis of one that takes a second
_INPUT = ("spatial_dims", "size", "channels", "intensity", "axes")


def read_description(path: Path) -> dict[str, Any]:
    """The document at ``path``. Raises ModelError for one that is no TOML or has keys that no description has."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        msg = f"{path} cannot be read: {error}; docs/how-to/bring-your-own-model.md has a template."
        raise ModelError(msg) from error
    read(document, _Description, str(path), "docs/how-to/bring-your-own-model.md has a template.")
    return document


class _Description(msgspec.Struct, forbid_unknown_fields=True):
    """In a bundle's folder it may leave out what the bundle's own files say."""

    name: str | None = None
    task: str | None = None
    structures: list[str] | None = None
    classes: list[str] | None = None
    answers: str | None = None
    input: dict[str, Any] | None = None


def spec_of(document: Mapping[str, Any], network: Mapping[str, Any], origin: Path) -> Spec:
    """The settings of ``network`` from a description that must leave nothing of the input to be guessed."""
    given = document.get("input")
    missing = [key for key in _INPUT if not isinstance(given, Mapping) or key not in given]
    if missing:
        msg = f"{origin} does not say the input's {', '.join(missing)}; docs/how-to/bring-your-own-model.md has a template."
        raise ModelError(msg)
    settings = dict(network) | {"answers": document.get("answers", "logits")}
    return Spec.from_toml({**document, "network": settings}, origin=str(origin))


def checked(model: StoredModel, network: nn.Module) -> StoredModel:
    """``model``, once its network, which holds its weights, has answered a trial input in the shape that its description says."""
    preparation = model.spec.preparation
    batch = 2 if preparation.spatial_dims == 2 else 1  # slices go through in batches; a traced network may take one alone
    if batch * preparation.channels * math.prod(preparation.size) > _LARGEST_TRIAL:
        msg = f"The network of {model.name} is said to take {preparation.channels} x {preparation.size}; state a smaller size."
        raise ModelError(msg)
    dense = task_of(model.spec).dense
    if preparation.windowed and math.prod(preparation.size) > _LONG:
        with suppress(ModelError):  # most networks take windows of many sizes; those of one size are given it
            return _answering(model, network, batch, tuple(min(n, _SHORT) for n in preparation.size), dense)
    return _answering(model, network, batch, preparation.size, dense)


def _answering(model: StoredModel, network: nn.Module, batch: int, size: tuple[int, ...], dense: bool) -> StoredModel:
    trial = torch.rand((batch, model.spec.preparation.channels, *size), generator=torch.Generator().manual_seed(0))
    wanted = (batch, model.spec.outputs, *(size if dense else ()))
    try:
        with torch.inference_mode():
            answer = network.eval()(trial)
    except NetworkError as error:
        raise _not_taken(model, trial, error) from error
    except CasewiseError:
        raise
    except Exception as error:  # a network from outside may fail in any way
        raise _not_taken(model, trial, error) from error
    if not isinstance(answer, torch.Tensor) or tuple(answer.shape) != wanted:
        found = tuple(answer.shape) if isinstance(answer, torch.Tensor) else type(answer).__name__
        msg = (
            f"The network of {model.name} answers {found} to an input of {tuple(trial.shape)}; for its task and its labels "
            f"({', '.join(model.spec.labels)}{', after background' if dense else ''}) that must be {wanted}."
        )
        raise ModelError(msg)
    if model.spec.network.get("answers") == "logits" and _are_probabilities(answer):
        msg = f'The network of {model.name} answers probabilities, not logits; say answers = "probabilities" in its description.'
        raise ModelError(msg)
    return model


def _not_taken(model: StoredModel, trial: torch.Tensor, error: Exception) -> ModelError:
    detail = " ".join(str(error).split())[-200:]
    shape = tuple(trial.shape)
    return ModelError(f"The network of {model.name} does not take a batch of shape {shape}, as its description says: {detail}")


def _are_probabilities(answer: torch.Tensor) -> bool:
    return bool((answer >= 0).all() and (answer.sum(dim=1) - 1).abs().max() < 1e-4)
