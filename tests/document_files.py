"""The files that the snippets of the documents name: small images, an archive, models, in one folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

import casewise
from benchmarks.chest_phantom import film
from casewise import Archive, Image, Model
from casewise.case import Structure
from casewise.models import Preparation, Spec
from casewise.models.listing import SHIPPED
from casewise.training import Settings, fit
from tests.examination.phantom import head

HEART = Structure("heart", ("heart",))


def heart(number: int, side: int = 64) -> tuple[Image, np.ndarray]:
    """A bright disc of its own place and size on noise, as a picture of 1 mm a pixel, and its mask (row, column)."""
    rng = np.random.default_rng(number)
    rows, columns = np.mgrid[:side, :side]
    centre = rng.uniform(0.4, 0.6, 2) * side
    mask = np.hypot(rows - centre[0], columns - centre[1]) < rng.uniform(0.15, 0.25) * side
    array = rng.normal(60, 10, mask.shape) + 100 * mask
    return Image(array.clip(0, 255).astype(np.uint8)[None]), mask


def make(folder: Path) -> None:
    """Write every file that a document's snippet may read into ``folder``."""
    image, mask = heart(99)
    for name in ("new.nii.gz", "new.png", "hand.png"):
        casewise.write(folder / name, image)
    casewise.formats.write_mask(folder / "new-heart.nii.gz", mask, image)
    casewise.write(folder / "scan.png", heart(98, 160)[0])
    casewise.write(folder / "chest.png", Image(film()[None, ::4, ::4]))
    _scans(folder / "scans")
    _archive(folder)
    for sequence, name in (("FLAIR", "flair.nii.gz"), ("T1", "t1.nii.gz")):
        casewise.write(folder / name, head(sequence))
    shutil.copytree(SHIPPED / "brain_lesions", folder / "lesion-model")


def _scans(folder: Path) -> None:
    (folder / "images").mkdir(parents=True)
    (folder / "masks" / "heart").mkdir(parents=True)
    for number in range(4):
        image, mask = heart(number)
        casewise.write(folder / "images" / f"p{number}.png", image)
        casewise.write(folder / "masks" / "heart" / f"p{number}.png", Image(mask[None].astype(np.uint8) * 255))


def _archive(folder: Path) -> None:
    """Twelve cases of two sites and two categories; a model that was trained on the first eight."""
    with Archive.open(folder / "my-archive", create=True) as archive:
        for number in range(12):
            image, mask = heart(number)
            path = casewise.write(folder / "my-archive-images" / f"p{number:02d}.nii.gz", image)
            about = {"site": f"Hospital {'AB'[number % 2]}", "category": "small" if mask.mean() < 0.12 else "large"}
            archive.add(path, {"heart": mask}, subject=f"s{number}", **about)
        cases = archive.cases([HEART])
    spec = Spec("segmentation", {"kind": "unet", "channels": [4, 8, 16]}, Preparation(2, (64, 64)), structures=(HEART,))
    model = fit(Model.initial("heart-model", spec), cases[:8], settings=Settings(steps=60, batch=4))
    model.save(folder / "heart-model")
