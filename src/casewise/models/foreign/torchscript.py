"""TorchScript files: a network and its weights in one file, run by torch's own interpreter and not by Python."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import torch
from torch import nn

from casewise.errors import ModelError
from casewise.hashing import file_key
from casewise.models.foreign.description import TEMPLATE, checked, read_description, spec_of
from casewise.models.model import Model
from casewise.models.networks.answers import as_logits
from casewise.models.spec import Lineage, Spec

# TorchScript has a few operators that touch files; no network needs one, and they could run as soon as the file is loaded.
_FILE_OPERATORS = re.compile(rb"\b(?:torch|aten)\s*\.\s*(save|load|from_file|_save|_load)\b")


def load_torchscript(path: Path) -> Model:
    """The model in ``path``, described by ``<path>.toml`` beside it."""
    _check_kind(path)
    description = path.with_name(f"{path.name}.toml")
    if not description.is_file():
        msg = f"{path} does not say what it takes and answers; write {description.name} beside it, for example:\n\n{TEMPLATE}"
        raise ModelError(msg)
    document = read_description(description)
    return torchscript_model(path, spec_of(document, settings_of(path), description), str(document.get("name", path.stem)))


def settings_of(path: Path) -> dict[str, str]:
    """How ``model.toml`` names the network in ``path``: by its content."""
    return {"kind": "torchscript", "content": file_key(path)}


def torchscript_model(path: Path, spec: Spec, name: str) -> Model:
    """The model of a TorchScript file whose description is known; its network is tried once."""
    network = as_logits(network_of(path, spec), spec.network)
    weights = {key: value.detach().clone() for key, value in network.state_dict().items()}
    return checked(Model(name, spec, weights, Lineage(method="foreign"), path))


def network_of(path: Path, spec: Spec) -> nn.Module:
    """A fresh network. Raises ModelError where ``path`` is gone, damaged, or another file than ``spec`` names."""
    ensure_same(path, spec)
    _check_kind(path)
    try:
        return torch.jit.load(str(path), map_location="cpu")
    except (RuntimeError, ValueError, OSError) as error:
        msg = f"{path} is TorchScript that torch cannot load ({_first_line(error)}); export it again with torch.jit.save."
        raise ModelError(msg) from error


def ensure_same(path: Path, spec: Spec) -> None:
    """Raises ModelError where ``path`` is gone or is another file than ``spec`` names."""
    if not path.is_file():
        msg = f"The network of this model, {path}, is there no more; load the model again from where it came."
        raise ModelError(msg)
    if spec.network.get("content") != file_key(path):
        msg = f"The network in {path} is not the one this model was made with; load the model again from where it came."
        raise ModelError(msg)


def _check_kind(path: Path) -> None:
    """Nothing where ``path`` holds harmless TorchScript, told by its content; else a ModelError that says what it holds."""
    if path.name == "model.toml" or path.suffix == ".safetensors":
        msg = f"{path} is part of a model; name the folder that it lies in."
        raise ModelError(msg)
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            code = [entry for entry in archive.infolist() if "/code/" in entry.filename and entry.filename.endswith(".py")]
            for entry in code:
                found = _FILE_OPERATORS.search(archive.read(entry))
                if found:
                    msg = f"{path} uses the operator {found[0].decode()}, which reads or writes files; casewise does not run it."
                    raise ModelError(msg)
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
        if _is_pickle(path):
            raise ModelError(_pickle_message(path)) from error
        msg = f"{path} is no model that casewise reads: a casewise model's folder, a MONAI bundle's folder, or a TorchScript file."
        raise ModelError(msg) from error
    if not code:
        raise ModelError(_without_code(path, names))


def _without_code(path: Path, names: list[str]) -> str:
    if not any(name.endswith("data.pkl") for name in names):
        return f"{path} is an archive without TorchScript; export the network with torch.jit.script and torch.jit.save."
    try:
        torch.load(path, weights_only=True, map_location="meta")
    except Exception:  # whatever it is, it is more than tensors: not opened any further
        return _pickle_message(path)
    return f"{path} holds weights without their network; bring a MONAI bundle, or export both with torch.jit.save."


def _is_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(1) == b"\x80"


def _pickle_message(path: Path) -> str:
    return (
        f"{path} holds Python objects (pickle), which casewise never executes; "
        "export the network with torch.jit.script and torch.jit.save, or as a MONAI bundle."
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
