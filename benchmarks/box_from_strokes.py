"""A box drawn around the first strokes, beside the true box: what does it cost not to draw one?

The user of the interactive protocol, who begins with a stroke along the middle of the object and no box; then seven more on the
largest error, as with a true box. And on hearts the expert's own strokes on object and rest, all at once. Margins are chosen on
some patients and reported on others.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from benchmarks import driver
from benchmarks.tables import table
from casewise.image import Box, Image
from casewise.interaction import InteractiveSegmentation
from casewise.interaction.box_from_strokes import MARGINS, Margins, box_from_strokes
from casewise.interaction.simulation.user import Hand, stroke
from casewise.statistics import interval
from casewise.training.metrics import dice
from experiments.interaction.tasks import Task, box_of, films, generator, heart, hippocampi, lesion_slices, tumours
from experiments.splits import by_patient

ROUNDS = 8
TRUE = "the true box"
TRIED: dict[str, Margins] = {
    "twice the stroke": Margins(alone=2.0, square=False),
    "3 times the stroke": Margins(alone=3.0, square=False),
    "twice its length, square": Margins(alone=2.0),
    "3 times its length, square": Margins(alone=3.0),
    "4 times its length, square": Margins(alone=4.0),
}
AROUND: dict[str, Margins] = {f"{share:.0%} around": Margins(both=share) for share in (0.0, 0.1, 0.25)}
ACROSS: dict[str, float] = {"0.1": 0.1, "0.25": 0.25, "0.5": 0.5}
CHOSEN_ON = 5  # patients of the heart group
SHOWN = (1, 2, 4, 8)


def _patients(tasks: Iterator[Task], first: bool) -> list[Task]:
    """Those of the first patients, or of all others."""
    every = list(tasks)
    count = min(CHOSEN_ON, len({task.patient for task in every}) // 2)
    chosen = set(list(dict.fromkeys(task.patient for task in every))[:count])
    return [task for task in every if (task.patient in chosen) == first]


GROUPS: dict[str, Callable[[bool], list[Task]]] = {
    "heart": lambda first: _patients(heart(10, middle_alone=True), first),
    "films and lesions": lambda first: list(chain(_patients(films(4), first), _patients(lesion_slices(), first))),
    "hippocampus": lambda first: _patients(hippocampi(6), first),
    "tumour": lambda first: _patients(tumours(), first),
}
FLAT = ("heart", "films and lesions")


def rounds(task: Task, margins: Margins | None) -> list[float]:
    """Dice after 0 … 8 strokes; with a true box (None) the first is that of the box, else of nothing."""
    session = None if margins is not None else _begun(task.image, box_of(task, 0))
    mask = np.zeros(task.truth.shape, bool) if session is None else session.mask
    scores = [dice(mask, task.truth) if mask.any() else 0.0]
    for number in range(1, ROUNDS + 1):
        thickness = int(generator(0, task.name, number).integers(1, 3))
        made = stroke(task.truth, mask, Hand(25, thickness), task.image.spacing)
        if made is None:
            break
        line, is_foreground = made
        given = (line, None) if is_foreground else (None, line)
        if session is None and margins is not None:
            session = _begun(task.image, box_from_strokes(task.image, *given, margins))
        assert session is not None
        mask = session.add_scribbles(*given)
        scores.append(dice(mask, task.truth))
    return [round(score, 4) for score in scores + [scores[-1]] * (ROUNDS + 1 - len(scores))]


def expert(task: Task, margins: Margins | None) -> float | None:
    """Dice after all of an expert's strokes at once."""
    if task.expert is None:
        return None
    box = box_of(task, 0) if margins is None else box_from_strokes(task.image, *task.expert, margins)
    return round(dice(_begun(task.image, box).add_scribbles(*task.expert), task.truth), 4)


def _begun(image: Image, box: Box) -> InteractiveSegmentation:
    return InteractiveSegmentation(None, image, box, device="cpu")


def measured(group: str, first: bool, margins: Margins | None, experts: bool = False) -> list[dict[str, Any]]:
    """A row a task."""
    rows = []
    for task in GROUPS[group](first):
        about = {"task": task.name, "structure": task.structure, "patient": task.patient}
        rows.append(about | ({"expert": expert(task, margins)} if experts else {"dice": rounds(task, margins)}))
    return rows


