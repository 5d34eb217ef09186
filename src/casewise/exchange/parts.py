"""The parts of a multipart answer, each in a file of its own as it comes: never in memory as a whole."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

from python_multipart.multipart import MultipartParser

from casewise.exchange.found import SourceError

_IN_MEMORY = 1 << 23  # bytes of a part that are kept in memory; a longer one goes to disk


class Parts:
    """Cuts a body into its parts.

    boundary : of the body; None: all of it is one part. folder : for parts too long for memory. each : called with every whole
    part, a file at its begin, which is gone afterwards.
    """

    def __init__(self, boundary: bytes | None, folder: Path, each: Callable[[BinaryIO], None]) -> None:
        self._folder = folder
        self._each = each
        self._file: BinaryIO | None = None
        self._ended = False
        self._parser: MultipartParser | None = None
        if boundary is None:
            self._begin()
        else:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_headers_finished": self._begin,
                    "on_part_data": lambda data, start, end: self._data(data[start:end]),
                    "on_part_end": self._part_end,
                    "on_end": self._end,
                },
            )

    def write(self, chunk: bytes) -> None:
        """The next bytes of the body. Raises SourceError where it is no multipart body, and what ``each`` raises."""
        if self._parser is None:
            self._data(chunk)
            return
        try:
            self._parser.write(chunk)
        except ValueError as error:  # what python_multipart raises for a damaged body
            raise SourceError("The answer is damaged: it is no multipart body.") from error

    def end(self) -> None:
        """The body is through. Raises SourceError where that was not its end."""
        if self._parser is None:
            self._part_end()
        elif not self._ended:
            raise SourceError("The answer broke off before its end; what came whole is kept.")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self) -> None:
        self._file = cast("BinaryIO", tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=str(self._folder)))  # noqa: SIM115

    def _data(self, data: bytes) -> None:
        if self._file is not None:
            self._file.write(data)

    def _part_end(self) -> None:
        if self._file is not None:
            self._file.seek(0)
            try:
                self._each(self._file)
            finally:
                self.close()

    def _end(self) -> None:
        self._ended = True
