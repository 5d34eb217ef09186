"""``/auth/``: signing in as MONAI Label's clients do, by a name and a password for a token of some hours."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Request

from casewise.server.access import ROLES, Reader
from casewise.server.compat.monailabel.desk import Shared
from casewise.server.services import Services
from casewise.server.signing_in import checked_user
from casewise.server.tokens import issue_token
from casewise.server.users import any_users

router = APIRouter()
_ROLE = "annotator"  # what desktop clients need at most
_NONE = "This server has no users, so nobody signs in."


@router.get("/auth/")
def enabled(shared: Shared) -> dict[str, object]:
    """Whether one signs in; clients read 404 as no."""
    _check_users(shared)
    return {"enabled": True, "client_id": "casewise", "realm": "casewise"}


@router.post("/auth/token")
def token(
    request: Request,
    shared: Shared,
    username: Annotated[str, Form(max_length=200)],
    password: Annotated[str, Form(max_length=1000)],
) -> dict[str, object]:
    """A token for a name and a password."""
    _check_users(shared)
    user = checked_user(request, username, password)
    hours = shared.settings.login_hours
    value, _ = issue_token(shared.store, user.name, min(user.role, _ROLE, key=ROLES.index), hours, "MONAI Label client")
    return {"access_token": value, "token_type": "bearer", "expires_in": hours * 3600}


@router.get("/auth/token/valid")
def valid(shared: Shared, person: Reader) -> dict[str, object]:
    """Whether the token that came with the call holds."""
    _check_users(shared)
    return {"username": person.name, "role": person.role}


def _check_users(shared: Services) -> None:
    if not any_users(shared.store):
        raise HTTPException(404, _NONE)
