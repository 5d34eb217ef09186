"""Volumes for the three-dimensional view, whose library needs right-handed NIfTI files."""

from __future__ import annotations

from pathlib import Path

from casewise.errors import UsageError
from casewise.files import replacing
from casewise.formats import write
from casewise.formats.handedness import right_handed
from casewise.image import Image

_FOLDER = Path("server") / "right-handed-1"  # the number changes with how they are made


def nifti(folder: Path, key: str, image: Image) -> Path:
    """The file of a volume of the archive in ``folder``; made once. Raises UsageError for what is no volume of one channel."""
    if image.spatial_dims != 3 or image.is_loop:
        raise UsageError("Only a volume can be seen in three dimensions, and this image is a picture or a loop.")
    if image.channels != 1:
        raise UsageError(f"Only a volume of one channel can be seen in three dimensions, and this one has {image.channels}.")
    path = folder / _FOLDER / f"{key}.nii.gz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, suffix=".nii.gz") as beside:  # two people may ask for it first at once
            write(beside, right_handed(image).image)
    return path
