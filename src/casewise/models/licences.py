"""The licences of a model's training data: what its weights may be used for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


def training_data(document: Mapping[str, Any]) -> tuple[TrainingData, ...]:
    """The ``[[training_data]]`` tables in a ``model.toml``'s lineage; none for a model that does not state them.

    Raises TypeError or ValueError for a table that is none.
    """
    found = []
    for table in document.get("training_data", []):
        one = TrainingData(**table)
        if not (isinstance(one.name, str) and isinstance(one.licence, str) and isinstance(one.research_only, bool)):
            msg = f"training_data has name (text), licence (text) and research_only (true or false); got {table!r}"
            raise ValueError(msg)
        found.append(one)
    return tuple(found)


def research_only(data: Iterable[TrainingData]) -> bool:
    """Whether weights trained on ``data`` are for research only: one such data set is enough."""
    return any(one.research_only for one in data)
