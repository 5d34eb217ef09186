"""Runs an application that is a service: the image goes there by POST, its findings come back as JSON."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from casewise.applications.isolated.answers import MOST_BYTES, findings_of_result, parse
from casewise.applications.isolated.task import Runs, Task
from casewise.applications.outcome import ApplicationError

_SECONDS_OF_SILENCE = 3600  # the parent ends the worker at the declared limit; this only frees a lost connection


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the image and the token to an address that was not declared."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        raise ApplicationError(f"answered with a redirect (HTTP {code}), which is not followed; declare the address it leads to")


def started(run: Mapping[str, Any], settings: Mapping[str, object]) -> Runs:
    """A service that gets ``multipart/form-data``: ``image``, a file, and ``task``, JSON as in the folder contract's task.json."""
    proxies = [urllib.request.ProxyHandler({})] if urlsplit(run["url"]).scheme == "http" else []  # http is this machine
    opener = urllib.request.build_opener(_NoRedirects(), *proxies)

    def post(task: Task) -> tuple[list[object], list[str]]:
        path = _file(task, run["send"])
        info = {"category": task.category, "member": task.member if run["send"] == "file" else None}
        body, kind = _multipart(path, {"info": info, "process": {"settings": dict(settings)}})
        headers = {"Content-Type": kind, "Accept": "application/json", **_authorisation(run["token_env"])}
        request = urllib.request.Request(run["url"], data=body, headers=headers, method="POST")  # noqa: S310 checked when declared
        findings, notes = findings_of_result(parse(_answer(opener, request), "answer"))
        for number, finding in enumerate(findings, start=1):
            if isinstance(finding, dict) and (finding.get("mask") or finding.get("map")):
                raise ApplicationError(f"its finding {number} names a file, which a service cannot give")
        return findings, notes

    return post


def _answer(opener: urllib.request.OpenerDirector, request: urllib.request.Request) -> bytes:
    try:
        with opener.open(request, timeout=_SECONDS_OF_SILENCE) as answer:
            content: bytes = answer.read(MOST_BYTES + 1)
            if answer.length and len(content) <= MOST_BYTES:
                raise ApplicationError(f"broke off its answer, with {answer.length:,} bytes to come")
    except urllib.error.HTTPError as error:
        hint = "; look at its token" if error.code in (401, 403) else ""
        raise ApplicationError(f"answered with HTTP {error.code}{hint}") from error
    except (urllib.error.URLError, OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise ApplicationError(f"cannot be reached: {getattr(reason, 'strerror', None) or reason}") from error
    if len(content) > MOST_BYTES:
        raise ApplicationError(f"answered with more than {MOST_BYTES:,} bytes")
    return content


def _authorisation(variable: str | None) -> dict[str, str]:
    if variable is None:
        return {}
    token = os.environ.get(variable, "").strip()
    if not token or not token.isprintable():
        raise ApplicationError(f"needs a token: set the variable {variable}")
    return {"Authorization": f"Bearer {token}"}


def _file(task: Task, send: str) -> Path:
    if send == "nifti":
        from casewise.formats import write

        return write(task.folder / "tmp" / "image.nii.gz", task.image())
    if task.source.is_dir():
        raise ApplicationError('takes a file as it is, and the image is a folder; declare it with send = "nifti"')
    return task.source


def _multipart(path: Path, task: Mapping[str, object]) -> tuple[bytes, str]:
    """The file goes under a neutral name: its own may name the patient."""
    boundary = uuid.uuid4().hex
    suffix = "".join(path.suffixes[-2:]) if path.name.endswith(".gz") else path.suffix
    parts = (
        ('name="task"', "application/json", json.dumps(task, default=str).encode()),
        (f'name="image"; filename="image{suffix}"', "application/octet-stream", path.read_bytes()),
    )
    body = b"".join(
        f"--{boundary}\r\nContent-Disposition: form-data; {about}\r\nContent-Type: {kind}\r\n\r\n".encode() + content + b"\r\n"
        for about, kind, content in parts
    )
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"
