"""Leases: a client that connects gets a token; one that is silent for a minute, or idle for half an hour, loses what it had."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from casewise.server.compat.nninteractive.outline import Outline
from casewise.server.compat.nninteractive.space import Space

IDLE_SECONDS = 30 * 60.0
ALIVE_SECONDS = 60.0
_SWEEP_SECONDS = 5.0
_log = logging.getLogger(__name__)


class LeaseEndedError(Exception):
    """The lease is unknown, or has ended."""


class FullError(Exception):
    """No further lease can be given."""


@dataclass(eq=False)
class Lease:
    """One client. seen : when it was last heard of. acted : when it last did something; both of a clock that only goes forward."""

    token: str
    user: str
    seen: float
    acted: float
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    outline: Outline | None = None
    space: Space | None = None
    kind: str = "uint8"  # of the client's buffer
    deep: bool = True
    ended: bool = False

    async def free(self) -> None:
        if self.outline is not None:
            await self.outline.close()
            self.outline = None

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """One call at a time; a call that waited while the lease ended raises LeaseEndedError."""
        async with self.lock:
            if self.ended:
                raise LeaseEndedError
            yield


class Leases:
    """The leases of one server, ``most`` at once; used on its event loop alone."""

    def __init__(self, most: int, *, idle: float = IDLE_SECONDS, alive: float = ALIVE_SECONDS) -> None:
        self.most, self.idle, self.alive = most, idle, alive
        self._held: dict[str, Lease] = {}

    def __len__(self) -> int:
        return len(self._held)

    def claim(self, user: str) -> Lease:
        if len(self._held) >= self.most:
            raise FullError
        now = time.monotonic()
        lease = Lease(secrets.token_hex(16), user, now, now)
        self._held[lease.token] = lease
        return lease

    def of(self, token: str | None, user: str, *, alive: bool = True, acts: bool = False) -> Lease:
        """The lease of this person's client. alive : count this as a sign of life, acts : as something done."""
        lease = self._held.get(token or "")
        if lease is None or lease.user != user:
            raise LeaseEndedError
        now = time.monotonic()
        lease.seen = now if alive else lease.seen
        lease.acted = now if acts else lease.acted
        return lease

    def remaining(self, lease: Lease) -> float:
        """Seconds of idleness that are left."""
        return max(0.0, self.idle - (time.monotonic() - lease.acted))

    async def release(self, token: str | None, user: str) -> None:
        lease = self._held.get(token or "")
        if lease is None or lease.user != user:
            return
        async with lease.lock:
            await lease.free()  # first: whoever gets the place after it needs the memory
            lease.ended = True
            self._held.pop(lease.token, None)

    async def sweep(self) -> None:
        """End the leases of clients that are silent or idle; not of one whose prompt is being answered."""
        now = time.monotonic()
        for lease in list(self._held.values()):
            ended = now - lease.seen > self.alive or now - lease.acted > self.idle
            if ended and not lease.lock.locked():
                await self.release(lease.token, lease.user)

    async def keep_sweeping(self) -> None:
        while True:
            await asyncio.sleep(min(self.alive, self.idle, _SWEEP_SECONDS))
            try:
                await self.sweep()
            except Exception:
                _log.exception("A lease of a client could not be ended; it is tried again.")

    async def close(self) -> None:
        for lease in list(self._held.values()):
            with contextlib.suppress(Exception):  # the server stops: what cannot be freed goes with it
                await self.release(lease.token, lease.user)
