"""Work that a server does again and again while it runs, such as removing what has expired."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

_log = logging.getLogger(__name__)


@asynccontextmanager
async def repeated(work: Callable[[], Awaitable[object]], seconds: float, failed: str) -> AsyncIterator[None]:
    """Do ``work`` now, and while the block runs again every ``seconds``. failed : the sentence in the log where it raises."""

    async def once() -> None:
        try:
            await work()
        except Exception:
            _log.exception(failed)

    async def again() -> None:
        while True:
            await asyncio.sleep(seconds)
            await once()

    await once()
    running = asyncio.create_task(again())
    try:
        yield
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
