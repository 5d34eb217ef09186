"""The manifest: a table by which a person says what each image is.

Columns: ``image`` (a path, relative to the table); ``mask`` (the structure is told by the values or the folder), ``mask:NAME``
for a mask of one structure, any number of
them; ``boxes`` or ``boxes:NAME`` (``10:20,30:40; 5:9,7:8``: half-open, in the order of the image's
axes); ``category``, ``site``, ``subject``, ``age``, ``sex``, ``modality``, ``sequence``. Other columns are kept as content.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Mapping
from pathlib import Path

from casewise.archive.layouts.entry import Entry, LabelSource
from casewise.archive.layouts.tables import entry
from casewise.archive.layouts.words import structure_name
from casewise.errors import ArchiveError

_KNOWN = (
    "image", "mask", "mask:NAME", "boxes", "boxes:NAME", "category", "site", "subject", "age", "sex", "modality", "sequence",
)  # fmt: skip
_ALLOWED = ", ".join(_KNOWN)
# Close to a column of ours but not one: a slip of the pen that must not end up as content unseen.
_SLIPS = {
    "images": "image", "img": "image", "file": "image", "filename": "image", "path": "image", "image_path": "image",
    "masks": "mask", "label": "mask or category", "labels": "mask or category", "segmentation": "mask", "class": "category",
    "categories": "category", "box": "boxes", "bbox": "boxes", "sites": "site", "patient": "subject", "patient_id": "subject",
    "gender": "sex", "ages": "age",
}  # fmt: skip
_BOX = re.compile(r"\s*\d+\s*:\s*\d+\s*(,\s*\d+\s*:\s*\d+\s*){1,2}")


def read_manifest(path: Path) -> list[Entry]:
    """One entry a row. Raises ArchiveError for a table that cannot be read, lacks ``image``, or has a wrong column or value."""
    header, rows = _table(path)
    _check_columns(path, header)
    return [_entry(path, line, row) for line, row in rows]


def _table(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        msg = f"There is no manifest {path}; it is a CSV table with the columns {_ALLOWED}."
        raise ArchiveError(msg) from error
    except (OSError, UnicodeDecodeError) as error:
        msg = f"The manifest {path} cannot be read as text in UTF-8 ({type(error).__name__}); save it as a CSV table."
        raise ArchiveError(msg) from error
    lines = text.splitlines()
    if not lines:
        msg = f"The manifest {path} is empty; its first line names the columns: {_ALLOWED}."
        raise ArchiveError(msg)
    try:
        reader = csv.reader(lines, delimiter=max(",;\t", key=lines[0].count), strict=True)
        header = [title.strip() for title in next(reader)]
        rows = []
        for cells in reader:
            if len(cells) > len(header):
                counts = f"{len(cells)} cells, its header {len(header)}"
                msg = f"Line {reader.line_num} of {path.name} has {counts}; put cells with commas in quotes."
                raise ArchiveError(msg)
            if any(cell.strip() for cell in cells):
                rows.append((reader.line_num, dict(zip(header, (cell.strip() for cell in cells), strict=False))))
    except csv.Error as error:
        msg = f"The manifest {path} is no CSV table ({error}); save it again as CSV with a header."
        raise ArchiveError(msg) from error
    return header, rows


def _check_columns(path: Path, header: list[str]) -> None:
    if "image" not in header:
        has = ", ".join(header)
        msg = f"The manifest {path.name} has no column image; it has {has}, and allowed are {_ALLOWED}, and others as content."
        raise ArchiveError(msg)
    twice = sorted({title for title in header if header.count(title) > 1})
    if twice:
        msg = f"The manifest {path.name} has {twice[0]!r} twice; several masks are mask:NAME each, and allowed are {_ALLOWED}."
        raise ArchiveError(msg)
    for title in header:
        part, _, name = title.partition(":")
        meant = _SLIPS.get(title.lower().replace(" ", "_")) or (
            title.lower() if title != title.lower() and title.lower() in _KNOWN else None
        )
        wrong = (":" in title and (part not in ("mask", "boxes") or not name.strip())) or not title
        if meant or wrong:
            hint = f" (is {meant} meant?)" if meant else ""
            msg = f"The manifest {path.name} has a column {title!r}{hint}; allowed are {_ALLOWED}, and others as content."
            raise ArchiveError(msg)


def _entry(path: Path, line: int, row: Mapping[str, str]) -> Entry:
    image = row.get("image", "")
    if not image:
        msg = f"Line {line} of {path.name} names no image; put its path, relative to the manifest, under image."
        raise ArchiveError(msg)
    own = {title: value for title, value in row.items() if title.partition(":")[0] not in ("image", "mask", "boxes")}
    known = entry(_located(path, image), own, explicit=True)
    for title, value in (("age", known.age), ("sex", known.sex)):
        if row.get(title) and value is None:
            allowed = "years from 0 to 129" if title == "age" else "M, F or O"
            msg = f"Line {line} of {path.name} has {title} {row[title]!r}; allowed are {allowed}, or nothing."
            raise ArchiveError(msg)
    labels = tuple(
        LabelSource(_located(path, value), _named(title), split=_named(title) is None)
        for title, value in row.items()
        if value and title.partition(":")[0] == "mask"
    )
    boxes = {
        _named(title) or "boxes": _boxes(path, line, value)
        for title, value in row.items()
        if value and title.partition(":")[0] == "boxes"
    }
    return Entry(known.path, labels, boxes, explicit=True).merged(known)


def _named(title: str) -> str | None:
    name = title.partition(":")[2]
    return structure_name(name) if name else None


def _located(manifest: Path, value: str) -> Path:
    # Normalised by name alone: links stay links.
    return Path(os.path.abspath(manifest.parent / value.replace("\\", "/")))  # noqa: PTH100


def _boxes(path: Path, line: int, text: str) -> list[list[list[int]]]:
    boxes = []
    for part in text.split(";"):
        box = [[int(edge) for edge in pair.split(":")] for pair in part.split(",")] if _BOX.fullmatch(part) else []
        if not box or any(low >= high for low, high in box):
            wanted = "a box is LO:HI,LO:HI[,LO:HI] with LO < HI, several parted by semicolons"
            msg = f"Line {line} of {path.name} has the box {part.strip()!r}; {wanted}."
            raise ArchiveError(msg)
        boxes.append(box)
    return boxes
