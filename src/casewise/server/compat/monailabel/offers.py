"""What clients are offered: models by type, strategies and trainers, each under a name that survives being quoted into a path."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from casewise.archive import Archive
from casewise.errors import CasewiseError
from casewise.models.listing import SHIPPED, describe_model, find_models
from casewise.models.registry import registered

SCRIBBLES, CLICKS = "casewise-scribbles", "casewise-clicks"
TRAINER = "segmenter"
STRATEGIES = {
    "first": "The first image without a mask.",
    "random": "Any image without a mask.",
    "uncertainty": "The image whose mask the accepted cases predict with the least certainty.",
    "unlike": "The image most unlike those that have a mask.",
}
SCORING = {"dice": "Dice of each draft (tag original) and the accepted masks of its image."}
# Networks of models that are asked in another way: by prompts, by an application, or as a part of another model.
_NOT_ALONE = ("prompt_unet", "p_net", "pc_net", "segment_detector", "spots", "head")


@dataclass(frozen=True)
class Offer:
    """One model as ``/info/`` lists it. labels : its structures, in the order of their values from 1. folder : of its files.

    model : the model's own name, by which the archive finds it.
    """

    name: str
    type: str
    description: str
    labels: tuple[str, ...] = ()
    folder: Path | None = None
    model: str = ""
    dimension: int = 3
    config: dict[str, object] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        labels = {label: number for number, label in enumerate(self.labels, start=1)}
        return {
            "type": self.type,
            "labels": labels or [],
            "dimension": self.dimension,
            "description": self.description,
            "config": self.config,
        }


INTERACTIVE = (
    Offer(SCRIBBLES, "scribbles", "Outline any structure by scribbles; a region of interest helps, and none is needed."),
    Offer(CLICKS, "deepgrow", "Outline any structure by clicks on it and beside it."),
)


def models(archive: Archive) -> dict[str, Offer]:
    """All models by name: the archive's segmenters, then the shipped ones, then those that follow a person's marks.

    Slicer asks the first that knows one of the archive's structures when it opens an image.
    """
    folders = {name: path for name, path in registered(archive)}
    own = [(path, name) for name, path in folders.items()]
    offers = segmenters([*own, *((path, None) for path in find_models(SHIPPED))])
    return {offer.name: offer for offer in (*offers, *INTERACTIVE)}


def segmenters(folders: Sequence[tuple[Path, str | None]]) -> list[Offer]:
    """Those of ``folders`` (with the name under which an archive knows each) that outline structures by themselves."""
    found: dict[str, Offer] = {}
    for path, known_as in folders:
        described = _described(path, _changed(path))
        if described is None:
            continue
        own, labels, method = described
        name = slug(known_as or own)
        while name in found or name in (SCRIBBLES, CLICKS):
            name += "_2"
        about = f"Outlines {', '.join(labels)} ({'shipped with casewise' if path.parent == SHIPPED else method})."
        found[name] = Offer(name, "segmentation", about, labels, path, known_as or own)
    return list(found.values())


@lru_cache(maxsize=1000)
def _described(path: Path, changed: float) -> tuple[str, tuple[str, ...], str] | None:
    """(name, structures, method) of a model that outlines structures by itself; None of any other, or a damaged one."""
    try:
        about = describe_model(path)
        document = tomllib.loads((path / "model.toml").read_text(encoding="utf-8"))
    except (CasewiseError, OSError, ValueError):
        return None
    network = document.get("network", {}).get("kind")
    labels = about["labels"]
    if about["task"] != "segmentation" or network in _NOT_ALONE or not isinstance(labels, list) or not labels:
        return None
    return str(about["name"]), tuple(str(label) for label in labels), str(about["method"])


def _changed(path: Path) -> float:
    try:
        return (path / "model.toml").stat().st_mtime
    except OSError:
        return 0.0


def slug(name: str) -> str:
    return re.sub(r"[^a-z0-9_-]+", "_", name.lower()).strip("_") or "model"
