"""What took long, kept below ``.work``: a second run reads it instead of making it again.

Every file is written beside its place and renamed, so that what lies there is whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from casewise.files import replacing
from casewise.models import Model
from experiments.datasets import REPOSITORY

WORK = REPOSITORY / ".work"


def rows(path: Path, make: Callable[[], Any]) -> Any:
    """The JSON value of ``make``, kept at ``path``."""
    if not path.exists():
        found = json.dumps(make())
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as beside:
            beside.write_text(found, encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def arrays(path: Path, make: Callable[[], Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """The arrays of ``make`` by name, kept at ``path`` (.npz)."""
    if not path.exists():
        found = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, suffix=".npz") as beside:
            np.savez_compressed(beside, **found)
    with np.load(path) as kept:
        return dict(kept)


def model(folder: Path, make: Callable[[], Model]) -> Model:
    """The model of ``make``, kept in ``folder``."""
    if not (folder / "model.toml").is_file():
        make().save(folder)
    return Model.load(folder)
