"""TorchScript files: a network and its weights in one file, checked by its graph and run in a confined process."""

from __future__ import annotations

import pickletools
import re
import zipfile
from pathlib import Path

from torch import nn

from casewise.errors import ModelError
from casewise.hashing import file_key
from casewise.models.foreign.description import TEMPLATE, checked, read_description, spec_of
from casewise.models.foreign.remote import NetworkError, RemoteNetwork
from casewise.models.networks.answers import as_logits
from casewise.models.spec import Lineage, Spec
from casewise.models.stored import StoredModel

_MOST_PICKLE = 64 << 20
_SMALL = 1 << 24
# What a file of tensors alone names; anything else would be made, and perhaps run, by opening it.
_PLAIN = re.compile(
    r"torch\._utils _rebuild_\w+|collections OrderedDict|torch \w+Storage|torch\.storage \w+|torch Size|torch \w*\d+"
)


def load_torchscript(path: Path) -> StoredModel:
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


def torchscript_model(path: Path, spec: Spec, name: str) -> StoredModel:
    """The model of a TorchScript file whose description is known; its network is tried once."""
    network = as_logits(network_of(path, spec), spec.network)
    weights = {key: value.detach().clone() for key, value in network.state_dict().items()}
    return checked(StoredModel(name, spec, weights, Lineage(method="foreign"), path), network)


def network_of(path: Path, spec: Spec) -> nn.Module:
    """A fresh network. Raises ModelError where ``path`` is gone, damaged, or another file than ``spec`` names."""
    ensure_same(path, spec)
    _check_kind(path)
    try:
        return RemoteNetwork(path)
    except NetworkError as error:
        msg = f"{path} is TorchScript that torch cannot load ({error}); export it again with torch.jit.save."
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
    """Nothing where ``path`` holds TorchScript, recognised by the names in it; else a ModelError that says what it holds."""
    if path.name == "model.toml" or path.suffix == ".safetensors":
        msg = f"{path} is part of a model; name the folder that it lies in."
        raise ModelError(msg)
    try:
        ensure_not_inflated(path)
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if any("/code/" in name and name.endswith(".py") for name in names):
                return
            msg = _without_code(path, archive, names)
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, ValueError) as error:
        if _is_pickle(path):
            raise ModelError(_pickle_message(path)) from error
        msg = f"{path} is no model that casewise reads: a casewise model's folder, a MONAI bundle's folder, or a TorchScript file."
        raise ModelError(msg) from error
    raise ModelError(msg)


def ensure_not_inflated(path: Path) -> None:
    """Raises ModelError for an archive whose parts are larger than itself; torch stores them as they are."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            total = sum(entry.file_size for entry in archive.infolist())
        if total > 4 * path.stat().st_size + _SMALL:
            msg = f"{path} would unfold to {total:,} bytes, which no file that torch writes does; save the network again."
            raise ModelError(msg)


def _without_code(path: Path, archive: zipfile.ZipFile, names: list[str]) -> str:
    pickled = next((name for name in names if name.endswith("data.pkl")), None)
    if pickled is None:
        return f"{path} is an archive without TorchScript; export the network with torch.jit.script and torch.jit.save."
    with archive.open(pickled) as file:
        content = file.read(_MOST_PICKLE)
    if not _names_tensors_alone(content):
        return _pickle_message(path)
    return f"{path} holds weights without their network; bring a MONAI bundle, or export both with torch.jit.save."


def _names_tensors_alone(content: bytes) -> bool:
    """Whether a pickle names nothing but what tensors are made of; it is looked through, and not opened."""
    try:
        for operation, argument, _ in pickletools.genops(content):
            if operation.name in ("STACK_GLOBAL", "INST", "OBJ", "EXT1", "EXT2", "EXT4"):
                return False
            if operation.name == "GLOBAL" and not _PLAIN.fullmatch(str(argument)):
                return False
    except (ValueError, IndexError, RecursionError):
        return False
    return True


def _is_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(1) == b"\x80"


def _pickle_message(path: Path) -> str:
    return (
        f"{path} holds Python objects (pickle), which casewise never executes; "
        "export the network with torch.jit.script and torch.jit.save, or as a MONAI bundle."
    )
