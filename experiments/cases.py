"""The labelled cases that the benchmarks measure on, read from the folder of real images beside the checkout."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from casewise import formats
from casewise.case import Case
from casewise.errors import CasewiseError
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
    """FLAIR with ``lesion``: glioma (Pennsylvania), white-matter lesions (Shanghai), multiple sclerosis (Ljubljana)."""
    return [_case(files["FLAIR"], {"lesion": mask}, site, mask.parent.name) for site, files, mask in brain_files()]


def brain_files() -> list[tuple[str, dict[str, Path], Path]]:
    """(site, a patient's files by sequence, the mask of its lesions): three with FLAIR and T1, five with FLAIR, one with four."""
    found = []
    for mask in datasets.files("brats-cbica/*/GT_W.nii.gz"):
        found.append(("brats-cbica", {name: mask.with_name(f"{name}.nii.gz") for name in ("FLAIR", "T1")}, mask))
    for mask in datasets.files("wmh/*/gt.nii.gz"):
        found.append(("wmh", {"FLAIR": mask.with_name("t2flair-stripped.nii.gz")}, mask))
    for mask in datasets.files("open-ms/*/GOLD_STANDARD*.nii.gz"):
        words = {"FLAIR": "FLAIR", "T1": "T1", "T1 post": "T1POST", "T2": "T2"}
        found.append(("open-ms", {name: next(mask.parent.glob(f"{word}_N4*.nii.gz")) for name, word in words.items()}, mask))
    return found


def series_without_masks() -> Iterator[Case]:
    """Brain and breast MR, and the series of a prostate study."""
    for path in datasets.files("pyradiomics-mr/*_image.nrrd"):
        yield Case.of(formats.read(path), name=datasets.name_of(path))
    for folder in datasets.files("prostatex/*/*/*"):
        try:
            yield Case.of(formats.read(folder), name=folder.parent.name)
        except CasewiseError:  # a study's derived series that holds several grids
            continue


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
