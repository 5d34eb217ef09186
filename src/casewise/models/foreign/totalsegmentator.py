"""TotalSegmentator's folder of weights: a task of it as one model, named ``FOLDER#TASK`` or ``FOLDER#TASK:STRUCTURE,STRUCTURE``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from casewise.case import Structure
from casewise.errors import ModelError
from casewise.models.foreign.nnunet_folder import load_planned
from casewise.models.planned.totalsegmentator import KnownModel, KnownTask, licences_of, lies, table
from casewise.models.spec import JOINED, Lineage, Spec
from casewise.models.stored import StoredModel


@dataclass(frozen=True)
class _Asked:
    """wanted : structures of the task; all of them where none was named."""

    folder: Path
    name: str
    task: KnownTask
    wanted: tuple[str, ...]

    @property
    def title(self) -> str:
        """Of the model; those of other structures have other names."""
        some = "-".join(self.wanted) if len(self.wanted) <= 3 else f"{len(self.wanted)}-structures"
        return f"TotalSegmentator-{self.name}" + ("" if self.wanted == self.task.structures else f"-{some}")

    @property
    def models(self) -> list[KnownModel]:
        """Those that answer a wanted structure, in the task's order."""
        every = [table().models[str(number)] for number in self.task.models]
        return [model for model in every if any(name in self.wanted for name in model.structures)]


def load_task(path: Path) -> StoredModel:
    """The models of a task that answer what is wanted, read and joined to one.

    Raises ModelError, one sentence, for a task or a structure that there is not, and for a model that is missing or damaged.
    """
    asked = _asked(path.expanduser())
    missing = [model.folder for model in asked.models if not lies(asked.folder, model)]
    if missing:
        raise ModelError(
            f"The task {asked.name} needs {' and '.join(missing)}, each with {asked.models[0].trained}, which {asked.folder} "
            "has not; let TotalSegmentator fetch its weights, or name structures that other models answer."
        )
    parts = [load_planned(asked.folder / model.folder / model.trained) for model in asked.models]
    return StoredModel(
        asked.title,
        _joined(asked, parts),
        {f"parts.{number}.{name}": value for number, part in enumerate(parts) for name, value in part.weights.items()},
        Lineage(method="foreign", training_data=licences_of(asked.models)),
    )


def _asked(path: Path) -> _Asked:
    place, _, text = path.name.rpartition("#")
    name, _, listed = text.partition(":")
    folder, found = path.parent / place, table()
    if not folder.is_dir():
        raise ModelError(f"There is no folder {folder}; TotalSegmentator keeps its weights in ~/.totalsegmentator/nnunet/results.")
    if name in found.left_out:
        raise ModelError(
            f"casewise does not read TotalSegmentator's task {name}: {found.left_out[name]}. It reads {', '.join(found.tasks)}."
        )
    if name not in found.tasks:
        raise ModelError(f"TotalSegmentator has no task {name!r}; casewise reads {', '.join(found.tasks)}.")
    task = found.tasks[name]
    wanted = tuple(dict.fromkeys(part.strip() for part in listed.split(",") if part.strip())) if listed else task.structures
    for structure in wanted:
        if structure not in task.structures:
            like = get_close_matches(structure, task.structures, n=3) or task.structures
            raise ModelError(f"The task {name} has no structure {structure!r}; it has {', '.join(like)}.")
    return _Asked(folder, name, task, tuple(one for one in task.structures if one in wanted))


def _joined(asked: _Asked, parts: Sequence[StoredModel]) -> Spec:
    names = set(asked.wanted)
    network = {
        "kind": JOINED,
        "task": asked.name,
        "folders": [model.folder for model in asked.models],
        "outputs": [[structure.name for structure in part.spec.structures] for part in parts],
        "largest": [name for name in asked.task.largest if name in names],
        "smallest_mm3": {name: size for name, size in asked.task.smallest_mm3.items() if name in names},
        "parts": [dict(part.spec.network) for part in parts],
    }
    return Spec.joined(network, tuple(Structure(name, (name,)) for name in asked.wanted))
