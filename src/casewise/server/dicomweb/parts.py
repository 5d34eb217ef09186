"""Answers that are sent as they are read: one body, or the parts of a multipart message (RFC 2387)."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from fastapi.responses import StreamingResponse

from casewise.server.dicomweb.accept import Chosen


@dataclass(frozen=True)
class Part:
    """kind : its media type with parameters. location : its address. pieces : its content, to be used before the next part is."""

    kind: str
    location: str
    pieces: Iterable[bytes]


def answer(parts: Iterator[Part], chosen: Chosen, headers: dict[str, str], status: int = 200) -> StreamingResponse:
    """An answer of several parts, or of the first alone where no multipart message was chosen. Its first piece is made before it
    begins, so that what cannot be read is answered by an error.
    """
    if chosen.multipart:
        boundary = f"casewise-{secrets.token_hex(16)}"
        media = f'multipart/related; type="{chosen.kind}"; boundary={boundary}'
        return StreamingResponse(_begun(_message(parts, boundary)), status, headers, media)
    return StreamingResponse(_begun(_alone(parts)), status, headers, described(chosen))


def described(chosen: Chosen) -> str:
    """The media type of a part, with its transfer syntax."""
    return f"{chosen.kind}; transfer-syntax={chosen.syntax}"


def _begun(pieces: Iterator[bytes]) -> Iterator[bytes]:
    first = next(pieces, b"")
    return _then(first, pieces)


def _then(first: bytes, others: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from others


def _alone(parts: Iterator[Part]) -> Iterator[bytes]:
    for part in parts:
        yield from part.pieces
        return


def _message(parts: Iterator[Part], boundary: str) -> Iterator[bytes]:
    for part in parts:
        head = f"--{boundary}\r\nContent-Type: {part.kind}\r\nContent-Location: {part.location}\r\n\r\n".encode("latin-1")
        for piece in part.pieces:
            yield head + piece
            head = b""
        yield head + b"\r\n"
    yield f"--{boundary}--\r\n".encode()
