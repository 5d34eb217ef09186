"""The login page, with the sentence of what went wrong."""

from __future__ import annotations

from pathlib import Path

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from casewise.server.services import services
from casewise.server.signing_in import local_path
from casewise.server.users import LONGEST, SHORTEST, any_users

TEMPLATES = Path(__file__).parent / "templates"
_ENVIRONMENT = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)


def login_page(
    request: Request, problem: str, next: str | None, status: int = 200, *, name: str = "", note: str = ""
) -> HTMLResponse:
    """The page. next : where to go then, if it is a path of this server. name : as it was typed. note : what was done."""
    shared, ours = services(request), request.state.here
    html = _ENVIRONMENT.get_template("login.html").render(
        problem=problem,
        note=note,
        name=name,
        next=local_path(next),
        users=any_users(shared.store),
        provider=shared.settings.oidc is not None,
        origin=ours.origin,
    )
    return HTMLResponse(html, status)


def password_page(problem: str, status: int = 200, *, name: str = "") -> HTMLResponse:
    """The form by which people change their password."""
    html = _ENVIRONMENT.get_template("password.html").render(problem=problem, name=name, shortest=SHORTEST, longest=LONGEST)
    return HTMLResponse(html, status)
