"""A network's features and logits of views: what every classifier of the router and its unknown score are made on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from casewise.device import resolve_device
from casewise.errors import ModelError
from casewise.models.model import Model
from casewise.models.tasks import Classification
from casewise.routing.views import View, image_of

Matrix = npt.NDArray[np.float32]
_BATCH = 16  # what a processor's caches hold: larger batches take a third longer a picture


def features(model: Model, views: Sequence[View], device: str = "auto") -> tuple[Matrix, Matrix]:
    """(n, features) and (n, classes): what enters the network's last layer ``head``, and the logits that leave it.

    Raises ModelError for a network that does not end in a linear layer of that name.
    """
    device = resolve_device(device)
    network = model.ready(device)
    head = getattr(network, "head", None)
    if not isinstance(model.kind, Classification) or not isinstance(head, nn.Linear):
        msg = f"Model {model.name} does not end in a linear layer over features, so that no router can be made of it."
        raise ModelError(msg)
    caught: list[torch.Tensor] = []

    def catch(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        caught.append(inputs[0].float().cpu())

    logits = []
    handle = head.register_forward_pre_hook(catch)
    try:
        with torch.inference_mode():
            for start in range(0, len(views), _BATCH):
                x = torch.stack([_tensor(model, view) for view in views[start : start + _BATCH]])
                logits.append(network(x.to(device)).float().cpu())
    finally:
        handle.remove()
    return torch.cat(caught).numpy(), torch.cat(logits).numpy()


def _tensor(model: Model, view: View) -> torch.Tensor:
    return model.spec.preparation.parts(image_of(view))[0].tensor()
