"""Small pictures of very different things with their masks, and the fifth of them that no training sees."""

from __future__ import annotations

import re
from pathlib import Path

from experiments import datasets

FOLDERS = ("breast-ultrasound", "dsb2018", "em-membrane", "nuclei-gbm", "retina", "wound")
_EACH = 5  # of the images in order of their names, the first and then every fifth is held back


def images(folder: str) -> list[Path]:
    """The images of one of :data:`FOLDERS`, sorted by name."""
    return datasets.files(f"structures/{folder}/images/*")


def label_of(image: Path) -> Path:
    """Its PNG of labels, on the same grid: 0 is the background, or where each object has a number, that number."""
    return image.parents[1] / "labels" / f"{image.stem}.png"


def patient(image: Path) -> str:
    """Whose it is, as far as the name says: CHASE's two eyes and TCGA's regions are of one patient; else each image is its own."""
    owner = re.sub(r"^(chase-Image_\d+)[LR]$|^(TCGA-[^-]+-[^-]+)-.*$", lambda found: found[1] or found[2], image.stem)
    return f"{image.parents[1].name}/{owner}"


def split(folder: str) -> tuple[list[Path], list[Path]]:
    """(trained on, held back): every fifth image is held back, and nothing of its patient is trained on.

    ``em-membrane`` is one volume: its held-back slices lie a few apart from those trained on.
    """
    found = images(folder)
    held_back = found[::_EACH]
    theirs = {patient(image) for image in held_back}
    return [image for image in found if patient(image) not in theirs], held_back
