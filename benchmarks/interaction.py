"""Interactive segmentation against its peers: ``python -m benchmarks.interaction`` measures what is missing, then writes the table.

A simulated user draws a box and up to eight strokes for each method (``_interaction_runs.py``). Interrupted, it goes on where it
was (``--work``). GrabCut needs ``pip install opencv-python-headless``. Seconds are processor seconds of one thread, so that other
work on the machine counts little.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch

from benchmarks._interaction_runs import methods, run
from benchmarks._interaction_table import write
from benchmarks._interaction_tasks import GROUPS
from casewise.interaction import FineTuning
from casewise.models import Model, shipped

RESULTS = Path(__file__).parent / "results"
OURS = {"casewise": FineTuning()}
ABLATIONS = {
    "fine-tuning as in the source": FineTuning(unsupervised=True, supervised=True, label_step=True, rate=1e-2),
    "unsupervised alone": FineTuning(unsupervised=True, rate=1e-2),
    "supervised alone": FineTuning(supervised=True, rate=1e-2),
    "supervised, no weights of strokes": FineTuning(supervised=True, weigh_strokes=False, rate=1e-2),
    "supervised, no weights of doubt": FineTuning(supervised=True, weigh_doubt=False, rate=1e-2),
    "label step alone": FineTuning(label_step=True),
}
FLAT = ("heart", "films", "lesions")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", nargs="+", default=list(GROUPS), choices=list(GROUPS))
    parser.add_argument("--methods", nargs="+", help="only these, and no table")
    parser.add_argument("--model", default="interactive_2d", help="a shipped model's name or a model's folder")
    parser.add_argument("--work", type=Path, default=Path(".work/interaction"))
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.work.mkdir(parents=True, exist_ok=True)
    file = given.work / "rows.jsonl"
    wanted = given.methods
    model = None
    if wanted is None or any(name in {**OURS, **ABLATIONS} for name in wanted):
        model = shipped.load(given.model) if given.model in shipped.names() else Model.load(given.model)
    done = {(row["task"], row["method"], row["seed"], row["model"]) for row in _rows(file)}
    for group in given.groups:
        chosen = methods(model, OURS | ABLATIONS if group == "heart" else OURS)
        if group not in FLAT:
            chosen.pop("GrabCut")
        for task in GROUPS[group]():
            for name, make in chosen.items():
                key = model.key if model is not None and name in {**OURS, **ABLATIONS} else ""
                if (wanted is None or name in wanted) and (task.name, name, given.seed, key) not in done:
                    row = run(task, make, name, given.seed) | {"model": key}
                    with file.open("a", encoding="utf-8") as out:
                        out.write(json.dumps(row) + "\n")
            sys.stderr.write(f"{group} {task.name}\n")
    if wanted is None:
        current = model.key if model is not None else ""
        write([row for row in _rows(file) if row["model"] in ("", current)], list(ABLATIONS), RESULTS)


def _rows(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


if __name__ == "__main__":
    main()
