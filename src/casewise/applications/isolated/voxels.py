"""An image's voxels as a file that workers map into their memory."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from casewise.image import Image


class Voxels:
    """``path`` writes the file when the first worker needs it; the pages are shared by all that map it."""

    def __init__(self, image: Image, path: Path) -> None:
        self._image, self._path, self._lock = image, path, threading.Lock()

    def path(self) -> Path:
        with self._lock:
            if not self._path.exists():
                np.save(self._path, self._image.array, allow_pickle=False)
        return self._path

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)
