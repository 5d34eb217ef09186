"""Image-specific fine-tuning repeated as its source has it, on kinds of objects that were trained on and on others."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np

from benchmarks import driver
from benchmarks._interaction_source import CUT, P_NET, PLAIN, SOURCE, U_NET, Ellipse, InBox, Network, pieces, tasks
from benchmarks._interaction_table import Row, titled
from benchmarks.tables import mean, shared, table
from casewise.interaction import FineTuning
from casewise.models import Model
from casewise.statistics import interval, paired_p
from experiments import store
from experiments.interaction.peers import Geodesic, HistogramGraphCut, Method
from experiments.interaction.rounds import played
from experiments.interaction.tasks import Task
from experiments.splits import by_patient

STROKES = 2
ALONE, LABELS, TUNED = "P-Net", "P-Net, graph cut", "P-Net, fine-tuned"
NO_STROKES, NO_DOUBT = "fine-tuned without ω and ε", "fine-tuned without t0 and t1"
SHAPE = "ellipse in the box"
OTHER, OTHER_LABELS = "U-Net", "U-Net, graph cut"
ARMS: dict[str, tuple[Network, FineTuning]] = {
    ALONE: (P_NET, PLAIN),
    LABELS: (P_NET, CUT),
    TUNED: (P_NET, SOURCE),
    NO_STROKES: (P_NET, replace(SOURCE, weigh_strokes=False)),
    NO_DOUBT: (P_NET, replace(SOURCE, weigh_doubt=False)),
    OTHER: (U_NET, PLAIN),
    OTHER_LABELS: (U_NET, CUT),
}
PAPER = (  # (object, whether its kind was trained on, Dice of P-Net, Dice fine-tuned), after the box
    ("placenta", True, 0.846, 0.864),
    ("fetal brain", True, 0.894, 0.904),
    ("fetal lungs", False, 0.836, 0.854),
    ("maternal kidneys", False, 0.853, 0.863),
)
CHANCE = 0.05
ABLATIONS = (NO_STROKES, NO_DOUBT)
FEWER = 5  # patients of either set on which these are measured
PEERS: dict[str, Callable[[], Method]] = {"geodesic": Geodesic, "histograms and graph cut": HistogramGraphCut, SHAPE: Ellipse}


def units(options: Namespace) -> Iterator[driver.Unit]:
    for network in (P_NET, U_NET):
        yield driver.Unit(f"{network.name} trained", partial(training, network))
    for arm, (network, how) in ARMS.items():
        yield driver.Unit(arm, partial(of_arm, arm, network, how))
    for peer, make in PEERS.items():
        yield driver.Unit(peer, partial(measured, peer, make))


def training(network: Network) -> dict[str, Any]:
    weights = sum(tensor.numel() for tensor in model(network).weights.values())
    return {"steps": network.steps, "batch": network.batch, "rate": network.rate, "weights": weights}


def model(network: Network) -> Model:
    """The trained network, kept below ``.work``."""
    folder = store.WORK / "interaction_source" / network.name
    folder.mkdir(parents=True, exist_ok=True)
    return store.model(folder / "model", lambda: network.trained(pieces(), folder / "checkpoint.pt"))


@cache
def _read() -> tuple[Task, ...]:
    return tuple(tasks())


def _first(patients: int) -> list[Task]:
    """Those of the first patients of either set."""
    order: dict[str, list[str]] = {}
    for task in _read():
        of_set = order.setdefault(task.group, [])
        of_set += [] if task.patient in of_set else [task.patient]
    return [task for task in _read() if task.patient in order[task.group][:patients]]


def of_arm(arm: str, network: Network, how: FineTuning) -> list[dict]:
    return measured(arm, partial(InBox, model(network), how))


def measured(arm: str, make: Callable[[], Method]) -> list[dict]:
    """A method's row of each task: Dice after the box and after each of two strokes on the largest error."""
    rows = []
    for task in _first(FEWER) if arm in ABLATIONS else _read():
        came = played(task, make(), 0, STROKES)
        about = {"method": arm, "task": task.name, "structure": task.structure, "patient": task.patient, "seen": task.seen}
        rows.append(about | {"dice": [round(d, 4) for d in came.dice], "seconds": [round(s, 3) for s in came.seconds]})
    return rows


@dataclass(frozen=True)
class Change:
    """From one method's Dice to another's, the mean over patients, with the 95 % interval and the p of the difference."""

    before: float
    after: float
    low: float
    high: float
    p: float
    patients: int

    @property
    def better(self) -> bool:
        return self.after > self.before and self.p < CHANCE

    def __str__(self) -> str:
        return f"{self.after - self.before:+.3f} ({self.low:+.3f} to {self.high:+.3f}), p {self.p:.2g}"


def change(rows: list[Row], before: str, after: str, strokes: int) -> Change:
    """Paired by patient, after so many strokes."""
    first, second = shared(*(_dice(rows, method, strokes) for method in (before, after)))
    differences = [two - one for one, two in zip(first, second, strict=True)]
    p = paired_p(first, second)
    return Change(float(np.mean(first)), float(np.mean(second)), *interval(differences), p, len(first))


