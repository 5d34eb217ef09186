"""Calls on signing in and out."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request, Response

import casewise
from casewise.exchange.settings import FILE
from casewise.server.access import Person, Reader
from casewise.server.audit import record
from casewise.server.schemas.admin import Me, SignIn
from casewise.server.services import services
from casewise.server.signing_in import address_of, by_password, forget_cookie, set_cookie
from casewise.server.users import any_users

router = APIRouter(tags=["access"])


@router.get("/me")
def me(request: Request, person: Reader) -> Me:
    """Who is asking."""
    return _me(request, person)


@router.post("/login", responses={401: {"description": "Wrong name or password"}, 429: {"description": "Too many attempts"}})
def login(request: Request, response: Response, order: SignIn) -> Me:
    """Sign in by name and password; the answer sets a cookie."""
    cookie, user = by_password(request, order.name, order.password)
    set_cookie(request, response, cookie)
    return _me(request, Person(user.name, user.role, "cookie"))


@router.post("/logout", status_code=204)
def logout(request: Request, response: Response, person: Reader) -> None:
    """Sign out: the cookie is of no use any more."""
    if person.how != "cookie":
        raise HTTPException(400, "Only a cookie can be signed out; a token is revoked by DELETE /api/v1/tokens/ID.")
    forget_cookie(request, response)
    record(services(request).store, person.name, address_of(request), "sign out")


def _me(request: Request, person: Person) -> Me:
    shared = services(request)
    return Me.model_validate(
        {
            "name": person.name,
            "role": person.role,
            "users": any_users(shared.store),
            "show_names": shared.settings.show_names,
            "version": casewise.__version__,
            "network": person.may("admin") or shared.node is not None or (shared.store.folder / FILE).is_file(),
        }
    )
