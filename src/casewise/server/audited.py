"""Which calls enter the audit log: everything that changes something, and whatever displays or exports a patient's data."""

from __future__ import annotations

import re

from anyio import CapacityLimiter, to_thread
from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from casewise.server.access import Person
from casewise.server.audit import record
from casewise.server.limits import Rate
from casewise.server.store import Store

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_AGAIN_AFTER = 600.0  # seconds in which seeing the same thing again is not noted again
# Steps of a session that was noted when it began, and what says of itself that somebody is still there.
_STEPS = re.compile(r"/api/v1/sessions/\{[a-z_]+\}/(?!accept)[a-z]+|.*/heartbeat|/api/v1/log(in|out)|/login.*|/nninteractive/.*")
_SEEN = (
    (re.compile(r"/api/v1/cases/\{[a-z_]+\}/(masks|export|download|original).*"), "export"),
    (re.compile(r"/api/v1/(cases|results|images)/\{[a-z_]+\}.*"), "see"),
    (re.compile(r"/api/v1/.*(export|download)"), "export"),
    (re.compile(r"/datastore/(image|label).*"), "export"),
)
_WORDS = {"POST": "order", "PUT": "put", "PATCH": "change", "DELETE": "delete"}


def about(request: Request, object: str) -> None:
    """Say what a call is about, where its address does not: the audit log takes it as the object."""
    request.state.audited = object


class Audited:
    """Middleware, inside the guard: notes calls of known people once they have been answered."""

    def __init__(self, app: ASGIApp, store: Store) -> None:
        self.app, self.store = app, store
        self._seen = Rate(1, _AGAIN_AFTER)
        self._threads: CapacityLimiter | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["state"].get("person") is None:
            await self.app(scope, receive, send)
            return
        status = 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, sending)
        finally:
            await self._note(scope, status)

    async def _note(self, scope: Scope, status: int) -> None:
        template = str(getattr(scope.get("route"), "path", ""))
        action = action_of(scope["method"], template)
        if action is None:
            return
        person: Person = scope["state"]["person"]
        object = str(scope["state"].get("audited") or "/".join(str(value) for value in scope.get("path_params", {}).values()))
        outcome = "done" if status < 400 else f"refused {status}" if status < 500 else f"failed {status}"
        address = scope["client"][0] if scope.get("client") else ""
        if scope["method"] in SAFE and not self._seen.take("\n".join((person.name, address, action, object, outcome))):
            return
        if self._threads is None:
            self._threads = CapacityLimiter(2)
        safe = object.encode("ascii", "backslashreplace").decode().replace("\0", "")
        await to_thread.run_sync(record, self.store, person.name, address, action, safe, outcome, limiter=self._threads)


def action_of(method: str, template: str) -> str | None:
    """What a call is named in the log, by its route (``/api/v1/cases/{key}``); None for what is not noted."""
    if not template or _STEPS.fullmatch(template):
        return None
    place = re.sub(r"/?\{[a-z_:]+\}", "", template.removeprefix("/api/v1")).strip("/")
    if method not in SAFE:
        return f"{_WORDS.get(method, method.lower())} {place}"
    for pattern, word in _SEEN:
        if pattern.fullmatch(template):
            return f"{word} {place}"
    return None
