"""The labelled cases that the benchmarks measure on, read from the folder of real images beside the checkout."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from casewise import formats
from casewise.case import Case
from casewise.hashing import file_key
from casewise.image import Image
from experiments import datasets

CHEST = ("jsrt", "shenzhen", "montgomery")


def chest(site: str) -> list[Case]:
    """Frontal chest radiographs with the mask ``lung`` (JSRT: ``left_lung``, ``right_lung``); category tuberculosis or normal."""
    folder = datasets.path(site)
    cases = []
    for path in datasets.files(f"{site}/images/*.png"):
        if site == "jsrt":
            masks = {name: folder / "masks" / name / path.name for name in ("left_lung", "right_lung", "heart")}
            category = None
        else:
            masks = {"lung": folder / "lung_masks" / path.name}
            category = "tuberculosis" if path.stem.endswith("_1") else "normal"
        cases.append(_case(path, masks, site, path.stem, category=category))
    return cases


def cardiac() -> list[Case]:
    """Short-axis cine MR: ``right_ventricle``, ``myocardium``, ``left_ventricle``; two volumes a patient."""
    names = {"right_ventricle": 1, "myocardium": 2, "left_ventricle": 3}
    return [
        _case(path, {name: (path, "label", value) for name, value in names.items()}, "acdc", path.stem.split("_")[0])
        for path in datasets.files("acdc/*.h5")
    ]


def hippocampus() -> list[Case]:
    """T1 MR crops: ``hippocampus``."""
    folder = datasets.path("hippocampus")
    return [
        _case(path, {"hippocampus": folder / "labels" / path.name}, "hippocampus", path.name.split(".")[0])
        for path in sorted((folder / "images").glob("*.nii.gz"))
    ]


def lesions() -> list[Case]:
    """FLAIR and T1 with ``lesion``: glioma (Pennsylvania), white-matter lesions (Shanghai), multiple sclerosis (Ljubljana)."""
    found = []
    for path in datasets.files("brats-cbica/*/FLAIR.nii.gz"):
        found.append(_case(path, {"lesion": path.with_name("GT_W.nii.gz")}, "brats-cbica", path.parent.name))
    for path in datasets.files("wmh/*/t2flair-stripped.nii.gz"):
        found.append(_case(path, {"lesion": path.with_name("gt.nii.gz")}, "wmh", path.parent.name))
    for path in datasets.files("open-ms/*/FLAIR*.nii.gz"):
        mask = next(path.parent.glob("GOLD_STANDARD*.nii.gz"))
        found.append(_case(path, {"lesion": mask}, "open-ms", path.parent.name))
    return found


MaskPlace = Path | tuple[Path, str, int]


def _case(path: Path, masks: dict[str, MaskPlace], site: str, subject: str, category: str | None = None) -> Case:
    image = formats.read(path)
    loaders = {name: _mask(place, image) for name, place in masks.items()}
    return Case(
        key=file_key(path),
        load_image=lambda: image,
        load_masks=loaders,
        category=category,
        subject=f"{site}/{re.sub(r'_[01]$', '', subject)}",
        site=site,
        name=datasets.name_of(path),
    )


def _mask(place: MaskPlace, image: Image) -> Callable[[], np.ndarray]:
    if isinstance(place, tuple):
        path, member, value = place
        return lambda: formats.read_mask(path, image, member=member, value=value)
    return lambda: formats.read_mask(place, image)
