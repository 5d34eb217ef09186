"""Does refining the nodule detector on similar films of a new site help? ``python -m benchmarks.detector_adaptation``

JSRT is new to the detector, which learnt drawn nodules from films of three other sites. For each film of a fold, JSRT's films of
the other folds, with their boxes, have joined the archive. The detector is refined on the most similar of them, or on as many at
random; beside it stand the detector as it is, and trained on once with all of the archive. A row a film and way. What took long is
kept, film by film: a stopped run goes on.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping
from functools import partial
from operator import itemgetter
from typing import Any

import numpy as np

from benchmarks import driver
from benchmarks.marked_films import auc_cell, by_name, cells, differences, film_row, froc, titles
from benchmarks.tables import table
from casewise.irregularities.box_fusion import Detection
from experiments.nodules import adapted
from experiments.nodules.adapted import COUNTS, SITE, fold_rows
from experiments.nodules.films import films

FOLDS = range(1)  # of the page
FILMS = 19  # of a fold, at most
NAMES = {
    "nothing": "nothing",
    **{f"similar {count}": f"{count} similar films, halfway" for count in COUNTS},
    **{f"random {count}": f"{count} random films of the grown archive, halfway" for count in COUNTS},
    "site 8": "8 random films of the new site, halfway",
    **{f"similar {count}, all the way": f"{count} similar films, all the way" for count in COUNTS},
    "continued": "all of the grown archive, once",
    "everything": "trained on all of it from the beginning",
}
PAIRS = (
    *((f"similar {count}", other) for count in COUNTS for other in ("nothing", f"random {count}")),
    ("similar 8", "site 8"),
    ("similar 16, all the way", "nothing"),
    ("continued", "nothing"),
)
EACH = (1.0, 2.0, None)


def units(options: Namespace) -> Iterator[driver.Unit]:
    for number in FOLDS:
        yield driver.Unit(f"fold {number}", partial(_rows, number))


def _rows(number: int) -> list[dict[str, Any]]:
    rows = []
    for film, there in fold_rows(number, FILMS):
        seconds = {} if there is None else there["seconds"]
        for name in NAMES:
            found = (
                []
                if there is None
                else [Detection(row, column, edge, chance, "", 0) for row, column, edge, chance in there["found"][name]]
            )
            way = name.removesuffix(", all the way")
            spent = {"seconds": round(seconds[way], 2)} if way in seconds else {}
            rows.append(film_row(name, film, found) | spent)
    return rows


def figures(units: driver.Rows) -> Mapping[str, Any]:
    by = by_name(sorted((row for rows in units.values() for row in rows), key=itemgetter("film")))
    value = {name: froc(rows) for name, rows in by.items()}
    count = len(by["nothing"])
    lines = []
    for name, words in NAMES.items():
        seconds = [row["seconds"] for row in by[name] if "seconds" in row]
        lines.append([words, *cells(value[name], count, EACH), auc_cell(by[name]), f"{np.median(seconds):.1f}" if seconds else ""])
    start = by["nothing"]
    return {
        "films": count,
        "nodules": sum("subtlety" in row for row in start),
        "folds": len(units),
        "known": sum(film.site != SITE for film in films()),
        "archived": sum(film.site == SITE for film in films()) * 4 // 5,
        "adapted": adapted,
        "froc": table(["refined on", *titles(EACH), "film has a nodule, AUC", "seconds a film"], lines),
        "differences": differences(value, count, PAIRS, NAMES, EACH),
    }


BENCHMARK = driver.Benchmark("detector_adaptation", __doc__, units, figures)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
