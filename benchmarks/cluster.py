"""A simulated cluster of eight nodes that drives a million empty analyses through scheduler, catalogue and index.

The scheduler is Ray with actors, the catalogue is on PostgreSQL, the index is FAISS, all through casewise's own code; what an image
would cost (reading, networks, reports) is left out, so that what is left bounds a cluster however large. Some 15 minutes, 8 GiB of
memory, 12 GiB of disk; needs ``casewise[ray,postgres]`` and PostgreSQL's programs.
"""

from __future__ import annotations

import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from benchmarks import driver
from benchmarks._cluster_empty import Empty
from benchmarks._cluster_parts import Drawn, EmptyAnalysis, EmptyEmbedding, archive_of, cluster, metered
from benchmarks._scale_archive import in_child
from benchmarks.tables import table
from casewise.archive import Archive
from casewise.archive.catalogue import results
from casewise.archive.columns import Written, written
from casewise.archive.retrieval import index_files
from casewise.archive.retrieval.embedding import store_of
from casewise.pipeline.archived import ArchiveAnalysis, analyze_archive
from casewise.pipeline.embedding import embed_with
from casewise.pipeline.many import Options
from casewise.workers import Here, Workers, chunked, dispatch
from experiments import datasets, store

IMAGES, LEAST = 1_000_000, 100_000  # the page's, and those from which a page is written
NODES, CHUNKS, BATCHES = (1, 2, 4, 8), (1, 16, 256), (1, 50, 200)
ANALYSES, AGAIN = "analyses, results recorded", "the same call again"
GROUPS = ("command", "workers", "Ray", "PostgreSQL")
FILM_SECONDS, PICTURE_SECONDS = 4.3, 0.43  # core-seconds of an analysis, of benchmarks/results/workers.md
_PART = 10  # a part alone is measured on so many times fewer images


def document() -> str:
    """The one below, made once."""
    return str(store.rows(store.WORK / "cluster" / "document.json", analysed))


def analysed() -> str:
    """The JSON of a real result: a chest radiograph with the router and all applications of its kind."""
    film = datasets.files("jsrt/images/*.png")[0]
    with tempfile.TemporaryDirectory() as name, Archive.open(Path(name) / "archive", create=True) as archive:
        archive.import_paths([film])
        if analyze_archive(archive, ArchiveAnalysis(Options(archive=archive.folder, device="cpu")), Here()).failed:
            raise RuntimeError("the film could not be analysed")
        return written(archive.results()[0])


