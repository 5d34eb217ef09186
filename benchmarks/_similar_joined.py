"""The rows of ``similar_cases.py --part joined``: what ``casewise analyze`` itself does where the archive has grown, with and
without the similar cases' registered labels averaged with its answer."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks._similar_runs import SEEDS, Retrieval, Unit, value
from benchmarks._similar_vote import UNITS
from casewise.adaptation.label_fusion import vote
from casewise.adaptation.refinement import Plan, refine_on
from casewise.case import Case
from casewise.models import Model

GROWN = (10, 20)
__all__ = ["UNITS", "run"]


def run(task: str, new: str, work: Path, tuning: bool) -> None:
    """Append one unit's rows to ``joined.jsonl`` (``joined-tuning.jsonl``); goes on where it was stopped."""
    from benchmarks._similar_runs import grown_pool

    unit = Unit(task, new, work, tuning)
    file = unit.work / ("joined-tuning.jsonl" if tuning else "joined.jsonl")
    lines = file.read_text().splitlines() if file.is_file() else []
    done = {(row["query"], row["seed"], row["archive"]) for row in map(json.loads, lines)}
    for seed in SEEDS:
        model = unit.initial(seed)
        pool = grown_pool(unit.data.pool, seed)
        for size in (size for size in GROWN if len(pool) >= size):
            retrieval = Retrieval(model, unit.data.known + pool[:size])
            for case in unit.queries:
                name = f"grown by {size}"
                if (case.key, seed, name) in done:
                    continue
                common = {"task": task, "new": new, "query": case.key, "subject": case.subject, "seed": seed, "site": case.site}
                rows = list(_rows(model, case, retrieval, seed))
                with file.open("a") as out:
                    out.writelines(json.dumps(common | {"truth": case.category, "archive": name} | row) + "\n" for row in rows)


def _rows(model: Model, case: Case, retrieval: Retrieval, seed: int) -> Iterator[dict]:
    began = time.perf_counter()
    ranked = retrieval.ranked(retrieval.query(case), retrieval.cases)
    plan = Plan()
    plan = replace(plan, settings=replace(plan.settings, device="cpu", seed=seed))
    unseen = [other for other in ranked if other.key not in model.trained_on][: plan.k + plan.held_out]
    refinement = refine_on(model, unseen, plan, "similar")
    answer = refinement.model.predict(case.image)
    row = {"share": None, "followed": refinement.share}
    yield {"row": "refined by the rule", "value": value(answer, case, model), "seconds": time.perf_counter() - began, **row}
    ballot = vote(model, case.image, ranked)
    joined = ballot.joined(answer)
    yield {
        "row": "refined by the rule, with the vote",
        "value": value(joined, case, model),
        "seconds": time.perf_counter() - began,
        "used": ballot.used,
        **row,
    }