def verdict(changes: list[Change]) -> str:
    """Confirmed where every change is an improvement beyond chance, refuted where none is an improvement at all."""
    if all(one.better for one in changes):
        return "confirmed"
    if any(one.better for one in changes):
        return "confirmed in part"
    return "refuted" if all(one.after <= one.before for one in changes) else "not confirmed"


def figures(units: driver.Rows) -> Mapping[str, Any]:
    rows = [row for name, of in units.items() if not name.endswith(" trained") for row in of]
    steps = units[f"{P_NET.name} trained"]["steps"]
    head = ["network", "weights", "steps", "batch", "rate"]
    lines = [[title, *_about(units[f"{network.name} trained"])] for title, network in ((ALONE, P_NET), (OTHER, U_NET))]
    parts = []
    for seen, title in ((False, "Objects never seen"), (True, "Objects that were trained on, other patients")):
        of_it = [row for row in rows if row["seen"] == seen and row["method"] not in ABLATIONS]
        parts += [f"## {title}\n", f"{_methods(of_it)}\n"]
        for structure in dict.fromkeys(row["structure"] for row in of_it):
            parts += [f"### {titled(structure)}\n", f"{_methods([row for row in of_it if row['structure'] == structure])}\n"]
    both = {row["task"] for row in rows if row["method"] in ABLATIONS}
    chosen = [row for row in rows if row["task"] in both and row["method"] in (ALONE, LABELS, TUNED, *ABLATIONS)]
    parts += ["## The weights of the fine-tuning, one part left out\n", f"{_methods(chosen)}\n"]
    claims = {"robust": _robust(rows), "improves": _improves(rows), "beside": _beside(rows)}
    return {"steps": steps, "trainings": table(head, lines), "parts": "\n".join(parts), **claims}


def _about(trained: Mapping[str, Any]) -> list[object]:
    return [f"{trained['weights']:,}", trained["steps"], trained["batch"], trained["rate"]]


def _dice(rows: list[Row], method: str, strokes: int) -> dict[str, float]:
    return by_patient([row for row in rows if row["method"] == method], lambda row: row["dice"][strokes])


def _methods(rows: list[Row]) -> str:
    counts = range(STROKES + 1)
    head = ["method", "box", "1", "2", "box, less fine-tuned", "1", "2", "s a round"]
    lines = []
    for method in dict.fromkeys(row["method"] for row in rows):
        cells = [mean(list(_dice(rows, method, count).values())) for count in counts]
        cells += ["–" if method == TUNED else str(change(rows, TUNED, method, count)) for count in counts]
        seconds = [second for row in rows if row["method"] == method for second in row["seconds"]]
        lines.append([method, *cells, f"{np.median(seconds):.2f}"])
    about = f"{len({row['task'] for row in rows})} tasks of {len({row['patient'] for row in rows})} patients."
    return f"{about}\n\n{table(head, lines)}"


def _robust(rows: list[Row]) -> str:
    unseen, seen = ([row for row in rows if row["seen"] == kind] for kind in (False, True))
    plain, tuned, shape = change(unseen, OTHER, ALONE, 0), change(unseen, OTHER, TUNED, 0), change(unseen, SHAPE, ALONE, 0)
    known = change(seen, OTHER, ALONE, 0)
    return (
        f"More robust on objects never seen than another network: **{verdict([plain, tuned, shape])}**: after the box their Dice "
        f"is {plain.after:.3f} by P-Net and {tuned.after:.3f} by P-Net fine-tuned, against {plain.before:.3f} by the U-Net "
        f"(differences {plain} and {tuned}; {plain.patients} patients) and {shape.before:.3f} by an ellipse in the box that no "
        f"image enters (P-Net {shape}); on the objects trained on it is {known.after:.3f} by P-Net and {known.before:.3f} by the "
        f"U-Net ({known})."
    )


def _improves(rows: list[Row]) -> str:
    alone, box, one, two = (change(rows, ALONE, TUNED, 0), *(change(rows, LABELS, TUNED, count) for count in range(STROKES + 1)))
    unseen, seen = (change([row for row in rows if row["seen"] == kind], LABELS, TUNED, STROKES) for kind in (False, True))
    return (
        f"Fine-tuning improves: **{verdict([alone, box])}** after the box, where Dice over all objects goes from "
        f"{alone.before:.3f} to {alone.after:.3f} ({alone}; {alone.patients} patients; beside the graph cut alone {box}), and "
        f"**{verdict([one, two])}** after scribbles, where beside the graph cut alone, scribbles kept, it changes by {one} after "
        f"one and {two} after two (objects never seen {unseen}, trained on {seen})."
    )


def _beside(rows: list[Row]) -> str:
    """The source's own figures above ours."""
    lines = [[f"{name} (source)", _known(seen), f"{old:.3f}", f"{new:.3f}", f"{new - old:+.3f}"] for name, seen, old, new in PAPER]
    for structure in dict.fromkeys(row["structure"] for row in rows):
        of_it = [row for row in rows if row["structure"] == structure]
        one = change(of_it, ALONE, TUNED, 0)
        lines.append([titled(structure), _known(of_it[0]["seen"]), f"{one.before:.3f}", f"{one.after:.3f}", str(one)])
    return table(["object", "trained on", "P-Net", "fine-tuned", "difference"], lines)


def _known(seen: bool) -> str:
    return "yes" if seen else "no"


BENCHMARK = driver.Benchmark("interaction_source", __doc__, units, figures)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
