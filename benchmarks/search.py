"""How fast the archive finds similar vectors, beside plain NumPy and plain FAISS in the same run.

    python benchmarks/search.py            # 100,000 and 1,000,000 vectors of 512 numbers; some minutes, 6 GiB of memory
    python benchmarks/search.py --quick    # a tenth of each

One query at a time, twenty by each method in turn (so that what else the machine does hits all of them alike), vectors of unit
length in memory for the plain methods; casewise reads its own from memory-mapped files and brings them to unit length itself.
Two kinds of vectors: *clustered* (200 overlapping clusters of very different size in 24 dimensions, seen through a layer of
512 rectified units with a little noise: as networks give them) and *uniform* (independent normal numbers: no structure at
all, the worst case of every index). Queries are new draws of the same distribution, never members of the base.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np

from casewise.archive.retrieval import index_files
from casewise.archive.retrieval.search import top_k
from casewise.archive.retrieval.vectors import VectorStore

DIMENSION, K = 512, 10
_TURN = 20  # queries that one method answers before the next has its turn
_RECALL = 0.99  # what a method must find to be a rival: less is faster for everyone
RESULTS = Path(__file__).parent / "results"
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


def timed(methods: dict[str, Method], queries: np.ndarray, rounds: int) -> dict[str, dict[str, float]]:
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


def measure(kind: str, n: int, exact: bool, folder: Path, rounds: int) -> dict[str, object]:
    base, queries = draw(kind, n, 0), draw(kind, 100, 1)
    store = VectorStore.open(folder, "benchmark", DIMENSION)
    for first in range(0, n, 50_000):
        store.write(first, base[first : first + 50_000])
    start = time.perf_counter()
    index_files.CELLS_FROM = n + 1 if exact else n
    index = index_files.current_index(store)
    seconds = time.perf_counter() - start
    assert index is not None and index.exact == exact
    rows = store.rows()
    start = time.perf_counter()
    index_files.load(store, rows)
    opened = 1000 * (time.perf_counter() - start)

    def casewise(query: np.ndarray) -> np.ndarray:
        return top_k(query, rows, K, index=index)[1][0]

    if exact:
        flat = faiss.IndexFlatIP(DIMENSION)
        flat.add(base)
        methods = {"casewise": casewise, "plain NumPy": plain_numpy(base), "plain FAISS (flat)": plain_faiss(flat)}
    else:
        bare = bare_cells(base, index.faiss_index.nlist, index.cells)
        methods = {
            "casewise": casewise,
            "plain NumPy": plain_numpy(base),
            "plain FAISS (same cells)": plain_faiss(bare),
            "plain FAISS (same cells, re-ranked)": plain_faiss(reranked(bare, base)),
        }
    truth = top_k(queries, rows, K)[1]
    load_before = os.getloadavg()[0]
    times = timed(methods, queries[:40], rounds)
    for name, row in times.items():
        row["recall_at_10"] = recall(methods[name], truth, queries)
        row["ratio_to_casewise"] = row["median_ms"] / times["casewise"]["median_ms"]
    rivals = [row for name, row in times.items() if name != "casewise" and row["recall_at_10"] >= _RECALL]
    fastest = min(row["median_ms"] for row in rivals)
    return {
        "vectors": kind,
        "n": n,
        "exact": exact,
        "build_s": seconds,
        "open_ms": opened,
        "index_mib": sum(path.stat().st_size for path in folder.glob("*.faiss")) / 2**20,
        "measured_recall": index.recall,
        "cells_read": index.cells,
        "cells": 0 if exact else int(index.faiss_index.nlist),
        "load_average": [load_before, os.getloadavg()[0]],
        "methods": times,
        "casewise_over_fastest": times["casewise"]["median_ms"] / fastest,
    }


def machine() -> dict[str, object]:
    model = platform.processor() or platform.machine()
    memory = None
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
        memory = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    return {
        "cores": os.cpu_count(),
        "cpu": model,
        "memory_gib": memory,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "faiss": faiss.__version__,
        "threads": faiss.omp_get_max_threads(),
    }


def table(results: list[dict[str, object]]) -> str:
    lines = [
        "| vectors | n | method | median ms (lowest–highest median of 20) | CPU ms, all threads | recall@10 | × casewise |",
        "|---|---|---|---|---|---|---|",
    ]
    for result in results:
        for name, row in result["methods"].items():
            label = name + (" (exact)" if name == "casewise" and result["exact"] else "")
            lines.append(
                f"| {result['vectors']} | {result['n']:,} | {label} | {row['median_ms']:.2f} "
                f"({row['lowest_median_ms']:.2f}–{row['highest_median_ms']:.2f}) | {row['cpu_ms']:.2f} | {row['recall_at_10']:.4f} "
                f"| {row['ratio_to_casewise']:.2f} |"
            )
    lines += [
        "",
        "| vectors | n | casewise ÷ the fastest other with recall ≥ 0.99 | index made in s | opened in ms | MiB "
        "| recall it measured itself | cells read | load average before, after |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        cells = "–" if result["exact"] else f"{result['cells_read']} of {result['cells']}"
        load = ", ".join(f"{value:.1f}" for value in result["load_average"])
        lines.append(
            f"| {result['vectors']} | {result['n']:,} | {result['casewise_over_fastest']:.2f} | {result['build_s']:.1f} "
            f"| {result['open_ms']:.0f} | {result['index_mib']:.0f} | {result['measured_recall']:.4f} | {cells} | {load} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the vectors; nothing is kept")
    parser.add_argument("--rounds", type=int, default=5, help="times that every query is asked")
    parser.add_argument("--only", choices=["exact", "cells"], help="one half of the table; nothing is kept")
    options = parser.parse_args()
    scale = 10 if options.quick else 1
    results = []
    for n, exact in ((100_000 // scale, True), (1_000_000 // scale, False)):
        if options.only == ("cells" if exact else "exact"):
            continue
        for kind in ("clustered", "uniform"):
            index_files.SMALLEST = min(20_000, n)
            folder = Path(tempfile.mkdtemp(prefix="casewise-search-"))
            try:
                results.append(measure(kind, n, exact, folder, options.rounds))
            finally:
                shutil.rmtree(folder)
            print(table(results[-1:]), "\n", file=sys.stderr, flush=True)
    about = machine()
    described = ", ".join(f"{name} {value}" for name, value in about.items())
    text = f"# Search for similar vectors\n\n`python benchmarks/search.py`\n\n{__doc__.split(chr(10) * 2, 2)[2]}\n{described}\n\n"
    print(text + table(results))
    if not options.quick and not options.only:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "search.md").write_text(text + table(results) + "\n", encoding="utf-8")
        (RESULTS / "search.json").write_text(json.dumps({"machine": about, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
