"""A multipart body written to disk as it comes: never in memory as a whole, and nowhere but in the spool."""

from __future__ import annotations

from typing import IO

from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from casewise.archive.failures import disk_sentence
from casewise.errors import ArchiveError, UsageError
from casewise.server.spool import Spool

_LONGEST_HEADER = 8192
_NO_FORM = "An upload is a form of files (multipart/form-data) with at least one file; each part is called files."


async def receive(request: Request, spool: Spool) -> None:
    """Write every file of the request's body into the spool. Raises UsageError for what is no form, ArchiveError on a full disk."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise UsageError(_NO_FORM)
    writer = _Writer(spool, options[b"boundary"])
    try:
        async for chunk in request.stream():
            await run_in_threadpool(writer.write, chunk)
        await run_in_threadpool(writer.end)
    finally:
        writer.close()


class _Writer:
    def __init__(self, spool: Spool, boundary: bytes) -> None:
        self._spool = spool
        self._file: IO[bytes] | None = None
        self._header, self._value = bytearray(), bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_part_data": self._data,
                "on_part_end": self.close,
                "on_header_field": lambda data, start, end: _extend(self._header, data[start:end]),
                "on_header_value": lambda data, start, end: _extend(self._value, data[start:end]),
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_end": self._end,
            },
        )

    def write(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except ValueError as error:  # what python_multipart raises for a damaged body
            raise UsageError(f"The form is damaged ({error}); send it again.") from error
        except OSError as error:
            raise ArchiveError(disk_sentence(error)) from error

    def end(self) -> None:
        if not self._ended:
            raise UsageError("The upload broke off before its end; send it again." if self._spool.names else _NO_FORM)
        if not self._spool.names:
            raise UsageError(_NO_FORM)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self) -> None:
        self._headers = {}

    def _header_end(self) -> None:
        self._headers[bytes(self._header).lower()] = bytes(self._value)
        self._header, self._value = bytearray(), bytearray()

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = options.get(b"filename")
        if name:  # what is no file is passed over
            self._file = self._spool.open(name.decode("utf-8", "replace"))

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(data[start:end])
            self._spool.size += end - start

    def _end(self) -> None:
        self._ended = True


def _extend(text: bytearray, more: bytes) -> None:
    text.extend(more)
    if len(text) > _LONGEST_HEADER:
        raise ValueError("a part's header is too long")
