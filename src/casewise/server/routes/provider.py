"""Signing in by the identity provider: there, and back."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response

from casewise.errors import CasewiseError
from casewise.server.addresses import Here
from casewise.server.audit import record
from casewise.server.login_page import login_page
from casewise.server.logins import sign_in
from casewise.server.oidc import STARTED_SECONDS, Identity, Provider
from casewise.server.services import services
from casewise.server.signing_in import address_of, local_path, set_cookie
from casewise.server.users import from_provider

router = APIRouter(include_in_schema=False)

_BACK = "/login/oidc/back"
_COOKIE = "casewise-oidc"


@router.get("/login/oidc")
async def begin(request: Request, next: str | None = None) -> Response:
    """Send the browser to the provider."""
    ours: Here = request.state.here
    try:
        url, cookie = await _provider(request).begin(f"{_base(request)}{_BACK}", local_path(next))
    except CasewiseError as problem:
        return await run_in_threadpool(login_page, request, str(problem), next, 502)
    answer = RedirectResponse(url, 303)
    answer.set_cookie(
        _COOKIE, cookie, max_age=STARTED_SECONDS, path="/login/oidc", httponly=True, samesite="lax", secure=ours.secure
    )
    return answer


@router.get(_BACK)
async def back(request: Request) -> Response:
    """What the provider sends the browser back with."""
    try:
        identity, next = await _provider(request).finish(request.query_params, request.cookies.get(_COOKIE, ""))
        cookie = await run_in_threadpool(_sign_in, request, identity)
    except CasewiseError as problem:
        await run_in_threadpool(record, services(request).store, "", address_of(request), "sign in by provider", "", "refused 403")
        return await run_in_threadpool(login_page, request, str(problem), None, 403)
    answer = RedirectResponse(next, 303)
    await run_in_threadpool(set_cookie, request, answer, cookie)
    answer.delete_cookie(_COOKIE, path="/login/oidc")
    return answer


def _sign_in(request: Request, identity: Identity) -> str:
    shared = services(request)
    user = from_provider(shared.store, identity.name, identity.subject, identity.role)
    record(shared.store, user.name, address_of(request), "sign in by provider")
    return sign_in(shared.store, user.name, user.role, shared.settings)


def _base(request: Request) -> str:
    ours: Here = request.state.here
    return (services(request).settings.url or ours.origin).rstrip("/")


def _provider(request: Request) -> Provider:
    found: Provider | None = request.app.state.provider
    if found is None:
        raise HTTPException(404, "This server has no identity provider.")
    return found
