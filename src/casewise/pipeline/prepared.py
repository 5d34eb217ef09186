"""What is known of an image when the applications of its route have yet to answer."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from casewise.finding import Finding
from casewise.label_map import LabelMap
from casewise.result import ModelUse, SimilarCase

if TYPE_CHECKING:
    from casewise.applications.decision import Decision
    from casewise.examination.examination import Examination
    from casewise.pipeline.ways import Way
    from casewise.routing.route import Route


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

    number : of the image among those of the call, from 0.
    path : its file, or what it is called instead. name : the stem of its results' files. folder : where these are written; None for
    the analyzer's. use : which model answered. decision : of the rules. way : how it is predicted. label_map : the model's masks.
    similar : the cases most like the image. examples : the archive's cases of its category. notes : sentences for the report.
    """

    number: int
    path: Path
    name: str
    clock: Clock
    use: ModelUse
    decision: Decision
    way: Way
    findings: tuple[Finding, ...] = ()
    label_map: LabelMap = field(default_factory=LabelMap)
    similar: Sequence[SimilarCase] = ()
    notes: tuple[str, ...] = ()
    route: Route | None = None
    examples: tuple[SimilarCase, ...] = ()
    examination: Examination | None = None
    folder: Path | None = None
