"""Content hashes: the identity of images, files and models, whatever they are called and wherever they lie."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from casewise.image import Image

_CHUNK = 1 << 20


def file_key(path: Path) -> str:
    """BLAKE2b (128 bit, hex) of a file's bytes."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def combined_key(keys: Iterable[str]) -> str:
    """One key for several files whose order does not matter (the instances of a DICOM series)."""
    return hashlib.blake2b("\n".join(sorted(keys)).encode(), digest_size=16).hexdigest()


def image_key(image: Image) -> str:
    """BLAKE2b (128 bit, hex) of an image's pixels, type, shape and geometry; its header and file do not matter."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{image.array.dtype.str}{image.array.shape}".encode())
    digest.update(np.ascontiguousarray(image.array).tobytes())
    digest.update(np.round(image.affine, 6).tobytes())
    return digest.hexdigest()
