"""How well measures that need no training agree with what people traced: vessels of the retina and nuclei of sections.

No parameter was fitted to these images.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from benchmarks import driver
from benchmarks.tables import mean, table
from casewise import formats
from casewise.applications.measurements.histology_nuclei import nuclei_of
from casewise.applications.measurements.histology_stains import stains_of
from casewise.applications.measurements.retinal_vessels import RetinalVessels, reduced, ridges_of, vessels_of
from casewise.statistics import auc
from casewise.training.metrics import dice
from experiments import datasets

Row = dict[str, Any]


def vessels() -> list[Row]:
    """A row a photograph, on the filter's grid, within the field without its rim."""
    return [_vessels(path) for path in datasets.files("structures/retina/images/*.jpg")]


def _vessels(path: Path) -> Row:
    image = formats.read(path)
    green, inside, factor = reduced(image, RetinalVessels(intended_only=False).field(image))
    truth = (ndimage.zoom(_labels(path).astype(np.float32).clip(0, 1), factor, order=1) > 0.5) & inside
    found = vessels_of(green, inside)
    ridges = ridges_of(green, inside)[inside]
    return {
        "picture": path.stem,
        "set": "CHASE_DB1" if path.stem.startswith("chase") else "DRIVE",
        "patient": re.sub(r"[LR]$", "", path.stem),  # CHASE has both eyes of a child
        "dice": round(dice(found, truth), 4),
        "sensitivity": round(float(found[truth].mean()), 4),
        "specificity": round(float(1 - found[inside & ~truth].mean()), 4),
        "auc": round(auc(ridges.astype(float), truth[inside]), 4),
        "density": round(100 * float(found[inside].mean()), 2),
        "traced": round(100 * float(truth[inside].mean()), 2),
    }


def nuclei() -> list[Row]:
    """A row a section."""
    return [_nuclei(path) for path in datasets.files("structures/nuclei-gbm/images/*.jpg")]


def _nuclei(path: Path) -> Row:
    truth = _labels(path)
    found = nuclei_of(stains_of(formats.read(path)))
    numbers = np.arange(1, found.max() + 1)
    middles = np.rint(ndimage.center_of_mass(found > 0, found, numbers)).astype(int).reshape(-1, 2)
    hit = truth[tuple(middles.T)]
    matched, outlined = len(set(hit[hit > 0].tolist())), len(np.unique(truth)) - 1
    return {
        "picture": path.stem,
        "patient": "-".join(path.stem.split("-")[:3]),
        "dice": round(dice(found > 0, truth > 0), 4),
        "f1": round(2 * matched / (len(numbers) + outlined), 4),
        "counted": len(numbers),
        "outlined": outlined,
    }


def _labels(path: Path) -> np.ndarray:
    return formats.read(path.parents[1] / "labels" / f"{path.stem}.png").array[0]


def figures(units: driver.Rows) -> Mapping[str, Any]:
    retina, sections = units["vessels"], units["nuclei"]
    names = ("dice", "sensitivity", "specificity", "auc")
    lines = []
    for name in sorted({row["set"] for row in retina}):
        rows = [row for row in retina if row["set"] == name]
        off = [abs(row["density"] - row["traced"]) for row in rows]
        lines.append([name, len(rows), *(mean(_by_patient(rows, one)) for one in names), f"{np.mean(off):.1f}"])
    over = [row["counted"] / row["outlined"] for row in sections]
    return {
        "vessels": table(["set", "pictures", "Dice", "sensitivity", "specificity", "AUROC of the ridges", "density off, %"], lines),
        "sections": len(sections),
        "patients": len({row["patient"] for row in sections}),
        "dice": mean(_by_patient(sections, "dice")),
        "f1": mean(_by_patient(sections, "f1")),
        "over": f"{np.mean(over):.2f}",
        "least": f"{min(over):.2f}",
        "most": f"{max(over):.2f}",
        "correlation": f"{np.corrcoef([row['counted'] for row in sections], [row['outlined'] for row in sections])[0, 1]:.2f}",
    }


def _by_patient(rows: Sequence[Row], name: str) -> list[float]:
    patients = dict.fromkeys(row["patient"] for row in rows)
    return [float(np.mean([row[name] for row in rows if row["patient"] == one])) for one in patients]


BENCHMARK = driver.Benchmark(
    "classical_measures", __doc__, lambda options: [driver.Unit("vessels", vessels), driver.Unit("nuclei", nuclei)], figures
)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
