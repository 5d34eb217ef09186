"""The shipped model of a chest radiograph's regions: ``python -m recipes.chest_regions``.

First both lungs of all films are learnt, then lungs and heart. From then on half to three quarters of what is shown are the few
films whose heart is outlined; a part is no upright chest with bright bones, and there the network is to find nothing. A film
without a heart's outline says nothing about hearts: there the loss takes heart and background as one. In the last step, at a finer
grid, such films are shown with the heart that the network itself outlined before (self-training: Xie 2020, Noisy Student).
"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

from experiments.regions.cases import all_sites
from experiments.regions.training import finer, finished, with_heart, with_lungs
from recipes._common import Recipe, Row, progress, ship

RESULTS = Path(__file__).resolve().parents[1] / "benchmarks" / "results" / "regions.json"


def main(options: Namespace) -> None:
    sites = all_sites()
    films = [film for of in sites.values() for film in of]
    model = with_heart(with_lungs(sites["shenzhen"] + sites["montgomery"], progress), films, progress)
    model = finished(model, films, progress)
    ship(finer(model, films, progress), "chest_regions", rows(), options.output)


def rows() -> list[Row]:
    """What ``python -m benchmarks.regions`` kept: every figure of patients that the network measured was not trained on."""
    found = json.loads(RESULTS.read_text(encoding="utf-8"))
    found_rows = [
        _row(f"Dice, {name.replace('_', ' ')}", "JSRT (Japan), five-fold, 45 patients", value)
        for name, value in found["five_fold"].items()
    ]
    names = {"jsrt": "JSRT (Japan)", "shenzhen": "Shenzhen (China)", "montgomery": "Montgomery (USA)"}
    for site, value in found["sites"].items():
        found_rows.append(_row("Dice, lungs", f"{names[site]}, its {value['count']} patients left out of training", value))
    return found_rows


def _row(what: str, on: str, value: Mapping[str, float]) -> Row:
    return Row(what, on, value["mean"], value["low"], value["high"])


RECIPE = Recipe(__doc__, main)

if __name__ == "__main__":
    RECIPE.run()
