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
# Steps of a session, which was noted when it began, and what notes itself.
_STEPS = re.compile(r"/api/v1/sessions/\{[a-z_]+\}/(?!accept)[a-z]+|/api/v1/log(in|out)|/login.*|/nninteractive/.*")
_EXPORTS = re.compile(r"/api/v1/.*(/nifti|/export(/.*)?|\.(nii\.gz|dcm|csv))|/datastore/(image|label)")
_SEEN = re.compile(r"/api/v1/(cases|results)/\{[a-z_]+\}(/(?!thumbnail).*)?")
_KEYS = re.compile(r"(?:image|label|id)=([0-9a-f]{32})(?![^&])")
_WORDS = {"POST": "order", "PUT": "put", "PATCH": "change", "DELETE": "delete"}
_MOUNTED = ("/api/v1", "/nninteractive", "/dicomweb")


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
        action = action_of(scope["method"], _template(scope))
        if action is None or (scope["method"] in SAFE and status >= 400 and status != 403):
            return
        person: Person = scope["state"]["person"]
        object = _object(scope)
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
    if template.startswith("/dicomweb/studies/{study}"):
        return "see study"
    place = re.sub(r"/?\{[a-z_:]+\}", "", template.removeprefix("/api/v1")).strip("/")
    if method not in SAFE:
        return f"{_WORDS.get(method, method.lower())} {place}"
    if _EXPORTS.fullmatch(template):
        return f"export {place}"
    return f"see {place.split('/')[0]}" if _SEEN.fullmatch(template) else None


def _object(scope: Scope) -> str:
    """What the call said that it is about; else what its address names, in its path or (MONAI Label) as a key in its query."""
    if said := scope["state"].get("audited"):
        return str(said)
    parts = [str(value) for value in scope.get("path_params", {}).values()]
    return "/".join(parts + _KEYS.findall(scope.get("query_string", b"").decode("latin-1")))


def _template(scope: Scope) -> str:
    """The route that answered. Some versions of FastAPI leave out where a router was mounted."""
    template = str(getattr(scope.get("route"), "path", ""))
    for mounted in _MOUNTED:
        if template and scope["path"].startswith(f"{mounted}/") and not template.startswith(f"{mounted}/"):
            return mounted + template
    return template
