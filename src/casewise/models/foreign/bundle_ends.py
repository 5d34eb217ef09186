"""What stands around a bundle's network: its weights, how it slides over an image, how its answer comes to the image's grid."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from casewise.models.foreign.bundle_blocks import Transform, transforms
from casewise.models.foreign.config import Config, NotPlainError
from casewise.models.preparation import BLENDINGS, PADDINGS

# What leaves a mask as it is: it is written to a file, or held otherwise.
_NEUTRAL = {"EnsureType", "ToTensor", "ToDevice", "CastToType", "SaveImage", "DataStats", "Identity", "FromMetaTensor"}
_WITHOUT_BACKGROUND = re.compile(r"\$lambda x ?: ?x\[1:\]")  # after one-hot: the mask of the structures
# After a threshold of several outputs: their masks as one map of numbers, which are written to a file.
_AS_NUMBERS = re.compile(r"\$lambda x ?: ?(torch\.where\(x\[\[\d+\]\] ?> ?0, ?\d+, ?)+0\)+")
_ONWARD = {"$@preprocessing", "$copy.deepcopy(@preprocessing)", "@preprocessing"}
_WEIGHTS = re.compile(r"\$@(?:bundle_root \+ '/models/|ckpt_dir \+ '/)([\w.-]+)'")  # as published bundles write the place
_NAMED_WEIGHTS = re.compile(r"\$@bundle_root \+ '/models/' \+ (@\w+)")
_INFERERS = {"SlidingWindowInferer", "SliceInferer", "SimpleInferer"}


def inferer_of(config: Config) -> tuple[str, Mapping[str, Any]]:
    """The name of the inferer's class (``SimpleInferer`` where there is none), and what the file says of it."""
    written = config.raw(config.document.get("inferer"))
    if written is None:
        return "SimpleInferer", {}
    target = written.get("_target_") if isinstance(written, Mapping) else None
    return (target.removeprefix("monai.inferers."), written) if isinstance(target, str) else ("code", {})


def windows(config: Config, dims: int, doubts: list[str]) -> dict[str, Any]:
    """``size``, ``overlap``, ``blending`` and ``padding`` of a preparation; nothing where the network takes the whole."""
    name, written = inferer_of(config)
    if name not in _INFERERS:
        doubts.append(f"its inferer {name} is not one of {', '.join(sorted(_INFERERS))}")
        return {}
    if name == "SimpleInferer":
        return {}
    inferer = Transform(name, written, config)
    try:
        size = inferer.get("roi_size")
        size = [size] * dims if isinstance(size, int) else size
        overlap = float(inferer.get("overlap", 0.25))
        ways = {"blending": inferer.get("mode", "constant"), "padding": inferer.get("padding_mode", "constant")}
        plain = inferer.get("sigma_scale", 0.125) == 0.125 and inferer.get("cval", 0) == 0 and not inferer.flag("with_coord")
        whole = len(size) == dims and all(isinstance(n, int) and n > 0 for n in size)
    except NotPlainError:
        doubts.append(f"its {name} has arguments that are code, which casewise never executes")
        return {}
    except (TypeError, ValueError):
        plain = whole = False
    if not plain or not whole or ways["blending"] not in BLENDINGS or ways["padding"] not in PADDINGS:
        doubts.append(f"casewise slides over an image otherwise than {inferer}")
        return {}
    if name == "SliceInferer" and inferer.get("spatial_dim", 0) != 2:
        doubts.append("its SliceInferer takes slices along another than the third axis")
    return {"size": size, "overlap": overlap, **ways}


def ending(config: Config, doubts: list[str]) -> tuple[str, str]:
    """(answers, restored) of the network: ``logits``, ``sigmoid`` or ``probabilities``, and how they come to the image's grid."""
    ends = _Ending(doubts)
    for transform in transforms(config, "postprocessing", doubts):
        try:
            ends.take(transform)
        except NotPlainError:
            doubts.append(f"{transform.name} has arguments that are code, which casewise never executes")
        except (KeyError, TypeError, ValueError):
            doubts.append(f"casewise has no equal of {transform} after the network")
    if ends.thresholded and not ends.activation:
        return "probabilities", ends.restored
    return ("sigmoid" if ends.activation == "sigmoid" else "logits"), ends.restored


def weights_name(config: Config) -> str | None:
    """The file in ``models/`` that the bundle loads its weights from, where its configuration says so plainly."""
    handlers = config.raw(config.document.get("handlers"))
    for block in (config.document.get("checkpointloader"), *(handlers if isinstance(handlers, list) else ())):
        loader = config.raw(block)
        path = config.raw(loader.get("load_path")) if isinstance(loader, Mapping) else None
        if not isinstance(path, str):
            continue
        if found := _WEIGHTS.fullmatch(path):
            return found[1]
        if found := _NAMED_WEIGHTS.fullmatch(path):
            name = config.raw(found[1])
            return name if isinstance(name, str) and re.fullmatch(r"[\w.-]+", name) else None
    return None


class _Ending:
    """What is known of the answer after each step."""

    def __init__(self, doubts: list[str]) -> None:
        self.doubts = doubts
        self.activation = ""
        self.discrete = self.thresholded = self.one_hot = False
        self.restored = "linear"

    def take(self, transform: Transform) -> None:
        name = transform.name
        if name == "Activations":
            transform.only("sigmoid", "softmax", "other")
            chosen = [kind for kind in ("sigmoid", "softmax") if transform.flag(kind)]
            if self.discrete or self.activation or len(chosen) > 1 or transform.get("other") is not None:
                raise ValueError("activation")
            self.activation = chosen[0] if chosen else ""
        elif name == "AsDiscrete":
            self._discrete(transform)
        elif name == "Invert":
            self._inverted(transform)
        elif not (name in _NEUTRAL or (name == "Lambda" and self._rewritten(transform))):
            self.doubts.append(f"casewise has no equal of {transform} after the network")

    def _rewritten(self, transform: Transform) -> bool:
        """Whether the step holds the same masks in another way."""
        code = str(transform.written.get("func"))
        known = _WITHOUT_BACKGROUND if self.one_hot else _AS_NUMBERS if self.thresholded else None
        return known is not None and known.fullmatch(code) is not None

    def _discrete(self, transform: Transform) -> None:
        transform.only("argmax", "to_onehot", "threshold", "rounding")
        threshold = transform.get("threshold")
        if transform.get("rounding") is not None or (threshold is None) != transform.flag("argmax"):
            raise ValueError("threshold")
        if threshold is not None and (threshold != 0.5 or self.activation == "softmax"):
            raise ValueError("threshold")
        self.discrete, self.thresholded = True, threshold is not None
        self.one_hot = transform.get("to_onehot") is not None

    def _inverted(self, transform: Transform) -> None:
        if transform.written.get("transform") not in _ONWARD:
            raise ValueError("transform")
        if transform.flag("nearest_interp", default=True):
            self.restored = "nearest"
        elif self.discrete:
            self.doubts.append("its Invert interpolates between the numbers of labels (nearest_interp is false after AsDiscrete)")
        else:
            self.restored = "linear" if self.activation else "logits"
