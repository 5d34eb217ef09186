"""The licences of a model's training data: what its weights may be used for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class TrainingData:
    """A data set that weights were trained on.

    name : the data set. licence : its licence as its makers state it, or ``not stated``.
    research_only : whether it allows research or non-commercial use alone, or states no licence.
    """

    name: str
    licence: str
    research_only: bool

    def to_toml(self) -> dict[str, Any]:
        return asdict(self)


def research_only(data: Iterable[TrainingData]) -> bool:
    """Whether weights trained on ``data`` are for research only: one such data set is enough."""
    return any(one.research_only for one in data)
