"""Tickets for downloading one image: Slicer fetches images without the token of the person who is signed in."""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass

from casewise.server.access import Person

_SEPARATOR = "~"
_SECONDS = 600


@dataclass(frozen=True)
class _Ticket:
    key: str
    person: Person
    until: float


class Tickets:
    """An id of an image may end in a ticket: ``key~ticket``. It is good for this image, for ten minutes, and for nothing else."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._given: dict[str, _Ticket] = {}

    def give(self, key: str, person: Person) -> str:
        """The image's id with a ticket for ``person``."""
        word, now = secrets.token_urlsafe(18), time.monotonic()
        with self._lock:
            self._given = {one: ticket for one, ticket in self._given.items() if ticket.until > now}
            self._given[word] = _Ticket(key, person, now + _SECONDS)
        return f"{key}{_SEPARATOR}{word}"

    def person(self, identifier: str) -> Person | None:
        """Whose ticket an id bears; None without one that holds."""
        key, _, word = identifier.partition(_SEPARATOR)
        with self._lock:
            ticket = self._given.get(word)
        return ticket.person if ticket is not None and ticket.key == key and ticket.until > time.monotonic() else None

    def given(self, person: Person) -> dict[str, str]:
        """Key → id with a ticket, of those given to this person that still hold; the newest of each image."""
        now = time.monotonic()
        with self._lock:
            held = [(ticket.key, word) for word, ticket in self._given.items() if ticket.person == person and ticket.until > now]
        return {key: f"{key}{_SEPARATOR}{word}" for key, word in held}


def without_ticket(identifier: str) -> str:
    return identifier.partition(_SEPARATOR)[0]
