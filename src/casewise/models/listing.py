"""Which models lie in a folder: read from their ``model.toml`` alone, without torch, so that a hundred are listed at once."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from casewise.errors import ModelError
from casewise.models.documents import read
from casewise.models.licences import TrainingData, research_only

SHIPPED = Path(__file__).parent / "shipped"
_DEPTH = 3


def find_models(folder: Path, depth: int = _DEPTH) -> Iterator[Path]:
    """Folders with a ``model.toml``: ``folder`` itself, or those up to ``depth`` levels below it, in the order of their names."""
    if (folder / "model.toml").is_file():
        yield folder
    elif depth > 0:
        try:
            below = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        except OSError as error:
            msg = f"It cannot be looked into for models: {error.strerror}."
            raise ModelError(msg) from error
        for path in below:
            yield from find_models(path, depth - 1)


def describe_model(folder: Path) -> dict[str, object]:
    """What ``casewise models`` lists of the model in ``folder``.

    name, path, key, task, labels, method, parent, parent_key, trained_on and refined_on (numbers of cases), measures, licences (of
    its training data) and research_only (whether one of them allows research alone).

    Raises ModelError, one sentence, for a folder whose ``model.toml`` is damaged.
    """
    mend = "copy the model again from where it was made."
    try:
        document = tomllib.loads((folder / "model.toml").read_text(encoding="utf-8"))
        cases = folder / "trained_on.txt"
        count = len(cases.read_text(encoding="utf-8").split()) if cases.is_file() else 0
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        msg = f"Its model.toml cannot be read ({error}); {mend}"
        raise ModelError(msg) from error
    listed = read(document, _Listed, "Its model.toml", mend)
    lineage = listed.lineage
    # A structure is written NAME or NAME=PART+PART.
    structures = [text.partition("=")[0] for text in listed.structures]
    return {
        "name": listed.name or folder.name,
        "path": str(folder),
        "key": listed.key,
        "task": listed.task,
        "labels": structures or listed.classes,
        "method": lineage.method,
        "parent": lineage.parent_name,
        "parent_key": lineage.parent,
        "trained_on": count,
        "refined_on": len(lineage.refined_on),
        "measures": lineage.measures,
        "licences": [one.to_toml() for one in lineage.training_data],
        "research_only": research_only(lineage.training_data),
    }


class _Lineage(msgspec.Struct):
    method: str = "initial"
    parent: str | None = None
    parent_name: str | None = None
    refined_on: list[str] = []
    measures: dict[str, float | int] = {}
    training_data: list[TrainingData] = []


class _Listed(msgspec.Struct):
    task: str
    name: str | None = None
    key: str | None = None
    structures: list[str] = []
    classes: list[str] = []
    lineage: _Lineage = msgspec.field(default_factory=_Lineage)
