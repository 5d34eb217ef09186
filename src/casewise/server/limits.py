"""How much one client may ask: octets of a body, requests of a token, failed logins of an address."""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict, deque

from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

STRANGER_BYTES = 64 << 10  # a body of somebody who has not signed in: a login
ORDER_BYTES = 16 << 20  # a body that orders something: strokes of a large film are some megabytes
_UPLOADS = re.compile(r"/api/v1/cases|/dicomweb/studies(/[0-9.]+)?|/(datastore|session|infer|nninteractive)(/.*)?")
_WITH_BODY = ("POST", "PUT", "PATCH")
_REMEMBERED = 10_000  # clients; the one not heard from for longest is forgotten


class BodyLimit:
    """Middleware, inside the guard: refuses a body that is too large with 413, by counting what arrives, whatever Content-Length
    says.
    """

    def __init__(self, app: ASGIApp, upload_bytes: int) -> None:
        self.app = app
        self.upload_bytes = upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self._limit(scope)
        # MONAI Label's client repeats the length of its last upload on calls that have no body.
        said = Headers(scope=scope).get("content-length", "") if scope["method"] in _WITH_BODY else ""
        refusal = f"The body is larger than {limit:,} bytes, the most that this address takes."
        if said.isdecimal() and int(said) > limit:
            await JSONResponse({"detail": refusal}, 413, {"connection": "close"})(scope, receive, send)
            return
        count = 0

        async def counting() -> Message:
            nonlocal count
            message = await receive()
            count += len(message.get("body", b""))
            if count > limit:
                raise HTTPException(413, refusal, {"connection": "close"})
            return message

        await self.app(scope, counting, send)

    def _limit(self, scope: Scope) -> int:
        if scope["state"].get("person") is None:
            return STRANGER_BYTES
        return self.upload_bytes if _UPLOADS.fullmatch(scope["path"]) else min(ORDER_BYTES, self.upload_bytes)


class Rate:
    """At most ``count`` events of one key within ``seconds``; thread-safe, kept in memory."""

    def __init__(self, count: int, seconds: float) -> None:
        self.count, self.seconds = count, seconds
        self._times: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: str) -> bool:
        """Count one event of ``key``; False (and nothing counted) where it would be one too many."""
        now = time.monotonic()
        with self._lock:
            times = self._times.setdefault(key, deque())
            self._times.move_to_end(key)
            while len(self._times) > _REMEMBERED:
                self._times.popitem(last=False)
            while times and times[0] <= now - self.seconds:
                times.popleft()
            if len(times) >= self.count:
                return False
            times.append(now)
            return True

    def give_back(self, key: str) -> None:
        """The last event of ``key`` does not count."""
        with self._lock:
            times = self._times.get(key)
            if times:
                times.pop()
