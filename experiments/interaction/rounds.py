"""One method on one task: the box, then up to eight strokes on the largest error; and strokes all at once, drawn or a person's."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from casewise.image import Box, Image
from casewise.interaction import FineTuning, InteractiveSegmentation
from casewise.interaction.simulation.scribbles import at_once
from casewise.interaction.simulation.user import Hand, stroke
from casewise.models import Model
from casewise.training.metrics import dice
from experiments.interaction.peers import Method
from experiments.interaction.tasks import Task, box_of, generator
from experiments.surface_distances import surface_distances

ROUNDS = 8
THICK = (2, 4, 6)  # pixels across of strokes that are drawn all at once
LIMIT = 60.0  # seconds; a slower round ends the task with its last mask


class Ours:
    """``InteractiveSegmentation`` behind the two calls of a peer."""

    def __init__(self, model: Model, fine_tuning: FineTuning) -> None:
        self._model, self._fine_tuning = model, fine_tuning

    def begin(self, image: Image, box: Box) -> np.ndarray:
        self._session = InteractiveSegmentation(self._model, image, box, fine_tuning=self._fine_tuning, device="cpu")
        self._marked = np.zeros(image.spatial_shape, bool), np.zeros(image.spatial_shape, bool)
        return self._session.mask

    def go_on(self, foreground: np.ndarray, background: np.ndarray) -> np.ndarray:
        fore, back = foreground & ~self._marked[0], background & ~self._marked[1]
        self._marked = foreground.copy(), background.copy()
        return self._session.add_scribbles(fore, back)


@dataclass(frozen=True, eq=False)
class Played:
    """What one simulated user came to. dice, seconds : after the box and after each stroke. marked : voxels of all strokes."""

    mask: np.ndarray
    dice: list[float]
    seconds: list[float]
    marked: int


def played(task: Task, method: Method, seed: int, rounds: int = ROUNDS) -> Played:
    """The box, then strokes on the largest error until nothing is wrong, ``rounds`` at most."""
    foreground, background = np.zeros(task.truth.shape, bool), np.zeros(task.truth.shape, bool)
    began = time.process_time()
    mask = method.begin(task.image, box_of(task, seed))
    seconds, scores, drawn = [time.process_time() - began], [dice(mask, task.truth)], 0
    for round_ in range(1, rounds + 1):
        thickness = int(generator(seed, task.name, round_).integers(1, 3))
        made = stroke(task.truth, mask, Hand(25, thickness), task.image.spacing)
        if made is None or seconds[-1] > LIMIT:
            break
        line, is_foreground = made
        (foreground if is_foreground else background)[line] = True
        (background if is_foreground else foreground)[line] = False
        drawn += int(line.sum())
        began = time.process_time()
        mask = method.go_on(foreground, background)
        seconds.append(time.process_time() - began)
        scores.append(dice(mask, task.truth))
    return Played(mask, scores + [scores[-1]] * (rounds + 1 - len(scores)), seconds, drawn)


def run(task: Task, make: Callable[[], Method], name: str, seed: int) -> dict:
    """What came of it, as the tables need it."""
    came = played(task, make(), seed)
    return {
        "method": name,
        "seed": seed,
        "task": task.name,
        "group": task.group,
        "structure": task.structure,
        "patient": task.patient,
        "seen": task.seen,
        "dice": [round(score, 4) for score in came.dice],
        "seconds": [round(s, 4) for s in came.seconds],
        "voxels": came.marked,
        "hd95": _hausdorff(came.mask, task.truth, task.image.spacing),
        "expert": None if task.expert is None else _in_one_call(task, make, seed, task.expert),
        "at_once": _at_once(task, make, seed) if task.truth.ndim == 2 else None,
    }


def _at_once(task: Task, make: Callable[[], Method], seed: int) -> dict[str, float]:
    """Dice after the box and then strokes of both kinds at once, as people draw them, by how thick these are."""
    return {str(thickness): _in_one_call(task, make, seed, drawn_at_once(task, thickness, seed)) for thickness in THICK}


def drawn_at_once(task: Task, thickness: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(foreground, background), each (*spatial) bool: the same for every method."""
    box = np.zeros(task.truth.shape, bool)
    box[box_of(task, seed).slices] = True
    return at_once(task.truth, box, generator(seed, f"{task.name} at once", thickness), thickness, both=True)


def _in_one_call(task: Task, make: Callable[[], Method], seed: int, strokes: tuple[np.ndarray, np.ndarray]) -> float:
    """Dice after the box and then all of some strokes at once."""
    method = make()
    method.begin(task.image, box_of(task, seed))
    return round(dice(method.go_on(*strokes), task.truth), 4)


def _hausdorff(mask: np.ndarray, truth: np.ndarray, spacing: tuple[float, ...]) -> float | None:
    """95th percentile of the distances between the two borders, mm (pixels where the size is unknown); None for an empty mask."""
    return round(float(np.percentile(surface_distances(mask, truth, spacing), 95)), 2) if mask.any() else None
