"""What was prepared for an image's session before a person opens it: its first mask, and the model refined for its structure.

In ``ARCHIVE/prepared/``: ``<structure, image and initial model, hashed>.npz``, and each refined model once in
``models/<key>/``, by which a saved session finds the model that it was begun with. All of it can be made again.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from casewise.archive import Archive
from casewise.errors import ModelError
from casewise.files import replacing

if TYPE_CHECKING:
    from casewise.interaction.sets.guidance import Prepared
    from casewise.models import Model

_FOLDER, _MODELS = "prepared", "models"
_FORMAT = 1
_YOUNG_SECONDS = 3600.0
_HEX = re.compile(r"[0-9a-f]{32}")


def save(archive: Archive, key: str, structure: str, initial: Model, prepared: Prepared) -> None:
    """Keep what :func:`casewise.interaction.sets.guidance.prepare` gave for the image ``key`` with the model ``initial``."""
    save_model(archive.folder, prepared.model)
    document = {
        "format": _FORMAT,
        "model": prepared.model.key,
        "cases": [case.key for case in prepared.cases],
        "reason": prepared.reason,
        "shape": None if prepared.guess is None else list(prepared.guess.shape),
    }
    guess = np.zeros(0, np.uint8) if prepared.guess is None else np.packbits(prepared.guess)
    path = _path(archive.folder, key, structure, initial.key)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as beside, beside.open("wb") as file:
        np.savez_compressed(file, guess=guess, about=np.frombuffer(json.dumps(document).encode(), np.uint8))


def load(archive: Archive, key: str, structure: str, initial: Model) -> Prepared | None:
    """What was kept; None where nothing was, or what was is damaged or its model has gone."""
    from casewise.interaction.sets.guidance import Prepared

    try:
        with np.load(_path(archive.folder, key, structure, initial.key), allow_pickle=False) as file:
            document = json.loads(bytes(file["about"]).decode())
            if document["format"] != _FORMAT:
                return None
            shape = document["shape"]
            guess = None
            if shape is not None:
                count = int(np.prod(shape))
                guess = np.unpackbits(file["guess"], count=count).reshape(shape).astype(bool)
            keys, reason = [str(one) for one in document["cases"]], str(document["reason"])
            name = str(document["model"])
        model = initial if name == initial.key else load_model(archive.folder, name)
    except Exception:  # whatever zipfile, zlib, numpy and json raise for a damaged file
        return None
    return Prepared(model, guess, tuple(archive.cases(keys=keys)), reason)


def is_there(folder: Path, key: str, structure: str) -> bool:
    """Whether something is kept for the image, with whichever initial model."""
    return any((folder / _FOLDER).glob(f"{_stem(key, structure)}-*.npz"))


def save_model(folder: Path, model: Model) -> None:
    """Keep a model under its key in the archive of ``folder``."""
    place = folder / _FOLDER / _MODELS / model.key
    if place.is_dir():
        return
    try:
        model.save(place)
    except ModelError:
        if not place.is_dir():  # else another process was faster with the same one
            raise


def load_model(folder: Path, key: str) -> Model:
    """A model kept by :func:`save_model`. Raises ModelError where there is none of this key."""
    from casewise.models import Model

    if not _HEX.fullmatch(key):
        raise ModelError(f"A model's key is 32 hexadecimal digits; got {key[:40]!r}.")
    return Model.load(folder / _FOLDER / _MODELS / key)


def forget(folder: Path, key: str, structure: str) -> None:
    """Remove what was prepared for an image whose mask was accepted."""
    for path in (folder / _FOLDER).glob(f"{_stem(key, structure)}-*.npz"):
        path.unlink(missing_ok=True)


def prune_models(folder: Path, kept: Collection[str]) -> None:
    """Remove models that neither ``kept`` (keys) nor anything prepared names, and that are older than an hour: a session may be
    beginning with a younger one.
    """
    place = folder / _FOLDER
    named = {*kept, *(name for path in place.glob("*.npz") if (name := _model_of(path)) is not None)}
    for model in (place / _MODELS).glob("*"):
        if _HEX.fullmatch(model.name) and model.name not in named and time.time() - model.stat().st_mtime > _YOUNG_SECONDS:
            shutil.rmtree(model, ignore_errors=True)


def _model_of(path: Path) -> str | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            return str(json.loads(bytes(file["about"]).decode())["model"])
    except Exception:  # as above
        return None


def _path(folder: Path, key: str, structure: str, initial: str) -> Path:
    return folder / _FOLDER / f"{_stem(key, structure)}-{hashlib.blake2b(initial.encode(), digest_size=8).hexdigest()}.npz"


def _stem(key: str, structure: str) -> str:
    """No name of a structure or an image becomes part of a path."""
    return hashlib.blake2b(f"{structure}\n{key}".encode(), digest_size=16).hexdigest()
