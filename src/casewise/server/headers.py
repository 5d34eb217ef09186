"""The headers that every answer carries: what a browser may do with it."""

from __future__ import annotations

import re

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAGE = (
    "default-src 'self'; img-src 'self' blob:; connect-src 'self'; object-src 'none'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
# A report is one file with its own style and script; it may be framed by our pages, and reaches nothing.
REPORT = (
    "sandbox allow-scripts; default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
)
# OHIF decodes pixels in WebAssembly and in workers, some of which it makes itself; its parts bring styles with them, and the arrays
# of its segmentations compile their accessors (scijs ndarray). All of it comes from this server.
OHIF = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval' 'unsafe-eval'; worker-src 'self' blob:; "
    "style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; object-src 'none'; "
    "frame-ancestors 'none'; base-uri 'self'; form-action 'none'"
)
_REPORTS = re.compile(r"/api/v1/results/[^/]+/report")
_EVERYWHERE = {
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def headers_for(path: str) -> dict[str, str]:
    """The headers of an answer to a request of ``path``."""
    # A form's Origin is "null" under no-referrer; these pages have one.
    referrer = "same-origin" if path in {"/login", "/login/password"} else "no-referrer"
    return {
        **_EVERYWHERE,
        "content-security-policy": REPORT if _REPORTS.fullmatch(path) else OHIF if path.startswith("/ohif/") else PAGE,
        "referrer-policy": referrer,
    }


class SecurityHeaders:
    """Middleware: the headers above, and ``no-store`` for what is someone's data and says nothing else of caching."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path: str = scope["path"]

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(headers_for(path))
                if not path.startswith("/static/"):
                    headers.setdefault("cache-control", "no-store")
            await send(message)

        await self.app(scope, receive, sending)
