"""What a session is asked to do, one after the other; strokes that wait for the same round are answered by one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from casewise.errors import UsageError
from casewise.interaction.strokes import Strokes
from casewise.server.masks import Part
from casewise.server.sessions.drawing import Drawing
from casewise.server.sessions.session import Answered, Session

Points = npt.NDArray[np.int64]


class Known(TypedDict, total=False):
    """What an order may say of the object that it is for.

    number : the object's, from 0; without one it is the current object. after : the round that the person saw. seconds : of work
    since the last order.
    """

    number: int | None
    after: int | None
    seconds: float


@dataclass(eq=False)
class Order:
    """One thing to do. number : of the object. version : the one that the asker knows. answer : set when it is done.

    action : what is done; returns the drawing that it was about. None for strokes, which may be merged. strokes, count : of these.
    """

    number: int
    version: int
    seconds: float
    answer: asyncio.Future[Answered]
    action: Callable[[Session], Drawing] | None = None
    strokes: Strokes | None = None
    count: int = 1


def next_orders(waiting: deque[Order]) -> list[Order]:
    """Take what is done next: one order, or all strokes on one object that no other order stands between."""
    taken = [waiting.popleft()]
    if taken[0].strokes is None:
        return taken
    while waiting and waiting[0].strokes is not None and waiting[0].number == taken[0].number:
        taken.append(waiting.popleft())
    return taken


def perform(session: Session, orders: Sequence[Order]) -> list[Answered]:
    """Do them, as one round where they are several. Raises what the round raises."""
    first = orders[0]
    known = session.drawings[first.number] if first.number < len(session.drawings) else None
    before = (known, known.version) if known is not None else None
    if first.strokes is None:
        if first.action is None:
            raise UsageError("The order asks for nothing.")
        drawing = first.action(session)
    else:
        drawing = session.drawings[first.number]
        merged = first.strokes
        for order in orders[1:]:
            if order.strokes is not None:
                merged = merged.followed_by(order.strokes, session.image.spatial_shape)
        if merged:
            drawing.add(merged, sum(order.count for order in orders))
    drawing.seconds += sum(order.seconds for order in orders)
    version = before[1] if before is not None and before[0] is drawing else 0
    turned = drawing.turned if drawing.version > version else 0
    return [_answered(session, drawing, order, turned, len(orders)) for order in orders]


def _answered(session: Session, drawing: Drawing, order: Order, turned: int, merged: int) -> Answered:
    number = session.drawings.index(drawing)
    box = drawing.changed_since(order.version if order.number == number else 0)
    part = None if box is None else Part(box, drawing.within(box))
    return Answered(session, drawing, number, drawing.round, part, turned, drawing.said, merged)
