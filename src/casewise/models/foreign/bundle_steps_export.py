"""The steps of a preparation as MONAI's transforms: what :mod:`casewise.models.foreign.bundle_steps` reads, written."""

from __future__ import annotations

from typing import Any

from casewise.models.preparation import Preparation
from casewise.models.steps import Centre, Extremes, Foreground, Normal, Pad, Range, Resize, Spacing, Step

_KEY = "image"


def preprocessing(preparation: Preparation, oriented: bool) -> list[dict[str, Any]]:
    """From a file to what the network sees."""
    turned = [_made("Orientation", axcodes=preparation.axes)] if oriented else []
    return [
        _made("LoadImage"),
        _made("EnsureChannelFirst"),
        *turned,
        *(_transform(step, preparation.spatial_dims) for step in preparation.steps),
        _made("EnsureType"),
    ]


def postprocessing(answers: str, restored: str, outputs: int, structures: int) -> list[dict[str, Any]]:
    """From the network's answer to a mask on the image's grid; of structures that overlap, a channel each."""
    alone = answers == "sigmoid" or outputs == structures == 1
    activation = {"logits": {"softmax": True}, "sigmoid": {"sigmoid": True}}.get(answers)
    active = [_made("Activations", "pred", **activation)] if activation else []
    discrete = _made("AsDiscrete", "pred", **({"threshold": 0.5} if alone else {"argmax": True}))
    back = _made("Invert", "pred", transform="@preprocessing", orig_keys=_KEY, nearest_interp=restored == "nearest", to_tensor=True)
    if restored == "nearest":
        return [*active, discrete, back]
    return [back, *active, discrete] if restored == "logits" else [*active, back, discrete]


def _made(name: str, key: str = _KEY, **arguments: Any) -> dict[str, Any]:
    return {"_target_": f"{name}d", "keys": key, **arguments}


def _transform(step: Step, dims: int) -> dict[str, Any]:
    match step:
        case Range():
            (lower, upper), (low, high) = step.given, step.to
            return _made("ScaleIntensityRange", a_min=lower, a_max=upper, b_min=low, b_max=high, clip=step.clip)
        case Extremes():
            return _made("ScaleIntensity", minv=step.to[0], maxv=step.to[1], channel_wise=step.by_channel)
        case Normal():
            made = _made("NormalizeIntensity", nonzero=step.nonzero, channel_wise=step.by_channel)
            given = {"subtrahend": step.mean, "divisor": step.deviation}
            return made | {name: _numbers(value, step.by_channel) for name, value in given.items() if value is not None}
        case Spacing():
            return _made("Spacing", pixdim=list(step.mm), mode="bilinear")
        case Resize():
            mode = {"linear": "bilinear" if dims == 2 else "trilinear"}.get(step.mode, step.mode)
            if isinstance(step.size, int):
                return _made("Resize", spatial_size=step.size, size_mode="longest", mode=mode)
            return _made("Resize", spatial_size=list(step.size), mode=mode)
        case Foreground():
            return _made(
                "CropForeground", source_key=_KEY, margin=step.margin, allow_smaller=step.within, k_divisible=step.divisible
            )
        case Pad():
            method = "end" if step.end else "symmetric"
            if step.divisible is not None:
                return _made("DivisiblePad", k=list(step.divisible), method=method)
            return _made("SpatialPad", spatial_size=list(step.size or ()), method=method)
        case Centre():
            return _made("ResizeWithPadOrCrop", spatial_size=list(step.size))


def _numbers(values: tuple[float, ...], by_channel: bool) -> float | list[float]:
    return list(values) if by_channel else values[0]
