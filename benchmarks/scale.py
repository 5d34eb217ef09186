"""An archive of 100,000 images and one of 1,000,000 vectors: import, search and its index, many writers at once.

Some ten minutes, 12 GiB of memory, 6 GiB of disk; the writers need PostgreSQL programs. ``--quick`` takes a tenth of the images
and half of the vectors.
"""

from __future__ import annotations

import statistics
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import _scale_archive, _scale_vectors, _scale_writers, driver
from benchmarks.tables import table

IMAGES, VECTORS = 100_000, 1_000_000
WRITERS, SECONDS = (("postgresql", 32), ("sqlite", 8)), 120


def archive(count: int) -> Mapping[str, Any]:
    """Import, queries, and the import of 1,000 more."""
    with tempfile.TemporaryDirectory(prefix="casewise-scale-") as name:
        work = Path(name)
        place = work / "archive"
        first = _scale_archive.in_child(_scale_archive.imported, place, _scale_archive.films(work / "films", count, 0))
        asked = _scale_archive.in_child(_scale_archive.queries, place)
        return {"import": first, "queries": asked, "more": _scale_archive.more(place, work)}


def vectors(kind: str, count: int) -> Mapping[str, Any]:
    with tempfile.TemporaryDirectory(prefix="casewise-scale-") as name:
        return _scale_vectors.measured(Path(name), kind, count)


def units(options: Namespace) -> Iterator[driver.Unit]:
    count = IMAGES // 10 if options.quick else IMAGES
    yield driver.Unit(f"archive {count}", partial(archive, count))
    many = VECTORS // 2 if options.quick else VECTORS
    for kind in ("clustered",):
        yield driver.Unit(f"vectors {kind} {many}", partial(vectors, kind, many))
    for database, number in WRITERS:
        seconds = SECONDS // 10 if options.quick else SECONDS
        yield driver.Unit(f"writers {database} {seconds}", partial(_scale_writers.together, database, number, seconds))


def figures(rows: driver.Rows) -> Mapping[str, Any]:
    one = next(value for name, value in rows.items() if name.startswith("archive"))
    of_vectors = [value for name, value in rows.items() if name.startswith("vectors")]
    of_writers = [value for name, value in rows.items() if name.startswith("writers")]
    return {
        "count": f"{one['import']['images']:,}",
        "import_ms": f"{1000 * one['import']['cpu_seconds'] / one['import']['images']:.2f}",
        "import_s": f"{one['import']['seconds']:.0f}",
        "queries": _queries(one["queries"]),
        "more": _more(one["more"]),
        "builds": _builds(of_vectors),
        "methods": _methods(of_vectors),
        "writers": _writers(of_writers),
    }


def _queries(rows: list[Mapping[str, Any]]) -> str:
    lines = []
    for row in rows:
        if "way" in row and "median_ms" in row:
            times = [f"{row[name]:.1f}" for name in ("median_ms", "worst_ms", "cpu_ms", "first_ms")]
            lines.append([row["way"], *times, f"{row['load']:.1f}"])
        else:
            lines.append([f"{row['way']} ({row['cases']:,}), for comparison", "–", "–", f"{row['cpu_ms']:.0f}", "–", "–"])
    return table(["compared", "median ms", "slowest ms", "CPU ms", "first of the process, ms", "load average"], lines)


def _more(rows: list[Mapping[str, Any]]) -> str:
    lines = []
    for name, label in (("seconds", "seconds"), ("cpu_seconds", "CPU seconds")):
        large, empty = ([row[where][name] for row in rows] for where in ("large", "empty"))
        ratio = statistics.median(a / b for a, b in zip(large, empty, strict=True))
        lines.append([label, f"{statistics.median(large):.2f}", f"{statistics.median(empty):.2f}", f"{ratio:.2f}"])
    return table(
        ["1,000 images more (medians of 5)", "into the large archive", "into an empty one", "ratio (median of the pairs)"], lines
    )


def _builds(rows: list[Mapping[str, Any]]) -> str:
    lines = []
    for row in rows:
        size, build = row["vectors_bytes"], row["build"]
        spent = [f"{build['seconds']:.0f}", f"{build['cpu_seconds']:.0f}", f"{row['plain_build_cpu']:.0f}"]
        memory = [f"{part / size:.2f}" for part in (build["own_bytes"], build["resident_bytes"])]
        memory += [f"{part / size:.2f}" for part in (row["own_memory"]["own_bytes"], row["own_memory"]["resident_bytes"])]
        cells = [f"{row['cells_read']} of {row['cells']}", f"{row['recall']:.4f}"]
        lines.append([row["kind"], f"{row['n']:,}", *spent, f"{row['index_bytes'] / size:.2f}", *memory, *cells])
    head = ["vectors", "n", "index made in s", "CPU s", "CPU s, plain FAISS (same cells)", "its file ÷ vectors"]
    head += ["own memory ÷ vectors, making", "with mapped pages, making", "own, asking", "with mapped pages, asking"]
    return table([*head, "cells read", "recall it measured itself"], lines)


def _methods(rows: list[Mapping[str, Any]]) -> str:
    lines = []
    for row in rows:
        fastest = row["methods"]["casewise"]["median_ms"]
        for name, method in row["methods"].items():
            about = [f"{method['median_ms']:.2f}", f"{method['cpu_ms']:.2f}", f"{method['recall_at_10']:.4f}"]
            lines.append([row["kind"], f"{row['n']:,}", name, *about, f"{method['median_ms'] / fastest:.2f}"])
    return table(["vectors", "n", "method", "median ms", "CPU ms", "recall@10", "× casewise"], lines)


def _writers(rows: list[Mapping[str, Any]]) -> str:
    lines = []
    for row in rows:
        counts = [f"{row[name]:,}" for name in ("images", "results", "transactions")]
        wrong = [row["failures"], row["lost"], row["twice"]]
        lines.append([row["database"], row["writers"], row["seconds"], *counts, f"{row['images'] / row['seconds']:.0f}", *wrong])
    head = ["database", "writers", "seconds", "images imported", "results recorded", "transactions", "images a second"]
    return table([*head, "errors", "rows lost", "rows there twice"], lines)


def options(parser: ArgumentParser) -> None:
    parser.add_argument("--quick", action="store_true", help="less of everything; no page is written")


BENCHMARK = driver.Benchmark("scale", __doc__, units, figures, options, lambda given: not given.quick)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
