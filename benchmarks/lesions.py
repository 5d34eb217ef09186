"""Lesions localised and classified: ``python -m benchmarks.lesions`` keeps its tables in ``benchmarks/results/lesions.md``.

Three networks, each trained jointly, separately and without a map, measured on patients it never saw, with every subset of their
sequences; the plan of the shipped model; and a plain threshold. What is done is kept under ``.work/lesions`` and not done again;
``--seconds N`` begins nothing new after N seconds, and the tables then say what is missing.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from experiments.lesions.cases import FOLDS, WORK
from experiments.lesions.nodules import rows as nodule_rows
from experiments.lesions.runs import NETWORKS, SHIPPED, THRESHOLD, judged, unit

RESULTS = Path(__file__).parent / "results" / "lesions.md"
Rows = list[dict[str, Any]]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    began = time.monotonic()
    todo: list[tuple[bool, Callable[[], Rows], str]] = []
    for seed in range(given.seeds):
        todo += [
            (True, lambda network=network, fold=fold, seed=seed: unit(network, fold, seed), f"{network} fold {fold} seed {seed}")
            for network in (THRESHOLD, SHIPPED, *NETWORKS)
            for fold in range(FOLDS)
        ]
    todo += [
        (False, lambda network=network: nodule_rows(network, 0), f"nodules {network}") for network in ("multitask", "regression")
    ]
    brains: Rows = []
    nodules: Rows = []
    missing: list[str] = []
    for brain, work, name in todo:
        if time.monotonic() - began > given.seconds and not kept(name):
            missing.append(name)
            continue
        (brains if brain else nodules).extend(work())
        sys.stderr.write(f"{name}: {time.monotonic() - began:.0f} s\n")
    if missing:
        sys.stderr.write(f"Not all is done, run it again to go on; missing: {', '.join(missing)}.\n")
    from benchmarks._lesions_table import page

    made, choices = judged(brains)
    RESULTS.write_text(page(made, choices, nodules, given.seeds, missing), encoding="utf-8")
    sys.stdout.write(RESULTS.read_text(encoding="utf-8"))


def kept(name: str) -> bool:
    """Whether a unit's rows lie on disk."""
    words = name.replace(SHIPPED, SHIPPED.replace(" ", "_")).split()
    stem = f"nodules-{words[1]}-0" if words[0] == "nodules" else f"{words[0]}-{words[2]}-{words[4]}"
    return (WORK / "rows" / f"{stem}.json").exists()


if __name__ == "__main__":
    main()
