"""Which images the shipped applications refuse, and what they find in foreign ones; about half an hour on a core.

Own images are measured without their group (site or patient) in the bank; foreign ones by the shipped threshold, which was set so
that about 1 % of foreign images at most are accepted. Then each application that looks for signs of disease is asked by its name
about every foreign image.
"""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import driver
from benchmarks._intended_findings import answered, lines
from benchmarks.tables import table
from casewise.applications.intended import Intended
from casewise.models.shipped import FOLDER
from experiments.intended.distances import KINDS, Kind, distances, left_out
from experiments.intended.images import foreign, own

Rows = dict[str, dict[str, list[tuple[str, float]]]]  # side → source → (image, distance)


def measured(kind: Kind) -> Rows:
    check = _check(kind)
    apart = left_out(own(kind.name, kind.features), kind.every)
    far = [(image, distances(check.bank, image.features, False)[0]) for image in foreign(kind.name)]
    rows: Rows = {"own": {}, "foreign": {}}
    for side, found in (("own", apart), ("foreign", far)):
        for image, distance in found:
            rows[side].setdefault(image.source, []).append((Path(image.name).name, round(distance, 4)))
    return rows


def _check(kind: Kind) -> Intended:
    check = Intended.load(FOLDER / kind.models[0])
    if check is None:
        raise FileNotFoundError(f"{kind.models[0]} has no check of what it is for; run python -m recipes.intended.")
    return check


def figures(units: driver.Rows) -> Mapping[str, Any]:
    kinds = []
    for kind in KINDS:
        threshold = _check(kind).threshold
        apart, far = ([(source, d) for source, of in units[kind.name][side].items() for _, d in of] for side in ("own", "foreign"))
        taken = Counter(source for source, distance in far if distance <= threshold)
        named = ", ".join(f"{source} {count}" for source, count in taken.most_common()) or "none"
        refused = share(sum(distance > threshold for _, distance in apart), len(apart))
        accepted = share(sum(taken.values()), len(far))
        kinds.append([kind.what, ", ".join(kind.models), f"{threshold:.4f}", refused, accepted, named])
    head = ["for", "models", "threshold", "own refused (95 % interval)", "foreign accepted (95 % interval)", "which"]
    found = [
        [name, answers, with_finding, share(above, images), named]
        for name, images, answers, with_finding, above, named in lines(units["findings"])
    ]
    asked = ["application", "answered", "with a finding", "with one above one half (of all images, 95 % interval)", "which"]
    return {"table": table(head, kinds), "findings": table(asked, found)}


def share(count: int, of: int) -> str:
    """A count with its share and the 95 % interval (Wilson)."""
    z, p = 1.96, count / of
    middle = (p + z * z / (2 * of)) / (1 + z * z / of)
    half = z * np.sqrt(p * (1 - p) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return f"{count} of {of} ({100 * p:.1f} %, {100 * max(0.0, middle - half):.1f} to {100 * (middle + half):.1f})"


def units(options: Namespace) -> list[driver.Unit]:
    return [*(driver.Unit(kind.name, partial(measured, kind)) for kind in KINDS), driver.Unit("findings", answered)]


BENCHMARK = driver.Benchmark("intended", __doc__, units, figures)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
