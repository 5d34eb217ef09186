"""A multipart body written to disk as it comes: never in memory as a whole, and nowhere but where its reader says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import IO

from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from casewise.archive.failures import disk_sentence
from casewise.errors import ArchiveError, UsageError
from casewise.server.spool import Spool

_LONGEST_HEADER = 8192
_NO_FORM = "An upload is a form of files (multipart/form-data) with at least one file; each part is called files."
Headers = Mapping[bytes, bytes]  # lower-case name → value


async def receive(request: Request, spool: Spool) -> None:
    """Write every file of the request's body into the spool. Raises UsageError for what is no form, ArchiveError on a full disk."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise UsageError(_NO_FORM)

    def begin(headers: Headers) -> IO[bytes] | None:
        _, named = parse_options_header(headers.get(b"content-disposition", b""))
        name = named.get(b"filename")
        return spool.open(name.decode("utf-8", "replace")) if name else None  # what is no file is passed over

    def end(file: IO[bytes]) -> None:
        spool.size += file.tell()

    whole = await read_parts(request, options[b"boundary"], begin, end)
    if not whole:
        raise UsageError("The upload broke off before its end; send it again." if spool.names else _NO_FORM)
    if not spool.names:
        raise UsageError(_NO_FORM)


async def read_parts(
    request: Request, boundary: bytes, begin: Callable[[Headers], IO[bytes] | None], end: Callable[[IO[bytes]], None]
) -> bool:
    """Write each part of the request's body to the file that ``begin`` gives for its headers (None: it is passed over), and hand
    that to ``end`` once it is whole; it is closed then. Both are called in threads of the server's pool.

    Returns whether the body came to its end. Raises UsageError for a damaged one, ArchiveError on a full disk.
    """
    parts = _Parts(boundary, begin, end)
    try:
        async for chunk in request.stream():
            await run_in_threadpool(parts.write, chunk)
    finally:
        parts.close()
    return parts.ended


class _Parts:
    def __init__(self, boundary: bytes, begin: Callable[[Headers], IO[bytes] | None], end: Callable[[IO[bytes]], None]) -> None:
        self._begin, self._end = begin, end
        self._file: IO[bytes] | None = None
        self._header, self._value = bytearray(), bytearray()
        self._headers: dict[bytes, bytes] = {}
        self.ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begin,
                "on_part_data": self._data,
                "on_part_end": self._part_end,
                "on_header_field": lambda data, start, end: _extend(self._header, data[start:end]),
                "on_header_value": lambda data, start, end: _extend(self._value, data[start:end]),
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_end": self._all_end,
            },
        )

    def write(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except ValueError as error:  # what python_multipart raises for a damaged body
            raise UsageError(f"The form is damaged ({error}); send it again.") from error
        except OSError as error:
            raise ArchiveError(disk_sentence(error)) from error

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _part_begin(self) -> None:
        self._headers = {}

    def _header_end(self) -> None:
        self._headers[bytes(self._header).lower()] = bytes(self._value)
        self._header, self._value = bytearray(), bytearray()

    def _headers_finished(self) -> None:
        self._file = self._begin(self._headers)

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(data[start:end])

    def _part_end(self) -> None:
        try:
            if self._file is not None:
                self._end(self._file)
        finally:
            self.close()

    def _all_end(self) -> None:
        self.ended = True


def _extend(text: bytearray, more: bytes) -> None:
    text.extend(more)
    if len(text) > _LONGEST_HEADER:
        raise ValueError("a part's header is too long")
