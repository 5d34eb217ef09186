"""The login page: a plain form that needs no script, and the one-time link."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from casewise.errors import UsageError
from casewise.server.access import LOCAL, person
from casewise.server.audit import record
from casewise.server.login_page import TEMPLATES, login_page, password_page
from casewise.server.logins import follow_link
from casewise.server.services import services
from casewise.server.signing_in import address_of, by_password, checked_user, local_path, set_cookie
from casewise.server.users import save

router = APIRouter(include_in_schema=False)

_Name = Annotated[str, Form(max_length=200)]
_Password = Annotated[str, Form(max_length=1000)]
_LINK_GONE = "This link was used before, is older than 10 minutes, or the server has users by now."


@router.get("/login")
def show_form(request: Request, next: str | None = None) -> Response:
    """The form; whoever is signed in already goes on."""
    if person(request) is not None:
        return RedirectResponse(local_path(next), 303)
    return login_page(request, "", next)


@router.post("/login")
def login_form(
    request: Request,
    name: _Name = "",
    password: _Password = "",
    next: Annotated[str, Form(max_length=2000)] = "/",
) -> Response:
    """What the form sends."""
    try:
        cookie, _user = by_password(request, name.strip(), password)
    except HTTPException as problem:
        return login_page(request, str(problem.detail), next, problem.status_code, name=name)
    answer = RedirectResponse(local_path(next), 303)
    set_cookie(request, answer, cookie)
    return answer


@router.get("/login.css")
def style() -> Response:
    """The login page's own style, which needs no built page."""
    return Response((TEMPLATES / "login.css").read_bytes(), media_type="text/css")


@router.get("/login/password")
def show_password_form() -> Response:
    """The form by which people change their own password; it asks for the one until now, not for a cookie."""
    return password_page("")


@router.post("/login/password")
def change_password(
    request: Request,
    name: _Name = "",
    password: _Password = "",
    new: _Password = "",
    again: _Password = "",
) -> Response:
    """What that form sends. All logins of this person end, and they sign in with the new password."""
    name = name.strip()
    store = services(request).store
    try:
        if new != again:
            return password_page("The new password and its repetition differ.", 400, name=name)
        user = checked_user(request, name, password)
        save(store, user.name, user.role, password=new)
    except HTTPException as problem:
        return password_page(str(problem.detail), problem.status_code, name=name)
    except UsageError as problem:
        return password_page(str(problem), 400, name=name)
    record(store, user.name, address_of(request), "change password")
    return login_page(request, "", None, name=name, note="Your password is changed. Sign in with the new one.")


@router.get("/login/once/{secret}")
def once(request: Request, secret: str) -> Response:
    """The link that ``casewise serve`` prints."""
    if person(request) is not None:
        return RedirectResponse("/", 303)
    shared = services(request)
    cookie = follow_link(shared.store, secret, shared.settings)
    if cookie is None:
        return login_page(request, _LINK_GONE, None, 403)
    record(shared.store, LOCAL, address_of(request), "sign in by link")
    answer = RedirectResponse("/", 303)
    set_cookie(request, answer, cookie)
    return answer
