"""Calls on people, tokens, the audit log, and the state of the server."""

from __future__ import annotations

import csv
import io
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, astuple, fields
from typing import Annotated

import psutil
from fastapi import APIRouter, HTTPException, Path, Query, Request
from fastapi.responses import StreamingResponse

import casewise
from casewise.server import audit, users
from casewise.server.access import Admin, Reader
from casewise.server.schemas.admin import (
    AuditCheck,
    AuditLine,
    NewToken,
    ServerState,
    TokenLine,
    TokenOrder,
    UserLine,
    UserOrder,
)
from casewise.server.services import Shared
from casewise.server.tokens import issue_token, revoke, tokens_of

router = APIRouter(tags=["admin"])

_STARTED = time.time()
_Word = Annotated[str | None, Query(max_length=200)]


@router.get("/users")
def list_users(person: Admin, shared: Shared) -> list[UserLine]:
    """Everybody who may sign in, by name."""
    return [UserLine.model_validate(asdict(user)) for user in users.everyone(shared.store)]


@router.put("/users/{name}")
def save_user(name: Annotated[str, Path(max_length=64)], order: UserOrder, person: Admin, shared: Shared) -> UserLine:
    """Add a user, or change one. The first user must be an admin, and one admin always remains."""
    saved = users.save(shared.store, name, order.role, password=order.password, disabled=order.disabled)
    return UserLine.model_validate(asdict(saved))


@router.get("/tokens")
def list_tokens(person: Reader, shared: Shared) -> list[TokenLine]:
    """One's own tokens; an admin sees all. A token sees those alone whose role and end are at most its own."""
    return [TokenLine.model_validate(asdict(token)) for token in tokens_of(shared.store, person)]


@router.post("/tokens", status_code=201)
def make_token(order: TokenOrder, person: Reader, shared: Shared) -> NewToken:
    """A token of one's own for a program, with at most one's own role. Its value is in this answer alone.

    A token that asks for another hands on at most its own role, until its own end at the latest.
    """
    value, token = issue_token(shared.store, person.name, order.role, order.hours, order.note, asking=person)
    return NewToken.model_validate({**asdict(token), "token": value})


@router.delete("/tokens/{id}", status_code=204)
def revoke_token(id: Annotated[str, Path(max_length=64)], person: Reader, shared: Shared) -> None:
    """End a token at once: one of those that one sees."""
    if not revoke(shared.store, id, person):
        raise HTTPException(404, "There is no such token.")


@router.get("/audit")
def read_audit(
    person: Admin,
    shared: Shared,
    user: _Word = None,
    action: _Word = None,
    object: _Word = None,
    after: Annotated[int | None, Query(ge=1, le=2**53, description="Go on after this line of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> list[AuditLine]:
    """Who did what, the newest first; of the users, actions and objects that hold these letters."""
    found = audit.entries(shared.store, user=user, action=action, object=object, before=after, limit=limit)
    return [AuditLine.model_validate(asdict(entry)) for entry in found]


@router.get("/audit/check")
def check_audit(person: Admin, shared: Shared) -> AuditCheck:
    """Whether the log is as it was written."""
    rows, problem = audit.verify(shared.store)
    return AuditCheck(rows=rows, problem=problem)


@router.get("/audit/export", response_class=StreamingResponse, responses={200: {"content": {"text/csv": {}}}})
def export_audit(person: Admin, shared: Shared) -> StreamingResponse:
    """The whole log as a table, the oldest first."""
    name = {"content-disposition": 'attachment; filename="casewise-audit.csv"'}
    return StreamingResponse(_as_csv(audit.every_entry(shared.store)), media_type="text/csv", headers=name)


@router.get("/server")
def server(request: Request, person: Admin, shared: Shared) -> ServerState:
    """How the server is doing."""
    disk = shutil.disk_usage(shared.store.folder)
    return ServerState(
        version=casewise.__version__,
        started=_STARTED,
        disk_free=disk.free,
        disk_total=disk.total,
        memory=psutil.Process().memory_info().rss,
        sessions=len(shared.sessions),
        images_cached=shared.images.bytes,
        queue=shared.jobs.counts(),
        workers=list(shared.jobs.workers()),
    )


def _as_csv(found: Iterator[audit.Entry]) -> Iterator[str]:
    yield _line([field.name for field in fields(audit.Entry)])
    for entry in found:
        yield _line([_plain(value) for value in astuple(entry)])


def _line(values: list[object]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(values)
    return out.getvalue()


def _plain(value: object) -> object:
    """A spreadsheet takes a cell that begins so for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"} else value
