"""Interactive segmentation against its peers: ``python -m benchmarks.interaction`` measures what is missing, then writes the table.

A simulated user draws a box and up to eight strokes for each method (``_interaction_runs.py``). Interrupted, it goes on where it
was (``--work``). GrabCut needs ``pip install opencv-python-headless``. Seconds are processor seconds of one thread, so that other
work on the machine counts little.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from benchmarks._interaction_table import write
from casewise.models import Model, shipped
from experiments.interaction.measure import ABLATIONS, WORK, measure, others
from experiments.interaction.tasks import GROUPS

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", nargs="+", default=list(GROUPS), choices=list(GROUPS))
    parser.add_argument("--methods", nargs="+", help="only these, and no table")
    parser.add_argument("--model", help="a shipped model's name or a model's folder, instead of the two that come with casewise")
    parser.add_argument("--models", nargs="+", default=[], help="folders of models of other trainings, beside the one measured")
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = given.model and (shipped.load(given.model) if given.model in shipped.names() else Model.load(given.model))
    rows = measure(model, given.groups, given.methods, given.work, given.seed)
    rows += others([Model.load(folder) for folder in given.models], given.groups, given.work, given.seed)
    if given.methods is None:
        write(rows, list(ABLATIONS), RESULTS)


if __name__ == "__main__":
    main()