def scheduler(count: int, nodes: int) -> list[Mapping[str, Any]]:
    """Keys out and outcomes back, which are forgotten: by nodes at work, as the command does it; then by fixed chunks, with all."""
    keys, text = [f"{number:032x}" for number in range(count)], document()
    with cluster(nodes) as on:
        rows = [_scheduled(keys, on(size), None, text) for size in NODES]
        dispatch._SOON = 0.0  # chunks are never given together
        return rows + [_scheduled(keys if each > 1 else keys[: count // 10], on(nodes), each, text) for each in CHUNKS]


def _scheduled(keys: list[str], workers: Workers, each: int | None, text: str) -> Mapping[str, Any]:
    chunks = chunked(keys, workers.size) if each is None else [keys[n : n + each] for n in range(0, len(keys), each)]
    began = time.perf_counter()
    with closing(workers.run(chunks, Empty(text))) as coming:
        next(coming)
        start = time.perf_counter() - began
        rest = metered(lambda: sum(1 for _ in coming))
    return {"nodes": workers.size, "chunk": each, "items": len(keys), "start": start, **rest}


def record(count: int, batch: int) -> Mapping[str, Any]:
    """Results into the catalogue, by this process."""
    text = Written(document())
    with archive_of(0) as archive:

        def run() -> None:
            for first in range(0, count, batch):
                archive.record_results([(text, f"{number:032x}") for number in range(first, first + batch)])

        return {"batch": batch, "items": count, **metered(run)}


def vectors(count: int) -> Mapping[str, Any]:
    """Vectors of 64 images at a time into the archive, by this process."""
    with archive_of(count) as archive:
        return {"items": count, **metered(lambda: embed_with(Here(), archive, Drawn(), EmptyEmbedding(archive.folder)))}


def whole(count: int, nodes: int) -> Mapping[str, Any]:
    """All of it, one stage after the other; then a second call, which finds nothing to do."""
    text = document()
    with archive_of(count) as archive, cluster(nodes) as on:
        workers = on(nodes)
        stages = {
            ANALYSES: lambda: analyze_archive(archive, EmptyAnalysis(text), workers),
            "vectors written": lambda: embed_with(workers, archive, Drawn(), EmptyEmbedding(archive.folder)),
            "index made": lambda: Archive.index(archive, Drawn(), True),
            AGAIN: lambda: analyze_archive(archive, EmptyAnalysis(text), workers),
        }
        rows = {name: metered(stage) for name, stage in stages.items()}
        return {"images": count, "nodes": nodes, "stages": rows, **_checked(archive, count, text)}


def _checked(archive: Archive, count: int, text: str) -> Mapping[str, Any]:
    """Whether each image has one result and one vector, what the index is, and how large all of it is."""
    with archive._catalogue.read() as connection:
        once = connection.execute(sa.select(sa.func.count(), sa.func.count(results.c.image_key.distinct()))).one()
        size = connection.scalar(sa.text("SELECT pg_database_size(current_database())"))
    kept = archive.newest_result(archive.lines([1])[0].key)
    _, rows, base = archive.vectors(Drawn())
    index = index_files.load(store_of(archive.folder, Drawn()), base)
    return {
        "once": tuple(once) == (count, count) and kept is not None and written(kept[1]) == text,
        "vectors": len(np.unique(rows)),
        "recall": None if index is None else index.recall,
        "database_bytes": int(size or 0),
        "document_bytes": len(text),
    }


def units(options: Namespace) -> Iterator[driver.Unit]:
    count, part, most = options.images, max(1_000, options.images // _PART), max(NODES)

    def unit(name: str, *call: Any) -> driver.Unit:
        return driver.Unit(name, partial(in_child, *call))

    yield unit(f"scheduler {part}", scheduler, part, most)
    for batch in BATCHES:
        few = part if batch > 1 else part // 20
        yield unit(f"record {part} by {batch}", record, few - few % batch, batch)
    yield unit(f"vectors {part}", vectors, part)
    yield unit(f"whole {count}", whole, count, most)


def figures(rows: driver.Rows) -> Mapping[str, Any]:
    by = {
        kind: [row for name, row in rows.items() if name.startswith(kind)] for kind in ("scheduler", "record", "vectors", "whole")
    }
    (one,), (vector,), (scheduled,) = by["whole"], by["vectors"], by["scheduler"]
    stages = {name: row for name, row in one["stages"].items() if name != AGAIN}
    rates = {name: one["images"] / row["seconds"] for name, row in stages.items()}
    first = min(rates, key=lambda name: rates[name])
    seconds = sum(row["seconds"] for row in stages.values())
    analyses = stages[ANALYSES]
    alone = [_rate(row) for row in scheduled if row["chunk"] in (None, 16) and row["nodes"] == one["nodes"]]
    return {
        "images": f"{one['images']:,}",
        "nodes": one["nodes"],
        "document": f"{one['document_bytes'] / 1000:.1f}",
        "scheduler": _scheduler(scheduled),
        "record": _record(by["record"]),
        "vectors": f"{_rate(vector):,.0f}",
        "stages": _stages(one),
        "minutes": f"{seconds / 60:.1f}",
        "together": f"{one['images'] / seconds:,.0f}",
        "scheduled": f"{alone[0]:,.0f}",
        "fixed": f"{alone[1]:,.0f}",
        "recorded": f"{max(map(_rate, by['record'])):,.0f}",
        "first": first,
        "rate": {name: f"{rate:,.0f}" for name, rate in rates.items()},
        "share": {name: f"{_share(stages[first], name):.0%}" for name in GROUPS},
        "one_by_one": f"{one['images'] / (analyses['processor']['command'] + analyses['processor']['PostgreSQL']):,.0f}",
        "film_cores": f"{rates[ANALYSES] * FILM_SECONDS:,.0f}",
        "picture_cores": f"{rates[ANALYSES] * PICTURE_SECONDS:,.0f}",
        "memory": f"{analyses['memory']['command']:,.0f}",
        "checked": one["once"] and one["vectors"] == one["images"],
        "index": "none yet" if one["recall"] is None else f"in cells, with a recall of {one['recall']:.3f}",
        "gigabytes": f"{one['database_bytes'] / 1e9:.1f}",
        "again": f"{one['stages'][AGAIN]['seconds']:.1f}",
    }


def _share(row: Mapping[str, Any], name: str) -> float:
    """Of the processor seconds of a stage, those of one group."""
    return float(row["processor"].get(name, 0.0) / sum(row["processor"].values()))


def _rate(row: Mapping[str, Any]) -> float:
    return float(row["items"] / row["seconds"])


def _spent(row: Mapping[str, Any], items: int) -> list[str]:
    return [f"{1000 * row['processor'].get(name, 0.0) / items:.3f}" for name in GROUPS]


def _scheduler(rows: list[Mapping[str, Any]]) -> str:
    lines = []
    for row in rows:
        chunk = row["chunk"] or "as the command"
        about = [row["nodes"], chunk, f"{row['items']:,}", f"{_rate(row):,.0f}", f"{row['start']:.0f}"]
        lines.append([*about, *_spent(row, row["items"])[:3]])
    head = ["nodes at work", "keys a chunk", "items", "items a second", "seconds to start"]
    return table([*head, *(f"CPU ms an item: {name}" for name in GROUPS[:3])], lines)


def _record(rows: list[Mapping[str, Any]]) -> str:
    lines = []
    for row in rows:
        spent = _spent(row, row["items"])
        lines.append([row["batch"], f"{row['items']:,}", f"{_rate(row):,.0f}", spent[0], spent[3]])
    return table(["results a transaction", "results", "results a second", "CPU ms a result: command", "PostgreSQL"], lines)


def _stages(one: Mapping[str, Any]) -> str:
    lines = []
    for name, row in one["stages"].items():
        rate = "–" if name == AGAIN else f"{one['images'] / row['seconds']:,.0f}"
        memory = [f"{row['memory'].get(group, 0):,.0f}" for group in GROUPS]
        spent = _spent(row, one["images"]) if name != AGAIN else ["–"] * len(GROUPS)
        lines.append([name, f"{row['seconds']:.0f}", rate, *spent, *memory, f"{row['load']:.1f}"])
    head = ["stage", "seconds", "images a second", *(f"CPU ms an image: {group}" for group in GROUPS)]
    return table([*head, *(f"MiB: {group}" for group in GROUPS), "load"], lines)


def options(parser: ArgumentParser) -> None:
    parser.add_argument("--images", type=int, default=IMAGES, help=f"with fewer than {LEAST:,} no page is written")


BENCHMARK = driver.Benchmark("cluster", __doc__, units, figures, options, lambda given: given.images >= LEAST)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
