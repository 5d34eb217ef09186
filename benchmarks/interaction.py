"""Interactive segmentation against its peers.

A simulated user draws a box and up to eight strokes for each method; on pictures also, after the box, many strokes of both kinds at
once, as people draw them, two, four and six pixels thick. GrabCut needs ``pip install opencv-python-headless``.
Seconds are processor seconds of one thread, so that other work on the machine counts little.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from benchmarks import driver
from benchmarks._interaction_table import Row, at_once_table, beaten, methods_table, over_trainings, titled
from casewise.models import Model, shipped
from experiments.interaction.groups import FLAT, GROUPS
from experiments.interaction.measure import ABLATIONS, ANOTHER, OURS, measured, methods

TITLES = {
    "heart": "Short-axis heart MR (ACDC), no heart in the training",
    "structures": "Nuclei, membranes, retinal vessels, wounds and breast lesions, held back from the training",
    "films": "Chest radiographs",
    "lesions": "Lesions on FLAIR slices, no such lesion set in the training",
    "hippocampus": "Hippocampus, T1, 3D, not in the training",
    "tumour": "Glioma on FLAIR, 3D, not in the training",
    "liver": "Liver on one CT of 3 mm, 3D, left out of the training on volumes",
}


def units(options: Namespace) -> Iterator[driver.Unit]:
    given = options.model
    model = given and (shipped.load(given) if given in shipped.names() else Model.load(given))
    others = [Model.load(folder) for folder in options.models]
    for group, tasks in GROUPS.items():
        chosen = {name: one for name, one in methods(model, group).items() if name not in ABLATIONS}
        for name, (make, key) in chosen.items():
            yield driver.Unit(f"{group}, {name}", lambda t=tasks, given=(name, make, key): measured(t(), *given), key)
        for number, other in enumerate(others if group in FLAT else [], start=1):
            name = f"{ANOTHER} ({number})"
            yield driver.Unit(f"{group}, {name}", partial(_other, group, name, other), other.key)


def _other(group: str, name: str, model: Model) -> list[Row]:
    return [row | {"method": name} for row in measured(GROUPS[group](), OURS, *methods(model, group)[OURS])]


def figures(units: driver.Rows) -> Mapping[str, Any]:
    rows = [row for of in units.values() for row in of]
    groups = [_group([row for row in rows if row["group"] == group], title) for group, title in TITLES.items()]
    return {"groups": "\n".join(part for part in groups if part), "beaten": "\n".join(beaten(rows) or ["Nowhere."])}


def _group(rows: list[Row], title: str) -> str:
    parts = [f"## {title}\n", *_tables(rows)] if rows else []
    structures = list(dict.fromkeys(row["structure"] for row in rows))
    for structure in structures if len(structures) > 1 else ():
        of_it = [row for row in rows if row["structure"] == structure]
        others = "images" if of_it[0]["group"] == "structures" else "patients"
        kind = f", seen kind of structure, other {others}" if of_it[0]["seen"] else ""
        parts += [f"### {titled(structure)}{kind}\n", *_tables(of_it)]
    return "\n".join(part for part in parts if part)


def _tables(rows: list[Row]) -> list[str]:
    return [f"{methods_table(rows)}\n", over_trainings(rows), at_once_table(rows)]


def options(parser: ArgumentParser) -> None:
    parser.add_argument("--model", help="a shipped model's name or a model's folder, instead of the two that come with casewise")
    parser.add_argument("--models", nargs="+", default=[], help="folders of models of other trainings, beside the one measured")


BENCHMARK = driver.Benchmark("interaction", __doc__, units, figures, options)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
