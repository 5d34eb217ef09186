"""The files of images that clients download: right-handed copies, made when they are asked for and kept for a while."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from casewise.image import Image
from casewise.server.compat.monailabel.grid import ClientGrid
from casewise.server.compat.monailabel.volumes import write_volume
from casewise.server.temporary import temporary_folder

SUFFIX = ".nrrd"
_BYTES = 1 << 30


@dataclass(frozen=True)
class Copy:
    """checksum : as Slicer compares it, ``SHA256:…``."""

    path: Path
    checksum: str
    size: int


class Copies:
    """The copies on disk, in a folder that goes with the server; those not asked for longest are removed beyond ``limit`` bytes."""

    def __init__(self, limit: int = _BYTES) -> None:
        self._folder = temporary_folder()
        self._limit = limit
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Copy] = OrderedDict()

    def of(self, key: str, image: Image) -> Copy:
        """The copy of the archive's image ``key``."""
        with self._lock:  # one at a time: the same image is asked for by several calls at once
            copy = self._kept.get(key)
            if copy is None:
                copy = self._kept[key] = self._made(key, image)
                self._drop()
            self._kept.move_to_end(key)
            return copy

    def _made(self, key: str, image: Image) -> Copy:
        path = Path(self._folder.name) / f"{key}{SUFFIX}"
        grid = ClientGrid.of(image)
        write_volume(path, grid.image(image).array[0], grid.affine)
        with path.open("rb") as file:
            return Copy(path, f"SHA256:{hashlib.file_digest(file, 'sha256').hexdigest()}", path.stat().st_size)

    def _drop(self) -> None:
        while len(self._kept) > 1 and sum(copy.size for copy in self._kept.values()) > self._limit:
            _, oldest = self._kept.popitem(last=False)
            oldest.path.unlink(missing_ok=True)
