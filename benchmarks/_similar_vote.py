"""The rows of ``similar_cases.py --part votes``: the labels of similar cases, or of random ones, registered to the image and
averaged with the initial model's answer. The archive holds what that model was trained and validated on, or 20 new cases more."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks._similar_runs import GROWN, SEEDS, Retrieval, Unit, value
from benchmarks._similar_runs import UNITS as ALL_UNITS
from casewise.adaptation.label_fusion import Voting, vote
from casewise.case import Case
from casewise.models import Model, blend

UNITS = tuple(unit for unit in ALL_UNITS if unit[0] != "tuberculosis")  # labels of whole images are not registered


def run(task: str, new: str, work: Path, tuning: bool) -> None:
    """Append one unit's rows to ``votes.jsonl`` (``votes-tuning.jsonl``); goes on where it was stopped."""
    unit = Unit(task, new, work, tuning)
    file = unit.work / ("votes-tuning.jsonl" if tuning else "votes.jsonl")
    lines = file.read_text().splitlines() if file.is_file() else []
    done = {(row["query"], row["seed"], row["archive"]) for row in map(json.loads, lines)}
    archives = {"known": unit.data.known}
    if len(unit.data.pool) == max(GROWN):
        archives[f"grown by {max(GROWN)}"] = unit.data.known + unit.data.pool
    for seed in SEEDS:
        model = unit.initial(seed)
        for name, archive in archives.items():
            retrieval = Retrieval(model, archive)
            for number, case in enumerate(unit.queries):
                if (case.key, seed, name) in done:
                    continue
                common = {"task": task, "new": new, "query": case.key, "subject": case.subject, "seed": seed, "site": case.site}
                rows = list(_rows(model, case, retrieval, np.random.default_rng([seed, number, 8])))
                with file.open("a") as out:
                    out.writelines(json.dumps(common | {"truth": case.category, "archive": name} | row) + "\n" for row in rows)


def _rows(model: Model, case: Case, retrieval: Retrieval, rng: np.random.Generator) -> Iterator[dict]:
    archive = retrieval.cases
    began = time.perf_counter()
    ranked = retrieval.ranked(retrieval.query(case), archive)
    yield _row("vote of similar", model, case, ranked, began)
    yield _row("vote of random", model, case, [archive[n] for n in rng.permutation(len(archive))], time.perf_counter())


def _row(name: str, model: Model, case: Case, cases: Sequence[Case], began: float) -> dict:
    start = model.predict(case.image)
    done = vote(model, case.image, cases)
    answer = done.joined(start)
    seconds = time.perf_counter() - began
    row = {"row": name, "value": value(answer, case, model), "seconds": seconds, "initial": value(start, case, model)}
    row |= {"used": done.used, "agreement": done.agreement, "correlation": done.correlation, "voters": len(done.cases)}
    if done.prediction is not None:
        row["alone"] = value(done.prediction, case, model)
        row["ungated"] = value(blend(start, done.prediction, Voting().weight), case, model)
    return row
