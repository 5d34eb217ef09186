"""Which models lie in a folder: read from their settings alone, without torch, so that a hundred are listed at once.

casewise's by their ``model.toml``; nnU-Net's results and MONAI bundles by their own files, which say less: whether casewise reads
such a model is known once it is loaded.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from casewise.errors import ModelError
from casewise.models.documents import read
from casewise.models.licences import TrainingData, research_only
from casewise.models.planned.totalsegmentator import KnownModel, known_model, licences_of, names_task, table, whole_tasks

SHIPPED = Path(__file__).parent / "shipped"
_DEPTH = 3
_OF_ARCHIVE = "models"  # in an archive's folder


def find_models(folder: Path, depth: int = _DEPTH) -> Iterator[Path]:
    """Folders of models: ``folder`` itself, or those up to ``depth`` levels below it, in the order of their names; and before its
    models the tasks of a folder of TotalSegmentator's weights, ``FOLDER#TASK``.
    """
    if _is_model(folder):
        yield folder
    elif depth > 0:
        try:
            below = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        except OSError as error:
            msg = f"It cannot be looked into for models: {error.strerror}."
            raise ModelError(msg) from error
        if any(path.name.startswith("Dataset") for path in below):
            yield from (Path(f"{folder}#{task}") for task in whole_tasks(folder))
        for path in below:
            yield from find_models(path, depth - 1)


def model_folder(archive: Path, name: str) -> Path:
    """Where a model of this name, which holds nothing but letters, digits, ``-`` and ``_``, lies in an archive's folder."""
    return archive / _OF_ARCHIVE / name


def describe_model(folder: Path) -> dict[str, object]:
    """What ``casewise models`` lists of the model in ``folder``.

    name, path, key, task, labels, method, parent, parent_key, trained_on and refined_on (numbers of cases), measures, licences (of
    its training data) and research_only (whether one of them allows research alone).

    Raises ModelError, one sentence, for a folder whose ``model.toml``, or another's own file, is damaged.
    """
    if names_task(folder):
        return _task(folder)
    if not (folder / "model.toml").is_file():
        return _foreign(folder)
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


def _is_model(folder: Path) -> bool:
    return (folder / "model.toml").is_file() or _is_planned(folder) or _is_bundle(folder)


def _is_planned(folder: Path) -> bool:
    """Whether nnU-Net wrote it: a trained configuration."""
    return (folder / "plans.json").is_file() and (folder / "dataset.json").is_file() and any(folder.glob("fold_*"))


def _is_bundle(folder: Path) -> bool:
    return (folder / "models").is_dir() and any(
        (folder / "configs" / f"inference.{kind}").is_file() for kind in ("json", "yaml", "yml")
    )


def _task(path: Path) -> dict[str, object]:
    """Of a task of TotalSegmentator."""
    name = path.name.rpartition("#")[2]
    task = table().tasks[name]
    models = [table().models[str(number)] for number in task.models]
    return _described(f"TotalSegmentator-{name}", path, "segmentation", task.structures, models)


def _foreign(folder: Path) -> dict[str, object]:
    """As :func:`describe_model`, with what the files of nnU-Net or of a MONAI bundle say."""
    known = None
    if _is_planned(folder):
        name = f"{folder.resolve().parent.name}-{folder.name.rpartition('__')[2]}"
        known = known_model(folder.resolve().parent.name)
        labels = [name for name in _mapping(folder / "dataset.json", "labels") if name not in ("background", "ignore")]
        task = "segmentation"
    else:
        name = folder.resolve().name
        metadata = folder / "configs" / "metadata.json"
        outputs = _mapping(metadata, "network_data_format", "outputs") if metadata.is_file() else {}
        first = outputs.get("pred", next(iter(outputs.values()), {}))
        first = first if isinstance(first, Mapping) else {}
        named = first.get("channel_def", {})
        labels = [str(label) for label in named.values()] if isinstance(named, Mapping) else []
        labels = [label for label in labels if label.lower() != "background"]
        task = "classification" if "classif" in str(first.get("format", "")).lower() else "segmentation"
    return _described(name, folder, task, labels, [known] if known is not None else [])


def _described(name: str, path: Path, task: str, labels: Sequence[str], models: Sequence[KnownModel]) -> dict[str, object]:
    """Models : of TotalSegmentator, where it is of them."""
    licences = licences_of(models)
    return {
        **{"name": name, "path": str(path), "key": None, "task": task, "labels": list(labels), "method": "foreign"},
        **{"parent": None, "parent_key": None, "trained_on": 0, "refined_on": 0, "measures": {}},
        **{"licences": [one.to_toml() for one in licences], "research_only": research_only(licences)},
    }


def _mapping(file: Path, *keys: str) -> Mapping[str, Any]:
    """The object below ``keys`` in a JSON file; empty where there is none. Raises ModelError for what is no JSON."""
    try:
        found: Any = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"Its {file.name} cannot be read ({error}); copy the model again from where it was made.") from error
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


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
