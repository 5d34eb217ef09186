"""A million vectors: the archive's index beside plain FAISS, with memory and processor seconds."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import psutil

from benchmarks._scale_archive import in_child
from benchmarks.search import DIMENSION, bare_cells, draw, plain_faiss, reranked, timed
from casewise.archive.retrieval import index_files
from casewise.archive.retrieval.latent import Celled
from casewise.archive.retrieval.search import Centred, top_k
from casewise.archive.retrieval.vectors import VectorStore

K = 10
_STEP = 50_000


def written(folder: Path, kind: str, n: int) -> VectorStore:
    """A store of ``n`` vectors of one kind of :func:`benchmarks.search.draw`."""
    store = VectorStore.open(folder, "scale", DIMENSION)
    base = draw(kind, n, 0)
    for first in range(0, n, _STEP):
        store.write(first, base[first : first + _STEP])
    return store


def built(folder: Path, threads: int) -> Mapping[str, float]:
    """Make the index; what that took."""
    faiss.omp_set_num_threads(threads)
    store = VectorStore.open(folder, "scale", DIMENSION)
    return _measured(lambda: index_files.current_index(store, np.arange(store.count), centred=True))


def asked(folder: Path, kind: str, queries: int) -> Mapping[str, Any]:
    """Queries one by one: through the archive's index, and by plain FAISS on vectors in memory, by turns."""
    faiss.omp_set_num_threads(1)
    store = VectorStore.open(folder, "scale", DIMENSION)
    base = store.rows()
    index = index_files.load(store, base)
    if index is None:
        raise RuntimeError("the index was not made")
    space = Celled.of(base, index, np.arange(len(base)))
    every = np.arange(len(base))
    questions = draw(kind, queries, 1).astype(np.float64)

    def archive(query: np.ndarray) -> np.ndarray:
        rows = space.nearest(query, every, K)
        return rows[np.argsort(-space.cosines(query, rows), kind="stable")[:K]]

    own = _measured(lambda: [archive(query) for query in questions])
    truth = top_k(questions - index.centre, Centred(base, index.centre), K)[1]
    centred = np.empty(base.shape, np.float32)
    for first in range(0, len(base), _STEP):
        part = base[first : first + _STEP] - index.centre
        centred[first : first + _STEP] = part / np.linalg.norm(part, axis=1, keepdims=True)
    began = time.process_time()
    cells = bare_cells(centred, index.faiss_index.nlist, index.cells)
    bare_cpu = time.process_time() - began
    flat = faiss.IndexFlatIP(DIMENSION)
    flat.add(centred)

    def shifted(search: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
        return lambda query: search((query - index.centre).astype(np.float32))

    methods = {
        "casewise": archive,
        "plain FAISS (same cells)": shifted(plain_faiss(cells)),
        "plain FAISS (same cells, re-ranked)": shifted(plain_faiss(reranked(cells, centred))),
        "plain FAISS (flat)": shifted(plain_faiss(flat)),
    }
    times: dict[str, dict[str, Any]] = {name: dict(row) for name, row in timed(methods, questions[:40], rounds=2).items()}
    for name, search in methods.items():
        some = questions if name != "plain FAISS (flat)" else questions[:40]
        found = [search(query) for query in some]
        times[name]["recall_at_10"] = statistics.mean(
            len(np.intersect1d(a, b)) / K for a, b in zip(found, truth[: len(some)], strict=True)
        )
    about = {"recall": index.recall, "cells": int(index.faiss_index.nlist), "cells_read": index.cells, "plain_build_cpu": bare_cpu}
    size = sum(path.stat().st_size for path in folder.glob("*.faiss"))
    return {**about, "methods": times, "own_memory": own, "index_bytes": size, "vectors_bytes": int(base.nbytes)}


def measured(folder: Path, kind: str, n: int) -> Mapping[str, Any]:
    """All of it for one kind of vectors, each part in a process of its own."""
    in_child(_write, folder, kind, n)
    build = in_child(built, folder, 2)
    return {"kind": kind, "n": n, "build": build, **in_child(asked, folder, kind, 200), "load": os.getloadavg()[0]}


def _write(folder: Path, kind: str, n: int) -> None:
    written(folder, kind, n)


def _measured(call: Callable[[], object]) -> dict[str, float]:
    """Seconds, processor seconds and the most memory: of the process's own, and with the pages of mapped files that it has read."""
    process, peaks, done = psutil.Process(), {"own": 0, "all": 0}, threading.Event()
    start = process.memory_info()

    def watch() -> None:
        while not done.wait(0.05):
            about = process.memory_info()
            peaks["own"] = max(peaks["own"], about.rss - about.shared)
            peaks["all"] = max(peaks["all"], about.rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    began, cpu = time.perf_counter(), time.process_time()
    call()
    spent = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - cpu}
    done.set()
    watcher.join()
    before = start.rss - start.shared
    return {**spent, "own_bytes": max(0, peaks["own"] - before), "resident_bytes": max(0, peaks["all"] - start.rss)}
