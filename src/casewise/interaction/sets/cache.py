"""What an archive keeps of a set: the model as refined so far, and the leave-one-out score of each accepted mask.

In ``ARCHIVE/sets/<structure and initial model, hashed>/``: ``set.json``, and the refined model's folder beside it. All of it can be
made again from the accepted masks, so what is damaged, or of masks that have changed or gone since, counts as not kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from casewise.archive import Archive
from casewise.archive.leftovers import writing
from casewise.case import Case, Structure
from casewise.errors import ModelError
from casewise.files import replacing
from casewise.interaction.sets.leave_one_out import ENOUGH, LeaveOneOut, leave_one_out
from casewise.models.model import Model

_FORMAT = 1
_HEX = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, eq=False)
class SetCache:
    """folder : where it is kept. masks : of each accepted case's key, its mask's digest and score. refined : the model so far,
    ``on`` these keys' masks (key → digest) in ``steps`` steps; None where it would have to begin anew.
    """

    folder: Path
    masks: Mapping[str, tuple[str, LeaveOneOut]] = field(default_factory=dict)
    refined: Model | None = None
    on: Mapping[str, str] = field(default_factory=dict)
    steps: int = 0

    @property
    def scores(self) -> dict[str, LeaveOneOut]:
        return {key: one for key, (_, one) in self.masks.items()}


def load(archive: Archive, model: Model, structure: str, cases: Sequence[Case]) -> SetCache:
    """What is known of the masks of ``cases``, the ones that may be used now; those without a score, or by too few others, get one.

    A refined model that learnt from any other mask than theirs as they are now is not given.
    """
    named = hashlib.blake2b(f"{structure}\n{model.key}".encode(), digest_size=16).hexdigest()
    folder = Path(archive.folder) / "sets" / named
    kept = _read(folder)
    digests = {case.key: _digest(case, structure) for case in cases}
    masks: dict[str, tuple[str, LeaveOneOut]] = {}
    for case in cases:
        before = kept.masks.get(case.key)
        others = [other for other in cases if other is not case and other.image.spatial_dims == case.image.spatial_dims]
        if before is None or before[0] != digests[case.key] or before[1].others < min(ENOUGH, len(others)):
            masks[case.key] = digests[case.key], leave_one_out(case, others, structure)
        else:
            masks[case.key] = before
    if any(digests.get(key) != digest for key, digest in kept.on.items()):
        return SetCache(folder, masks)
    return SetCache(folder, masks, kept.refined, kept.on, kept.steps)


def store(cache: SetCache) -> None:
    """Keep it: beside first, then renamed. An archive that cannot be written stays as it is."""
    if not os.access(cache.folder.parent if cache.folder.parent.exists() else cache.folder.parent.parent, os.W_OK):
        return
    # The archive's folder holds that of the sets, which holds this one.
    with writing(cache.folder.parent.parent):
        _store(cache)


def _store(cache: SetCache) -> None:
    refined = cache.refined
    if refined is not None and not (cache.folder / refined.key).exists():
        refined.save(cache.folder / refined.key)
    cache.folder.mkdir(parents=True, exist_ok=True)
    document = {
        "format": _FORMAT,
        "model": refined.key if refined is not None else None,
        "on": dict(cache.on) if refined is not None else {},
        "steps": cache.steps if refined is not None else 0,
        "masks": {key: {"digest": digest, **_written(score)} for key, (digest, score) in cache.masks.items()},
    }
    with replacing(cache.folder / "set.json", prefix=".set-") as beside:
        beside.write_text(json.dumps(document), encoding="utf-8")
    for old in cache.folder.iterdir():
        if _HEX.fullmatch(old.name) and (refined is None or old.name != refined.key):
            shutil.rmtree(old, ignore_errors=True)


def _written(score: LeaveOneOut) -> dict[str, Any]:
    """By the names of the first format."""
    return {
        "agreement": score.agreement,
        "alike": score.similarity,
        "witnesses": score.others,
        "sides": score.sides,
        "contrast": score.contrast,
    }


def _read(folder: Path) -> SetCache:
    try:
        document = json.loads((folder / "set.json").read_text(encoding="utf-8"))
        if document["format"] != _FORMAT:
            return SetCache(folder)
        masks = {
            str(key): (
                str(one["digest"]),
                LeaveOneOut(
                    float(one["agreement"]),
                    float(one["alike"]),
                    int(one["witnesses"]),
                    tuple(map(float, one["sides"])),
                    float(one["contrast"]),
                ),
            )
            for key, one in document["masks"].items()
            if "contrast" in one  # without it, as earlier versions wrote it, a mask is predicted anew
        }
        name = document["model"]
        if not isinstance(name, str) or not _HEX.fullmatch(name):
            return SetCache(folder, masks)
        on = {str(key): str(digest) for key, digest in document["on"].items()}
        return SetCache(folder, masks, Model.load(folder / name), on, int(document["steps"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ModelError):
        return SetCache(folder)


def _digest(case: Case, structure: str) -> str:
    mask = np.packbits(case.label_map([Structure.parse(structure)]) > 0)
    return hashlib.blake2b(mask.tobytes(), digest_size=16).hexdigest()
