"""How fast the archive finds similar vectors, beside plain NumPy and plain FAISS in the same run.

1,000,000 vectors of 512 numbers; some minutes, 6 GiB of memory. ``--quick`` takes a tenth. What is compared and how stands on the
page.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from benchmarks import driver
from benchmarks.tables import table
from casewise.archive.retrieval import index_files
from casewise.archive.retrieval.search import top_k
from casewise.archive.retrieval.vectors import VectorStore

DIMENSION, K = 512, 10
_TURN = 20  # queries that one method answers before the next has its turn
_RECALL = 0.99  # what a method must find to be a rival: less is faster for everyone
Method = Callable[[np.ndarray], np.ndarray]


def draw(kind: str, n: int, seed: int) -> np.ndarray:
    """(n, 512) float32 of unit length."""
    rng = np.random.default_rng(seed)
    if kind == "uniform":
        vectors = rng.standard_normal((n, DIMENSION), dtype=np.float32)
    else:
        shape = np.random.default_rng(2024)  # the clusters and the network are the same for base and queries
        centres = shape.standard_normal((200, 24), dtype=np.float32)
        weights = shape.standard_normal((24, DIMENSION), dtype=np.float32)
        frequency = 1 / np.arange(1, 201)
        clusters = rng.choice(200, n, p=frequency / frequency.sum())
        vectors = np.empty((n, DIMENSION), np.float32)
        for first in range(0, n, 50_000):
            part = slice(first, first + 50_000)
            latent = centres[clusters[part]]
            latent += 0.5 * rng.standard_normal(latent.shape, dtype=np.float32)
            vectors[part] = np.maximum(latent @ weights, 0)
            vectors[part] += 0.1 * rng.standard_normal(vectors[part].shape, dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def plain_numpy(base: np.ndarray) -> Method:
    def search(query: np.ndarray) -> np.ndarray:
        scores = base @ query
        best = np.argpartition(scores, len(scores) - K)[-K:]
        return best[np.argsort(-scores[best])]

    return search


def plain_faiss(index: faiss.Index) -> Method:
    return lambda query: index.search(query[None], K)[1][0]


def bare_cells(base: np.ndarray, cells: int, read: int) -> faiss.Index:
    """The same kind of FAISS index that casewise makes, with nothing around it."""
    index = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(DIMENSION), DIMENSION, cells, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT, False
    )
    index.cp.niter, index.cp.spherical, index.cp.min_points_per_centroid = 8, True, 1
    index.train(base[: 32 * cells])
    index.add(base)
    index.nprobe = read
    return index


def reranked(cells: faiss.Index, base: np.ndarray) -> faiss.Index:
    """The same cells, with FAISS's own second look at the full vectors: what 8 bits a number hide is found again."""
    index = faiss.IndexRefineFlat(cells, faiss.swig_ptr(base))
    index.k_factor = (2 * K + 16) / K
    return index


def timed(methods: dict[str, Method], queries: np.ndarray, rounds: int = 5) -> dict[str, dict[str, float]]:
    """Milliseconds a query: the median of all, and the lowest and highest median of a turn."""
    times: dict[str, list[list[float]]] = {name: [] for name in methods}
    cpu: dict[str, list[float]] = {name: [] for name in methods}
    for search in methods.values():
        for query in queries[:5]:
            search(query)
    for part in range(0, rounds * len(queries), _TURN):
        for name, search in methods.items():
            times[name].append([])
            for number in range(part, part + _TURN):
                query = queries[number % len(queries)]
                start, start_cpu = time.perf_counter(), time.process_time()
                search(query)
                times[name][-1].append(1000 * (time.perf_counter() - start))
                cpu[name].append(1000 * (time.process_time() - start_cpu))
    return {
        name: {
            "median_ms": statistics.median(milliseconds for turn in turns for milliseconds in turn),
            "cpu_ms": statistics.median(cpu[name]),
            "lowest_median_ms": min(map(statistics.median, turns)),
            "highest_median_ms": max(map(statistics.median, turns)),
        }
        for name, turns in times.items()
    }


def recall(search: Method, truth: np.ndarray, queries: np.ndarray) -> float:
    found = [search(query) for query in queries]
    return float(np.mean([len(np.intersect1d(a, b)) / K for a, b in zip(found, truth, strict=True)]))


