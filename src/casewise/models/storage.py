"""A model's folder: how it is written and read, and what is refused."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from typing import Any

import tomli_w
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from casewise.errors import ModelError
from casewise.files import replacing
from casewise.models.card import card
from casewise.models.documents import read
from casewise.models.foreign import ensure_network, load_foreign
from casewise.models.spec import FORMAT, Lineage, Spec
from casewise.models.stored import StoredModel

_FOREIGN = "network.ts"


def save(model: StoredModel, folder: Path) -> Path:
    """Write the whole folder or nothing; an existing one is never overwritten."""
    if folder.exists():
        msg = f"{folder} exists and a model is never overwritten; choose another folder."
        raise ModelError(msg)
    if model.foreign is not None:
        ensure_network(model.foreign, model.spec)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"The model cannot be written to {folder}: {error.strerror}; choose a folder that can be written."
        raise ModelError(msg) from error
    try:
        with replacing(folder) as beside:
            beside.mkdir()
            _write(model, beside)
    except (OSError, SafetensorError) as error:
        detail = error.strerror if isinstance(error, OSError) else error
        msg = f"The model cannot be written to {folder}: {detail}; free some space or choose another folder."
        raise ModelError(msg) from error
    return folder


def _write(model: StoredModel, folder: Path) -> None:
    document: dict[str, Any] = {"format": FORMAT, "name": model.name, "key": model.key}
    document |= model.spec.to_toml() | {"lineage": model.lineage.to_toml()}
    save_file({name: tensor.contiguous() for name, tensor in model.weights.items()}, folder / "weights.safetensors")
    if model.foreign is not None:
        shutil.copyfile(model.foreign, folder / _FOREIGN)
        document["foreign"] = _FOREIGN
    (folder / "model.toml").write_text(tomli_w.dumps(document), encoding="utf-8")
    (folder / "trained_on.txt").write_text("".join(f"{key}\n" for key in sorted(model.lineage.trained_on)), encoding="utf-8")
    (folder / "card.md").write_text(card(model), encoding="utf-8")


def load(path: Path) -> StoredModel:
    """A casewise model, or one that others made (:func:`casewise.models.foreign.load_foreign`), by what lies there."""
    if (path / "model.toml").is_file():
        return _read(path)
    if not path.exists() and "#" not in path.name:
        msg = f"There is no model at {path}; `casewise models` lists the models that are there."
        raise ModelError(msg)
    return load_foreign(path)


def _read(folder: Path) -> StoredModel:
    try:
        document = tomllib.loads((folder / "model.toml").read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        msg = f"{folder / 'model.toml'} cannot be read: {error}; copy the model again from where it was made."
        raise ModelError(msg) from error
    if document.get("format") != FORMAT:
        msg = f"{folder} is a model of format {document.get('format')!r} and this casewise reads format {FORMAT}; update casewise."
        raise ModelError(msg)
    try:
        weights = load_file(folder / "weights.safetensors")
    except (SafetensorError, OSError) as error:
        msg = f"The weights of {folder} cannot be read: {error}; copy the model again from where it was made."
        raise ModelError(msg) from error
    foreign = document.get("foreign")
    if foreign not in (None, _FOREIGN):
        msg = f"{folder / 'model.toml'} names a foreign network {foreign!r}; it can only be {_FOREIGN}."
        raise ModelError(msg)
    model = StoredModel(
        name=str(document.get("name", folder.name)),
        spec=Spec.from_toml(document),
        weights=weights,
        lineage=_lineage(folder, document),
        foreign=folder / foreign if foreign else None,
    )
    if document.get("key") not in (None, model.key):
        msg = f"The weights of {folder} are not those its model.toml was written with; copy the model again from where it was made."
        raise ModelError(msg)
    return model


def _lineage(folder: Path, document: dict[str, Any]) -> Lineage:
    known, what, mend = folder / "trained_on.txt", f"The lineage of {folder}", "copy the model again from where it was made."
    try:
        keys = known.read_text(encoding="utf-8").split() if known.is_file() else []
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{what} cannot be read ({error}); {mend}") from error
    return read(read(document.get("lineage", {}), dict[str, Any], what, mend) | {"trained_on": keys}, Lineage, what, mend)
