"""Sequences brought onto one grid: how far off registration is, and how long an examination takes.

Accuracy: each sequence of a real brain and a real prostate examination is registered as it is, then moved by known turns and shifts
(the file's geometry is changed, not its voxels) and registered again. ``back`` is the mean distance, over the inner part of the
fixed image, between where the moved sequence ends and where the unmoved one did; ``stated`` between that end and where the file
without the motion states that it lies. A voxel is the edge of a cube of a moved voxel's volume.
Speed: ``casewise analyze`` of a brain's four sequences of 182×218×182 voxels, all processes' memory together.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import driver
from benchmarks.analyze_many import resident
from benchmarks.tables import table
from casewise import formats
from casewise.examination.bias_field import without_bias
from casewise.examination.examination import DISTORTED, targets
from casewise.examination.normalisation import QUANTITATIVE, foreground
from casewise.examination.reading import read_study, study_in
from casewise.examination.sequences import kind_of
from casewise.image import Image
from casewise.registration.pairwise import WORTH, Registration, register
from experiments import datasets

BRAIN = ("FLAIR", "T1", "T1POST", "T2")
MOTIONS = ((15.0, 15.0), (10.0, 5.0), (5.0, 10.0), (3.0, 3.0))  # degrees, mm
_FLIP = np.array([-1.0, -1.0, 1.0])


def brain() -> dict[str, Path]:
    return {name: datasets.files(f"open-ms/patient07/{name}_*.nii.gz")[0] for name in BRAIN}


def flat(name: str, image: Image) -> Image:
    if kind_of(name) in QUANTITATIVE:
        return image
    array = image.array[0].astype(np.float32)
    return image.with_array(without_bias(array, foreground(array), image.spacing)[None])


@cache
def sequences(site: str) -> tuple[dict[str, Image], str]:
    if site == "brain":
        return {name: flat(name, formats.read(path)) for name, path in brain().items()}, "FLAIR"
    folder = datasets.path("prostatex")
    found = study_in(folder)
    if found is None:
        raise FileNotFoundError(folder)
    study = read_study(folder, *found)
    return {entry.name: flat(entry.name, entry.image) for entry in study.given}, "T2"


def motion(image: Image, degrees: float, mm: float, seed: int) -> np.ndarray:
    """(4, 4) in RAS mm: about the image's middle, in directions drawn at random."""
    rng = np.random.default_rng(seed)
    axis, shift = (vector / np.linalg.norm(vector) for vector in rng.normal(size=(2, 3)))
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    angle = np.radians(degrees)
    turn = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    middle = image.affine[:3] @ [*((n - 1) / 2 for n in image.spatial_shape), 1]
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn, middle - turn @ middle + mm * shift
    return matrix


def places(fixed: Image) -> np.ndarray:
    grid = np.stack(np.meshgrid(*[np.linspace(0.15 * n, 0.85 * n, 6) for n in fixed.spatial_shape], indexing="ij"), -1)
    return grid.reshape(-1, 3) @ fixed.affine[:3, :3].T + fixed.affine[:3, 3]


def taken(found: Registration, points: np.ndarray) -> np.ndarray:
    """(n, 3) RAS mm: where a registration takes points in RAS mm."""
    return np.asarray([found.transform.TransformPoint(point) for point in (points * _FLIP).tolist()]) * _FLIP


def accuracy(site: str, name: str) -> list[dict[str, Any]]:
    images, reference = sequences(site)
    target = targets(list(images), reference)[name]
    worth = DISTORTED if kind_of(name) in ("ADC", "DWI") and target == reference else WORTH
    fixed, moving = images[target], images[name]
    points, voxel = places(fixed), float(np.prod(moving.spacing)) ** (1 / 3)
    still = taken(register(moving, fixed, worth=worth), points)
    rows = []
    for seed, (degrees, mm) in enumerate(MOTIONS):
        moved = motion(moving, degrees, mm, seed)
        began = time.perf_counter()
        found = register(Image(moving.array, moved @ moving.affine, moving.header), fixed, worth=worth)
        seconds = time.perf_counter() - began
        ends = taken(found, points)
        back, stated = (
            float(np.linalg.norm(ends - (start @ moved[:3, :3].T + moved[:3, 3]), axis=1).mean()) for start in (still, points)
        )
        rows.append(
            {"site": site, "name": name, "to": target, "degrees": degrees, "mm": mm, "voxel_mm": voxel}
            | {"back_mm": back, "stated_mm": stated, "seconds": seconds, "before": found.before, "after": found.after}
        )
    return rows


def speed() -> dict[str, Any]:
    words = [word for name, path in brain().items() for word in ("--sequence", f"{name}={path}")]
    with tempfile.TemporaryDirectory() as folder:
        began, memory = time.perf_counter(), [0.0]
        command = [sys.executable, "-m", "casewise", "analyze", *words, "--output", folder, "--json"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        while process.poll() is None:
            memory.append(resident(process.pid))
            time.sleep(0.2)
        wall = time.perf_counter() - began
        steps = json.loads(process.stdout.read() if process.stdout else "")[0]["seconds"]
    return {"wall_s": wall, "memory_mib": max(memory), "steps": steps}


def units(options: Namespace) -> Iterator[driver.Unit]:
    for site in ("brain", "prostate"):
        images, reference = sequences(site)
        yield from (driver.Unit(f"{site} {name}", partial(accuracy, site, name)) for name in images if name != reference)
    yield driver.Unit("speed", speed)


def figures(units: driver.Rows) -> Mapping[str, Any]:
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in (row for name, rows in units.items() if name != "speed" for row in rows):
        groups[row["site"], row["name"], row["to"]].append(row)
    lines: list[list[object]] = []
    for group, rows in groups.items():
        back, voxels = [row["back_mm"] for row in rows], _voxels(rows)
        stated = np.mean([row["stated_mm"] for row in rows])
        lines.append([*group, f"{np.mean(back):.2f}", f"{np.mean(voxels):.2f}", f"{max(voxels):.2f}", f"{stated:.2f}"])
    for site in dict.fromkeys(key[0] for key in groups):
        voxels = _voxels([row for key, rows in groups.items() if key[0] == site for row in rows])
        lines.append([f"**{site}, all**", "", "", "", f"**{np.mean(voxels):.2f}**", f"{max(voxels):.2f}", ""])
    head = ["examination", "sequence", "to", "back, mm", "back, voxels", "worst", "from the stated place, mm"]
    return {"motions": MOTIONS, "table": table(head, lines), "speed": units["speed"]}


def _voxels(rows: list[dict[str, Any]]) -> list[float]:
    return [row["back_mm"] / row["voxel_mm"] for row in rows]


BENCHMARK = driver.Benchmark("examination", __doc__, units, figures, threads=None)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
