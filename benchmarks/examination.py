"""Sequences brought onto one grid: ``python -m benchmarks.examination`` keeps its table in ``benchmarks/results/examination.md``.

Its figures are in ``examination.json`` beside it; units that are done are not done again; delete the JSON to start anew.

Accuracy: each sequence of a real brain and a real prostate examination is registered as it is, then moved by known turns and shifts
(the file's geometry is changed, not its voxels) and registered again. ``back`` is the mean distance, over the inner part of the
fixed image, between where the moved sequence ends and where the unmoved one did; ``stated`` between that end and where the file
without the motion states that it lies. A voxel is the edge of a cube of a moved voxel's volume.
Speed: ``casewise analyze`` of a brain's four sequences of 182×218×182 voxels, all processes' memory together.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.analyze_many import resident
from casewise import formats
from casewise.examination.bias_field import without_bias
from casewise.examination.examination import DISTORTED, targets
from casewise.examination.normalisation import QUANTITATIVE, foreground
from casewise.examination.reading import read_study, study_in
from casewise.examination.sequences import kind_of
from casewise.image import Image
from casewise.registration.pairwise import WORTH, Registration, register
from experiments import datasets

RESULTS = Path(__file__).parent / "results"
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


def accuracy(site: str, name: str, images: dict[str, Image], reference: str) -> list[dict[str, Any]]:
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


def table(kept: dict[str, Any]) -> str:
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for rows in kept["accuracy"].values():
        for row in rows:
            groups[row["site"], row["name"], row["to"]].append(row)
    lines = [
        "| examination | sequence | to | back, mm | back, voxels | worst | from the stated place, mm |",
        "|---|---|---|---|---|---|---|",
    ]
    for (site, name, to), rows in groups.items():
        back = [row["back_mm"] for row in rows]
        voxels = [row["back_mm"] / row["voxel_mm"] for row in rows]
        stated = np.mean([row["stated_mm"] for row in rows])
        lines.append(f"| {site} | {name} | {to} | {np.mean(back):.2f} | {np.mean(voxels):.2f} | {max(voxels):.2f} | {stated:.2f} |")
    for site in dict.fromkeys(key[0] for key in groups):
        voxels = [row["back_mm"] / row["voxel_mm"] for key, rows in groups.items() if key[0] == site for row in rows]
        lines.append(f"| **{site}, all** | | | | **{np.mean(voxels):.2f}** | {max(voxels):.2f} | |")
    told = kept["speed"]
    steps = ", ".join(f"{name} {seconds:.1f}" for name, seconds in told["steps"].items())
    motions = ", ".join(f"{degrees:g}° and {mm:g} mm" for degrees, mm in MOTIONS)
    return "\n".join(
        [
            "# Sequences on one grid\n",
            "`python -m benchmarks.examination`\n",
            f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}; no GPU.\n",
            "One brain (open-ms, four sequences of 1 mm) and one prostate (ProstateX, nine series), one patient each: what other",
            f"scanners and patients give, these figures cannot show. Each was moved by {motions}, in directions",
            "drawn at random.\n",
            *lines,
            "\nThe last column is larger where the registration moves the *unmoved* sequence too: the prostate's other T2 and its",
            "PD were taken minutes before or after the reference, and are clearly more alike to it 2 to 4 mm from where they are",
            "stated to lie. An ADC map stays where it is stated to lie unless much is gained; a moved one goes to where it is most",
            "alike, which its distortion puts a voxel away.\n",
            f"`casewise analyze` of the brain's four sequences (182×218×182): **{told['wall_s']:.0f} s**, at most",
            f"{told['memory_mib']:.0f} MiB (seconds: {steps}).\n",
        ]
    )


def main() -> None:
    path = RESULTS / "examination.json"
    kept: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"accuracy": {}}
    for site in ("brain", "prostate"):
        images, reference = sequences(site)
        for name in images:
            if name != reference and f"{site} {name}" not in kept["accuracy"]:
                kept["accuracy"][f"{site} {name}"] = accuracy(site, name, images, reference)
                path.write_text(json.dumps(kept, indent=1))
    if "speed" not in kept:
        kept["speed"] = speed()
        path.write_text(json.dumps(kept, indent=1))
    (RESULTS / "examination.md").write_text(table(kept))
    sys.stdout.write(table(kept))


if __name__ == "__main__":
    main()
