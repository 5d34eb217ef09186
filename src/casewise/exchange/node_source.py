"""A DICOM node as a source of studies: asked by C-FIND, fetched from by C-GET, or by C-MOVE to a receiver of one's own."""

from __future__ import annotations

from collections.abc import Sequence

from casewise.exchange.moving import MoveTo, move
from casewise.exchange.node import Node
from casewise.exchange.query import Finder
from casewise.exchange.retrieve import get
from casewise.exchange.taking import Taker


class NodeSource(Finder):
    """move_to : where the node is to send to, by C-MOVE; None: it is asked by C-GET."""

    def __init__(self, node: Node, own_title: str, move_to: MoveTo | None = None) -> None:
        super().__init__(node, node.own_title or own_title)
        self._move_to = move_to

    def __str__(self) -> str:
        return str(self._node)

    def bring(self, taker: Taker, classes: Sequence[str], uids: Sequence[str]) -> str | None:
        if self._move_to is not None:
            return move(self._node, self._own_title, self._move_to, taker, uids)
        return get(self._node, self._own_title, taker, classes, uids)
