"""OHIF's viewer below ``/ohif/``, over the server's own DICOMweb; its built files lie in a folder and are changed by nobody.

The files come from npm (``make ohif``), or lie where ``server.toml`` says. Their first page is sent with our paths and our
configuration in the place of theirs, and without scripts that stand in the page itself, so that its Content-Security-Policy needs
none. Nothing is asked of another server.
"""

from __future__ import annotations

import gzip
import re
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse, RedirectResponse

from casewise.server.access import person
from casewise.server.audited import about
from casewise.server.dicomweb.holdings import Held
from casewise.server.settings import Settings

ROOT = "/ohif/"
_CONFIGURATION = Path(__file__).parent / "templates" / "ohif-config.js"
_ABSENT = (
    "OHIF is not installed on this server: run `make ohif` in casewise's checkout, or unpack @ohif/app from npm and name its "
    'folder dist in server.toml, ohif = "FOLDER".'
)
_ADDRESS = re.compile(r'(href|src)="/(?!/)')
_INLINE = re.compile(r"<script>.*?</script>", re.DOTALL)
_SERVICE_WORKER = re.compile(r"<script[^>]*init-service-worker\.js[^>]*></script>")
_HASHED = re.compile(r"[^/]*\.?[0-9a-f]{16}\.[a-z0-9.]+")
# Programs that load others: the page's and those of workers. What they load has a number for a name.
_PROGRAM = re.compile(r"[A-Za-z][A-Za-z-]*\.bundle\.(css|[0-9a-f]{16}\.js)")
_BUILT_FOR = (b'__webpack_require__.p = "/', b"url(/")
_FOREVER, _ASKED = "private, max-age=31536000, immutable", "private, no-cache"


def add(app: FastAPI, settings: Settings) -> None:
    """Add the viewer, and the address that opens a case in it."""
    place = settings.ohif_files

    def ohif(request: Request, path: str = "") -> Response:
        if person(request) is None:
            return _sign_in(request, page=_is_page(path))
        return (
            PlainTextResponse(_ABSENT, 404)
            if place is None
            else _file(place, path, zipped="gzip" in request.headers.get("accept-encoding", ""))
        )

    def open_case(key: str, held: Held, request: Request) -> Response:
        """The study of a case, its own series first."""
        if person(request) is None:
            return _sign_in(request, page=True)
        if place is None:
            return PlainTextResponse(_ABSENT, 404)
        found = held.instances.of_image(key)
        about(request, found.study_uid)
        return RedirectResponse(
            f"{ROOT}viewer?StudyInstanceUIDs={found.study_uid}&initialSeriesInstanceUID={found.series_uid}", 303
        )

    app.add_api_route("/ohif", lambda: RedirectResponse(ROOT, 308), include_in_schema=False)
    app.add_api_route(ROOT + "{path:path}", ohif, include_in_schema=False)
    app.add_api_route("/cases/{key}/ohif", open_case, include_in_schema=False)


def _sign_in(request: Request, page: bool) -> Response:
    if not page:
        raise HTTPException(401, "Sign in first.")
    address = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/login?next={quote(address, safe='/')}", 303)


def _is_page(path: str) -> bool:
    """Whether an address is one of the viewer's own (``viewer``, ``segmentation``), all of which its first page serves."""
    return "." not in path.rpartition("/")[2]


def _file(place: Path, path: str, *, zipped: bool) -> Response:
    if path == "app-config.js":
        return FileResponse(_CONFIGURATION, headers={"Cache-Control": _ASKED})
    if path == "index.html" or _is_page(path):
        page = place / "index.html"
        return HTMLResponse(_page(page, page.stat().st_mtime_ns), headers={"Cache-Control": _ASKED})
    found = (place / path).resolve()
    if "\\" in path or not found.is_relative_to(place.resolve()) or not found.is_file():
        raise HTTPException(404, "OHIF has no such file.")
    headers = {"Cache-Control": _FOREVER if _HASHED.fullmatch(found.name) else _ASKED}
    if _PROGRAM.fullmatch(found.name):
        return _program(found, headers, zipped=zipped)
    return FileResponse(found, headers=headers)


def _program(found: Path, headers: dict[str, str], *, zipped: bool) -> Response:
    packed = _packed(found, found.stat().st_mtime_ns)
    headers |= {"Vary": "Accept-Encoding"}
    kind = "text/css" if found.suffix == ".css" else "text/javascript"
    if zipped:
        return Response(packed, headers={**headers, "Content-Encoding": "gzip"}, media_type=kind)
    return Response(gzip.decompress(packed), headers=headers, media_type=kind)


@lru_cache(8)
def _packed(program: Path, changed: int) -> bytes:
    """A program (the page's has 17 MB before it is packed), made to look for its parts below our path, not at the root."""
    content = program.read_bytes()
    for theirs in _BUILT_FOR:
        content = content.replace(theirs, theirs[:-1] + ROOT.encode())
    return gzip.compress(content, 6)


@lru_cache(4)
def _page(page: Path, changed: int) -> str:
    html = page.read_text(encoding="utf-8")
    for pattern in (_INLINE, _SERVICE_WORKER):
        html = pattern.sub("", html)
    html = _ADDRESS.sub(rf'\1="{ROOT}', html)
    return html.replace("<head>", f'<head><base href="{ROOT}">', 1)
