"""What a MONAI bundle's files say of its network's input and labels, as far as that is certain.

Only transforms whose effect casewise's own preparation has are taken over; for every other the owner writes ``casewise.toml``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from casewise.errors import ModelError
from casewise.models.foreign.bundle_ends import ending, inferer_of, windows
from casewise.models.foreign.bundle_steps import steps_in
from casewise.models.foreign.config import Config, NotPlainError
from casewise.models.steps import Centre, Extremes, Normal, Range, Resize, Spacing, Step, of_divisible_shape, tables

_BACKGROUND = ("background", "bg", "other", "others")


@dataclass
class Doubts:
    """A sentence for each thing that a bundle's files leave open, by what settles it in ``casewise.toml``.

    labels : its structures or classes. whole : its input, unless spacing or intensity are stated, which replace the bundle's own
    transforms. answers : what the network answers. settings : one of its input's settings each.
    """

    labels: list[str] = field(default_factory=list)
    whole: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)

    def left(self, written: Mapping[str, Any]) -> list[str]:
        """Those that the description ``written`` does not settle."""
        given = written.get("input", {})
        left = [] if "structures" in written or "classes" in written else [*self.labels]
        left += [] if replaces_transforms(written) else self.whole
        left += [] if "answers" in written else self.answers
        return left + [sentence for key, sentence in self.settings.items() if key not in given]


def replaces_transforms(written: Mapping[str, Any]) -> bool:
    """Whether a description states itself how an image becomes the network's input."""
    return bool({"spacing", "intensity", "window", "steps"} & set(written.get("input", {})))


def described(
    config: Config, metadata: Mapping[str, Any], arguments: Mapping[str, Any], written: Mapping[str, Any]
) -> tuple[dict[str, Any], Doubts]:
    """A description's document with the keys that are certain, and what is not.

    arguments : of the bundle's network. written : what its owner states beside, which decides how much of its files is read.
    """
    doubts = Doubts()
    formats = metadata.get("network_data_format", {})
    formats = formats if isinstance(formats, Mapping) else {}
    image = _first(formats.get("inputs"), "image")
    names = _names(_first(formats.get("outputs"), "pred"))
    document = _labels(_first(formats.get("outputs"), "pred"), names, doubts.labels)
    given: dict[str, Any] = {}
    shape = image.get("spatial_shape")
    dims = arguments.get("spatial_dims", arguments.get("dimensions", len(shape) if isinstance(shape, list) else None))
    if dims is not None and dims not in (2, 3):
        doubts.settings["spatial_dims"] = f"its network has {str(dims)[:20]} axes, and images have 2 or 3"
    elif dims is not None:
        given["spatial_dims"] = dims
    channels = arguments.get("in_channels", image.get("num_channels"))
    if channels is not None:
        given["channels"] = channels
    if names_of := _channel_names(image, channels, dims):
        given["channel_names"] = names_of
    segments = (written.get("task") or document.get("task", "segmentation")) == "segmentation"
    if segments and dims in (2, 3) and not replaces_transforms(written):
        _own_steps(config, given, dims, shape, doubts)
    else:
        _settings(config, given, dims if dims in (2, 3) else 2, doubts.whole)
        _size(config, given, shape)
        if "axes" not in given and dims == 2:
            given["axes"] = "LPS"  # MONAI reads a picture as (column, row)
    _answers(config, document, given, names, doubts)
    document["input"] = given
    return document, doubts


def _channel_names(image: Mapping[str, Any], channels: Any, dims: Any) -> list[str]:
    """Of several sequences; none where the channels are a picture's colours, or are not all named."""
    names = _names(image)
    several = isinstance(channels, int) and channels > 1 and not (channels == 3 and dims == 2)
    return [_structure(name) for name in names] if several and len(set(names)) == len(names) == channels else []


def _own_steps(config: Config, given: dict[str, Any], dims: int, shape: Any, doubts: Doubts) -> None:
    """The bundle's own transforms and windows."""
    steps, axes = steps_in(config, dims, doubts.whole)
    found = windows(config, dims, doubts.whole)
    given |= {"intensity": "none", "steps": list(tables(steps))} | found
    sliced = inferer_of(config)[0] == "SliceInferer"
    if axes is not None:
        given["axes"] = axes
    elif dims == 2 and not sliced:
        given["axes"] = "LPS"  # MONAI reads a picture as (column, row)
    else:
        doubts.settings["axes"] = "it has no Orientation, so its network sees the axes of each file as they lie; state axes"
    if "size" not in given:
        fixed = next((step.size for step in reversed(steps) if isinstance(step, Resize | Centre)), None)
        size = fixed if isinstance(fixed, tuple) else shape
        if not doubts.whole and not of_divisible_shape(steps):
            doubts.settings["size"] = "its inferer gives the network images of any size; state size"
        elif isinstance(size, list | tuple) and all(isinstance(n, int) and n > 0 for n in size):
            given["size"] = list(size)


