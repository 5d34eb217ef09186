"""``/model/``: the files of the models that are offered. Models are immutable here: nothing is put in their place."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

from fastapi import APIRouter, HTTPException
from fastapi.responses import Response

from casewise.server.access import Annotator, Reader
from casewise.server.compat.monailabel import offers
from casewise.server.compat.monailabel.desk import Shared
from casewise.server.compat.monailabel.forms import attachment
from casewise.server.compat.monailabel.training import train_stats
from casewise.server.services import Services

router = APIRouter(prefix="/model")
_FILES = ("model.toml", "weights.safetensors", "card.md", "trained_on.txt")


@router.get("/info/{model}")
def model_info(model: str, person: Reader, shared: Shared) -> dict[str, Any]:
    """Checksum and age of a model's weights, and how its training went."""
    weights = _folder(shared, model) / _FILES[1]
    if not weights.is_file():
        raise HTTPException(404, f"The model {model[:60]!r} has no weights of its own here.")
    with weights.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    stats = train_stats(shared)[offers.TRAINER]
    return {"checksum": f"SHA256:{checksum}", "modified_time": int(weights.stat().st_mtime), "train_stats": stats}


@router.get("/{model}")
def model_file(model: str, person: Reader, shared: Shared) -> Response:
    """A model's folder as a zip file: ``casewise analyze --model`` takes it once it is unpacked."""
    folder, packed = _folder(shared, model), io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for name in _FILES:
            if (folder / name).is_file():
                archive.write(folder / name, f"{model}/{name}")
    return attachment(f"{model}.zip", packed.getvalue(), "application/zip")


@router.put("/{model}")
def replace_model(model: str, person: Annotator, shared: Shared) -> None:
    """Refused."""
    _folder(shared, model)
    raise HTTPException(403, "A model is not replaced over this protocol; train one, which gets a name of its own.")


@router.delete("/{model}")
def remove_model(model: str, person: Annotator, shared: Shared) -> None:
    """Refused."""
    _folder(shared, model)
    raise HTTPException(403, "A model is not removed over this protocol; remove its folder on the server.")


def _folder(shared: Services, model: str) -> Path:
    offer = offers.models(shared.archive).get(model)
    if offer is None:
        raise HTTPException(404, f"There is no model {model[:60]!r}; /info/ lists those that there are.")
    if offer.folder is None:
        raise HTTPException(404, f"The model {model!r} follows marks and has no file of its own.")
    return offer.folder
