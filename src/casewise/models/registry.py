"""Which model a name means: a path, a model that an archive knows, one that comes with casewise, or one in this folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from casewise.errors import CasewiseError, ModelError
from casewise.models.listing import SHIPPED, describe_model, find_models

if TYPE_CHECKING:
    from casewise.archive import Archive
    from casewise.models.model import Model


def load(name_or_path: str | os.PathLike[str], *, archive: Archive | str | os.PathLike[str] | None = None) -> Model:
    """The model at a path, or the one of a name that ``casewise models`` prints: the archive's, a shipped one, or one below here.

    archive : an archive, or where one lies, whose models are looked up by name too. A shipped model is loaded once a process.
    Raises ModelError, one sentence, where there is no such model or where it is damaged.

    >>> casewise.models.load("casewise-encoder").spec.preparation.size
    (64, 64)
    """
    from casewise.models import shipped
    from casewise.models.model import Model

    path = path_of(os.fspath(name_or_path), registered(archive))
    return shipped.load(path.name) if path.parent == SHIPPED else Model.load(path)


def registered(archive: Archive | str | os.PathLike[str] | None) -> list[tuple[str, Path]]:
    """(name, folder) of the models that an archive knows and whose folders are there, the newest last."""
    if archive is None:
        return []
    if isinstance(archive, str | os.PathLike):
        from casewise.archive import Archive

        archive = Archive.open(archive)
    entries = sorted(archive.models(), key=_made)
    return [(str(entry["name"]), path) for entry in entries if (path := Path(str(entry["path"]))).is_dir()]


def _made(entry: dict[str, object]) -> str:
    data = entry["data"]
    return str(data.get("made", "")) if isinstance(data, dict) else ""


def path_of(name: str, registered: Sequence[tuple[str, Path]] = (), folder: Path = Path()) -> Path:
    """The folder or file of the model called ``name``, as ``casewise models`` prints it.

    A path comes first, then the name of a registered model (name, folder; the last of several is the newest), of a shipped one, and
    of one in ``folder`` or up to three levels below it. A path that leads nowhere is returned as it is: loading it says so.
    Raises ModelError where several models in ``folder`` have the name.
    """
    if Path(name).exists():
        return Path(name)
    known = [path for own, path in registered if own == name and path.is_dir()]
    if known:
        return known[-1]
    if (SHIPPED / name / "model.toml").is_file() and Path(name).name == name:
        return SHIPPED / name
    found = [] if Path(name).name != name else [path for path in _models_in(folder) if _name_of(path) == name]
    if not found and Path(name).name == name:
        found = [path for path in _models_in(SHIPPED) if _name_of(path) == name]
    if len(found) > 1:
        places = ", ".join(str(path) for path in found[:4]) + (f" and {len(found) - 4} more" if len(found) > 4 else "")
        msg = f"{len(found)} models are called {name!r}: {places}. Name the folder of one."
        raise ModelError(msg)
    return found[0] if found else Path(name)


def _models_in(folder: Path) -> list[Path]:
    try:
        return list(find_models(folder))
    except CasewiseError:  # a folder that may not be listed holds no model that could be meant
        return []


def _name_of(folder: Path) -> str | None:
    try:
        return str(describe_model(folder)["name"])
    except CasewiseError:  # a damaged model has no name
        return None
