"""MONAI bundles: a folder with configs/ (the network, its input) and models/ (its weights)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from casewise.errors import ModelError
from casewise.models.foreign.bundle_ends import weights_name
from casewise.models.foreign.bundle_input import described, ensure_certain
from casewise.models.foreign.config import Config, NotPlainError, read_mapping
from casewise.models.foreign.description import checked, read_description, spec_of
from casewise.models.foreign.torchscript import ensure_not_inflated, settings_of, torchscript_model
from casewise.models.networks.answers import as_logits
from casewise.models.networks.monai_net import build_monai
from casewise.models.spec import Lineage
from casewise.models.stored import StoredModel


def load_bundle(folder: Path) -> StoredModel:
    """The bundle's network with its weights; ``casewise.toml`` in the folder says what its files leave open, or overrides them.

    Where the bundle has TorchScript and no weights beside, that is used and its ``network_def`` is not looked at.
    Raises ModelError, one sentence: a network that is not MONAI's, settings that are code, an input that is not certain.
    """
    try:
        return _loaded(folder)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        msg = f"The settings in {folder} hold a value of another kind than MONAI's do ({type(error).__name__}); download it again."
        raise ModelError(msg) from error


def _loaded(folder: Path) -> StoredModel:
    config = Config.read(folder)
    scripted = folder / "models" / "model.ts"
    weights_file = _weights_file(folder, config)
    if weights_file is None and not scripted.is_file():
        msg = f"{folder / 'models'} holds none of model.safetensors, model.pt and model.ts; download the bundle's weights."
        raise ModelError(msg)
    if weights_file is None:
        document = _document(folder, config, {})
        name = str(document.get("name", folder.name))
        return torchscript_model(scripted, spec_of(document, settings_of(scripted), folder / "casewise.toml"), name)
    target, arguments = defined_network(config)
    document = _document(folder, config, arguments)
    settings = {"kind": "monai", "name": target, "arguments": json.dumps(arguments, sort_keys=True)}
    spec = spec_of(document, settings, folder / "casewise.toml")
    found = _weights(weights_file)
    with bounded_by(found, weights_file):
        network = build_monai(settings)
    _fill(network, found, weights_file)
    network = as_logits(network, spec.network)
    weights = {key: value.detach().clone() for key, value in network.state_dict().items()}
    return checked(StoredModel(str(document.get("name", folder.name)), spec, weights, Lineage(method="foreign")), network)


def defined_network(config: Config) -> tuple[str, dict[str, Any]]:
    """The name and the plain arguments of the network that the bundle defines."""
    definition = config.raw(config.document.get("network_def", config.document.get("network")))
    target = definition.get("_target_") if isinstance(definition, Mapping) else None
    if not isinstance(target, str):
        text = f" ({definition[:80]!r})" if isinstance(definition, str) else ""
        msg = (
            f"{config.origin} defines its network by code{text}, which casewise never executes; "
            "export it as TorchScript (models/model.ts, without model.pt beside it)."
        )
        raise ModelError(msg)
    place, _, name = target.rpartition(".")
    if place and not (place == "monai.networks.nets" or place.startswith("monai.networks.nets.")):
        msg = f"{config.origin} names the network {target!r}; casewise builds MONAI's own networks (monai.networks.nets) alone."
        raise ModelError(msg)
    try:
        return name, config.arguments(definition)
    except NotPlainError as error:
        raise NotPlainError(f"The network {name} has an argument that is no plain value: {error}") from error


def _document(folder: Path, config: Config, arguments: Mapping[str, Any]) -> dict[str, Any]:
    metadata, own = folder / "configs" / "metadata.json", folder / "casewise.toml"
    written = read_description(own) if own.is_file() else {}
    document, doubts = described(config, read_mapping(metadata) if metadata.is_file() else {}, arguments, written)
    given = written.get("input", {})
    left = doubts.left(written)
    missing = sorted({"size", "axes"} - set(document["input"]) - set(given))
    if missing and not left:
        left = [f"its files do not say the input's {' and '.join(missing)} plainly"]
    ensure_certain(left, folder)
    if given.get("intensity", "window") != "window":
        document["input"].pop("window", None)
    if "classes" in written:
        document.pop("structures", None)
    if "structures" in written:
        document.pop("classes", None)
    return document | written | {"input": document["input"] | given}


def _weights_file(folder: Path, config: Config) -> Path | None:
    names = ("model.safetensors", "model.pt")
    named = weights_name(config)
    places = (folder / "models" / name for name in ((named, *names) if named and named not in names else names))
    return next((place for place in places if place.is_file()), None)


def _weights(path: Path) -> dict[str, Tensor]:
    """Parameter name → tensor, read without running anything that a pickle may hold."""
    try:
        if path.suffix != ".safetensors":
            ensure_not_inflated(path)
        found = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True, map_location="cpu")
    except ModelError:
        raise
    except (SafetensorError, OSError, EOFError) as error:
        msg = f"{path} cannot be read: {' '.join(str(error).split())[:200]}; download the bundle again."
        raise ModelError(msg) from error
    except Exception as error:  # torch raises whatever a damaged or forbidden pickle makes it stumble over
        msg = f"{path} is damaged or holds Python objects (pickle), which casewise never executes; save network.state_dict()."
        raise ModelError(msg) from error
    for key in ("state_dict", "model", "network"):
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not found or not all(isinstance(value, Tensor) for value in found.values()):
        msg = f"{path} holds no state_dict (names and tensors); save network.state_dict() there."
        raise ModelError(msg)
    if any(value.numel() * value.element_size() > value.untyped_storage().nbytes() for value in found.values()):
        msg = f"{path} holds tensors that are larger than what is stored of them; save network.state_dict() there."
        raise ModelError(msg)
    return {str(key).removeprefix("module."): value for key, value in found.items()}


@contextmanager
def bounded_by(weights: Mapping[str, Tensor], origin: Path) -> Iterator[None]:
    """A network that is made within it may not be larger than its weights are: settings could ask for any size."""
    elements, tensors = 2 * sum(tensor.numel() for tensor in weights.values()) + 10_000, 4 * len(weights) + 100
    made = [0, 0]

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        made[0] += parameter.numel() if parameter is not None else 0
        made[1] += 1
        if made[0] > elements or made[1] > tensors:
            raise ValueError(f"it is larger than the weights in {origin}")

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()


def _fill(network: nn.Module, weights: dict[str, Tensor], origin: Path) -> None:
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        msg = f"The weights in {origin} do not fit the network that the bundle defines: {' '.join(str(error).split())[:200]}"
        raise ModelError(msg) from error
