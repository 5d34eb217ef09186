"""A large archive of small images: made, imported by the code that users run, and asked."""

from __future__ import annotations

import csv
import os
import shutil
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise.archive import Archive, Selection
from casewise.case import Structure
from casewise.formats import write
from casewise.header import Header
from casewise.image import Image

SIDE, DIMENSION, K, MORE = 16, 512, 8, 1_000
QUERIES, IMPORTS = 40, 5
_MASKED = 10  # every so many has a mask
_FOLDER = 1_000  # images in a folder


class Projection:
    """An encoder that costs nothing: 512 rectified sums of an image's pixels, as a layer of a network gives them."""

    key = "projection"
    dimension = DIMENSION
    _weights = np.random.default_rng(2024).standard_normal((SIDE * SIDE, DIMENSION), dtype=np.float32)

    def encode(self, images: Any, regions: Any = None) -> npt.NDArray[np.float32]:
        pixels = np.stack([image.array[0].astype(np.float32).ravel() / 255 - 0.5 for image in images])
        return np.maximum(pixels @ self._weights, 0)


def films(folder: Path, count: int, seed: int) -> Path:
    """PNGs of 16×16 noise in folders of 1,000, every tenth with a mask, and the manifest that says site, age, sex and category."""
    rng = np.random.default_rng(seed)
    rows: list[list[object]] = [["image", "mask:lung", "site", "category", "age", "sex", "manufacturer"]]
    for number in range(count):
        place = folder / f"{number // _FOLDER:04d}"
        place.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 255, (1, SIDE, SIDE)).astype(np.uint8)
        path = write(place / f"film{number:07d}.png", Image(pixels, header=Header(spacing_known=False)))
        mask = ""
        if number % _MASKED == 0:
            drawn = Image(np.uint8(255) * (pixels > 128), header=Header(spacing_known=False))
            mask = str(write(place / f"film{number:07d}_lung.png", drawn).relative_to(folder))
        facts = [f"site{number % 7}", ["normal", "effusion", "nodule"][number % 3], int(rng.integers(1, 95)), "FM"[number % 2]]
        rows.append([path.relative_to(folder), mask, *facts, f"maker {number % 5}"])
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder


def imported(archive: Path, folder: Path) -> dict[str, float]:
    """Import a folder of :func:`films` with vectors."""
    began, cpu = time.perf_counter(), time.process_time()
    with Archive.open(archive, create=True) as opened:
        report = opened.import_paths([folder], manifest=folder / "manifest.csv", encoder=Projection())
        if report.failed or report.vectors != report.added:
            raise RuntimeError(f"{len(report.failed)} files failed, {report.vectors} of {report.added} have a vector")
        return {"images": report.added, "seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - cpu}


def queries(folder: Path) -> list[Mapping[str, Any]]:
    """Milliseconds of a ``similar`` with the data of the k cases that it found, by what is compared and what may be found."""
    rng = np.random.default_rng(5)
    ways: dict[str, dict[str, Any]] = {
        "vectors and content": {},
        "vectors": {"by": ("latent",)},
        "content": {"by": ("content",)},
        "of one site": {"where": Selection(site="site3")},
        "of two categories with a mask": {
            "where": Selection(structures=(Structure.parse("lung"),), categories=frozenset({"normal", "nodule"}))
        },
    }
    rows = []
    with Archive.open(folder) as archive:
        for name, options in ways.items():
            times, cpu = [], []
            for _ in range(1 + QUERIES):
                pixels = rng.integers(0, 255, (1, SIDE, SIDE)).astype(np.uint8)
                header = {"spacing_known": False, "age": float(rng.integers(1, 95)), "sex": "F", "manufacturer": "maker 2"}
                image = Image(pixels, header=header)
                began, began_cpu = time.perf_counter(), time.process_time()
                found = archive.similar(image, k=K, encoder=Projection(), **options)
                cases = archive.cases(keys=[case.key for case in found])
                times.append(1000 * (time.perf_counter() - began))
                cpu.append(1000 * (time.process_time() - began_cpu))
                if len(cases) != K:
                    raise RuntimeError(f"{len(cases)} cases were found instead of {K}")
            row = {"way": name, "first_ms": times[0], "median_ms": statistics.median(times[1:])}
            rows.append({**row, "cpu_ms": statistics.median(cpu[1:]), "worst_ms": max(times[1:]), "load": os.getloadavg()[0]})
        began_cpu = time.process_time()
        count = len(archive.cases())
        rows.append({"way": "every case made", "cases": count, "cpu_ms": 1000 * (time.process_time() - began_cpu)})
    return rows


def more(folder: Path, work: Path) -> list[Mapping[str, Any]]:
    """The import of 1,000 images into the archive in ``folder`` and into an empty one, by turns."""
    rows = []
    for turn in range(IMPORTS):
        new = films(work / "new" / str(turn), MORE, 900 + turn)
        large, empty = _timed(folder, new), _timed(work / f"empty-{turn}", new)
        rows.append({"turn": turn, "large": large, "empty": empty})
        shutil.rmtree(work / f"empty-{turn}")
    return rows


def _timed(archive: Path, folder: Path) -> Mapping[str, float]:
    if hasattr(os, "sync"):
        os.sync()  # what was written before is not waited for
    return in_child(imported, archive, folder)


def in_child(call: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a call in a process of its own, which keeps nothing of the calls before."""
    import multiprocessing

    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(call, arguments)
