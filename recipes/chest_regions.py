"""The shipped model of a chest radiograph's lungs and heart: ``python -m recipes.chest_regions``.

It begins with an encoder learnt on photographs (``backbone``), whose first stages stay as they are. Five of eight pictures that it
is shown are films whose heart is outlined, two are films whose lungs alone are; the eighth is no upright chest with bright bones,
and there it is to find nothing. From nothing it takes a quarter of an hour on one core.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path

from casewise.models import Model
from experiments import store
from experiments.regions.cases import every_film
from experiments.regions.training import trained
from recipes._common import SHIPPED, Recipe, Row, mean_row, progress, ship

RESULTS = Path(__file__).resolve().parents[1] / "benchmarks" / "results" / "regions.json"


def main(options: Namespace) -> None:
    model = Model.load(SHIPPED / "chest_regions") if options.table else halved(whole_model())
    ship(model, "chest_regions", rows(), options.output)


def whole_model() -> Model:
    """Trained on all films; kept on disk."""
    return store.model(store.WORK / "regions" / "whole", lambda: trained(every_film(), progress))


def halved(model: Model) -> Model:
    """The same in half precision, which is half as large."""
    return replace(model, weights={name: tensor.half() for name, tensor in model.weights.items()})


def rows() -> list[Row]:
    """What ``python -m benchmarks regions`` kept: every figure of patients that the network measured was not trained on."""
    units = json.loads(RESULTS.read_text(encoding="utf-8"))["rows"]
    if "without shenzhen" not in units:
        return []
    folded = [row for name, of in units.items() if name.startswith("fold") and name.endswith("as it is") for row in of]
    on = f"JSRT (Japan), five-fold, {len(folded)} patients"
    names = ("lungs", "right_lung", "left_lung", "heart")
    found = [mean_row(f"Dice, {name.replace('_', ' ')}", on, [row[name] for row in folded]) for name in names]
    for site, full in (("shenzhen", "Shenzhen (China)"), ("montgomery", "Montgomery (USA)")):
        own = units[f"without {site}"]
        on = f"{full}, its {len(own)} patients left out of training"
        found.append(mean_row("Dice, lungs", on, [row["lungs"] for row in own]))
    return found


def with_table(parser: ArgumentParser) -> None:
    parser.add_argument("--table", action="store_true", help="put the benchmark's rows on the shipped card; train nothing")


RECIPE = Recipe(__doc__, main, with_table)

if __name__ == "__main__":
    RECIPE.run()
