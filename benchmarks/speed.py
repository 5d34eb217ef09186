"""What a person waits for.

Imports are whole commands in processes of their own; refinement and the choice of a subset's model are measured with everything
loaded, as for the second image of a call. Medians of several runs; two cores, no GPU. Rows kept: seconds of every run.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import driver
from benchmarks.tables import table
from casewise.adaptation import Plan, refine, subsets
from casewise.archive import Archive
from casewise.case import Case, Structure
from casewise.image import Image
from casewise.training import Settings, train_segmenter
from experiments import datasets
from experiments.cases import chest


def command(*words: object) -> float:
    """Seconds of one command; failures of single files (exit code 1) are part of an import of everything."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "casewise", *map(str, words)], capture_output=True)
    if done.returncode not in (0, 1):
        raise RuntimeError(done.stderr.decode())
    return time.perf_counter() - start


def timed(work: Callable[[], object], runs: int = 5) -> list[float]:
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return seconds


def start_up() -> dict[str, Any]:
    bare = timed(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True), 9)
    return {"help": [command("--help") for _ in range(9)], "bare": bare}


def imports() -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="casewise-speed-") as name:
        folder, every = Path(name), datasets.root()
        first = command("import", folder / "all", every, "--json")
        again = [command("import", folder / "all", every, "--json") for _ in range(3)]
        return {
            "first": first,
            "again": again,
            "mednist": command("import", folder / "mednist", datasets.path("mednist"), "--json"),
        }


def adapted() -> dict[str, Any]:
    known, new = chest("montgomery"), chest("shenzhen")
    structures = [Structure.parse("lungs=lung+left_lung+right_lung")]
    settings = Settings(steps=100, batch=8, device="cpu", validate_every=50)
    model = train_segmenter(known, structures, "lungs", settings=settings)
    image = _resized(new[0], 256)
    with tempfile.TemporaryDirectory(prefix="casewise-speed-") as name, Archive.open(Path(name) / "lungs", create=True) as archive:
        for case in [*known, *new[1:21]]:
            archive.add(case.image, {name: mask() for name, mask in case.load_masks.items()}, site=case.site, subject=case.subject)
        archive.embed(model.encoder("cpu"))
        plan = Plan(settings=replace(Plan().settings, device="cpu"))
        used = refine(model, image, archive, plan=plan).refinement.used
        everything = frozenset(case.key for case in archive.cases())
        knowing = replace(model, lineage=replace(model.lineage, trained_on=everything))
        made = subsets.build(archive, model, k=4)
        return {
            "refined": used,
            "refine": timed(lambda: refine(model, image, archive, plan=plan).predict(image, "cpu")),
            "predict": timed(lambda: model.predict(image, "cpu")),
            "vote": timed(lambda: refine(knowing, image, archive, plan=plan).predict(image, "cpu")),
            "pick": timed(lambda: subsets.choose(made, model, image, "cpu"), 21),
        }


def _resized(case: Case, size: int) -> Image:
    from skimage.transform import resize

    array = resize(case.image.array.astype(np.float32), (1, size, size), preserve_range=True).astype(np.float32)
    return Image(array, case.image.affine, case.image.header)


def figures(units: driver.Rows) -> Mapping[str, Any]:
    middle = {name: statistics.median(value) for of in units.values() for name, value in of.items() if isinstance(value, list)}
    first, small = units["imports"]["first"], units["imports"]["mednist"]
    how = "refined" if units["adapted"]["refined"] else "the parent was kept"
    alone = f"{how}; without refining {1000 * middle['predict']:.0f} ms"
    rows = [
        ("casewise --help", f"{middle['help']:.2f} s", f"{middle['help'] / middle['bare']:.1f} × an empty Python"),
        ("import of all the real images, with vectors", f"{first:.1f} s", ""),
        ("the same import again", f"{middle['again']:.1f} s", f"{middle['again'] / first:.1%} of the first"),
        ("import of the 6,000 MedNIST images, with vectors", f"{small:.1f} s", ""),
        ("refine for one 256×256 image and segment it", f"{middle['refine']:.2f} s", alone),
        ("let 8 registered labels vote and segment it", f"{middle['vote']:.2f} s", ""),
        ("pick the model of a precomputed subset", f"{1000 * middle['pick']:.0f} ms", "4 subsets"),
    ]
    return {"table": table(["what", "time", "beside it"], rows)}


UNITS = [driver.Unit("start-up", start_up), driver.Unit("imports", imports), driver.Unit("adapted", adapted)]
BENCHMARK = driver.Benchmark("speed", __doc__, lambda options: UNITS, figures, threads=None)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
