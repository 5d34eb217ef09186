"""Who may talk to the server at all: each request's address, origin and person, before any call sees it.

The layers, outermost first: headers, other origins (only those of ``server.toml``), guard, body limits, audit log. The guard sets
``request.state.person``, which the dependencies of ``access`` and the other layers read.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from casewise.server.access import LOCAL, Person
from casewise.server.addresses import Here, from_this_machine, here
from casewise.server.audited import SAFE, Audited
from casewise.server.headers import SecurityHeaders
from casewise.server.limits import BodyLimit, Rate
from casewise.server.logins import person_of_cookie
from casewise.server.logs import WithoutSecrets
from casewise.server.oidc import Provider
from casewise.server.secrets import hash_of
from casewise.server.settings import Settings
from casewise.server.signing_in import ATTEMPTS, WITHIN
from casewise.server.store import Store
from casewise.server.tokens import person_of_token
from casewise.server.users import any_users

# Where desktop clients ask (MONAI Label, nnInteractive): open to this machine while there are no users.
CLIENTS = frozenset(
    {"info", "infer", "datastore", "session", "activelearning", "train", "scoring", "batch", "model", "logs", "nninteractive"}
)
_ANY_HOST = frozenset({"/healthz", "/readyz"})  # probes ask by number, and learn nothing
_FORMS = frozenset({"/login", "/login/password", "/api/v1/login"})  # plain forms cannot send our header; their Origin is checked
_T = TypeVar("_T")


def protect(app: FastAPI, store: Store, settings: Settings) -> None:
    """Put the layers around ``app``. Raises UsageError where the identity provider of ``settings`` cannot be used."""
    app.state.provider = None if settings.oidc is None else Provider(settings.oidc)
    app.state.failed_logins = Rate(ATTEMPTS, WITHIN)
    app.add_middleware(Audited, store=store)
    app.add_middleware(BodyLimit, upload_bytes=settings.upload_bytes)
    app.add_middleware(Guard, store=store, settings=settings)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=["*"],
        )
    app.add_middleware(SecurityHeaders)
    logging.getLogger("uvicorn.access").addFilter(WithoutSecrets())


class Guard:
    """Middleware: finds the person, and refuses what is not asked by them on purpose."""

    def __init__(self, app: ASGIApp, store: Store, settings: Settings) -> None:
        self.app, self.store, self.settings = app, store, settings
        self.rate = Rate(settings.requests_per_second, 1.0)
        self._threads: CapacityLimiter | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal = await self._look(scope)
        await (self.app if refusal is None else refusal)(scope, receive, send)

    async def _look(self, scope: Scope) -> JSONResponse | None:
        """Set the person; or what to answer instead."""
        state = scope.setdefault("state", {})
        state["person"] = None
        headers, path = Headers(scope=scope), scope["path"]
        ours = here(scope, self.settings)
        if ours is None:
            return None if path in _ANY_HOST else _refuse(400, self._elsewhere())
        state["here"] = ours
        if "\0" in path or b"%00" in scope.get("query_string", b""):
            return _refuse(400, "The address holds the letter U+0000.")
        unsafe, origin = scope["method"] not in SAFE, headers.get("origin")
        if unsafe and origin is not None and origin not in (ours.origin, *self.settings.origins):
            return _refuse(403, f"This was asked by a page of another origin; allowed is {ours.origin}.")
        if token := _bearer(headers, path):
            return await self._by_token(state, token)
        if cookie := cookie_parser(headers.get("cookie", "")).get(ours.cookie):
            state["person"] = await self._thread(lambda: person_of_cookie(self.store, cookie, self.settings))
            if unsafe and state["person"] is not None and path not in _FORMS and not _on_purpose(headers, ours):
                return _refuse(403, "A browser must send the header X-Casewise: 1, and its Origin, with this call.")
        if state["person"] is None and path.split("/")[1] in CLIENTS and await self._thread(lambda: self._open(scope)):
            state["person"] = Person(LOCAL, "annotator", "local")
        return None

    async def _by_token(self, state: dict[str, object], token: str) -> JSONResponse | None:
        found = await self._thread(lambda: person_of_token(self.store, token))
        if found is None:
            return _refuse(401, "This token is unknown, expired or revoked; get another.", {"www-authenticate": "Bearer"})
        if not self.rate.take(hash_of(token)):
            sentence = f"More than {self.settings.requests_per_second} requests a second by one token; ask more slowly."
            return _refuse(429, sentence, {"retry-after": "1"})
        state["person"] = found
        return None

    def _open(self, scope: Scope) -> bool:
        return self.settings.open_clients and from_this_machine(scope, self.settings) and not any_users(self.store)

    async def _thread(self, work: Callable[[], _T]) -> _T:
        """Ask the store off the event loop, in threads that the calls do not fill."""
        if self._threads is None:
            self._threads = CapacityLimiter(4)
        return await to_thread.run_sync(work, limiter=self._threads)

    def _elsewhere(self) -> str:
        known = f"http://127.0.0.1 or {self.settings.url}" if self.settings.url else "http://127.0.0.1"
        return f"This server does not answer under that name, but at {known}; another one is set as url in server.toml."


def _on_purpose(headers: Headers, ours: Here) -> bool:
    """Whether our own page asks: a form or an image of another page can send a cookie, but neither our header nor our origin."""
    return headers.get("x-casewise") == "1" and headers.get("origin") == ours.origin


def _bearer(headers: Headers, path: str) -> str | None:
    scheme, _, value = headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" and value.strip() else None


def _refuse(status: int, sentence: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": sentence}, status, headers)
