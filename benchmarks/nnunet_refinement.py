"""Does refining an nnU-Net on similar cases help on a new scanner? ``python -m benchmarks.nnunet_refinement``

nnU-Net itself (``make peers``) trains its 2D configuration on the hippocampi of 30 patients, as they are. The new scanner shows
others in another contrast, with noise and shading, and the archive holds 12 patients of a third contrast, and 10 or 20 of the new
one. For each of 18 other patients of the new scanner: nnU-Net's own answer; the same model refined on the similar cases of the
archive, by ``--adapt similar``; on as many of the archive drawn at random; and trained on, once, with the whole archive.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from benchmarks import driver
from benchmarks.tables import spread, table
from casewise.adaptation.refinement import REFINEMENT, Plan, refine_on
from casewise.adaptation.similar import refine
from casewise.archive import Archive
from casewise.case import Case
from casewise.image import Image
from casewise.models import Model
from casewise.statistics import interval, paired_p
from casewise.training.fit import fit
from casewise.training.metrics import dice
from experiments import datasets, store
from experiments.nnunet.run import DATASET, describe, nnunet, write

TRAINED, OTHER, NEW, TESTED = 30, 12, 20, 18
GROWN = (10, 20)
STEPS = 2000  # of nnU-Net's training
STRUCTURES = {"anterior": 1, "posterior": 2}
PLAN = Plan(settings=replace(REFINEMENT, device="cpu"), label_fusion=False)
Row = dict[str, float | str]
Floats = npt.NDArray[np.float32]


def files() -> list[Path]:
    """All patients' images, in one random order."""
    found = sorted((datasets.root() / "hippocampus" / "images").glob("*.nii.gz"))
    return [found[number] for number in np.random.default_rng(11).permutation(len(found))]


def scanner(array: Floats, kind: str, seed: int) -> Floats:
    """(a, b, c) as another scanner shows it. kind : ``own``, ``new`` (lighter dark tones) or ``other`` (light for dark)."""
    if kind == "own":
        return array
    rng = np.random.default_rng(seed)
    low, high = np.percentile(array, (0.5, 99.5))
    values = np.clip((array - low) / (high - low), 0, 1)
    values = values**0.4 if kind == "new" else 1 - values
    places = np.meshgrid(*(np.linspace(-1, 1, n) for n in array.shape), indexing="ij")
    shading = 1 + sum(rng.uniform(-0.2, 0.2) * place for place in places)
    return np.asarray(1000 * values * shading + rng.normal(0, 50, array.shape), np.float32)


def case_of(file: Path, kind: str, number: int) -> Case:
    image, labels = nib.load(file), np.asarray(nib.load(file.parents[1] / "labels" / file.name).dataobj)
    array = scanner(np.asarray(image.dataobj).astype(np.float32), kind, number)
    masks = {name: labels == label for name, label in STRUCTURES.items()}
    return Case.of(Image(array[None], image.affine), masks, subject=file.name, site=kind, name=file.name)


def initial() -> Model:
    """nnU-Net's own model of the first patients; kept."""
    work = store.WORK / "nnunet_refinement" / "trained"
    if not (work / "plain").is_dir():
        raw = work / "raw" / DATASET
        for number, file in enumerate(files()[:TRAINED]):
            image, labels = nib.load(file), nib.load(file.parents[1] / "labels" / file.name)
            write(raw / "imagesTr" / f"h{number}_0000.nii.gz", np.asarray(image.dataobj).astype(np.float32), image.affine)
            write(raw / "labelsTr" / f"h{number}.nii.gz", np.asarray(labels.dataobj).astype(np.uint8), image.affine)
        write(work / "test" / "h_0000.nii.gz", np.asarray(nib.load(files()[-1]).dataobj).astype(np.float32), np.eye(4))
        describe(work, ["MRI"], {"background": 0, **STRUCTURES}, TRAINED)
        nnunet("train", work, DATASET, "2d", STEPS, "--as-published")
    (folder,) = (work / "results" / DATASET).glob("*__2d")
    return Model.load(folder)


