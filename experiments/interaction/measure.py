"""Methods of interactive segmentation measured on tasks; a stopped run goes on where it was."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from casewise.interaction import FineTuning
from casewise.models import Model, shipped
from experiments.interaction.peers import PEERS, Method
from experiments.interaction.rounds import Ours, run
from experiments.interaction.tasks import GROUPS, Task

WORK = Path(".work/interaction")


OURS, ANOTHER = "casewise", "casewise, another training"
SHIPPED = {OURS: FineTuning()}


ABLATIONS = {
    "fine-tuning as in the source": FineTuning(unsupervised=True, supervised=True, label_step=True, rate=1e-2),
    "unsupervised alone": FineTuning(unsupervised=True, rate=1e-2),
    "supervised alone": FineTuning(supervised=True, rate=1e-2),
    "supervised, no weights of strokes": FineTuning(supervised=True, weigh_strokes=False, rate=1e-2),
    "supervised, no weights of doubt": FineTuning(supervised=True, weigh_doubt=False, rate=1e-2),
    "supervised alone, the whole network": FineTuning(supervised=True, trainable="all"),
    "label step alone": FineTuning(label_step=True),
}


FLAT = ("heart", "films", "lesions")


ABLATED = 3  # patients of the heart group on which the parts of fine-tuning are measured


PLANES = "the network for pictures, plane by plane"  # on volumes, beside the one for volumes


def measure(
    model: Model | None,
    groups: Sequence[str],
    wanted: Sequence[str] | None,
    work: Path = WORK,
    seed: int = 0,
    tasks: Mapping[str, Callable[[], Iterable[Task]]] = GROUPS,
) -> list[dict]:
    """Rows of the peers and of ``model``, measured where they are not kept in ``work`` yet. model : None for those that come with
    casewise. wanted : methods; None for all. tasks : those of each group.
    """
    work.mkdir(parents=True, exist_ok=True)
    file = work / "rows.jsonl"
    done = {(row["task"], row["method"], row["seed"], row["model"]) for row in _rows(file)}
    asked = set()
    for group in groups:
        chosen = _methods(model, group)
        patients: dict[str, None] = {}
        for task in tasks[group]():
            patients.setdefault(task.patient)
            for name, (make, key) in chosen.items():
                if (name in ABLATIONS and len(patients) > ABLATED) or (wanted is not None and name not in wanted):
                    continue
                asked.add((group, name, key))
                if (task.name, name, seed, key) not in done:
                    row = run(task, make, name, seed) | {"model": key}
                    with file.open("a", encoding="utf-8") as out:
                        out.write(json.dumps(row) + "\n")
            sys.stderr.write(f"{group} {task.name}\n")
    return [row for row in _rows(file) if (row["group"], row["method"], row["model"]) in asked and row["seed"] == seed]


def others(models: Sequence[Model], groups: Sequence[str], work: Path = WORK, seed: int = 0) -> list[dict]:
    """Rows of models of other trainings on the groups of pictures, each under a name of its own."""
    flat = [group for group in groups if group in FLAT]
    found = []
    for number, model in enumerate(models, start=1):
        found += [row | {"method": f"{ANOTHER} ({number})"} for row in measure(model, flat, (OURS,), work, seed)]
    return found


def _methods(model: Model | None, group: str) -> dict[str, tuple[Callable[[], Method], str]]:
    """(maker, key of the model) by name: parts of fine-tuning on the heart alone; GrabCut takes no volumes; in two million voxels
    graph cut and walks take minutes.
    """
    chosen = dict(PEERS)
    if group not in FLAT:
        chosen.pop("GrabCut")
    if group == "tumour":
        chosen = {"geodesic": chosen["geodesic"]}
    found: dict[str, tuple[Callable[[], Method], str]] = {name: (make, "") for name, make in chosen.items()}
    volumes = group not in FLAT and "interactive_3d" in shipped.names()
    ours = model or shipped.load("interactive_3d" if volumes else "interactive_2d")
    for name, how in (SHIPPED | ABLATIONS if group == "heart" else SHIPPED).items():
        found[name] = partial(Ours, ours, how), ours.key
    if model is None and volumes:
        pictures = shipped.load("interactive_2d")
        found[PLANES] = partial(Ours, pictures, FineTuning()), pictures.key
    return found


def _rows(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def by_patient(rows: Sequence[dict], measure: Callable[[dict], Any]) -> dict[str, float]:
    """Each patient's mean over its tasks."""
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        found[row["patient"]].append(measure(row))
    return {patient: float(np.mean(values)) for patient, values in found.items()}
