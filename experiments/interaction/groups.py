"""All tasks of the interaction benchmark, by group."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from experiments.interaction.structures import structure_pictures
from experiments.interaction.tasks import Task, films, heart, hippocampi, lesion_slices, liver, tumours

GROUPS: dict[str, Callable[[], Iterator[Task]]] = {
    "heart": heart,
    "structures": structure_pictures,
    "films": films,
    "lesions": lesion_slices,
    "hippocampus": hippocampi,
    "tumour": tumours,
    "liver": liver,
}
FLAT = ("heart", "structures", "films", "lesions")
