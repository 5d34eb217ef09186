"""Questions to a source of studies, whichever way they are put: an answer that is not of what was asked for is left out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import TracebackType
from typing import Self, TypeVar

from casewise.exchange.asked import Query
from casewise.exchange.found import Listed, Series, Study

Found = TypeVar("Found", Study, Series, Listed)


class Questions(ABC):
    """Every question raises AssociationError where the source cannot be reached, and SourceError where it refuses, breaks off, or
    answers with what is no UID. Use it in ``with``.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Let go of the connection."""

    def studies(self, query: Query) -> list[Study]:
        """Those that the query asks for, and no others."""
        return [one for one in self._ask(Study, query.keys()) if query.answered_by(one)]

    def series(self, study: str) -> list[Series]:
        """Of a study."""
        return [one for one in self._ask(Series, {"StudyInstanceUID": study}) if one.study == study]

    def instances(self, study: str, series: str) -> list[Listed]:
        """Of a series; empty where the source does not answer at this level."""
        found = self._ask(Listed, {"StudyInstanceUID": study, "SeriesInstanceUID": series})
        return [one for one in found if one.study == study and one.series == series]

    @abstractmethod
    def _ask(self, kind: type[Found], keys: Mapping[str, str]) -> list[Found]:
        """Each match once, whether or not it fits. keys : keyword → value; of series and instances the UIDs of what they are in,
        the study's first.
        """
