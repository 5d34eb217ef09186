"""How well clavicles are outlined: JSRT's 148 patients, five-fold.

Trains six times. They lie in the surroundings of lungs as the shipped network outlines them; what is refused or not found counts
as 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from benchmarks import driver
from benchmarks.tables import mean, table
from casewise.case import Case
from casewise.chest import regions
from casewise.chest.region import LEFT_CLAVICLE, RIGHT_CLAVICLE
from casewise.errors import CasewiseError
from casewise.models import Model
from casewise.statistics import interval, paired_p
from casewise.training.metrics import dice
from experiments import store
from experiments.regions.clavicles import SETTINGS, at_most, films, trained
from experiments.splits import FOLDS, folds, without

BARS = {"clavicles": 0.92}
CLAVICLES = (RIGHT_CLAVICLE, LEFT_CLAVICLE)
MORE_FILMS = "jsrt-more"  # the site, as the cases call it, of the films that the shipped network never saw
EDGE = 1024  # of JSRT's masks, half the films' own
Row = dict[str, Any]

everything = cache(films)


def fold(number: int, pretrained: bool = True) -> list[Row]:
    """A row a film of the fold."""
    held = folds(everything())[number]
    name = f"clavicles_{number}" + ("" if pretrained else "_random")
    model = store.model(store.WORK / "regions" / name, lambda: trained(without(everything(), held), pretrained=pretrained))
    return [measured(model, everything()[n]) for n in held]


def measured(clavicles: Model, film: Case) -> Row:
    """Dice of each clavicle on the grid of the masks, in the surroundings of lungs as the shipped network outlines them."""
    film = at_most(film, EDGE)
    truth = {name: load() for name, load in film.load_masks.items()}
    try:
        found = dict(regions(film.image, "cpu", clavicles=clavicles).all_by_place)  # whatever is known of the sides
    except CasewiseError:
        found = {}
    nothing = np.zeros(film.image.spatial_shape, bool)
    row = {"patient": film.subject, "site": film.site, "refused": not found}
    return {**row, **{name: dice(found.get(name, nothing), truth[name]) for name in CLAVICLES}}


def figures(units: driver.Rows) -> Mapping[str, Any]:
    rows = [row for number in range(FOLDS) for row in units[f"fold {number}"]]
    head = ["region", "Dice", "95 % interval", "median", "worst", "patients", "aim"]
    first, nothing = values(units["fold 0"], "clavicles"), values(units["from nothing"], "clavicles")
    return {
        "five_fold": table(head, [_row(name, values(rows, name)) for name in ("clavicles", *CLAVICLES)]),
        "missed": sum(row[name] == 0 for row in rows for name in CLAVICLES),
        "sides": 2 * len(rows),
        "first": len(first),
        "pretrained": mean(first),
        "nothing": mean(nothing),
        "difference": mean(list(np.array(first) - np.array(nothing)), ".4f"),
        "p": f"{paired_p(first, nothing):.1g}",
        "settings": SETTINGS,
    }


def values(rows: Sequence[Row], name: str) -> list[float]:
    """One a patient; of the clavicles the mean of both."""
    if name == "clavicles":
        return [(row[RIGHT_CLAVICLE] + row[LEFT_CLAVICLE]) / 2 for row in rows]
    return [float(row[name]) for row in rows]


def _row(name: str, found: Sequence[float]) -> list[object]:
    bar, average = BARS.get(name), float(np.mean(found))
    aim = "" if bar is None else f"≥ {bar:.2f}: {'reached' if average >= bar else 'missed'}"
    low, high = interval(found)
    middle = [f"{average:.3f}", f"{low:.3f} to {high:.3f}", f"{np.median(found):.3f}", f"{np.min(found):.3f}"]
    return [name.replace("_", " "), *middle, len(found), aim]


def units() -> list[driver.Unit]:
    parts = [driver.Unit(f"fold {number}", lambda n=number: fold(n)) for number in range(FOLDS)]  # type: ignore[misc]
    return [*parts, driver.Unit("from nothing", lambda: fold(0, pretrained=False))]


BENCHMARK = driver.Benchmark("clavicles", __doc__, lambda options: units(), figures)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
