"""A router's folder: its network as any model's folder, and beside it ``router.toml`` and ``router.safetensors``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tomli_w
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from casewise.errors import ModelError
from casewise.files import replacing
from casewise.models.model import Model
from casewise.routing.classifiers import CLASSIFIERS, Svm
from casewise.routing.out_of_distribution import VIEWS, Doubt, Known, Neighbours
from casewise.routing.route import UNKNOWN

FORMAT = 3
SHIPPED = Path(__file__).parents[1] / "models" / "shipped" / "router"
_DOUBT = ("middle", "width", "centres", "scales")
_SETTINGS, _ARRAYS = "router.toml", "router.safetensors"


class Parts(NamedTuple):
    """What a router's folder holds: the fields of :class:`casewise.routing.router.Router`, in its order."""

    model: Model
    svm: Svm
    known: Known
    temperatures: Mapping[str, float]
    doubts: Mapping[str, Doubt]
    classifier: str
    measures: Mapping[str, float]


def save(router: Parts, folder: Path) -> Path:
    """Write the whole folder or nothing; an existing one is never overwritten."""
    if folder.exists():
        msg = f"{folder} exists and a router is never overwritten; choose another folder."
        raise ModelError(msg)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with replacing(folder) as beside:
            router.model.save(beside)
            known = router.known
            arrays = router.svm.arrays() | {
                "whitening": known.whitening.astype(np.float16),
                "means": known.means,
                "bank": known.neighbours.bank.astype(np.float16),
                "labels": known.labels.astype(np.int16),
            }
            save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, beside / _ARRAYS)
            (beside / _SETTINGS).write_text(tomli_w.dumps(_document(router)), encoding="utf-8")
            with (beside / "card.md").open("a", encoding="utf-8") as card:
                card.writelines(_measured(router))
    except (OSError, SafetensorError) as error:
        detail = error.strerror if isinstance(error, OSError) else error
        msg = f"The router cannot be written to {folder}: {detail}; free some space or choose another folder."
        raise ModelError(msg) from error
    return folder


def _document(router: Parts) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "network": router.model.key,
        "classifier": router.classifier,
        "measures": dict(router.measures),
        **{
            name: {
                "temperature": router.temperatures[name],
                **{f"unknown_{part}": _plain(getattr(router.doubts[name], part)) for part in _DOUBT},
            }
            for name in CLASSIFIERS
        },
    }


def _plain(value: float | tuple[float, ...]) -> float | list[float]:
    return list(value) if isinstance(value, tuple) else value


def _measured(router: Parts) -> list[str]:
    lines = [f"- {name.replace('_', ' ')}: {value:.4g}\n" for name, value in router.measures.items()]
    return ["\n## The router on its held-out images\n", *lines] if lines else []


def load(folder: Path) -> Parts:
    """Raises ModelError, one sentence, for a folder that is missing, damaged or no router's."""
    if not (folder / _SETTINGS).is_file():
        kind = "is a model without a router" if (folder / "model.toml").is_file() else "holds no router"
        msg = f"{folder} {kind}; `casewise train router` makes one, and without --router the shipped one is used."
        raise ModelError(msg)
    try:
        document = tomllib.loads((folder / _SETTINGS).read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise _damaged(folder, _SETTINGS, error) from error
    if document.get("format") != FORMAT:
        mend = "train it again with `casewise train router`" if document.get("format") in (1, 2) else "update casewise"
        msg = f"{folder} is a router of format {document.get('format')!r} and this casewise reads format {FORMAT}; {mend}."
        raise ModelError(msg)
    model = Model.load(folder)
    if document.get("network") != model.key:
        msg = f"The network of {folder} is not the one its router was made on; copy the router again from where it was made."
        raise ModelError(msg)
    try:
        arrays: dict[str, Any] = load_file(folder / _ARRAYS)
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(folder, _ARRAYS, error) from error
    try:
        return _router(model, document, arrays)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(folder, f"{_SETTINGS} or {_ARRAYS}", error) from error


def _router(model: Model, document: dict[str, Any], arrays: dict[str, Any]) -> Parts:
    svm = Svm.of_arrays(arrays)
    known = Known(
        np.asarray(arrays["whitening"], np.float32),
        np.asarray(arrays["means"], np.float32),
        Neighbours(_bank(arrays)),
        np.asarray(arrays["labels"], np.int64),
    )
    categories = [name for name in model.labels if name != UNKNOWN]
    if list(model.labels[: len(categories)]) != categories or document["classifier"] not in CLASSIFIERS:
        raise ValueError("its categories or its classifier are not a router's")
    features = len(svm.mean)
    shapes = (known.whitening.shape, known.means.shape, known.neighbours.bank.shape[1], len(svm.intercepts))
    if shapes != ((features, features), (len(categories), features), features, len(categories)):
        raise ValueError("its arrays do not fit together")
    if known.labels.shape != known.neighbours.bank.shape[:1] or set(known.labels.tolist()) - set(range(len(categories))):
        raise ValueError("its neighbours' categories are not a router's")
    temperatures = {name: float(document[name]["temperature"]) for name in CLASSIFIERS}
    doubts = {name: _doubt(document[name]) for name in CLASSIFIERS}
    if min(*temperatures.values(), *(value for doubt in doubts.values() for value in (doubt.width, *doubt.scales))) <= 0:
        raise ValueError("its temperatures and distances are above 0")
    measures = {name: float(value) for name, value in document.get("measures", {}).items()}
    return Parts(model, svm, known, temperatures, doubts, str(document["classifier"]), measures)


def _bank(arrays: dict[str, Any]) -> npt.NDArray[np.float32]:
    bank = np.asarray(arrays["bank"], np.float32)
    if bank.ndim != 2 or not len(bank) or not all(np.isfinite(arrays[name]).all() for name in ("bank", "means", "whitening")):
        raise ValueError("its arrays hold nothing, or values that are not finite")
    return bank


def _doubt(document: dict[str, Any]) -> Doubt:
    centres, scales = (tuple(float(value) for value in document[f"unknown_{part}"]) for part in ("centres", "scales"))
    if len(centres) != len(VIEWS) or len(scales) != len(VIEWS):
        raise ValueError("its distances are not a router's")
    return Doubt(float(document["unknown_middle"]), float(document["unknown_width"]), centres, scales)


def _damaged(folder: Path, name: str, error: Exception) -> ModelError:
    detail = " ".join(str(error).split())[:150]
    return ModelError(f"{name} of {folder} cannot be read ({detail}); copy the router again from where it was made.")
