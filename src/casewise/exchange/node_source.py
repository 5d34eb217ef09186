"""A DICOM node as a source of studies: asked by C-FIND, fetched from by C-GET, or by C-MOVE to a receiver of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from casewise.exchange.asked import Query
from casewise.exchange.found import Listed, Series, Study
from casewise.exchange.moving import MoveTo, move
from casewise.exchange.node import Node
from casewise.exchange.query import Finder
from casewise.exchange.retrieve import get
from casewise.exchange.taking import Taker


class NodeSource:
    """move_to : where the node is to send to, by C-MOVE; None: it is asked by C-GET."""

    def __init__(self, node: Node, own_title: str, move_to: MoveTo | None = None) -> None:
        self._node = node
        self._title = node.own_title or own_title
        self._finder = Finder(node, self._title)
        self._move_to = move_to

    def __enter__(self) -> NodeSource:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._finder.close()

    def __str__(self) -> str:
        return str(self._node)

    def studies(self, query: Query) -> list[Study]:
        return self._finder.studies(query)

    def series(self, study: str) -> list[Series]:
        return self._finder.series(study)

    def instances(self, study: str, series: str) -> list[Listed]:
        return self._finder.instances(study, series)

    def bring(self, taker: Taker, classes: Sequence[str], uids: Sequence[str]) -> str | None:
        if self._move_to is not None:
            return move(self._node, self._title, self._move_to, taker, uids)
        return get(self._node, self._title, taker, classes, uids)
