"""Reading tables as people save them: CSV and TSV from spreadsheets, statistics programs and scripts.

Text in UTF-8 or UTF-16 (with or without a byte order mark), else in the Western encoding of Windows; commas, semicolons, tabs or
bars between cells; ``sep=;`` in the first line; lines that begin with ``#`` before the header are comments. A cell may hold line
breaks in quotes. Only line feeds and carriage returns part rows.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from casewise.archive.suffixes import suffix
from casewise.errors import CasewiseError
from casewise.names import nfc

LARGEST = 64 << 20
_BLANKS = " \t\r\n\u00a0"
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SEPARATOR = re.compile(r"""\s*"?sep=(\\t|.)"?\s*""", re.IGNORECASE)
_FOREIGN = re.compile(r"[^\x00-\x7f]{3}")


class TableError(CasewiseError):
    """A file that cannot be read as a table; the reason is one sentence without the file's name."""


@dataclass(frozen=True)
class Table:
    """``rows``: (number of its last line, title → cell). ``refused``: reasons for rows that do not fit the header."""

    header: list[str]
    rows: list[tuple[int, dict[str, str]]]
    refused: list[str]
    delimiter: str


def read_table(path: Path, largest: int = LARGEST) -> Table:
    """The rows of a table with a header; cells in NFC, without blanks around them. Raises TableError."""
    try:
        size = path.stat().st_size
        if size > largest:
            raise TableError(f"it has {size >> 20} MB, and tables of up to {largest >> 20} MB are read")
        raw = path.read_bytes()
    except OSError as error:
        raise TableError(f"it cannot be read ({error.strerror or type(error).__name__})") from error
    lines, before, delimiter = _begun(_text(raw), suffix(path.name) == ".tsv")
    reader = csv.reader(io.StringIO(lines, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [nfc(title.strip(_BLANKS)) for title in next(reader, [])]
        rows, refused = _rows(reader, header, before)
    except csv.Error as error:
        raise TableError(f"it is no CSV table ({error} near line {before + reader.line_num})") from error
    if not any(header):
        raise TableError("it is empty")
    return Table(header, rows, refused, delimiter)


def _rows(reader: Iterator[list[str]], header: list[str], before: int) -> tuple[list[tuple[int, dict[str, str]]], list[str]]:
    rows: list[tuple[int, dict[str, str]]] = []
    refused: list[str] = []
    for cells in reader:
        if not any(cell.strip(_BLANKS) for cell in cells):
            continue
        line = before + reader.line_num  # type: ignore[attr-defined]
        if any(cell.strip(_BLANKS) for cell in cells[len(header) :]):
            refused.append(
                f"line {line} has {len(cells)} cells and the header {len(header)} (put a cell with the separator in quotes)"
            )
            continue
        values = [nfc(cell.strip(_BLANKS)) for cell in cells[: len(header)]]
        rows.append((line, dict(zip(header, values + [""] * (len(header) - len(values)), strict=True))))
    return rows, refused


def _text(raw: bytes) -> str:
    encoding = next((name for mark, name in _MARKS if raw.startswith(mark)), None) or _unmarked(raw[:4096])
    if encoding is None:
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            text = _western(raw)
    else:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError as error:
            raise TableError(f"its text is no valid {encoding.upper().removesuffix('-SIG')}; save it in UTF-8") from error
    if "\0" in text:
        raise TableError("it is no text; save it as CSV in UTF-8")
    return text


def _unmarked(head: bytes) -> str | None:
    """UTF-16 without its mark: every other byte of Latin text is zero."""
    if b"\0" not in head:
        return None
    even, odd = head[::2].count(0), head[1::2].count(0)
    if odd > len(head) // 4 and not even:
        return "utf-16-le"
    return "utf-16-be" if even > len(head) // 4 and not odd else None


def _western(raw: bytes) -> str:
    try:
        text = raw.decode("cp1252")
    except UnicodeDecodeError as error:
        raise TableError("its encoding is not known; save it in UTF-8") from error
    if _FOREIGN.search(text):
        # Western words have no three such letters in a row: it is another code page, and would be read as nonsense.
        raise TableError("its encoding is not known; save it in UTF-8")
    return text


def _begun(text: str, tabs: bool) -> tuple[str, int, str]:
    """The text from the header on, how many lines stand before it, and what parts its cells."""
    lines = io.StringIO(text, newline="")
    before, declared = 0, None
    comment: str | None = None
    while line := lines.readline():
        bare = line.strip(_BLANKS)
        sep = _SEPARATOR.fullmatch(bare) if before == 0 else None
        if sep:
            declared = "\t" if sep.group(1) == "\\t" else sep.group(1)
        elif bare.startswith("#"):
            comment = bare
        elif bare.strip(",;\t|\"' "):
            break
        before += 1
    rest = line + lines.read()
    delimiter = declared or _delimiter(line, tabs)
    if comment and _titles(comment, delimiter) == _titles(line, delimiter) > 1 and _looks_like_data(line, delimiter):
        # A header behind a '#', as numpy writes it.
        return f"{comment.lstrip('# ')}\n{rest}", before - 1, delimiter
    return rest, before, delimiter


def _titles(line: str, delimiter: str) -> int:
    return line.count(delimiter) + 1


def _looks_like_data(line: str, delimiter: str) -> bool:
    return any(cell.strip(_BLANKS + '"').replace(".", "", 1).isdecimal() for cell in line.split(delimiter))


def _delimiter(header: str, tabs: bool) -> str:
    bare = re.sub(r'"[^"]*"', "", header)
    if tabs and "\t" in bare:
        return "\t"
    return max(",;\t|", key=bare.count)
