"""BUSI's pictures, from a copy squeezed to squares and from one that has its masks, without those that are in both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.sparse.csgraph import connected_components
from skimage.transform import resize

from casewise import formats
from casewise.case import Case
from casewise.hashing import file_key
from casewise.image import Image
from experiments import datasets

CLASSES = ("normal", "benign", "malignant")
ALIKE = 0.9  # correlation at 32×32 pixels of two pictures that may show one lesion: they stay on one side of a split
SAME = 0.97  # of two copies of one picture, of which one is left out
WIDE = 1.2  # BUSI's pictures are about so many times as wide as high; the squeezed copy is made so again


@dataclass(frozen=True, eq=False)
class Picture:
    """case : its image and category; its subject is the group of pictures alike. mask : (rows, columns) of the lesion, if known."""

    case: Case
    mask: npt.NDArray[np.bool_] | None


def pictures() -> list[Picture]:
    """The squeezed copy's pictures first, all of them; of the other those that are not among them, nor among each other."""
    paths = [*datasets.files("busi/*/*.png"), *datasets.files("structures/breast-ultrasound/images/*.jpg")]
    images = [_image(path) for path in paths]
    small = np.stack([resize(image.array[0], (32, 32), anti_aliasing=True).ravel() for image in images])
    alike = np.corrcoef(small)
    squeezed = sum(path.suffix == ".png" for path in paths)
    kept = [number for number in range(len(paths)) if number < squeezed or not (alike[number, :number] > SAME).any()]
    _, group = connected_components(alike[np.ix_(kept, kept)] > ALIKE, directed=False)
    return [_picture(paths[number], images[number], int(one)) for number, one in zip(kept, group, strict=True)]


def _image(path: Path) -> Image:
    image = formats.read(path)
    grey = image.array.astype(np.float32).mean(axis=0)
    if path.suffix == ".png":
        grey = resize(grey, (grey.shape[0], round(WIDE * grey.shape[1])), order=1, preserve_range=True)
    return Image(grey.astype(np.float32)[None], header=image.header)


def _picture(path: Path, image: Image, group: int) -> Picture:
    masks = path.parents[1] / "labels" / f"{path.stem}.png"
    own = path.parent.name == "images"
    category = path.stem.split("(")[0].strip() if own else path.parent.name
    case = Case(
        key=file_key(path),
        load_image=lambda: image,
        category=category,
        subject=f"busi/{group}",
        site="busi with masks" if own else "busi",
        name=datasets.name_of(path),
    )
    return Picture(case, formats.read(masks).array[0] > 0 if own else None)
