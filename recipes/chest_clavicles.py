"""The shipped model of a chest radiograph's clavicles: ``python -m recipes.chest_clavicles``.

It begins with an encoder learnt on photographs (``backbone``), whose first stages stay as they are. It outlines one clavicle in the
surroundings of its lung's upper half, the left one mirrored.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from casewise.models import Model
from experiments.regions.clavicles import films, trained
from recipes._common import SHIPPED, Recipe, Row, mean_row, progress, ship

FOLDER = "chest_clavicles"
RESULTS = Path(__file__).resolve().parents[1] / "benchmarks" / "results" / "clavicles.json"


def main(options: Namespace) -> None:
    rows = table(json.loads(RESULTS.read_text(encoding="utf-8"))["rows"]) if RESULTS.is_file() else []
    model = Model.load(SHIPPED / FOLDER) if options.table else halved(trained(films(), progress))
    ship(model, FOLDER, rows, options.output)


def halved(model: Model) -> Model:
    """The same in half precision, which is half as large."""
    return replace(model, weights={name: tensor.half() for name, tensor in model.weights.items()})


def table(measured: Mapping[str, Any]) -> list[Row]:
    """What ``python -m benchmarks clavicles`` kept: every figure of patients that the network measured was not trained on."""
    rows = [row for unit, of in measured.items() if unit.startswith("fold") for row in of]
    on = f"JSRT (Japan), five-fold, {len(rows)} patients"
    return [
        mean_row(f"Dice, {name.replace('_', ' ')}", on, [row[name] for row in rows]) for name in ("right_clavicle", "left_clavicle")
    ]


def with_table(parser: ArgumentParser) -> None:
    parser.add_argument("--table", action="store_true", help="put the benchmark's rows on the shipped card; train nothing")


RECIPE = Recipe(__doc__, main, with_table)

if __name__ == "__main__":
    RECIPE.run()
