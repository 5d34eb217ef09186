"""Does refining on similar cases help?

Every site or group is taken as the new one in turn; queries are parted by patient; each row is measured for every seed.
``--tuning`` runs the queries by which settings and the rule were chosen; the page never uses them. Units are independent:
``--only`` runs some of them beside others in another process. Each query's rows are kept.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from benchmarks import driver
from benchmarks._similar_runs import PARTS, SEEDS, UNITS, Unit
from benchmarks._similar_table import Row, rule_table, unit_table, with_ours
from casewise.adaptation.acceptance import AcceptanceRule

TASKS = {
    "lungs": "Lungs on chest radiographs (Dice)",
    "mixed": "One target a kind of image in a very mixed archive: lungs, left ventricle, hippocampus, brain lesion (Dice)",
    "tuberculosis": "Tuberculosis on chest radiographs (AUC)",
}


def units(options: Namespace) -> Iterator[driver.Unit]:
    for task, new in UNITS:
        for part in PARTS if task != "tuberculosis" else PARTS[:1]:
            for seed in SEEDS:
                name = f"{part}, {task} {new}, seed {seed}{', tuning' if options.tuning else ''}"
                yield driver.Unit(name, partial(_rows, part, task, new, seed, options.tuning))


def _rows(part: str, task: str, new: str, seed: int, tuning: bool) -> list[dict]:
    made: list[dict] = getattr(Unit(task, new, tuning), part)(seed)
    return made


def figures(units: driver.Rows) -> Mapping[str, Any]:
    queries = [query for of in units.values() for query in of]
    rows = with_ours(
        [{key: one for key, one in query.items() if key != "rows"} | row for query in queries for row in query["rows"]]
    )
    tasks = [_task(task, title, [row for row in rows if row["task"] == task]) for task, title in TASKS.items()]
    return {"tasks": "\n\n".join(tasks), "rule": AcceptanceRule(), "rules": rule_table(rows)}


def _task(task: str, title: str, rows: list[Row]) -> str:
    parts = [f"## {title}"]
    if task == "lungs":
        parts += ["### All three sites together, each as the new one", unit_table(task, rows)]
    for new in sorted({row["new"] for row in rows}):
        what = "nothing is new: the model was trained on cases of every group" if new == "none" else f"**{new}** is new"
        parts += [f"### {what}", unit_table(task, [row for row in rows if row["new"] == new])]
    return "\n\n".join(parts)


def options(parser: ArgumentParser) -> None:
    parser.add_argument("--tuning", action="store_true", help="run the tuning queries instead of the test; no page is written")


BENCHMARK = driver.Benchmark("similar_cases", __doc__, units, figures, options, lambda given: not given.tuning)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