def measure(kind: str, n: int) -> dict[str, object]:
    """A row a method."""
    with tempfile.TemporaryDirectory(prefix="casewise-search-") as folder:
        return _measured(kind, n, Path(folder))


def _measured(kind: str, n: int, folder: Path) -> dict[str, object]:
    base, queries = draw(kind, n, 0), draw(kind, 100, 1)
    store = VectorStore.open(folder, "benchmark", DIMENSION)
    for first in range(0, n, 50_000):
        store.write(first, base[first : first + 50_000])
    start = time.perf_counter()
    index_files.CELLS_FROM = n
    index = index_files.current_index(store)
    seconds = time.perf_counter() - start
    if index is None:
        raise RuntimeError(f"the archive made no index of {n} vectors")
    rows = store.rows()
    start = time.perf_counter()
    index_files.load(store, rows)
    opened = 1000 * (time.perf_counter() - start)

    def casewise(query: np.ndarray) -> np.ndarray:
        return top_k(query, rows, K, index=index)[1][0]

    bare = bare_cells(base, index.faiss_index.nlist, index.cells)
    methods = {
        "casewise": casewise,
        "plain NumPy": plain_numpy(base),
        "plain FAISS (same cells)": plain_faiss(bare),
        "plain FAISS (same cells, re-ranked)": plain_faiss(reranked(bare, base)),
    }
    truth = top_k(queries, rows, K)[1]
    load_before = os.getloadavg()[0]
    times = timed(methods, queries[:40])
    for name, row in times.items():
        row["recall_at_10"] = recall(methods[name], truth, queries)
        row["ratio_to_casewise"] = row["median_ms"] / times["casewise"]["median_ms"]
    rivals = [row for name, row in times.items() if name != "casewise" and row["recall_at_10"] >= _RECALL]
    fastest = min(row["median_ms"] for row in rivals)
    return {
        "vectors": kind,
        "n": n,
        "build_s": seconds,
        "open_ms": opened,
        "index_mib": sum(path.stat().st_size for path in folder.glob("*.faiss")) / 2**20,
        "measured_recall": index.recall,
        "cells_read": index.cells,
        "cells": int(index.faiss_index.nlist),
        "load_average": [load_before, os.getloadavg()[0]],
        "methods": times,
        "casewise_over_fastest": times["casewise"]["median_ms"] / fastest,
    }


def units(options: Namespace) -> Iterator[driver.Unit]:
    count = 100_000 if options.quick else 1_000_000
    for kind in ("clustered", "uniform"):
        yield driver.Unit(f"{kind} {count}", partial(measure, kind, count))


def figures(units: driver.Rows) -> Mapping[str, Any]:
    methods, indices = [], []
    for one in units.values():
        about = [one["vectors"], f"{one['n']:,}"]
        for name, row in one["methods"].items():
            times = f"{row['median_ms']:.2f} ({row['lowest_median_ms']:.2f}–{row['highest_median_ms']:.2f})"
            rest = [f"{row['cpu_ms']:.2f}", f"{row['recall_at_10']:.4f}", f"{row['ratio_to_casewise']:.2f}"]
            methods.append([*about, name, times, *rest])
        cells = f"{one['cells_read']} of {one['cells']}"
        load = ", ".join(f"{value:.1f}" for value in one["load_average"])
        made = [f"{one['casewise_over_fastest']:.2f}", f"{one['build_s']:.1f}", f"{one['open_ms']:.0f}", f"{one['index_mib']:.0f}"]
        indices.append([*about, *made, f"{one['measured_recall']:.4f}", cells, load])
    head = ["vectors", "n", "method", "median ms (lowest–highest median of 20)", "CPU ms, all threads", "recall@10", "× casewise"]
    other = ["vectors", "n", "casewise ÷ the fastest other with recall ≥ 0.99", "index made in s", "opened in ms", "MiB"]
    other += ["recall it measured itself", "cells read", "load average before, after"]
    return {"methods": table(head, methods), "indices": table(other, indices)}


def options(parser: ArgumentParser) -> None:
    parser.add_argument("--quick", action="store_true", help="a tenth of the vectors; no page is written")


BENCHMARK = driver.Benchmark("search", __doc__, units, figures, options, lambda given: not given.quick, threads=None)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
