"""What is known of an image when the applications of its route have yet to answer."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from casewise.finding import Finding
from casewise.result import ModelUse, SimilarCase

if TYPE_CHECKING:
    from casewise.examination.examination import Examination
    from casewise.routing.route import Route

Masks = dict[str, npt.NDArray[np.bool_]]


@dataclass
class Clock:
    """seconds : of each step, by its name."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - began, 4)


@dataclass(frozen=True)
class Prepared:
    """An image's route, and what the model says of it.

    name : the stem of its results' files. use : which model answered. masks : label → (*spatial) bool. similar : the cases most
    like the image. examples : the archive's cases of its category. notes : sentences for the report.
    """

    path: Path
    name: str
    clock: Clock
    use: ModelUse
    findings: tuple[Finding, ...] = ()
    masks: Masks = field(default_factory=dict)
    similar: Sequence[SimilarCase] = ()
    notes: tuple[str, ...] = ()
    route: Route | None = None
    examples: tuple[SimilarCase, ...] = ()
    examination: Examination | None = None
