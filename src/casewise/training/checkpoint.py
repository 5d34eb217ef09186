"""Where a training stands, written beside and renamed, so that a killed run goes on as if nothing had happened."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from casewise.errors import ModelError
from casewise.files import replacing


@dataclass
class State:
    """All that changes during a training. ``fingerprint`` says of which training (model, cases, settings)."""

    fingerprint: str
    step: int = 0
    network: dict[str, Tensor] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_measure: float = -float("inf")
    best_step: int = 0
    curve: list[tuple[int, float, float]] = field(default_factory=list)

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, suffix=".pt") as beside:  # torch takes no name that is all suffix
            torch.save(vars(self), beside)

    @classmethod
    def load(cls, path: Path, fingerprint: str) -> State:
        """The state at ``path``; a fresh one where nothing lies there. A ModelError where it is another training's."""
        if not path.is_file():
            return cls(fingerprint)
        try:
            state = cls(**torch.load(path, weights_only=True, map_location="cpu"))
        except Exception as error:  # torch raises whatever a damaged archive makes it stumble over
            msg = f"The checkpoint {path} cannot be read ({type(error).__name__}); delete it to begin again."
            raise ModelError(msg) from error
        if state.fingerprint != fingerprint:
            msg = (
                f"The checkpoint {path} is of a training with other cases, settings or model; delete it, or choose another folder."
            )
            raise ModelError(msg)
        return state
