"""The model halfway between two: the mean of their weights."""

from __future__ import annotations

from dataclasses import replace

from casewise.errors import ModelError
from casewise.models.model import Model


def between(parent: Model, refined: Model, share: float) -> Model:
    """``parent`` for share 0, ``refined`` for 1, the weights' mean between (Wortsman 2022, WiSE-FT); lineage of ``refined``.

    Sensible only where ``refined`` was trained from ``parent`` in few steps: the two then lie in one valley of the loss, and their
    mean keeps the parent's steadiness at the cost of one network instead of two.
    """
    if set(parent.weights) != set(refined.weights):
        msg = f"Models {parent.name} and {refined.name} have different networks, so there is no model between them."
        raise ModelError(msg)
    mixed = {
        name: (1 - share) * tensor + share * refined.weights[name] if tensor.is_floating_point() else refined.weights[name]
        for name, tensor in parent.weights.items()
    }
    return replace(refined, weights=mixed)
