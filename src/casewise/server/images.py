"""Images in memory, as many as fit: whoever reads an image of the archive in the server reads it here."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import Future

from casewise.archive import Archive
from casewise.image import Image


class ImageCache:
    """The archive's images by key, the least recently used given up first. For use from any thread.

    most : bytes of voxels that are held at once; an image larger than that is read each time it is asked for.
    """

    def __init__(self, archive: Archive, most: int) -> None:
        self._archive, self._most = archive, most
        self._held: OrderedDict[str, Image] = OrderedDict()
        self._loading: dict[str, Future[Image]] = {}
        self._lock = threading.Lock()
        self.bytes = 0

    def get(self, key: str) -> Image:
        """Several that ask for one image at once wait for one reading of it.

        Raises ArchiveError for a key that is not in the archive, UnreadableImageError where its file has gone.
        """
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
            loading = self._loading.get(key)
            mine = loading is None
            if loading is None:
                loading = self._loading[key] = Future()
        if not mine:
            return loading.result()
        try:
            image = self._archive.case(key).image
        except BaseException as error:
            with self._lock:
                del self._loading[key]
            loading.set_exception(error)
            raise
        with self._lock:
            self._keep(key, image)
            del self._loading[key]
        loading.set_result(image)
        return image

    def __len__(self) -> int:
        return len(self._held)

    def held(self, key: str) -> Image | None:
        """The image if it is in memory; nothing is read, and it does not count as used."""
        with self._lock:
            return self._held.get(key)

    def _keep(self, key: str, image: Image) -> None:
        if image.array.nbytes > self._most:
            return
        self._held[key] = image
        self.bytes += image.array.nbytes
        while self.bytes > self._most:
            _, old = self._held.popitem(last=False)
            self.bytes -= old.array.nbytes
