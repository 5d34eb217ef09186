"""A bundle's preprocessing as the steps of a casewise preparation, one for one, or a sentence about what has no equal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from casewise.errors import ModelError
from casewise.models.foreign.bundle_blocks import Transform, transforms
from casewise.models.foreign.config import Config, NotPlainError
from casewise.models.steps import Centre, Extremes, Foreground, Normal, Pad, Range, Resize, Spacing, Step, steps_of, tables

# What brings an image into memory and changes neither its values nor its grid.
_NEUTRAL = {
    "LoadImage", "EnsureChannelFirst", "AddChannel", "AsChannelFirst", "EnsureType", "ToTensor", "CastToType", "ToDevice",
    "DataStats", "Identity",
}  # fmt: skip
_READERS = (None, "ITKReader", "NibabelReader", "NrrdReader", "PILReader", "PydicomReader")
_PAIR = {"L": "R", "P": "A", "I": "S"}
_LINEAR = ("bilinear", "trilinear", "linear")


def steps_in(config: Config, dims: int, doubts: list[str]) -> tuple[tuple[Step, ...], str | None]:
    """The steps of a network of ``dims`` axes, and what its axes run to (None: nothing turns them)."""
    steps: list[Step] = []
    axes: str | None = None
    turned = False
    image: tuple[str, ...] = ()
    for transform in transforms(config, "preprocessing", doubts):
        keys = transform.keys()
        if image and keys and not set(image) & set(keys):
            continue  # what is done to a label beside the image
        try:
            if transform.name == "LoadImage":
                image = keys
            if transform.name == "Orientation":
                transform.only("axcodes")
                if turned or any(isinstance(step, Spacing | Resize | Foreground | Pad | Centre) for step in steps):
                    doubts.append("Orientation comes after a step that changes the grid, or twice")
                axes, turned = _axcodes(transform.get("axcodes")), True
            elif transform.name in _NEUTRAL:
                _check_neutral(transform)
            elif transform.name in _READ:
                steps += steps_of(tables((_READ[transform.name](transform, dims),)))
            else:
                doubts.append(f"casewise's preparation has no equal of {transform}")
        except NotPlainError:
            doubts.append(f"{transform.name} has arguments that are code, which casewise never executes")
        except (ModelError, KeyError, TypeError, ValueError, OverflowError):  # missing, of another kind, or not what casewise does
            doubts.append(f"casewise's preparation has no equal of {transform}")
    return tuple(steps), axes


def _check_neutral(transform: Transform) -> None:
    transform.only("reader", "channel_dim", "ensure_channel_first", "prefix", "data_shape", "value_range", "data_value", "name")
    if transform.name == "LoadImage" and (transform.get("reader") not in _READERS or len(transform.keys()) > 1):
        raise ValueError("reader or keys")


def _axcodes(given: Any) -> str:
    if sorted(_PAIR.get(letter, letter) for letter in str(given)) != ["A", "R", "S"]:
        raise ValueError("axcodes")
    return str(given)


def _range(transform: Transform, dims: int) -> Step:
    transform.only("a_min", "a_max", "b_min", "b_max", "clip")
    lower, upper = float(transform.get("a_min")), float(transform.get("a_max"))
    low, high = transform.get("b_min"), transform.get("b_max")
    clip = transform.flag("clip")
    if (low is None) != (high is None):
        raise ValueError("b_min")
    if low is None:  # nothing to be clipped to
        return Range((lower, upper), (0.0, 1.0), clip=False)
    if clip and low > high:
        raise ValueError("b_min")
    return Range((lower, upper), (float(low), float(high)), clip)


def _extremes(transform: Transform, dims: int) -> Step:
    transform.only("minv", "maxv", "factor", "channel_wise")
    low, high = float(transform.get("minv", 0.0)), float(transform.get("maxv", 1.0))
    return Extremes((low, high), transform.flag("channel_wise"))


def _normal(transform: Transform, dims: int) -> Step:
    transform.only("subtrahend", "divisor", "nonzero", "channel_wise")
    return Normal(
        transform.flag("nonzero"),
        transform.flag("channel_wise"),
        _several(transform.get("subtrahend")),
        _several(transform.get("divisor")),
    )


def _spacing(transform: Transform, dims: int) -> Step:
    transform.only("pixdim", "mode", "padding_mode", "align_corners", "diagonal", "scale_extent", "recompute_affine")
    linear, inside = transform.get("mode", "bilinear") in _LINEAR, transform.get("padding_mode", "border") == "border"
    if not linear or not inside or transform.flag("diagonal") or transform.flag("scale_extent"):
        raise ValueError("mode")
    return Spacing(tuple(float(mm) for mm in _axes(transform.get("pixdim"), dims)))


def _resize(transform: Transform, dims: int) -> Step:
    transform.only("spatial_size", "size_mode", "mode", "align_corners", "anti_aliasing", "anti_aliasing_sigma")
    mode = transform.get("mode", "area")
    if transform.flag("anti_aliasing") or transform.flag("align_corners"):
        raise ValueError("anti_aliasing")
    size = transform.get("spatial_size")
    longest = transform.get("size_mode", "all") == "longest"
    return Resize(int(size) if longest else tuple(_axes(size, dims)), "linear" if mode in _LINEAR else mode)


def _foreground(transform: Transform, dims: int) -> Step:
    transform.only("margin", "allow_smaller", "k_divisible", "mode")
    margin, divisible = transform.get("margin", 0), transform.get("k_divisible", 1)
    # MONAI changed what it does where this is not said, in 1.5.
    within = transform.flag("allow_smaller", default=margin == 0)
    padded = divisible != 1 or not within
    if (padded and transform.get("mode", "constant") != "constant") or (margin and "allow_smaller" not in transform.written):
        raise ValueError("mode")
    return Foreground(margin, within or margin == 0, divisible)


def _pad(transform: Transform, dims: int) -> Step:
    divisible = transform.name == "DivisiblePad"
    sides = "k" if divisible else "spatial_size"
    transform.only(sides, "method", "mode")
    method = transform.get("method", "symmetric")
    if transform.get("mode", "constant") != "constant" or method not in ("symmetric", "end"):
        raise ValueError("mode")
    given = tuple(_axes(transform.get(sides), dims))
    return Pad(divisible=given, end=method == "end") if divisible else Pad(size=given, end=method == "end")


def _centre(transform: Transform, dims: int) -> Step:
    transform.only("spatial_size", "method", "mode")
    if transform.get("mode", "constant") != "constant" or transform.get("method", "symmetric") != "symmetric":
        raise ValueError("mode")
    return Centre(tuple(_axes(transform.get("spatial_size"), dims)))


def _axes(given: Any, dims: int) -> list[Any]:
    """One positive number an axis. Raises ValueError for anything else, such as -1 (as long as it is in each image)."""
    several = given if isinstance(given, list) else [given] * dims
    if len(several) != dims or not all(isinstance(n, int | float) and n > 0 for n in several):
        raise ValueError("size")
    return several


def _several(given: Any) -> tuple[float, ...] | None:
    if given is None:
        return None
    return tuple(float(n) for n in (given if isinstance(given, list) else [given]))


_READ: dict[str, Callable[[Transform, int], Step]] = {
    "ScaleIntensityRange": _range,
    "ScaleIntensity": _extremes,
    "NormalizeIntensity": _normal,
    "Spacing": _spacing,
    "Resize": _resize,
    "CropForeground": _foreground,
    "SpatialPad": _pad,
    "DivisiblePad": _pad,
    "ResizeWithPadOrCrop": _centre,
}