def cases() -> tuple[list[Case], list[Case], list[Case]]:
    """(the archive's of the third contrast, those of the new scanner, the tested)."""
    rest = list(enumerate(files()))[TRAINED : TRAINED + OTHER + NEW + TESTED]
    made = [case_of(file, "other" if place < OTHER else "new", number) for place, (number, file) in enumerate(rest)]
    return made[:OTHER], made[OTHER : OTHER + NEW], made[OTHER + NEW :]


def value(model: Any, case: Case) -> float:
    """Mean Dice of the two structures."""
    masks = model.predict(case.image, "cpu").masks()
    return float(np.mean([dice(masks[name], load()) for name, load in case.load_masks.items()]))


def rows_of(grown: int) -> list[Row]:
    """The rows of an archive with so many cases of the new scanner."""
    model = initial()
    other, new, tested = cases()
    with tempfile.TemporaryDirectory() as folder:
        archive = Archive.open(Path(folder) / "archive", create=True)
        held = [*other, *new[:grown]]
        for case in held:
            archive.add(case.image, {name: load() for name, load in case.load_masks.items()}, site=case.site, subject=case.subject)
        again = {case.key: case for case in archive.cases()}
        everything = fit(model, list(again.values()), settings=replace(REFINEMENT, device="cpu", steps=PLAN.slice_steps * 5))
        rows = [row for number, case in enumerate(tested) for row in _of(model, case, number, archive, again, everything, grown)]
        archive.close()
    return rows


def _of(
    model: Model, case: Case, number: int, archive: Archive, held: Mapping[str, Case], everything: Model, grown: int
) -> Iterator[Row]:
    known: Row = {"patient": case.name, "grown": grown}
    yield {**known, "arm": "own", "dice": value(model, case), "share": 0.0, "seconds": 0.0}
    yield {**known, "arm": "continued", "dice": value(everything, case), "share": 1.0, "seconds": 0.0}
    began = time.perf_counter()
    similar = refine(model, case.image, archive, plan=PLAN)
    seconds = time.perf_counter() - began
    share = similar.refinement.share
    yield {**known, "arm": "similar", "dice": value(similar.model, case), "share": share, "seconds": seconds}
    order = np.random.default_rng([5, number]).permutation(len(held))
    drawn = [list(held.values())[place] for place in order[: PLAN.k + PLAN.held_out]]
    random = refine_on(model, drawn, PLAN, "similar")
    yield {**known, "arm": "random", "dice": value(random.model, case), "share": random.share, "seconds": 0.0}


def _values(rows: Sequence[Row], arm: str) -> list[float]:
    return [float(row["dice"]) for row in sorted(rows, key=lambda row: str(row["patient"])) if row["arm"] == arm]


def figures(units: driver.Rows) -> Mapping[str, Any]:
    lines: list[list[object]] = []
    for unit, rows in units.items():
        own = _values(rows, "own")
        for arm in ("own", "similar", "random", "continued"):
            dices = _values(rows, arm)
            differences = np.array(dices) - np.array(own)
            against = "" if arm == "own" else spread((float(differences.mean()), *interval(list(differences))), "+.3f")
            worse = "" if arm == "own" else f"{int((differences < -0.01).sum())} of {len(dices)}"
            p = "" if arm == "own" else f"{paired_p(dices, own):.2g}"
            seconds = f"{np.median([float(row['seconds']) for row in rows if row['arm'] == arm]):.0f}" if arm == "similar" else ""
            random = f"{paired_p(dices, _values(rows, 'random')):.2g}" if arm == "similar" else ""
            lines.append([unit, arm, f"{np.mean(dices):.3f}", against, p, worse, random, seconds])
    head = [
        "new cases",
        "model",
        "Dice",
        "against its own answer",
        "p",
        "more than 0.01 worse",
        "against random, p",
        "seconds",
    ]
    return {"table": table(head, lines), "tested": TESTED, "trained": TRAINED, "other": OTHER}


BENCHMARK = driver.Benchmark(
    "nnunet_refinement", __doc__, lambda options: [driver.Unit(str(count), partial(rows_of, count)) for count in GROWN], figures
)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
