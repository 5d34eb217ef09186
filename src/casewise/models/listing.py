"""Which models lie in a folder: read from their ``model.toml`` alone, so that a hundred of them are listed at once."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

from casewise.errors import ModelError
from casewise.models.spec import Lineage, Spec

_DEPTH = 3


def find_models(folder: Path, depth: int = _DEPTH) -> Iterator[Path]:
    """Folders with a ``model.toml``: ``folder`` itself, or those up to ``depth`` levels below it, in the order of their names."""
    if (folder / "model.toml").is_file():
        yield folder
    elif depth > 0:
        try:
            below = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        except OSError as error:
            msg = f"{folder} cannot be looked into: {error.strerror}."
            raise ModelError(msg) from error
        for path in below:
            yield from find_models(path, depth - 1)


def describe_model(folder: Path) -> dict[str, object]:
    """name, path, key, task, labels, method, parent, trained_on (number of cases) and measures of the model in ``folder``.

    Raises ModelError, one sentence, for a folder whose ``model.toml`` is damaged.
    """
    try:
        document = tomllib.loads((folder / "model.toml").read_text(encoding="utf-8"))
        cases = folder / "trained_on.txt"
        keys = frozenset(cases.read_text(encoding="utf-8").split()) if cases.is_file() else frozenset()
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        msg = f"{folder / 'model.toml'} cannot be read: {error}; copy the model again from where it was made."
        raise ModelError(msg) from error
    spec = Spec.from_toml(document)
    lineage = Lineage.from_toml(document.get("lineage", {}), keys)
    return {
        "name": str(document.get("name", folder.name)),
        "path": str(folder),
        "key": document.get("key"),
        "task": spec.task,
        "labels": list(spec.labels),
        "method": lineage.method,
        "parent": lineage.parent_name or None,
        "trained_on": len(lineage.trained_on),
        "measures": dict(lineage.measures),
    }