def units(options: Namespace) -> Iterator[driver.Unit]:
    yield from _choosing()
    yield from _reporting()


def _choosing() -> Iterator[driver.Unit]:
    for name, margins in TRIED.items():
        for group in FLAT:
            yield driver.Unit(f"chosen on, {group}, {name}", partial(measured, group, True, margins))
    for name, margins in AROUND.items():
        yield driver.Unit(f"chosen on, experts, {name}", partial(measured, "heart", True, margins, True))
    for name, share in ACROSS.items():
        margins = Margins(MARGINS.both, MARGINS.alone, MARGINS.square, MARGINS.least, share)
        yield driver.Unit(f"chosen on, hippocampus, {name}", partial(measured, "hippocampus", True, margins))


def _reporting() -> Iterator[driver.Unit]:
    for group in GROUPS:
        for name, margins in _reported().items():
            if group in FLAT or margins in (None, MARGINS):
                yield driver.Unit(f"{group}, {name}", partial(measured, group, False, margins), str(margins))
    for name, margins in _reported_around().items():
        yield driver.Unit(f"experts, {name}", partial(measured, "heart", False, margins, True), str(margins))


def _reported() -> dict[str, Margins | None]:
    """The true box, the margins that were chosen, and two others."""
    key = (MARGINS.alone, MARGINS.square)
    own = next(name for name, one in TRIED.items() if (one.alone, one.square) == key)
    others = [name for name in ("3 times the stroke", "twice its length, square", "3 times its length, square") if name != own][:2]
    return {TRUE: None, own: MARGINS, **{name: TRIED[name] for name in others}}


def _reported_around() -> dict[str, Margins | None]:
    return {TRUE: None, **{name: one for name, one in AROUND.items()}}


def figures(units: driver.Rows) -> Mapping[str, Any]:
    choosing = [[group, name, *_cells(units[f"chosen on, {group}, {name}"])] for group in FLAT for name in TRIED] + [
        ["hippocampus", f"{name} across", *_cells(units[f"chosen on, hippocampus, {name}"])] for name in ACROSS
    ]
    head = ["images", "box", "tasks (patients)", *(f"{n}" for n in SHOWN), "strokes to 0.90 (95 %)", "reached"]
    reported = [
        [group, name, *_cells(units[f"{group}, {name}"])]
        for group in GROUPS
        for name, margins in _reported().items()
        if group in FLAT or margins in (None, MARGINS)
    ]
    experts = [
        [part, name, *_expert_cells(units[f"{prefix}, {name}"])]
        for part, prefix, names in (("chosen on", "chosen on, experts", AROUND), ("others", "experts", _reported_around()))
        for name in names
    ]
    return {
        "choosing": table(head, choosing),
        "reported": table(head, reported),
        "experts": table(["patients", "box", "tasks (patients)", "Dice (95 %)"], experts),
    }


def _cells(rows: list[dict[str, Any]]) -> list[str]:
    means = [f"{np.mean([row['dice'][n] for row in rows]):.3f}" for n in SHOWN]
    needed = [next((n for n, score in enumerate(row["dice"]) if score >= 0.9), ROUNDS + 1) for row in rows]
    reached = sum(n <= ROUNDS for n in needed) / len(rows)
    low, high = interval(np.array(list(by_patient(rows, lambda row: _needed(row)).values())))
    count = f"{len(rows)} ({len({row['patient'] for row in rows})})"
    return [count, *means, f"{np.mean(needed):.2f} ({low:.2f}–{high:.2f})", f"{reached:.0%}"]


def _needed(row: dict[str, Any]) -> float:
    return float(next((n for n, score in enumerate(row["dice"]) if score >= 0.9), ROUNDS + 1))


def _expert_cells(rows: list[dict[str, Any]]) -> list[str]:
    kept = [row for row in rows if row["expert"] is not None]
    low, high = interval(np.array(list(by_patient(kept, lambda row: row["expert"]).values())))
    count = f"{len(kept)} ({len({row['patient'] for row in kept})})"
    return [count, f"{np.mean([row['expert'] for row in kept]):.3f} ({low:.3f}–{high:.3f})"]


BENCHMARK = driver.Benchmark("box_from_strokes", __doc__, units, figures)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
