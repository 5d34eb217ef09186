"""What a foreign model's own pipeline does to an image before its network sees it, step by step and in its order.

casewise's own models need none of it: they have the settings of :class:`casewise.models.preparation.Preparation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from torch import Tensor

from casewise.errors import CasewiseError
from casewise.models.steps.geometry import Centre, Foreground, Pad, Resize, Spacing
from casewise.models.steps.intensity import Extremes, Normal, Range
from casewise.models.steps.moves import Move

__all__ = [
    "Centre", "Extremes", "Foreground", "Normal", "Pad", "Range", "Resize", "Spacing", "Step", "before_the_grid",
    "of_divisible_shape", "of_one_shape", "prepare", "steps_of", "tables",
]  # fmt: skip
Step = Range | Extremes | Normal | Spacing | Resize | Foreground | Pad | Centre
_VALUES = (Range, Extremes, Normal)


def steps_of(given: Iterable[object]) -> tuple[Step, ...]:
    """Steps from the tables of a ``model.toml`` (or steps as they are). Raises msgspec.ValidationError."""
    return tuple(one if isinstance(one, Step) else msgspec.convert(one, Step) for one in given)


def tables(steps: Sequence[Step]) -> tuple[dict[str, Any], ...]:
    """The steps as TOML holds them, settings that are the default left out: what :func:`steps_of` reads."""
    made = []
    for step in steps:
        default = {field.name: field.default for field in msgspec.structs.fields(step)}
        settings = {name: getattr(step, name) for name in default}
        plain = {
            key: list(value) if isinstance(value, tuple) else value for key, value in settings.items() if value != default[key]
        }
        made.append({"step": step.__struct_config__.tag, **plain})
    return tuple(made)


def before_the_grid(steps: Sequence[Step]) -> int:
    """How many of the steps come before the first one that changes the grid."""
    return next((number for number, step in enumerate(steps) if not isinstance(step, _VALUES)), len(steps))


def of_one_shape(steps: Sequence[Step]) -> bool:
    """Whether the grid that the steps lead to has the same shape for every image."""
    last = next((step for step in reversed(steps) if not isinstance(step, _VALUES)), None)
    return isinstance(last, Centre) or (isinstance(last, Resize) and not isinstance(last.size, int))


def of_divisible_shape(steps: Sequence[Step]) -> bool:
    """Whether the grid that the steps lead to has sides of which something is asked that a network's strides may need."""
    last = next((step for step in reversed(steps) if not isinstance(step, _VALUES)), None)
    return of_one_shape(steps) or (isinstance(last, Pad | Foreground) and last.divisible not in (None, 1))


def prepare(steps: Sequence[Step], x: Tensor, spacing: Sequence[float]) -> tuple[Tensor, tuple[Move, ...]]:
    """What the steps make of ``x`` (C, *spatial) float32, whose voxels are ``spacing`` mm, and the moves that lead back.

    Raises CasewiseError for an image that a step does not take.
    """
    moves: list[Move] = []
    lengths = list(spacing)
    for step in steps:
        if isinstance(step, _VALUES):
            try:
                x = step.values(x)
            except ValueError as error:
                raise CasewiseError(f"The model's own preparation does not take this image: {error}.") from error
            continue
        move = step.move(x, lengths)
        lengths = list(step.mm) if isinstance(step, Spacing) else lengths
        x = move.forward(x, "image")
        moves.append(move)
    return x, tuple(moves)
