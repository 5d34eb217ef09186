"""The manifest: a table by which a person says what each image is.

Columns: ``image`` (a path, relative to the table); ``mask`` (the values or the folder name the structure), ``mask:NAME`` for a
mask of one structure, any number of them; ``boxes`` or ``boxes:NAME`` (``10:20,30:40; 5:9,7:8``: half-open, in the order of the
image's axes); ``category``, ``site``, ``subject``, ``age``, ``sex``, ``modality``, ``sequence``. Other columns are kept as content.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from casewise.archive.ingest.layouts.entry import Entry, LabelSource
from casewise.archive.ingest.layouts.joining import Images
from casewise.archive.ingest.layouts.table_files import TableError, read_table
from casewise.archive.ingest.layouts.tables import entry
from casewise.archive.ingest.layouts.tree import Folder
from casewise.archive.words import structure_name
from casewise.errors import ArchiveError
from casewise.names import legible, same_structure

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
_BOX = re.compile(r"\s*[0-9]{1,9}\s*:\s*[0-9]{1,9}\s*(,\s*[0-9]{1,9}\s*:\s*[0-9]{1,9}\s*){1,2}")


def read_manifest(path: Path) -> list[Entry]:
    """One entry an image. Raises ArchiveError for a table that cannot be read, lacks ``image``, has a wrong column or value, or
    says two things of one image.
    """
    if not path.is_file():
        msg = f"There is no manifest {path}; it is a CSV table with the columns {_ALLOWED}."
        raise ArchiveError(msg)
    try:
        table = read_table(path)
    except TableError as error:
        msg = f"The manifest {path.name} cannot be used: {error}. It is a CSV table, its first line names the columns: {_ALLOWED}."
        raise ArchiveError(msg) from error
    if table.refused:
        msg = f"The manifest {path.name}: {table.refused[0]}."
        raise ArchiveError(msg)
    _check_columns(path, table.header)
    decimal_comma = table.delimiter != ","
    rows: dict[Path, tuple[int, Entry]] = {}
    for line, row in table.rows:
        entry = _entry(path, line, row, decimal_comma)
        if entry.path in rows:
            entry = _merged(path, rows[entry.path], (line, entry))
        rows[entry.path] = line, entry
    masks = {label.path: line for line, entry in rows.values() for label in entry.labels}
    for image, (line, _) in rows.items():
        if image in masks:
            msg = (
                f"Line {line} of {path.name} names {legible(image.name)} an image, line {masks[image]} a mask; correct one of them."
            )
            raise ArchiveError(msg)
    return [entry for _, entry in rows.values()]


def _merged(path: Path, first: tuple[int, Entry], second: tuple[int, Entry]) -> Entry:
    """Two rows of one image: masks and boxes of both, where they agree in all else."""
    (line, known), (other, more) = first, second
    lines = f"Lines {line} and {other} of {path.name} are both of {legible(known.path.name)}"
    for name in ("category", "site", "subject", "modality", "sequences", "age", "sex"):
        values = [getattr(entry, name) for entry in (known, more) if getattr(entry, name)]
        if len(values) == 2 and values[0] != values[1]:
            msg = f"{lines}, and contradict each other ({name.rstrip('s')}); keep one of them."
            raise ArchiveError(msg)
    twice = [title for title in known.content if title in more.content and known.content[title] != more.content[title]]
    twice += [name for name in known.boxes if name in more.boxes and known.boxes[name] != more.boxes[name]]
    there = {same_structure(label.name or ""): label.path for label in known.labels}
    twice += [
        label.name or "mask" for label in more.labels if there.get(same_structure(label.name or ""), label.path) != label.path
    ]
    if twice:
        msg = f"{lines}, and contradict each other ({twice[0]}); keep one of them."
        raise ArchiveError(msg)
    return known.merged(more)


def located(rows: Sequence[Entry], base: Path, trees: Sequence[Folder], stats: Collection[Path]) -> list[Entry]:
    """The rows with the files that they mean: those of exactly their path, else those that the paths lead to from another root.

    base : the manifest's folder. trees : the folders that are imported. stats : the files in them.
    """
    wanted = {path for entry in rows for path in (entry.path, *(label.path for label in entry.labels))}
    gone = {path: _as_written(path, base) for path in wanted if path not in stats and not path.is_file()}
    found = {path: same for path in gone for same in [_same_text(path)] if same is not None}
    missing = {path: text for path, text in gone.items() if path not in found}
    for tree in trees if missing else ():
        images = Images(tree.path, [below.path / name for below in tree.walk() for name in below.images])
        named, _ = images.named(list(missing.values()), same_suffix=True)
        found |= {path: named[text] for path, text in missing.items() if text in named and path not in found}
    # What two paths lead to is neither's, and what a row names by its own path is that row's.
    taken = Counter([*found.values(), *(path for path in wanted if path not in gone)])
    moved = {path: there for path, there in found.items() if taken[there] == 1}
    return [
        replace(
            entry,
            path=moved.get(entry.path, entry.path),
            labels=tuple(replace(label, path=moved.get(label.path, label.path)) for label in entry.labels),
        )
        for entry in rows
    ]


def _as_written(path: Path, base: Path) -> str:
    return str(path.relative_to(base)) if path.is_relative_to(base) else str(path)


def _same_text(path: Path) -> Path | None:
    """The file whose name is the same text in another Unicode form, as macOS writes it."""
    for form in ("NFC", "NFD"):
        other = Path(unicodedata.normalize(form, str(path)))
        if other.is_file():
            return other
    return None


def _check_columns(path: Path, header: list[str]) -> None:
    if "image" not in header:
        has = ", ".join(header)
        msg = f"The manifest {path.name} has no column image; it has {has}, and allowed are {_ALLOWED}, and others as content."
        raise ArchiveError(msg)
    alike = [_alike(title) for title in header]
    twice = sorted({title for title in header if alike.count(_alike(title)) > 1})
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


def _alike(title: str) -> str:
    part, _, name = title.partition(":")
    return f"{part}:{same_structure(name)}"


def _entry(path: Path, line: int, row: Mapping[str, str], decimal_comma: bool) -> Entry:
    image = row.get("image", "")
    if not image:
        msg = f"Line {line} of {path.name} names no image; put its path, relative to the manifest, under image."
        raise ArchiveError(msg)
    own = {title: value for title, value in row.items() if title.partition(":")[0] not in ("image", "mask", "boxes")}
    known = entry(_located(path, image), own, explicit=True, decimal_comma=decimal_comma)
    for title, value in (("age", known.age), ("sex", known.sex)):
        if row.get(title) and value is None:
            allowed = "years from 0 to 129" if title == "age" else "M, F or O"
            msg = f"Line {line} of {path.name} has {title} {row[title]!r}; allowed are {allowed}, or nothing."
            raise ArchiveError(msg)
    labels = tuple(
        LabelSource(_located(path, value), _named(title), split=_named(title) is None, explicit=True)
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
            msg = f"Line {line} of {path.name} has the box {_short(part.strip())}; {wanted}."
            raise ArchiveError(msg)
        boxes.append(box)
    return boxes


def _short(text: str) -> str:
    return repr(text) if len(text) <= 60 else f"{text[:57]!r}… ({len(text)} characters)"
