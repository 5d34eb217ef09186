"""How well clavicles are outlined, and the lungs and hearts of films that the shipped network never saw.

Trains seven times. Clavicles: JSRT's 148 patients, five-fold, in the surroundings of lungs as the shipped network outlines them.
Lungs and heart: the shipped network, which was trained on 45 of them, on the other 103. What is refused or not found counts as 0.
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
from casewise.chest.region import HEART, LEFT_CLAVICLE, LEFT_LUNG, RIGHT_CLAVICLE, RIGHT_LUNG
from casewise.errors import CasewiseError
from casewise.models import Model
from casewise.models.shipped import load
from casewise.statistics import interval, paired_p
from casewise.training.metrics import dice
from experiments import store
from experiments.regions.cases import radiographs
from experiments.regions.clavicles import SETTINGS, at_most, films, reduced, trained
from experiments.regions.training import MORE, continued
from experiments.splits import FOLDS, folds, without

BARS = {"clavicles": 0.92, "lungs": 0.98, "heart": 0.95}
CLAVICLES = (RIGHT_CLAVICLE, LEFT_CLAVICLE)
MORE_FILMS = "jsrt-more"  # the site, as the cases call it, of the films that the shipped network never saw
EDGE = 1024  # of JSRT's masks, half the films' own
Row = dict[str, Any]

everything = cache(films)


@cache
def other_sites() -> list[Case]:
    return [film for site in ("shenzhen", "montgomery") for film in radiographs(site)]


def fold(number: int, pretrained: bool = True) -> list[Row]:
    """A row a film of the fold."""
    held = folds(everything())[number]
    name = f"clavicles_{number}" + ("" if pretrained else "_random")
    model = store.model(store.WORK / "regions" / name, lambda: trained(without(everything(), held), pretrained=pretrained))
    return [measured(model, everything()[n]) for n in held]


def continued_fold(number: int) -> list[Row]:
    """A row a film of the fold that the shipped network never saw, by that network continued on all other films."""
    held = folds(everything())[number]
    model = store.model(store.WORK / "regions" / f"continued_{number}", lambda: _continued(held))
    unseen = [everything()[n] for n in held if everything()[n].site == MORE_FILMS]
    return [measured(load("chest_clavicles"), film, model) for film in unseen]


def _continued(held: Sequence[int]) -> Model:
    known = [reduced(film) for film in without(everything(), held)]
    return continued(load("chest_regions"), [*known, *other_sites()])


def measured(clavicles: Model, film: Case, fields: Model | None = None) -> Row:
    """Dice of each structure on the grid of the masks. fields : the network of lungs and heart; None: the shipped one."""
    film = at_most(film, EDGE)
    truth = {name: load() for name, load in film.load_masks.items()}
    try:
        found = dict(regions(film.image, "cpu", model=fields, clavicles=clavicles).all_by_place)  # whatever is known of the sides
    except CasewiseError:
        found = {}
    nothing = np.zeros(film.image.spatial_shape, bool)
    own = {name: found.get(name, nothing) for name in truth}
    row = {"patient": film.subject, "site": film.site, "refused": not found}
    lungs = [one[RIGHT_LUNG] | one[LEFT_LUNG] for one in (own, truth)]
    return {**row, "lungs": dice(*lungs), **{name: dice(own[name], truth[name]) for name in truth}}


def figures(units: driver.Rows) -> Mapping[str, Any]:
    rows = [row for number in range(FOLDS) for row in units[f"fold {number}"]]
    unseen = [row for row in rows if row["site"] == MORE_FILMS]
    head = ["region", "Dice", "95 % interval", "median", "worst", "patients", "aim"]
    after = {row["patient"]: row for row in units["continued"]}
    before = [row for row in unseen if row["patient"] in after]
    changed = [_change(name, before, [after[row["patient"]] for row in before]) for name in ("lungs", HEART)]
    first, nothing = values(units["fold 0"], "clavicles"), values(units["from nothing"], "clavicles")
    return {
        "five_fold": table(head, [_row(name, values(rows, name)) for name in ("clavicles", *CLAVICLES)]),
        "unseen": table(head, [_row(name, values(unseen, name)) for name in ("lungs", RIGHT_LUNG, LEFT_LUNG, HEART)]),
        "continued": table(["", "shipped", "continued", "difference by patient", "p"], changed),
        "more": MORE,
        "after": len(after),
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


def _change(name: str, before: Sequence[Row], after: Sequence[Row]) -> list[object]:
    old, new = values(before, name), values(after, name)
    return [name, mean(old), mean(new), mean(list(np.array(new) - np.array(old)), ".4f"), f"{paired_p(new, old):.1g}"]


def units() -> list[driver.Unit]:
    parts = [driver.Unit(f"fold {number}", lambda n=number: fold(n)) for number in range(FOLDS)]  # type: ignore[misc]
    parts.append(driver.Unit("continued", lambda: continued_fold(0)))
    return [*parts, driver.Unit("from nothing", lambda: fold(0, pretrained=False))]


BENCHMARK = driver.Benchmark("clavicles", __doc__, lambda options: units(), figures)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
