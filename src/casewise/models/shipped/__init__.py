"""The models that come with casewise, each remade by the recipe of its name."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from casewise.errors import ModelError

if TYPE_CHECKING:
    from casewise.models.encoding import ModelEncoder
    from casewise.models.model import Model

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The shipped models' names, by which :func:`load` finds them."""
    return sorted(path.parent.name for path in FOLDER.glob("*/model.toml"))


@cache
def load(name: str) -> Model:
    """A shipped model, loaded once. Raises ModelError for a name that is none."""
    if name not in names():
        msg = f"casewise ships no model named {name!r}; it ships {', '.join(names()) or 'none'}."
        raise ModelError(msg)
    from casewise.models.model import Model  # torch takes seconds to import, and the names need none

    return Model.load(FOLDER / name)


def encoder_for(model: Model, device: str = "auto") -> ModelEncoder:
    """What compares images for ``model``: its own encoder, or casewise's where it has none (TorchScript, a MONAI bundle)."""
    return model.encoder(device) if model.has_encoder else default_encoder(device)


def encoder_key_for(model: Model) -> str:
    """The key of :func:`encoder_for`, without a network being built."""
    from casewise.models.shipped.waiting import WaitingEncoder

    return model.key if model.has_encoder else WaitingEncoder().key


def default_encoder(device: str = "auto") -> ModelEncoder:
    """The encoder by which images are compared where no model is named: 256 numbers an image."""
    return load("encoder").encoder(device)
