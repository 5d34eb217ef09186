"""The brains and the nodules that the benchmark of lesions measures on; what takes long to make is kept on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from casewise import formats
from casewise.case import Case, chosen
from casewise.examination.examination import of_study
from casewise.examination.reading import read_named
from casewise.hashing import file_key
from casewise.header import Header
from casewise.image import Image
from casewise.label_map import LabelMap
from experiments import store
from experiments.cases import brain_files

WORK = store.WORK / "lesions"
SEQUENCES = ("FLAIR", "T1", "T1 post", "T2")
GLIOMA, SCLEROSIS, HYPERINTENSITY = "glioma", "multiple sclerosis", "white-matter hyperintensity"
SCORES = ((GLIOMA, 1.0), (SCLEROSIS, 0.5), (HYPERINTENSITY, 0.5))  # how suspicious of a tumour
CATEGORIES = {"brats-cbica": GLIOMA, "wmh": HYPERINTENSITY, "open-ms": SCLEROSIS}
FOLDS = 3


def brains() -> list[Case]:
    """Nine patients: three with glioma (FLAIR, T1), five with white-matter hyperintensities (FLAIR), one with MS (all four)."""
    return [_brain(files, mask, CATEGORIES[site], site) for site, files, mask in brain_files()]


def folds(examinations: Sequence[Case]) -> list[list[int]]:
    """Numbers of each fold's patients: each category is spread over all."""
    order = sorted(range(len(examinations)), key=lambda n: (str(examinations[n].category), examinations[n].subject))
    return [sorted(order[start::FOLDS]) for start in range(FOLDS)]


def _brain(files: dict[str, Path], mask: Path, category: str, site: str) -> Case:
    subject = f"{site}/{mask.parent.name}"

    def load(wanted: Sequence[str]) -> tuple[Image, LabelMap]:
        image, truth = examined(tuple(files.items()), mask)
        return chosen(image, image.header.sequences, wanted), LabelMap.like({"lesion": truth}, image)

    keys = [file_key(path) for path in files.values()]
    return Case.examined(load, tuple(files), keys, ["lesion"], category=category, subject=subject, site=site, name=subject)


@cache
def examined(files: tuple[tuple[str, Path], ...], mask: Path) -> tuple[Image, np.ndarray]:
    """(all of an examination's sequences, registered and normalised; the lesions' mask); made once and kept."""
    found = store.arrays(WORK / "brains" / f"{mask.parent.name}.npz", lambda: _examined(files, mask))
    header = Header(sequences=tuple(name for name, _ in files))
    return Image(found["image"].astype(np.float32), found["affine"], header), found["mask"]


def _examined(files: tuple[tuple[str, Path], ...], mask: Path) -> dict[str, np.ndarray]:
    made = of_study(read_named(files), workers=1)
    truth = made.carried(files[0][0], formats.read_mask(mask, made.reference))
    return {"image": made.image.array.astype(np.float16), "mask": truth, "affine": made.image.affine}


def without(image: Image, kept: Sequence[str]) -> Image:
    """The image with only the ``kept`` of its sequences; the others are missing."""
    names = image.header.sequences
    nothing = np.zeros(image.spatial_shape, np.float32)
    array = np.stack([channel if name in kept else nothing for name, channel in zip(names, image.array, strict=True)])
    return replace(image, array=array, header=replace(image.header, absent=tuple(name for name in names if name not in kept)))
