"""What a system has to offer so that studies can be brought from it."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from casewise.exchange.asked import Query
from casewise.exchange.found import Listed, Series, Study
from casewise.exchange.taking import Taker


class Source(Protocol):
    """A system that has studies; ``str()`` is its name for messages.

    Every method raises AssociationError where it cannot be reached, and SourceError where it refuses or breaks off.
    """

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...

    def studies(self, query: Query) -> list[Study]:
        """Those that the query asks for, and no others."""

    def series(self, study: str) -> list[Series]:
        """Of a study's UID."""

    def instances(self, study: str, series: str) -> list[Listed]:
        """Of a series; empty where the source does not say."""

    def bring(self, taker: Taker, classes: Sequence[str], uids: Sequence[str]) -> str | None:
        """Have instances of the taker's series sent to it: those of these UIDs, or all where there are none. classes : of these.

        A sentence where the source says that it did not send all. Raises the taker's error too.
        """
