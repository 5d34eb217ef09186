"""What a MONAI bundle's files say of its network's input and labels, as far as that is certain.

Only transforms whose effect casewise's own preparation has are taken over; for every other the owner writes ``casewise.toml``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from casewise.errors import ModelError
from casewise.models.foreign.config import Config, NotPlainError

# Transforms that bring an image into memory and change neither its values nor its grid.
_NEUTRAL = {"LoadImage", "EnsureChannelFirst", "AddChannel", "EnsureType", "ToTensor", "CastToType", "ToDevice", "DataStats"}


def described(config: Config, metadata: Mapping[str, Any], arguments: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A description's document with the keys that are certain, and a sentence for each thing that is not.

    arguments : of the bundle's network.
    """
    doubts: list[str] = []
    formats = metadata.get("network_data_format", {})
    formats = formats if isinstance(formats, Mapping) else {}
    image = _first(formats.get("inputs"), "image")
    document = _labels(_first(formats.get("outputs"), "pred"), doubts)
    given: dict[str, Any] = {}
    shape = image.get("spatial_shape")
    dims = arguments.get("spatial_dims", arguments.get("dimensions", len(shape) if isinstance(shape, list) else None))
    if dims is not None and dims not in (2, 3):
        doubts.append(f"its network has {str(dims)[:20]} axes, and images have 2 or 3")
    elif dims is not None:
        given["spatial_dims"] = dims
    channels = arguments.get("in_channels", image.get("num_channels"))
    if channels is not None:
        given["channels"] = channels
    _preprocessing(config, given, doubts)
    _size(config, given, shape)
    if "axes" not in given and dims == 2:
        given["axes"] = "LPS"  # MONAI reads a picture as (column, row)
    if _activation(config, doubts) == "sigmoid":
        document["answers"] = "sigmoid"
    document["input"] = given
    return document, doubts


