"""Methods of interactive segmentation, and their rows on tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from casewise.interaction import FineTuning
from casewise.models import Model, shipped
from experiments.interaction.groups import FLAT, GROUPS
from experiments.interaction.peers import PEERS, Method
from experiments.interaction.rounds import Ours, run
from experiments.interaction.tasks import Task

OURS, ANOTHER = "casewise", "casewise, another training"
SHIPPED = {OURS: FineTuning()}
SOURCE = FineTuning(trainable="last", supervised=False, graph_cut=True, rate=1e-2)  # Wang et al. 2018; neither part of it yet
ABLATIONS = {"fine-tuning as in the source": replace(SOURCE, unsupervised=True, supervised=True)}
ABLATED = 3  # patients of the heart group on which it is measured
PLANES = "the network for pictures, plane by plane"  # on volumes, beside the one for volumes


def methods(model: Model | None, group: str) -> dict[str, tuple[Callable[[], Method], str]]:
    """(maker, key of the model) by name. model : None for those that come with casewise. The source's fine-tuning on the heart
    alone; GrabCut takes no volumes; in two million voxels graph cut and walks take minutes.
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


def measured(tasks: Iterable[Task], name: str, make: Callable[[], Method], key: str, seed: int = 0) -> list[dict]:
    """A method's row of each task; of the source's fine-tuning those of the first patients alone."""
    rows: list[dict] = []
    for task in tasks:
        patients = {row["patient"] for row in rows} | {task.patient}
        if name in ABLATIONS and len(patients) > ABLATED:
            break
        rows.append(run(task, make, name, seed) | {"model": key})
    return rows


def measure(
    model: Model,
    groups: Sequence[str],
    wanted: Sequence[str],
    tasks: Mapping[str, Callable[[], Iterable[Task]]] = GROUPS,
) -> list[dict]:
    """Rows of the methods ``wanted`` with a model. tasks : those of each group."""
    found = []
    for group in groups:
        own = methods(model, group)
        found += [row for name in wanted for row in measured(tasks[group](), name, *own[name])]
    return found
