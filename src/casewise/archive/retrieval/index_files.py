"""The index of a store's vectors on disk: made once, grown with the vectors, memory-mapped by every process
that searches.

Two files lie beside the vectors: the index as FAISS writes it, under a name of its own each time, and
``<encoder_key>.index.json``, which names it and is replaced in one step. A process killed between them leaves
a file that nobody refers to; the next one that writes an index removes it. Everything here can be made again
from the vectors.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
from contextlib import suppress
from pathlib import Path

import numpy as np

from casewise.archive.retrieval.index import CELLS_FROM as CELLS_FROM
from casewise.archive.retrieval.index import Index, build, extend, faiss_library
from casewise.archive.retrieval.search import Passed, Rows, Vectors, mean
from casewise.archive.retrieval.vectors import VectorStore
from casewise.files import replacing

_FORMAT = 2
_log = logging.getLogger(__name__)


def current_index(store: VectorStore, rows: Rows | None = None, *, centred: bool = False, seed: int = 0) -> Index | None:
    """The index over the committed ``rows`` (all if None) of a store; None below 500,000, where none is
    needed.

    It is read if there is one, grown when more than 1 % (and 2,000) of the rows are not in it, and made anew
    when it is damaged, of other vectors, or the rows have doubled since its cells were made (at 1,000,000
    vectors that takes a minute or two). An archive that cannot be written to is searched with an index that
    is not kept, and the log says so. centred : around the mean of the rows as they are when it is made.
    """
    base = store.rows()
    wanted = np.arange(len(base)) if rows is None else np.unique(np.asarray(rows, np.int64))
    if len(wanted) < CELLS_FROM:
        return None
    index = load(store, base)
    if index is not None and bool(index.centre.any()) == centred:
        missing = np.setdiff1d(wanted, index.rows, assume_unique=True)
        if len(missing) <= _most_missing(len(wanted)):
            return index
        grown = load(store, base, mapped=False) if len(wanted) < 2 * index.trained_on else None
        if grown is not None:
            missing = np.setdiff1d(missing, grown.rows, assume_unique=True)  # another process may have been faster
            _log.info("%d vectors are added to the search index.", len(missing))
            return save(store, extend(grown, base, missing, seed), base)
    _log.info("The search index over %d vectors is made.", len(wanted))
    centre = mean(Passed(base), wanted) if centred else None
    return save(store, build(base, wanted, seed=seed, centre=centre), base)


def is_behind(index: Index, count: int) -> bool:
    """Whether so much of ``count`` vectors is not in the index that :func:`current_index` would add it."""
    return count - len(index) > _most_missing(count)


def _most_missing(count: int) -> int:
    return max(2_000, count // 100)


def save(store: VectorStore, index: Index, base: Vectors) -> Index:
    """Write the index beside the vectors and return it, as it is read from there if it could be written."""
    name = f"{store.encoder_key}-{secrets.token_hex(8)}.faiss"
    description = {
        "format": _FORMAT,
        "file": name,
        "dimension": index.dimension,
        "recall": index.recall,
        "cells": index.cells,
        "trained_on": index.trained_on,
        "centre": index.centre.tolist(),
        "runs": _runs(index.rows),
        "fingerprint": _fingerprint(base, index.rows),
    }
    try:
        faiss_library().write_index(index.faiss_index, str(store.folder / name))
        description["bytes"] = (store.folder / name).stat().st_size
        with replacing(_description(store)) as beside:
            beside.write_text(json.dumps(description), encoding="utf-8")
    except (OSError, RuntimeError) as error:
        with suppress(OSError):
            (store.folder / name).unlink(missing_ok=True)
        _log.warning("The search index cannot be kept in %s (%s).", store.folder, type(error).__name__)
        return index
    for old in store.folder.glob(f"{store.encoder_key}-*.faiss"):
        if old.name != name:
            with suppress(OSError):  # Windows keeps a file that another process has mapped
                old.unlink()
    return load(store, base) or index


def load(store: VectorStore, base: Vectors, *, mapped: bool = True) -> Index | None:
    """The index on disk, memory-mapped or (to be added to) in memory; None if none is there that fits these
    vectors.
    """
    try:
        description = json.loads(_description(store).read_text(encoding="utf-8"))
        file = store.folder / Path(str(description["file"])).name
        rows = np.concatenate([np.arange(first, last) for first, last in description["runs"]])
        if (
            description["format"] != _FORMAT
            or description.get("exact", False)  # of an earlier version: a copy of the vectors
            or file.stat().st_size != description["bytes"]
            or rows.max() >= len(base)
            or description["fingerprint"] != _fingerprint(base, rows)
        ):
            return None
        faiss = faiss_library()
        faiss_index = faiss.read_index(str(file), faiss.IO_FLAG_MMAP_IFC if mapped else 0)
        if faiss_index.ntotal != len(rows) or faiss_index.d != store.dimension:
            return None
        return Index(
            faiss_index,
            rows,
            float(description["recall"]),
            int(description["cells"]),
            int(description["trained_on"]),
            np.asarray(description["centre"], np.float64).reshape(store.dimension),
        )
    except FileNotFoundError:
        return None
    except (OSError, RuntimeError, ValueError, TypeError, KeyError) as error:
        _log.warning("%s is damaged (%s): it is made anew.", _description(store).name, type(error).__name__)
        return None


def state(store: VectorStore) -> tuple[int, int, int] | None:
    """What is another after an index was written; None where none was."""
    try:
        about = _description(store).stat()
    except OSError:
        return None
    return about.st_ino, about.st_mtime_ns, about.st_size


def _description(store: VectorStore) -> Path:
    return store.folder / f"{store.encoder_key}.index.json"


def _runs(rows: Rows) -> list[list[int]]:
    """Rows as half-open runs of consecutive numbers, in their order."""
    starts = np.flatnonzero(np.concatenate([[True], np.diff(rows) != 1]))
    ends = np.concatenate([starts[1:], [len(rows)]])
    return [[int(rows[start]), int(rows[end - 1]) + 1] for start, end in zip(starts, ends, strict=True)]


def _fingerprint(base: Vectors, rows: Rows) -> str:
    """Of 64 of the indexed vectors: an index beside another file of vectors is noticed."""
    some = rows[np.linspace(0, len(rows) - 1, 64).astype(np.int64)]
    return hashlib.blake2b(np.ascontiguousarray(base[some]).tobytes(), digest_size=16).hexdigest()
