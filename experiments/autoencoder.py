"""The encoder that casewise had before: an autoencoder at 64×64 from nothing, whose middle is 512 numbers; now a control."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from casewise import formats
from casewise.case import Case
from casewise.hashing import file_key
from casewise.models import Model, Preparation, Spec
from casewise.training import Settings, fit
from experiments import datasets, store

SETS = (
    "mednist/*/*.jpeg",
    "montgomery/images/*.png",
    "shenzhen/images/*.png",
    "hippocampus/images/*.nii.gz",
    "busi/*/*.png",
    "open-ms/*/*_regtoMNI.nii.gz",
    "pyradiomics-mr/*_image.nrrd",
)
SPEC = Spec("encoding", {"kind": "autoencoder", "channels": [8, 16, 32, 32]}, Preparation(size=(64, 64)))
_MOST = 400  # files of one folder, so that no set drowns the others


def autoencoder() -> Model:
    """Trained on nine tenths of the sets' subjects, once; kept below ``.work``."""
    return store.model(store.WORK / "encoders" / "autoencoder", _trained)


def _trained() -> Model:
    settings = Settings(steps=1500, batch=16, rate=2e-3, device="cpu")
    return fit(Model.initial("autoencoder", SPEC), _training(), settings=settings, method="initial")


def _training() -> list[Case]:
    found = []
    for pattern in SETS:
        folders: dict[Path, list[Path]] = {}
        for path in datasets.files(pattern):
            if "GOLD_STANDARD" not in path.name:
                folders.setdefault(path.parent, []).append(path)
        for paths in folders.values():
            found += [_case(path) for path in paths[:_MOST]]
    return [case for case in found if int(hashlib.blake2b(str(case.subject).encode()).hexdigest(), 16) % 10]


def _case(path: Path) -> Case:
    subject = re.sub(r"_[01]$", "", path.stem)
    return Case(key=file_key(path), load_image=lambda: formats.read(path), subject=subject, name=str(path))