def _first(mapping: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(mapping, Mapping):
        return {}
    found = mapping.get(name, next(iter(mapping.values()), {}))
    return found if isinstance(found, Mapping) else {}


def _labels(output: Mapping[str, Any], doubts: list[str]) -> dict[str, Any]:
    definition = output.get("channel_def", {})
    names = [str(definition[key]) for key in sorted(definition, key=_number)] if isinstance(definition, Mapping) else []
    if not names:
        doubts.append("metadata.json names no outputs (channel_def)")
        return {}
    if "classif" in str(output.get("format", "")).lower() or str(output.get("type", "")).lower() in ("label", "probabilities"):
        return {"task": "classification", "classes": names}
    if len(names) == 1:
        return {"task": "segmentation", "structures": [_structure(names[0])]}
    if names[0].lower() not in ("background", "bg", "other", "others"):
        doubts.append(f"the first output is {names[0]!r} and not background")
        return {"task": "segmentation"}
    return {"task": "segmentation", "structures": [_structure(name) for name in names[1:]]}


def _number(key: str) -> int:
    return int(key) if str(key).isdecimal() and len(str(key)) < 10 else 0


def _structure(name: str) -> str:
    """A name without the signs that mean something in casewise (``=`` and ``+``)."""
    return name.replace("=", "_").replace("+", "_").strip()


def _steps(config: Config, name: str, doubts: list[str]) -> list[tuple[str, dict[str, Any]]]:
    """(transform without its dictionary suffix, its arguments) of a ``Compose``, in order."""
    block = config.raw(config.document.get(name))
    transforms = config.raw(block.get("transforms")) if isinstance(block, Mapping) else block
    if transforms is None:
        return []
    if not isinstance(transforms, list):
        doubts.append(f"{name} is computed by code, which casewise never executes")
        return []
    steps = []
    for transform in transforms:
        transform = config.raw(transform)
        target = transform.get("_target_") if isinstance(transform, Mapping) else None
        if not isinstance(target, str):
            doubts.append(f"{name} has a step that is code, which casewise never executes")
            continue
        if transform.get("_disabled_") in (True, "true", "True"):
            continue
        place, _, short = target.rpartition(".")
        if place and place.split(".")[:2] != ["monai", "transforms"]:
            doubts.append(f"{target} is not one of MONAI's transforms")
            continue
        for suffix in ("Dict", "D", "d"):
            if short.endswith(suffix):
                short = short.removesuffix(suffix)
                break
        try:
            steps.append((short, config.arguments(transform) if short not in _NEUTRAL else {}))
        except NotPlainError:
            doubts.append(f"{short} has arguments that are code, which casewise never executes")
    return steps


def _preprocessing(config: Config, given: dict[str, Any], doubts: list[str]) -> None:
    given["intensity"] = "none"
    for name, arguments in _steps(config, "preprocessing", doubts):
        try:
            taken = name in _NEUTRAL or _take(name, arguments, given)
        except (KeyError, TypeError, ValueError, OverflowError):  # arguments that are missing or of another kind
            taken = False
        if not taken:
            doubts.append(f"casewise's preparation has no equal of {name}({', '.join(f'{k}={v}' for k, v in arguments.items())})")


def _take(name: str, arguments: Mapping[str, Any], given: dict[str, Any]) -> bool:
    """Whether casewise's preparation can do what the transform does; what it does is then added to ``given``."""
    found: dict[str, Any] | None = None
    fresh = given["intensity"] == "none"
    if name == "Orientation" and isinstance(arguments.get("axcodes"), str):
        found = {"axes": arguments["axcodes"]}
    elif name == "Spacing" and _numbers(arguments.get("pixdim")):
        found = {"spacing": [float(mm) for mm in arguments["pixdim"]]}
    elif name == "Resize" and arguments.get("size_mode") == "longest" and isinstance(arguments.get("spatial_size"), int):
        found = {"size": [arguments["spatial_size"]] * given.get("spatial_dims", 2)}
    elif name == "ScaleIntensityRange" and fresh and arguments.get("clip") is True and _to_unit(arguments, None):
        found = {"intensity": "window", "window": [float(arguments["a_min"]), float(arguments["a_max"])]}
    elif name == "ScaleIntensity" and fresh and _whole(arguments, given) and _to_unit(arguments, 0.0) and "factor" not in arguments:
        found = {"intensity": "minmax"}
    elif name == "NormalizeIntensity" and fresh and _plain_normal(arguments) and _whole(arguments, given):
        found = {"intensity": "normal"}
    if found is None:
        return False
    given.update(found)
    return True


def _numbers(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(n, int | float) and n > 0 for n in value)


def _to_unit(arguments: Mapping[str, Any], low: float | None) -> bool:
    """Whether the transform ends in 0…1 (``low``: MONAI's default for the lower end)."""
    high = None if low is None else 1.0
    return bool(
        arguments.get("b_min", arguments.get("minv", low)) == 0 and arguments.get("b_max", arguments.get("maxv", high)) == 1
    )


def _plain_normal(arguments: Mapping[str, Any]) -> bool:
    return not any(arguments.get(key) for key in ("nonzero", "subtrahend", "divisor"))


def _whole(arguments: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    return not arguments.get("channel_wise") or given.get("channels") == 1


def _size(config: Config, given: dict[str, Any], shape: Any) -> None:
    """The window of a sliding inferer, else the shape that metadata.json states."""
    if "size" in given:
        return
    inferer = config.raw(config.document.get("inferer"))
    try:
        size = config.plain(inferer.get("roi_size")) if isinstance(inferer, Mapping) else None
    except NotPlainError:
        size = None
    sliding = size is not None
    size = size if sliding else shape
    # Without a spacing casewise fits the whole image into the size: the same thing only where the bundle takes images of that size.
    if isinstance(size, list) and all(isinstance(n, int) and n > 0 for n in size) and sliding == ("spacing" in given):
        given["size"] = size


def _activation(config: Config, doubts: list[str]) -> str:
    for name, arguments in _steps(config, "postprocessing", []):
        if name == "Activations" and arguments.get("sigmoid"):
            return "sigmoid"
        if name == "AsDiscrete" and arguments.get("threshold") is not None:
            return "sigmoid"
    return "logits"


def ensure_certain(document: Mapping[str, Any], doubts: list[str], origin: Any) -> None:
    """Raises ModelError, one sentence, where doubts are left that no ``casewise.toml`` settles."""
    if doubts:
        msg = (
            f"What {origin} does to an image is not certain: {'; '.join(doubts)}. Describe its input in {origin / 'casewise.toml'} "
            "(docs/how-to/bring-your-own-model.md has a template)."
        )
        raise ModelError(msg)
