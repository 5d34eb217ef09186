"""The answer to a call that cannot be carried out: one sentence, as ``{"detail": …}``, and nothing of what it sent."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from casewise.errors import CasewiseError
from casewise.server.headers import headers_for

_LONGEST = 300


class NotThereError(CasewiseError):
    """What a call names is not there: 404."""


class ConflictError(CasewiseError):
    """What a call asks for goes against what is there: 409."""


def explain_problems(app: FastAPI, without_places: Callable[[str], str]) -> None:
    """Have ``app`` answer every error with a sentence. without_places : a sentence without the places of the archive's files."""

    async def refused(request: Request, error: Exception) -> JSONResponse:
        status = 404 if isinstance(error, NotThereError) else 409 if isinstance(error, ConflictError) else 400
        return JSONResponse({"detail": await run_in_threadpool(without_places, str(error))}, status)

    app.add_exception_handler(CasewiseError, refused)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(Exception, _unexpected)


async def _not_valid(request: Request, error: Exception) -> JSONResponse:
    """FastAPI's own answer repeats the input, which may be a password."""
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {}
    place = ".".join(str(part) for part in first.get("loc", ()) if part != "body")[:_LONGEST]
    sentence = str(first.get("msg", "The request is not valid")).rstrip(".")
    detail = f"{place}: {sentence}." if place else f"{sentence}."
    return JSONResponse({"detail": detail.encode("utf-8", "backslashreplace").decode()}, 422)


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    """Sent outside all layers, so it brings its own headers; the log has the error."""
    sentence = "The server met an error that it did not expect; its log says where."
    return JSONResponse({"detail": sentence}, 500, headers_for(request.scope["path"]))
