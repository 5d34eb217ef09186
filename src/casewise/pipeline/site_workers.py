"""What workers do for a training over sites: examinations made ready, models measured, and asked what they are unsure of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from casewise.adaptation.sequences import cases_for
from casewise.adaptation.site_learning import ImageLearning, Learning
from casewise.adaptation.site_measuring import Question, answering
from casewise.archive import Archive
from casewise.case import Case
from casewise.lesions.prediction import sequences_of
from casewise.lesions.prepared import prepared
from casewise.lesions.sites import LesionLearning, case_of, gathered
from casewise.models import Model
from casewise.models.tasks import Lesions
from casewise.progress import Progress
from casewise.training import Settings
from casewise.workers import Lost, Workers, chunked

if TYPE_CHECKING:
    from casewise.workers.contract import Do

SLICES = "slices"  # the folder of examinations made ready


@dataclass(frozen=True)
class Answering:
    """Opens what a worker needs that measures models on cases of ``archive``.

    start : the folder of the model that the training starts from. folder : of the training. examinations : keys of the cases that
    stand for those made ready; none for models of single images.
    """

    archive: Path
    start: Path
    deployment: str | None
    folder: Path
    settings: Settings
    examinations: frozenset[str] = frozenset()

    @contextmanager
    def __call__(self) -> Iterator[Do[Question, float]]:
        with Archive.open(self.archive) as archive:
            start = Model.load(self.start)
            learning, cases = self._learning(start, archive)
            yield partial(answering, learning, {case.key: case for case in cases}, lru_cache(maxsize=1)(_loaded))

    def _learning(self, start: Model, archive: Archive) -> tuple[Learning, list[Case]]:
        if not isinstance(start.kind, Lesions):
            return ImageLearning(start, self.settings), cases_for(start, archive.cases())
        own = [one for one in _examinations(start, archive, self.deployment) if case_of(start, one).key in self.examinations]
        learning = LesionLearning(start, own, self.folder / SLICES, self.settings.device)
        return learning, [case_of(start, one) for one in own]


@dataclass(frozen=True)
class Preparing:
    """Opens what a worker needs that makes examinations ready; it answers a key with a sentence where one cannot be used."""

    archive: Path
    start: Path
    deployment: str | None
    folder: Path

    @contextmanager
    def __call__(self) -> Iterator[Do[str, str | None]]:
        with Archive.open(self.archive) as archive:
            start = Model.load(self.start)
            by_key = {own.key: own for own in _examinations(start, archive, self.deployment)}
            yield partial(self._prepared, start, by_key)

    def _prepared(self, start: Model, by_key: dict[str, Case], keys: Sequence[str]) -> Iterator[str | None]:
        for key in keys:
            said: list[str] = []
            size = start.spec.preparation.size[0]
            prepared([by_key[key]], sequences_of(start), size, self.folder / SLICES, failed=said.append)
            yield said[0] if said else None


def made_ready(
    workers: Workers, make: Preparing, examinations: Sequence[Case], progress: Progress, failed: Callable[[str], None]
) -> list[Case]:
    """The examinations of which slices could be made, in order; ``failed`` is called with a sentence on each other."""
    without: set[str] = set()
    names = {own.key: own.name for own in examinations}
    with closing(workers.run(chunked(list(names), workers.size), make)) as coming:
        for done, (key, sentence) in enumerate(coming, start=1):
            if sentence is not None:
                without.add(key)
                failed(f"{names[key]}: {sentence.reason}" if isinstance(sentence, Lost) else sentence)
            progress("Reading examinations", done, len(names))
    return [own for own in examinations if own.key not in without]


def _examinations(start: Model, archive: Archive, deployment: str | None) -> list[Case]:
    found = gathered(start, archive.cases(), deployment)
    return [*found.labelled, *found.unlabelled]


def _loaded(place: Path | None) -> Model:
    if place is None:
        raise ValueError("A question to a worker names no model.")
    return Model.load(place)
