"""Which model a name means: a path, a model that an archive knows, one that comes with casewise, or one in this folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from casewise.errors import CasewiseError, ModelError
from casewise.models.listing import SHIPPED, describe_model, find_models


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
