"""Signing in, as the calls and the login page share it: the password's check, its limit, and the cookie."""

from __future__ import annotations

import ipaddress
import re

from fastapi import HTTPException, Request, Response

from casewise.server.addresses import Here
from casewise.server.audit import record
from casewise.server.limits import Rate
from casewise.server.logins import sign_in, sign_out
from casewise.server.services import services
from casewise.server.users import User, check_password

ATTEMPTS, WITHIN = 5, 60.0  # failed logins of one address, seconds
WRONG = "The name or the password is wrong."
_LOCAL_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]*")  # printable ASCII without a backslash, which browsers take for a slash


def by_password(request: Request, name: str, password: str) -> tuple[str, User]:
    """The cookie's value, and the user. Raises HTTPException as :func:`checked_user`."""
    shared, user = services(request), checked_user(request, name, password)
    return sign_in(shared.store, user.name, user.role, shared.settings), user


def checked_user(request: Request, name: str, password: str) -> User:
    """Whose name and password these are. Raises HTTPException 401 for a wrong password, 429 after too many."""
    shared, address = services(request), address_of(request)
    failed: Rate = request.app.state.failed_logins
    if not failed.take(_network(address)):  # taken before the check, so that many attempts at once do not pass together
        raise HTTPException(429, f"{ATTEMPTS} logins failed from this address; wait a minute.", {"retry-after": "60"})
    user = check_password(shared.store, name, password)
    if user is None:
        # The name is not noted: people type their password there by mistake.
        record(shared.store, "", address, "sign in", outcome="refused 401")
        raise HTTPException(401, WRONG)
    failed.give_back(_network(address))
    record(shared.store, user.name, address, "sign in")
    return user


def set_cookie(request: Request, response: Response, value: str) -> None:
    """Sign this browser in; who was signed in before is signed out."""
    ours = _end_login(request)
    response.set_cookie(ours.cookie, value, path="/", httponly=True, samesite="lax", secure=ours.secure)


def forget_cookie(request: Request, response: Response) -> None:
    """Sign this browser out."""
    ours = _end_login(request)
    response.delete_cookie(ours.cookie, path="/", httponly=True, samesite="lax", secure=ours.secure)


def _end_login(request: Request) -> Here:
    ours: Here = request.state.here
    if value := request.cookies.get(ours.cookie):
        sign_out(services(request).store, value)
    return ours


def address_of(request: Request) -> str:
    return request.client.host if request.client is not None else ""


def local_path(wanted: str | None) -> str:
    """Where to go after signing in: ``wanted`` if it is a path of this server, else the first page."""
    return wanted if wanted is not None and _LOCAL_PATH.fullmatch(wanted) else "/"


def _network(address: str) -> str:
    """One client can have all of an IPv6 /64."""
    try:
        number = ipaddress.ip_address(address)
    except ValueError:
        return address
    return address if number.version == 4 else str(ipaddress.ip_network((number, 64), strict=False))
