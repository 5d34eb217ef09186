"""What an archive's searches keep in memory of its vectors: prepared for a product with all of them, or an index that is mapped."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from casewise.archive.retrieval import index_files
from casewise.archive.retrieval.embedding import store_of, vectors_key
from casewise.archive.retrieval.index import Index
from casewise.archive.retrieval.latent import Celled, Latent, Space
from casewise.archive.retrieval.search import Rows
from casewise.archive.retrieval.vectors import VectorStore
from casewise.encoder import Encoder


class Spaces:
    """For use from any thread. folder : the archive's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._known: dict[str, tuple[Rows, Space]] = {}
        self._indices: dict[str, tuple[object, Index | None]] = {}

    def of(self, encoder: Encoder, rows: Rows) -> Space:
        """The vectors in ``rows`` (n,), the row of each image by its place, −1 where there is none. While that is the same array,
        nothing is prepared anew.
        """
        store = store_of(self._folder, encoder)
        with self._lock:
            known = self._known.get(vectors_key(encoder))
            index = self._index(store) if np.count_nonzero(rows >= 0) >= index_files.CELLS_FROM else None
            if known is not None and known[0] is rows and index is getattr(known[1], "index", None):
                return known[1]
            space = self._made(store, rows, index, known[1] if known is not None else None)
            self._known[vectors_key(encoder)] = rows, space
            return space

    def lacks_index(self, encoder: Encoder, given: int, grown: bool) -> bool:
        """Whether an index is to be made, or added to where vectors have ``grown``. given : rows of vectors given out so far."""
        if given < index_files.CELLS_FROM:
            return False
        with self._lock:
            index = self._index(store_of(self._folder, encoder))
        return index is None or (grown and index_files.is_behind(index, given))

    def index(self, encoder: Encoder, rows: Rows) -> None:
        """Make the index of an archive that is large enough for one, or add to it what it lacks.

        Searches meanwhile go on with the former index, and read the vectors that it does not know.
        """
        encoded = rows[rows >= 0]
        if len(encoded) < index_files.CELLS_FROM:
            return
        store = store_of(self._folder, encoder)
        made = index_files.current_index(store, encoded, centred=True)
        if index_files.state(store) is None:  # it cannot be kept in the archive's folder
            with self._lock:
                self._indices[store.encoder_key] = None, made

    def _index(self, store: VectorStore) -> Index | None:
        state = index_files.state(store)
        known = self._indices.get(store.encoder_key)
        if known is None or known[0] != state:
            known = state, index_files.load(store, store.rows()) if state is not None else None
            self._indices[store.encoder_key] = known
        return known[1]

    def _made(self, store: VectorStore, rows: Rows, index: Index | None, earlier: Space | None) -> Space:
        encoded = np.sort(rows[rows >= 0])
        store.rows(encoded[-1:])  # raises where the file was cut off
        base = store.rows()
        if index is not None:
            return Celled.of(base, index, rows)
        grown = isinstance(earlier, Latent) and np.array_equal(earlier.rows, encoded[: len(earlier.rows)])
        return Latent.of(base, encoded, earlier if grown and isinstance(earlier, Latent) else None)
