"""The pages: one shell of HTML for each address; all that it displays comes from the calls."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from casewise.server.access import person

_HERE = Path(__file__).parent
STATIC = _HERE / "static"  # what `make page` builds from web/
# Address → (the page's name, which the script takes; its title).
PAGES = {
    "/": ("worklist", "Worklist"),
    "/cases/{key}": ("case", "Case"),
    "/annotate": ("annotate", "Annotate"),
    "/annotate/{key}": ("annotate", "Annotate"),
    "/sets": ("sets", "Sets"),
    "/sets/{number}": ("sets", "Sets"),
    "/jobs": ("jobs", "Jobs"),
    "/dicom": ("dicom", "Network"),
    "/models": ("models", "Models"),
    "/admin": ("admin", "Admin"),
    "/help": ("help", "Help"),
}


def add(app: FastAPI) -> None:
    """Add the pages, and the files that they load."""
    environment = Environment(loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined)
    template = environment.get_template("page.html")
    if STATIC.is_dir():
        app.mount("/static", StaticFiles(directory=STATIC), name="static")
    for address, (name, title) in PAGES.items():
        app.add_api_route(address, _page(template.render(name=name, title=title)), include_in_schema=False)


def _page(html: str):  # type: ignore[no-untyped-def]
    async def page(request: Request) -> Response:
        if person(request) is None:
            address = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/login?next={quote(address, safe='/')}", 303)
        return HTMLResponse(html)

    return page
