"""What clients send and take: forms whose files bear whole local paths, and replies of a document and a file."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from fastapi import HTTPException, Request
from fastapi.responses import Response
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException as StarletteError

from casewise.json_safe import plain
from casewise.names import legible

_LONGEST = 100  # characters of a file's name that are kept


@dataclass(frozen=True)
class Sent:
    """A form as it came. params : of its JSON. files : name of the part → the file, whose own name is without folders."""

    params: dict[str, Any]
    fields: Mapping[str, str]
    files: Mapping[str, list[SentFile]]

    def file(self, name: str) -> SentFile | None:
        return next(iter(self.files.get(name, ())), None)


@dataclass(frozen=True)
class SentFile:
    """name : without folders. It is there until the request has been answered."""

    name: str
    file: BinaryIO = field(repr=False)

    def read(self) -> bytes:
        self.file.seek(0)
        return self.file.read()

    def save_in(self, folder: Path) -> Path:
        """Write it to ``folder`` under its name; returns its place."""
        self.file.seek(0)
        with (folder / self.name).open("wb") as target:
            shutil.copyfileobj(self.file, target, 1 << 20)
        return folder / self.name


async def sent(request: Request) -> Sent:
    """Read a request's form. Raises HTTPException 400 where it is none, or its ``params`` are no JSON object."""
    try:
        form = await request.form()
    except StarletteError as error:
        raise HTTPException(400, f"The form cannot be read: {error.detail}") from error
    fields = {name: value for name, value in form.multi_items() if isinstance(value, str)}
    try:
        params = plain(json.loads(fields.get("params") or "{}"))
    except ValueError as error:
        raise HTTPException(400, f"params is a JSON object; this is none: {error}.") from error
    if not isinstance(params, dict):
        raise HTTPException(400, f"params is a JSON object; got {type(params).__name__}.")
    files: dict[str, list[SentFile]] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            files.setdefault(name, []).append(SentFile(bare_name(value.filename or ""), value.file))
    return Sent(params, fields, files)


def bare_name(name: str) -> str:
    """The name of a file without folders, of either kind of slash; ``file`` where nothing is left."""
    last = legible(name.replace("\\", "/").rpartition("/")[2])
    kept = "".join(letter for letter in last if letter.isprintable() and letter not in '"<>:|?*').strip(". ")
    return kept[-_LONGEST:] or "file"


def document_and_file(params: object, name: str, content: bytes) -> Response:
    """A multipart reply: the part ``params``, then a file with a name. The clients lose a file without one."""
    boundary = secrets.token_hex(16)
    parts = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="params"\r\nContent-Type: application/json\r\n\r\n'
        f"{json.dumps(plain(params))}\r\n"
        f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    body = parts.encode() + content + f"\r\n--{boundary}--\r\n".encode()
    return Response(body, media_type=f"multipart/form-data; boundary={boundary}")


def attachment(name: str, content: bytes, media_type: str = "application/octet-stream") -> Response:
    """A file alone. ``name``: of ASCII letters."""
    return Response(content, media_type=media_type, headers={"content-disposition": f'attachment; filename="{name}"'})


async def json_object(request: Request) -> dict[str, Any]:
    """The JSON object of a body; empty for an empty body. Raises HTTPException 400 for anything else."""
    body = await request.body()
    try:
        given = plain(json.loads(body or b"{}"))
    except ValueError as error:
        raise HTTPException(400, f"The body is a JSON object; this is none: {error}.") from error
    if not isinstance(given, dict):
        raise HTTPException(400, f"The body is a JSON object; got {type(given).__name__}.")
    return given
