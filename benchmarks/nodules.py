"""The nodules that ``irregularities`` reports: ``python -m benchmarks.nodules``.

The shipped networks, which saw no film with a real nodule, mark candidates by the application's own function. The second look at
them and the thresholds from which they are reported are chosen on four folds and measured on the fifth. Films: JSRT with and
without nodule, and normal ones of three other sites.

Writes ``benchmarks/results/nodules.md`` and, one row a film, ``nodules.json``; ``--rows`` makes the page from existing rows.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks._nodules_table import froc_table, kinds_table, reported_table, with_interval
from casewise.chest.nodules.false_positive_reduction import CANDIDATES, MOST
from casewise.statistics import paired_bootstrap
from experiments.nodules.films import films
from experiments.nodules.measured import ALONE, CROSSED, _sites, clean, false_marks, film_auc, groups, measured, reported
from experiments.nodules.second_look import CLEAN, FALSE, FOLDS, Row

RESULTS = Path(__file__).parent / "results"


def page(rows: dict[str, list[Row]], shipped: dict[str, Any]) -> str:
    crossed = rows[CROSSED]
    jsrt = [one for one in crossed if one.site == "JSRT"]
    nodules = [one for one in jsrt if one.nodule]
    return "\n".join(
        [
            "# Nodules that are reported",
            "",
            "`python -m benchmarks.nodules`",
            "",
            protocol(crossed),
            "",
            "## What is reported",
            *reported_table(groups(crossed)),
            "",
            "With the second look and the thresholds of JSRT's films alone, nothing of the other sites being known:",
            "",
            *reported_table(groups(rows[ALONE])),
            "",
            "## Candidates, whatever is reported of them",
            f"JSRT, {len(jsrt)} films, {len(nodules)} nodules. A film has a nodule, by its likeliest candidate: area under the "
            f"curve {with_interval(film_auc, jsrt)}.",
            "",
            *froc_table(jsrt),
            "",
            "## Which nodules are found",
            *kinds_table(jsrt),
            "",
            "## What this cannot show",
            *CANNOT,
            "",
            "## What is shipped",
            "The second look fitted on all of these films but those that the networks learnt from. A film is given marks where its "
            f"likeliest candidate reaches {shipped['film_from']:.3f}: then all candidates that reach {shipped['mark_from']:.3f}, "
            f"at most {MOST}.",
            "",
        ]
    )


CANNOT = (
    f"All nodules are of one set; how many are found elsewhere is not known. At most {MOST} marks and {FALSE:g} false marks a film "
    "were chosen with four in five of these films in view: with 5 and 1 the sensitivity was the same to two digits, and there were "
    "a third more false marks. The share of films that shall be given no mark was set when JSRT's first 45 and NIH's were seen, "
    "no other. Many films with a nodule are given no mark at all: a film without a mark is no film without a nodule.",
)


def sentence(rows: Sequence[Row]) -> str:
    """What README and docs say of them."""
    jsrt = [one for one in rows if one.site == "JSRT"]
    sick = [one for one in jsrt if one.nodule]
    low, high, _ = paired_bootstrap(lambda drawn: reported([sick[n] for n in drawn]), len(sick))
    false = [false_marks(here) for _, here in groups(rows) if here]
    without = [(site, [one for one in rows if one.site == site and not one.nodule and not one.learnt_from]) for site in _sites()]
    shares = ", ".join(f"{clean(here):.0%} of {len(here)} ({site})" for site, here in without)
    found = f"{reported(sick):.0%} of {len(sick)} nodules (95 % interval {100 * low:.0f} to {high:.0%})"
    marks = f"{false_marks(jsrt):.1f} false marks a film, at most {max(false):.1f} in any set"
    text = f"it hits {found} at {marks}. Of the films without nodule it gives no mark to {shares}."
    return re.sub(r"(\d)%", r"\1 %", text)


def protocol(rows: Sequence[Row]) -> str:
    def count(site: str) -> int:
        return sum(one.site == site and not one.learnt_from for one in rows)

    jsrt = [one for one in rows if one.site == "JSRT"]
    nodules = sum(one.nodule is not None for one in jsrt)
    learnt = sum(one.learnt_from for one in rows)
    return (
        f"{len(rows)} films, one a patient: JSRT {len(jsrt)}, {nodules} of them with one nodule; without nodule NIH {count('NIH')} "
        f"(by its labels, which come from reports), Shenzhen {count('Shenzhen')} and Montgomery {count('Montgomery')} that the "
        f"networks did not learn from, and {learnt} that they did, which are measured apart. The networks learnt from drawn "
        "nodules in films of Shenzhen and Montgomery and saw no film of JSRT. Outlines of lungs and heart come from the shipped "
        "model, which learnt from some of these films. From the file to the marks each film goes the application's own way "
        f"(`casewise.chest.nodules.films`). The {CANDIDATES} strongest candidates of a film are judged by a logistic regression. "
        f"It is fitted on four folds of {FOLDS}, its two thresholds are chosen by folds within these, and both are measured on the "
        f"fifth: the film's, by which {CLEAN:.0%} of the films without nodule are given no mark, each site counting the same, and "
        f"the mark's, by which there are at most {FALSE:g} false marks a film. A film is given at most {MOST} marks. A mark hits a "
        "nodule when its centre lies within the nodule's radius, or 10 mm, of the nodule's. 95 % bootstrap intervals by patient."
    )


def write(rows: dict[str, list[Row]], shipped: dict[str, Any]) -> None:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "nodules.md").write_text(page(rows, shipped), encoding="utf-8")


def kept() -> tuple[dict[str, list[Row]], dict[str, Any]]:
    """What :func:`main` wrote as JSON."""
    document = json.loads((RESULTS / "nodules.json").read_text(encoding="utf-8"))
    return {name: [read_row(one) for one in rows] for name, rows in document["rows"].items()}, document["shipped"]


def read_row(one: dict[str, Any]) -> Row:
    nodule = None if one["nodule"] is None else tuple(one["nodule"])
    lists = {name: tuple(tuple(mark) for mark in one[name]) for name in ("marks", "shipped")}
    return Row(**{**one, **lists, "nodule": nodule, "misses": tuple(one["misses"])})


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(one) for one in value]
    return round(value, 5) if isinstance(value, float) else value


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rows", action="store_true", help="make the page of the rows that are there")
    if not asked.parse_args().rows:
        torch.set_num_threads(1)
        rows, judge = measured(films())
        machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
        lists = {name: [rounded(asdict(one)) for one in here] for name, here in rows.items()}
        document = {"machine": machine, "shipped": asdict(judge), "rows": lists}
        text = json.dumps(document, separators=(",", ":")).replace('{"film"', '\n{"film"')
        (RESULTS / "nodules.json").write_text(text + "\n", encoding="utf-8")
    write(*kept())
    sys.stdout.write((RESULTS / "nodules.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
