"""What a person waits for: ``python -m benchmarks.speed`` prints a table and keeps it in ``benchmarks/results/speed.md``.

Imports are whole commands in processes of their own; refinement and the choice of a subset's model are measured with everything
loaded, as for the second image of a call. Medians of several runs; two cores, no GPU.
"""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from casewise.adaptation import Plan, refine, subsets
from casewise.archive import Archive
from casewise.case import Case, Structure
from casewise.image import Image
from casewise.training import Settings, train_segmenter
from experiments import datasets
from experiments.cases import chest

RESULTS = Path(__file__).parent / "results"
Row = tuple[str, str, str]


def command(*words: object) -> float:
    """Seconds of one command; failures of single files (exit code 1) are part of an import of everything."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "casewise", *map(str, words)], capture_output=True)
    if done.returncode not in (0, 1):
        raise RuntimeError(done.stderr.decode())
    return time.perf_counter() - start


def median(work: Callable[[], object], runs: int = 5) -> float:
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def start_up() -> list[Row]:
    ours = statistics.median(command("--help") for _ in range(9))
    bare = median(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True), 9)
    return [("casewise --help", f"{ours:.2f} s", f"{ours / bare:.1f} × an empty Python")]


def imports(folder: Path) -> list[Row]:
    first = command("import", folder / "all", datasets.root(), "--json")
    again = statistics.median(command("import", folder / "all", datasets.root(), "--json") for _ in range(3))
    small = command("import", folder / "mednist", datasets.path("mednist"), "--json")
    return [
        ("import of all the real images, with vectors", f"{first:.1f} s", ""),
        ("the same import again", f"{again:.1f} s", f"{again / first:.1%} of the first"),
        ("import of the 6,000 MedNIST images, with vectors", f"{small:.1f} s", ""),
    ]


def adapted(folder: Path) -> list[Row]:
    known, new = chest("montgomery"), chest("shenzhen")
    structures = [Structure.parse("lungs=lung+left_lung+right_lung")]
    settings = Settings(steps=100, batch=8, device="cpu", validate_every=50)
    model = train_segmenter(known, structures, "lungs", settings=settings)
    image = _resized(new[0], 256)
    with Archive.open(folder / "lungs", create=True) as archive:
        for case in [*known, *new[1:21]]:
            archive.add(case.image, {name: mask() for name, mask in case.load_masks.items()}, site=case.site, subject=case.subject)
        archive.embed(model.encoder("cpu"))
        plan = Plan(settings=replace(Plan().settings, device="cpu"))
        done = [refine(model, image, archive, plan=plan)]
        refining = median(lambda: refine(model, image, archive, plan=plan).predict(image, "cpu"))
        alone = median(lambda: model.predict(image, "cpu"))
        everything = frozenset(case.key for case in archive.cases())
        knowing = replace(model, lineage=replace(model.lineage, trained_on=everything))
        voting = median(lambda: refine(knowing, image, archive, plan=plan).predict(image, "cpu"))
        made = subsets.build(archive, model, k=4)
        picking = median(lambda: subsets.choose(made, model, image, "cpu"), 21)
    how = "refined" if done[0].refinement.used else "the parent was kept"
    return [
        ("refine for one 256×256 image and segment it", f"{refining:.2f} s", f"{how}; without refining {1000 * alone:.0f} ms"),
        ("let 8 registered labels vote and segment it", f"{voting:.2f} s", ""),
        ("pick the model of a precomputed subset", f"{1000 * picking:.0f} ms", "4 subsets"),
    ]


def _resized(case: Case, size: int) -> Image:
    from skimage.transform import resize

    array = resize(case.image.array.astype(np.float32), (1, size, size), preserve_range=True).astype(np.float32)
    return Image(array, case.image.affine, case.image.header)


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="casewise-speed-"))
    try:
        rows = [*start_up(), *imports(folder), *adapted(folder)]
    finally:
        shutil.rmtree(folder)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}; no GPU."
    table = ["| what | time | beside it |", "|---|---|---|", *("| " + " | ".join(row) + " |" for row in rows)]
    text = "\n".join(["# What a person waits for", "", "`python -m benchmarks.speed`", "", machine, "", *table]) + "\n"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "speed.md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
