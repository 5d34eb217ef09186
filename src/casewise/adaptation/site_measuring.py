"""What a training over sites asks of its models, each question once: how good a model is at each site, and what it is unsure of.

A stage starts from the model that the one before it left, so stages follow one another. What is asked of one model is independent:
each site's accuracy, and each case's uncertainty. These go to workers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from casewise.adaptation.site_learning import Learning
from casewise.case import Case
from casewise.errors import CasewiseError
from casewise.hashing import combined_key
from casewise.models.model import Model
from casewise.progress import Progress, silent
from casewise.workers import Here, Lost, Make, Workers, chunked

_KEPT = "measured.jsonl"


@dataclass(frozen=True)
class Question:
    """model : the folder in which it lies; None: the one at hand, in this process. name : of the site or case, for messages.

    cases : keys; the accuracy on all of them is asked, or, where ``unsure``, how unsure the model is of the one.
    """

    model: Path | None
    name: str
    cases: tuple[str, ...]
    unsure: bool = False


@dataclass(frozen=True)
class Crew:
    """workers : who answers. make : opens what one needs (:func:`answering`). folder : that all see, where models are laid."""

    workers: Workers
    make: Make[Question, float]
    folder: Path
    progress: Progress = silent


def answering(
    learning: Learning, cases: Mapping[str, Case], model_in: Callable[[Path | None], Model], questions: Sequence[Question]
) -> Iterator[float]:
    """The answers, in order. cases : by key. model_in : gives a question's model."""
    for question in questions:
        model, own = model_in(question.model), [cases[key] for key in question.cases]
        yield learning.uncertainties(model, own)[0] if question.unsure else learning.accuracy(model, own)


def laid(model: Model, folder: Path) -> Path:
    """Where workers find ``model``."""
    place = folder / f"model-{model.key}"
    return place if place.exists() else model.save(place)


class Measuring:
    """Answers of one training's models. cases : all that are asked about. folder : where answers are kept, for a call that goes on.

    crew : None: this process answers.
    """

    def __init__(self, learning: Learning, cases: Sequence[Case], folder: Path | None, crew: Crew | None = None) -> None:
        self._learning, self._crew = learning, crew
        self._cases = {case.key: case for case in cases}
        self._file = folder / _KEPT if folder is not None else None
        self._known = self._read()

    def accuracies(self, model: Model, groups: Mapping[str, Sequence[Case]]) -> dict[str, float]:
        """Of each site that has cases."""
        asked = [Question(None, site, tuple(case.key for case in cases)) for site, cases in groups.items() if cases]
        return dict(zip([one.name for one in asked], self._answers(model, asked, "Measuring sites"), strict=True))

    def uncertainties(self, model: Model, cases: Sequence[Case]) -> list[float]:
        """Of each case, 0 to 1."""
        asked = [Question(None, case.name or case.key[:12], (case.key,), unsure=True) for case in cases]
        return self._answers(model, asked, "Measuring uncertainty")

    def _answers(self, model: Model, asked: Sequence[Question], step: str) -> list[float]:
        keys = [combined_key([model.key, self._learning.measure, str(one.unsure), *one.cases]) for one in asked]
        open_ = {key: one for key, one in zip(keys, asked, strict=True) if key not in self._known}
        if open_:
            self._ask(model, open_, step)
        return [self._known[key] for key in keys]

    def _ask(self, model: Model, asked: Mapping[str, Question], step: str) -> None:
        here = partial(answering, self._learning, self._cases, lambda _: model)
        crew = self._crew or Crew(Here(), lambda: nullcontext(here), Path())
        place = None if self._crew is None else laid(model, crew.folder)
        keys = {replace(one, model=place): key for key, one in asked.items()}
        crew.progress(step, 0, len(keys))
        with closing(crew.workers.run(chunked(list(keys), crew.workers.size), crew.make)) as coming:
            for done, (question, answer) in enumerate(coming, start=1):
                if isinstance(answer, Lost):
                    raise CasewiseError(f"The model could not be measured on {question.name}: {answer.reason}")
                self._keep(keys[question], answer)
                crew.progress(step, done, len(keys))

    def _keep(self, key: str, answer: float) -> None:
        self._known[key] = answer
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a", encoding="utf-8") as lines:
                lines.write("\n" + json.dumps([key, answer]))  # apart from one that a killed process cut off

    def _read(self) -> dict[str, float]:
        if self._file is None or not self._file.exists():
            return {}
        found: dict[str, float] = {}
        for line in self._file.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError, TypeError):
                key, answer = json.loads(line)
                found[key] = float(answer)
        return found
