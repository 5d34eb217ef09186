"""What is handed to workers and what comes back, whoever they are."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

# From a chunk to its items' outcomes, in order. It answers an item with an outcome of its own that says what is wrong with it
# rather than raise: workers that are processes give ``Lost`` for what it raises, a CasewiseError's sentence or, of a mistake in
# casewise, its place; where the worker is this process, it is raised.
Do = Callable[[Sequence[Item]], Iterator[Outcome]]
# Opens what a worker needs, once a worker. For workers that are processes it must be picklable, as items and outcomes must be.
Make = Callable[[], AbstractContextManager[Do[Item, Outcome]]]


@dataclass(frozen=True)
class Lost:
    """In an outcome's place: the item ended each worker that had it, or made it raise an error. reason : one sentence."""

    reason: str


class Workers(Protocol):
    """size : how many chunks are worked on at a time."""

    @property
    def size(self) -> int: ...

    def run(self, chunks: Sequence[Sequence[Item]], make: Make[Item, Outcome]) -> Generator[tuple[Item, Outcome | Lost]]:
        """Each item once, with its outcome, as soon as it is there: in order where the size is one, else in any order.

        A worker that dies is replaced, and its chunk goes on with another. To be closed (``contextlib.closing``) where it is not
        used up: that ends the workers, in the middle of an item too. Raises what ``make`` raises, where that is a CasewiseError.
        """
        ...


def chunked(items: Sequence[Item], size: int, most: int = 16) -> list[Sequence[Item]]:
    """``items`` in chunks of at most ``most``, of fewer where ``size`` workers would not all be busy to the end."""
    each = max(1, min(most, len(items) // (4 * size)))
    return [items[first : first + each] for first in range(0, len(items), each)]
