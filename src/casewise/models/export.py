"""Models for others: nnU-Net's folder, a MONAI bundle, or TorchScript with what it takes and answers beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomli_w
import torch

from casewise.errors import ModelError
from casewise.files import replacing
from casewise.models.bundle_export import export_bundle
from casewise.models.foreign.nnunet_export import export_planned
from casewise.models.model import Model
from casewise.models.spec import JOINED, PLANNED

FORMATS = ("nnunet", "monai", "torchscript")


def export(model: Model, form: str, place: Path) -> Path:
    """Write a model as ``nnunet`` or ``monai`` into a folder or as ``torchscript`` into a file, and return what was written.

    Raises ModelError where that cannot be, and where something is there already.
    """
    if form not in FORMATS:
        raise ModelError(f"A model is exported as one of {', '.join(FORMATS)}; got {form!r}.")
    if model.spec.architecture == JOINED:
        raise ModelError(f"Model {model.name} {model.kind.fixed}.".replace("not trained", "neither trained nor exported"))
    ways = {"nnunet": export_planned, "monai": export_bundle, "torchscript": export_torchscript}
    return ways[form](model, place)


def export_torchscript(model: Model, file: Path) -> Path:
    """Write ``file`` and ``<file>.toml``, which casewise reads again (docs/how-to/bring-your-own-model.md), and return ``file``.

    The network takes (N, C, *size) as the preparation makes it, and answers logits (N, outputs, *size). No such description can say
    what nnU-Net's plans do to an image: of their models the network alone is written. Raises ModelError where the file is there
    already, and for a network that torch cannot trace.
    """
    if model.foreign is not None:
        raise ModelError(
            f"{model.name} came as TorchScript, which runs confined and cannot be traced; export it where it was made."
        )
    planned = model.spec.architecture == PLANNED
    beside = file.with_name(f"{file.name}.toml")
    for place in (file, beside):
        if place.exists():
            raise ModelError(f"{place} exists, and a model is never overwritten; choose another name.")
    preparation = model.spec.preparation
    network = model.network()
    example = torch.zeros(1, preparation.channels, *preparation.size)
    try:
        with torch.inference_mode():
            traced = torch.jit.trace(network, example, check_trace=False)
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as part, part.open("wb") as opened:
            torch.jit.save(traced, opened)
        if not planned:
            beside.write_text(tomli_w.dumps(_described(model)), encoding="utf-8")
    except OSError as error:
        raise ModelError(f"The model cannot be written to {file}: {error.strerror}; choose another place.") from error
    except Exception as error:  # networks that take more than an image fail in many ways
        detail = " ".join(str(error).split())[:200]
        raise ModelError(f"The network of {model.name} cannot be traced ({detail}); export it in another form.") from error
    return file


def _described(model: Model) -> dict[str, Any]:
    document = model.spec.to_toml()
    del document["network"]
    document["input"] = document["input"] | {"axes": model.spec.preparation.axes}
    return document | {"name": model.name, "answers": "logits"}