def _answers(config: Config, document: dict[str, Any], given: dict[str, Any], names: list[str], doubts: Doubts) -> None:
    answers, restored = ending(config, doubts.answers)
    count = len(names)
    if document.get("task") == "classification":
        doubts.answers.clear()
        count = 1
    elif "steps" in given and restored != "linear":
        given["restored"] = restored
    if answers != "logits":
        document["answers"] = answers
        if count > 1 and document.get("task") == "segmentation":
            _overlapping(document, names, answers, doubts)


def _overlapping(document: dict[str, Any], names: list[str], answers: str, doubts: Doubts) -> None:
    """Each output is a structure, which may overlap the others."""
    doubts.labels.clear()
    if answers != "sigmoid":
        doubts.labels.append(f"its {len(names)} outputs are thresholded without a sigmoid")
    elif names[0].lower() in _BACKGROUND:
        doubts.labels.append("one of its sigmoid outputs is background")
    else:
        document["structures"] = [_structure(name) for name in names]


def _first(mapping: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(mapping, Mapping):
        return {}
    found = mapping.get(name, next(iter(mapping.values()), {}))
    return found if isinstance(found, Mapping) else {}


def _names(output: Mapping[str, Any]) -> list[str]:
    definition = output.get("channel_def", output.get("label_def", {}))
    return [str(definition[key]) for key in sorted(definition, key=_number)] if isinstance(definition, Mapping) else []


def _labels(output: Mapping[str, Any], names: list[str], doubts: list[str]) -> dict[str, Any]:
    if not names:
        doubts.append("metadata.json names no outputs (channel_def)")
        return {}
    if "classif" in str(output.get("format", "")).lower() or str(output.get("type", "")).lower() in ("label", "probabilities"):
        return {"task": "classification", "classes": names}
    if len(names) == 1:
        return {"task": "segmentation", "structures": [_structure(names[0])]}
    if names[0].lower() not in _BACKGROUND:
        doubts.append(f"the first output is {names[0]!r} and not background")
        return {"task": "segmentation"}
    return {"task": "segmentation", "structures": [_structure(name) for name in names[1:]]}


def _number(key: str) -> int:
    return int(key) if str(key).isdecimal() and len(str(key)) < 10 else 0


def _structure(name: str) -> str:
    """A name without the signs that mean something in casewise (``=`` and ``+``)."""
    return name.replace("=", "_").replace("+", "_").strip()


def _settings(config: Config, given: dict[str, Any], dims: int, doubts: list[str]) -> None:
    """Casewise's own settings of a preparation, as far as the bundle's transforms come to those."""
    steps, axes = steps_in(config, dims, doubts)
    given |= {"intensity": "none"} | ({"axes": axes} if axes else {})
    for step in steps:
        found = _setting(step, given)
        if not found or (set(found) & {"intensity"} and given["intensity"] != "none"):
            doubts.append(f"casewise's preparation has no equal of {tables((step,))[0]}")
        given |= found


def _setting(step: Step, given: Mapping[str, Any]) -> dict[str, Any]:
    one = given.get("channels") == 1
    if isinstance(step, Spacing):
        return {"spacing": list(step.mm)}
    if isinstance(step, Resize) and isinstance(step.size, int):
        return {"size": [step.size] * given.get("spatial_dims", 2)}
    if isinstance(step, Range) and step.to == (0, 1) and step.clip:
        return {"intensity": "window", "window": list(step.given)}
    if isinstance(step, Extremes) and step.to == (0, 1) and (one or not step.by_channel):
        return {"intensity": "minmax"}
    if isinstance(step, Normal) and step in (Normal(), Normal(by_channel=one)):
        return {"intensity": "normal"}
    return {}


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


def ensure_certain(doubts: list[str], origin: Any) -> None:
    """Raises ModelError, one sentence, where doubts are left that no ``casewise.toml`` settles."""
    if doubts:
        msg = (
            f"What {origin} does to an image is not certain: {'; '.join(doubts)}. Describe its input in {origin / 'casewise.toml'} "
            "(docs/how-to/bring-your-own-model.md has a template)."
        )
        raise ModelError(msg)
