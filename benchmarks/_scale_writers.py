"""Many processes that import images and record results in one archive at once; afterwards each row is looked for."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from benchmarks._scale_archive import SIDE, Projection
from casewise.archive import Archive
from casewise.archive.catalogue import embeddings, results
from casewise.errors import CasewiseError
from casewise.formats import write
from casewise.header import Header
from casewise.image import Image
from tests.postgresql import postgresql_server

BATCH = 16  # images of an import, and results recorded together
_SHARED = 4  # of these, how many every writer has


def together(database: str, writers: int, seconds: float) -> Mapping[str, Any]:
    """What ``writers`` processes wrote in so many seconds, what of it is missing or there twice, and their errors."""
    with tempfile.TemporaryDirectory(prefix="casewise-writers-") as name, ExitStack() as closing:
        url = closing.enter_context(postgresql_server()) if database == "postgresql" else None
        folder = Path(name) / "archive"
        Archive.open(folder, create=True, database=url).close()
        context = multiprocessing.get_context("spawn")
        with context.Pool(writers) as pool:
            done = pool.starmap(write_on, [(folder, Path(name) / f"w{number}", number, seconds) for number in range(writers)])
        return {"database": database, "writers": writers, "seconds": seconds, **_checked(folder, done)}


def write_on(archive: Path, files: Path, number: int, seconds: float) -> Mapping[str, Any]:
    """One writer: it imports batches, some images of which all writers import, and records a result of each image."""
    keys: list[str] = []
    recorded: list[str] = []
    errors: list[str] = []
    transactions = 0
    with Archive.open(archive) as opened:
        ends, turn = time.monotonic() + seconds, 0
        while time.monotonic() < ends:
            folder = files / f"{turn:05d}"
            for place in range(BATCH):
                seed = turn * BATCH + place if place < _SHARED else 10**9 * (number + 1) + turn * BATCH + place
                pixels = np.random.default_rng(seed).integers(0, 255, (1, SIDE, SIDE)).astype(np.uint8)
                write(folder / f"{place}.png", Image(pixels, header=Header(spacing_known=False)))
            turn += 1
            try:
                report = opened.import_paths([folder], encoder=Projection(), site=f"writer {number}")
                keys += report.keys
                documents = [({"headline": f"{number}/{turn}/{key}"}, key) for key in report.keys]
                opened.record_results(documents)
                recorded += [str(document["headline"]) for document, _ in documents]
                opened.categorise(report.keys[:2], "seen")
                transactions += 3
            except CasewiseError as error:
                errors.append(str(error))
    return {"keys": keys, "recorded": recorded, "errors": errors, "transactions": transactions}


def _checked(folder: Path, done: list[Mapping[str, Any]]) -> Mapping[str, Any]:
    wanted = {key for one in done for key in one["keys"]}
    recorded = Counter(text for one in done for text in one["recorded"])
    with Archive.open(folder) as archive:
        there = Counter(record.key for record in archive.images())
        found = Counter(str(document["headline"]) for document in archive.results())
        keys, rows, base = archive.vectors(Projection())
        with archive._catalogue.read() as connection:
            given = connection.execute(sa.select(sa.func.count(), sa.func.max(embeddings.c.row))).one()
            count = connection.scalar(sa.select(sa.func.count()).select_from(results))
        right = all(
            np.allclose(base[row], Projection().encode([archive.case(key).image])[0], atol=1e-3) for key, row in _some(keys, rows)
        )
    lost = len(wanted - there.keys()) + (recorded - found).total() + len(wanted) - len(keys) + (0 if right else len(keys))
    twice = sum(number - 1 for number in there.values()) + (found - recorded).total() + len(rows) - len(set(rows.tolist()))
    return {
        "images": len(there),
        "results": int(count or 0),
        "vectors": int(given[0]),
        "transactions": sum(one["transactions"] for one in done),
        "failures": sum(len(one["errors"]) for one in done),
        "first_error": next((one["errors"][0] for one in done if one["errors"]), None),
        "lost": lost,
        "twice": twice,
    }


def _some(keys: list[str], rows: Any) -> list[tuple[str, int]]:
    step = max(1, len(keys) // 50)
    return list(zip(keys[::step], rows.tolist()[::step], strict=True))
