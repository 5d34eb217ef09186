"""Interactive segmentation of changed pictures: does the same object, drawn on in the same places, get the same mask?

Hearts, radiographs and pictures of structures, each also inverted, mirrored, turned by 90 degrees, enlarged twice and with a rim
of 20 pixels. Box and strokes are changed with the picture; the mask of the original, changed in the same way, is compared with
the mask of the changed picture.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from benchmarks import driver
from benchmarks.tables import table
from casewise.image import Array, Box, Image
from casewise.interaction import InteractiveSegmentation
from casewise.interaction.simulation.user import Hand, stroke
from casewise.models import Model, shipped
from casewise.training.metrics import dice
from experiments.interaction.groups import GROUPS
from experiments.interaction.rounds import drawn_at_once
from experiments.interaction.tasks import Task, box_of

Mask = npt.NDArray[np.bool_]
COUNTS = {"heart": 7, "films": 6, "structures": 7}  # tasks of each group, spread over it
AFTER = ("box", "two strokes", "strokes at once")
_RIM = 20  # pixels
_HAND = Hand(25, 2)
_THICK = 4  # pixels across of the strokes at once


@dataclass(frozen=True)
class Change:
    """``picture`` changes (row, column) values, ``mask`` what is drawn on them."""

    name: str
    picture: Callable[[Array], Array]
    mask: Callable[[Mask], Mask] = lambda mask: mask


def _same_of(name: str, way: Callable[[Array], Array]) -> Change:
    return Change(name, way, way)


def _inverted(picture: Array) -> Array:
    return picture.max() + picture.min() - picture


def _enlarged(picture: Array) -> Array:
    return np.asarray(ndimage.zoom(picture, 2, order=1, mode="nearest", grid_mode=True))


def _rimmed(value: Callable[[Array], float], picture: Array) -> Array:
    return np.pad(picture, _RIM, constant_values=value(picture))


def _median_of_border(picture: Array) -> float:
    return float(np.median(np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])))


CHANGES = (
    Change("inverted", _inverted),
    _same_of("upside down", np.flipud),
    _same_of("left and right exchanged", np.fliplr),
    _same_of("turned by 90°", np.rot90),
    Change("enlarged twice", _enlarged, lambda mask: mask.repeat(2, 0).repeat(2, 1)),
    Change("rim of the border's median", partial(_rimmed, _median_of_border), lambda mask: np.pad(mask, _RIM)),
    Change("rim of zeros", partial(_rimmed, lambda picture: 0.0), lambda mask: np.pad(mask, _RIM)),
)


@dataclass(frozen=True, eq=False)
class Drawn:
    """What one person draws on a picture: the box, two strokes one after the other, and strokes at once; each (row, column) bool.

    Strokes are pairs (foreground, background).
    """

    box: Mask
    strokes: tuple[tuple[Mask, Mask], ...]
    at_once: tuple[Mask, Mask]

    def changed(self, change: Callable[[Mask], Mask]) -> Drawn:
        fore, back = self.at_once
        strokes = tuple((change(one), change(other)) for one, other in self.strokes)
        return Drawn(change(self.box), strokes, (change(fore), change(back)))


def answers(model: Model, image: Image, drawn: Drawn) -> tuple[Mask, Mask, Mask]:
    """The masks after the box, after the strokes one by one, and after those at once."""
    box = Box.around(drawn.box)
    session = InteractiveSegmentation(model, image, box, device="cpu")
    first = session.mask
    for strokes in drawn.strokes:
        session.add_scribbles(*strokes)
    return first, session.mask, InteractiveSegmentation(model, image, box, device="cpu").add_scribbles(*drawn.at_once)


def drawn_on(model: Model, task: Task, seed: int = 0) -> Drawn:
    """The box, the strokes on the largest errors of the model's own masks, and those at once."""
    box = box_of(task, seed)
    session = InteractiveSegmentation(model, task.image, box, device="cpu")
    strokes = []
    for _ in range(2):
        made = stroke(task.truth, session.mask, _HAND)
        if made is None:
            break
        line, foreground = made
        nothing = np.zeros_like(line)
        strokes.append((line, nothing) if foreground else (nothing, line))
        session.add_scribbles(*strokes[-1])
    everything = np.zeros(task.truth.shape, bool)
    everything[box.slices] = True
    return Drawn(everything, tuple(strokes), drawn_at_once(task, _THICK, seed))


def agreement(model: Model, task: Task) -> list[dict[str, object]]:
    """A row a change: Dice between the original's masks, changed, and those of the changed picture."""
    drawn = drawn_on(model, task)
    original = answers(model, task.image, drawn)
    rows: list[dict[str, object]] = []
    for change in CHANGES:
        image = Image(np.ascontiguousarray(change.picture(task.image.array[0]))[None], header=task.image.header)
        found = answers(model, image, drawn.changed(change.mask))
        scores = [round(dice(change.mask(before), after), 4) for before, after in zip(original, found, strict=True)]
        row = {"task": task.name, "group": task.group, "patient": task.patient, "change": change.name}
        rows.append(row | {"dice": dict(zip(AFTER, scores, strict=True))})
    return rows


def units(options: Namespace) -> Iterator[driver.Unit]:
    model = Model.load(options.model) if options.model else shipped.load("interactive_2d")
    for group, count in COUNTS.items():
        yield driver.Unit(group, partial(_rows, model, group, count), model.key)


def _rows(model: Model, group: str, count: int) -> list[dict[str, object]]:
    tasks = list(GROUPS[group]())
    chosen = np.unique(np.linspace(0, len(tasks) - 1, count).astype(int))
    return [row for n in chosen for row in agreement(model, tasks[n])]


def figures(units: driver.Rows) -> Mapping[str, Any]:
    rows = [row for of in units.values() for row in of]
    lines = []
    for change in CHANGES:
        own = [row["dice"] for row in rows if row["change"] == change.name]
        values = [np.array([scores[after] for scores in own]) for after in AFTER]
        lines.append([change.name, *(f"{one.mean():.3f} ({one.min():.3f})" for one in values)])
    groups = {group: len({row["task"] for row in rows if row["group"] == group}) for group in COUNTS}
    return {"table": table(["change", *(f"after the {after}" for after in AFTER)], lines), "counts": groups, "rim": _RIM}


def options(parser: ArgumentParser) -> None:
    parser.add_argument("--model", help="a model's folder, instead of the one for pictures that comes with casewise")


BENCHMARK = driver.Benchmark("interaction_invariance", __doc__, units, figures, options)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
