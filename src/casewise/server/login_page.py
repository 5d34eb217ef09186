"""The login page, with the sentence of what went wrong."""

from __future__ import annotations

from pathlib import Path

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from casewise.server.services import services
from casewise.server.signing_in import local_path
from casewise.server.users import any_users

TEMPLATES = Path(__file__).parent / "templates"
_PAGE = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined).get_template("login.html")


def login_page(request: Request, problem: str, next: str | None, status: int = 200) -> HTMLResponse:
    """The page. next : where to go after signing in; only a path of this server counts."""
    shared = services(request)
    provider = shared.settings.oidc is not None
    html = _PAGE.render(problem=problem, next=local_path(next), users=any_users(shared.store), provider=provider)
    return HTMLResponse(html, status)
