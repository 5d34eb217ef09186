"""What TotalSegmentator says of its tasks (``totalsegmentator.toml``): which models make up each, and what those answer."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import msgspec

from casewise.models.licences import TrainingData
from casewise.models.planned.canonical import Canonical

_FILE = Path(__file__).with_name("totalsegmentator.toml")


class KnownModel(msgspec.Struct, frozen=True):
    """folder : its data set's. trained : the folder in it of its trained configuration. folds : that answer; None: all there are.
    step, spacing : see :class:`casewise.models.planned.canonical.Canonical`. structures : names of its labels 1, 2, 3 and so on.
    """

    folder: str
    trained: str
    step: float
    structures: tuple[str, ...]
    folds: tuple[int, ...] | None = None
    spacing: tuple[float, float, float] | None = None

    @property
    def canonical(self) -> Canonical:
        return Canonical(self.step, self.spacing)


class KnownTask(msgspec.Struct, frozen=True):
    """models : by number, in the order in which they answer. structures : of the task's answer.

    largest : structures of which the largest piece alone is kept. smallest_mm3 : structures whose pieces up to a size are left out.
    licensed : whether the weights are not free for every use.
    """

    models: tuple[int, ...]
    structures: tuple[str, ...]
    largest: tuple[str, ...] = ()
    smallest_mm3: dict[str, float] = {}
    licensed: bool = False


class Table(msgspec.Struct, frozen=True):
    """left_out : why casewise does not read other tasks, by name."""

    models: dict[str, KnownModel]
    tasks: dict[str, KnownTask]
    left_out: dict[str, str]


@lru_cache(maxsize=1)
def table() -> Table:
    return msgspec.convert(tomllib.loads(_FILE.read_text(encoding="utf-8")), Table)


def known_model(dataset: str) -> KnownModel | None:
    """The model that TotalSegmentator keeps in a data set's folder of that name."""
    return next((model for model in table().models.values() if model.folder == dataset), None)


def licences_of(models: Sequence[KnownModel]) -> tuple[TrainingData, ...]:
    """What limits the use of their weights; empty for those that TotalSegmentator gives to everybody."""
    found = table()
    tasks = [
        name
        for name, task in found.tasks.items()
        if task.licensed and any(found.models[str(number)] in models for number in task.models)
    ]
    licence = "TotalSegmentator's, which is free of charge for non-commercial use alone"
    return tuple(TrainingData(f"TotalSegmentator, task {name}", licence, research_only=True) for name in tasks)


def names_task(path: Path) -> bool:
    """Whether ``path`` is no file or folder and has the form ``FOLDER#TASK``."""
    return "#" in path.name and not path.exists()


def lies(folder: Path, model: KnownModel) -> bool:
    """Whether a trained model is in TotalSegmentator's folder of weights."""
    return (folder / model.folder / model.trained / "plans.json").is_file()


def holds_models(folder: Path) -> bool:
    """Whether a folder of one of TotalSegmentator's models lies in ``folder``."""
    return any((folder / model.folder).is_dir() for model in table().models.values())


def whole_tasks(folder: Path) -> list[str]:
    """The tasks all of whose models lie in ``folder``."""
    found = table()
    return [name for name, task in found.tasks.items() if all(lies(folder, found.models[str(n)]) for n in task.models)]
