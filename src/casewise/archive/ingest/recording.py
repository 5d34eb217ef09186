"""Writes a batch of what an import has examined into the catalogue, in one transaction."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from casewise.archive.catalogue import Catalogue, files, images, labels
from casewise.archive.contents import whole_file
from casewise.archive.ingest.layouts.tree import File
from casewise.archive.ingest.reading import Examined, Outcome, place_of, series_files
from casewise.archive.retrieval.embedding import VectorWriter
from casewise.archive.storage import is_there, named, origin
from casewise.archive.unchanged import is_there_unchanged
from casewise.names import legible, same_structure

_FACTS = ("category", "site", "subject", "modality", "sequence", "age", "sex")

_WITH_MASKS = (
    "It no longer holds the image that it held, which was removed with the masks that were made of it here: {}. Their files stay "
    "in the archive's folder; put the former image back at another place, and import it with its masks by a manifest."
)


@dataclass
class Batch:
    """What is to be written together. ``settled``: files that are no images, with their state and reason."""

    outcomes: list[Outcome] = field(default_factory=list)
    settled: list[tuple[Path, str, str | None]] = field(default_factory=list)
    vectors: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.outcomes) + len(self.settled)


@dataclass
class Written:
    """What a batch changed. ``added``: keys of new images. ``known``: how many of its images were there. ``refused``: label files
    of structures that their images have from another file. notes: files with whose former image masks went that were made here.
    """

    added: set[str] = field(default_factory=set)
    known: int = 0
    labels: int = 0
    vectors: int = 0
    refused: dict[Path, str] = field(default_factory=dict)
    notes: dict[Path, str] = field(default_factory=dict)


class Recorder:
    """Writes batches. ``folder``: the archive's. ``stats``: size and time of every file of the import, as it was when read."""

    def __init__(self, catalogue: Catalogue, folder: Path, stats: Mapping[Path, File], vectors: VectorWriter | None) -> None:
        self._catalogue = catalogue
        self._folder = folder
        self._home = Path(os.path.abspath(folder))  # noqa: PTH100 - as an import names files
        self._stats = stats
        self._vectors = vectors
        self._spellings: dict[str, str] | None = None

    def write(self, batch: Batch) -> Written:
        written = Written()
        examined: dict[str, Examined] = {}
        for outcome in batch.outcomes:
            for one in outcome.images:
                if one.key not in examined or examined[one.key].row is None:
                    examined[one.key] = one
        with self._catalogue.write() as connection:
            before = self._rows(connection, examined)
            fresh = [one.row for key, one in examined.items() if key not in before and one.row is not None]
            self._catalogue.insert_new(connection, images, [row for row in fresh if row is not None])
            now = self._rows(connection, examined)
            written.added = now.keys() - before.keys()
            written.known = sum(len(outcome.images) for outcome in batch.outcomes) - len(written.added)
            held = _held_now(batch)
            for outcome in batch.outcomes:
                for one in outcome.images:
                    if one.key in before:
                        self._refresh(connection, before[one.key], one, outcome.unit.known.explicit, held)
            self._retire(connection, batch, held, written)
            everything = [one for outcome in batch.outcomes for one in outcome.images]
            self._label(connection, [(now[one.key].id, one) for one in everything if one.key in now], written)
            for outcome in batch.outcomes:
                outcome.tried |= {path: written.refused[path] for path in outcome.tried.keys() & written.refused.keys()}
            self._catalogue.replace(connection, files, self._file_rows(connection, batch))
            if self._vectors is not None and batch.vectors:
                rows = {now[key].id: vector for key, vector in batch.vectors.items() if key in now}
                written.vectors = self._vectors.write(connection, rows)
        return written

    def _rows(self, connection: sa.Connection, keys: Mapping[str, object]) -> dict[str, sa.Row[Any]]:
        wanted = sa.select(images).where(images.c.key.in_(list(keys)))
        return {row.key: row for row in connection.execute(wanted)}

    def _refresh(
        self, connection: sa.Connection, row: sa.Row[Any], one: Examined, explicit: bool, held: Mapping[str, set[str]]
    ) -> None:
        """A content that was known: found again where its old place is empty or holds another, and described anew by a manifest."""
        if one.row is None:
            given = {
                "path": place_of(one.found.path, self._home),
                "member": one.found.member,
                "name": origin(self._home, one.found.path),
            }
            given |= {"files": series_files(one.found), "copied": False}  # type: ignore[dict-item]
        else:
            given = {name: one.row[name] for name in ("path", "member", "name", "files", "copied")}  # type: ignore[misc]
        changed: dict[str, object] = {}
        if not is_there(self._folder, row.path) or self._is_replaced(row, held):
            changed |= given
        if explicit and one.row is not None:
            changed |= {name: one.row[name] for name in _FACTS if one.row[name] is not None}
            changed["content"] = {**row.content, **one.row["content"]}  # type: ignore[dict-item]
        if changed:
            connection.execute(sa.update(images).where(images.c.id == row.id).values(**changed))

    def _retire(self, connection: sa.Connection, batch: Batch, held: Mapping[str, set[str]], written: Written) -> None:
        """Images of files that now hold something else: repointed to another file of the same content, or dropped."""
        # A mask that is no certain image's is nobody's label any more.
        refused = [origin(self._home, path) for path, state, _ in batch.settled if state == "failed"]
        if refused:
            connection.execute(sa.delete(labels).where(labels.c.path.in_(refused)))
        earlier = connection.execute(sa.select(files).where(files.c.path.in_(list(held)), files.c.state == "image"))
        keys = {key for row in earlier.all() for key in set(row.images) - held[row.path]}
        # An image that was added by itself, or in an archive that has moved since, has no such row.
        places = {place_of(found.path, self._home) for outcome in batch.outcomes for found in outcome.unit.images}
        there = sa.select(images).where(images.c.key.in_(keys) | images.c.path.in_(places))
        for image in connection.execute(there).all():
            if self._is_replaced(image, held):
                self._drop(connection, image, held, written)

    def _is_replaced(self, image: sa.Row[Any], held: Mapping[str, set[str]]) -> bool:
        """Whether a file that an image is read from holds something else now."""
        if image.copied:
            return False
        return any(path in held and image.key not in held[path] for path in self._paths(image))

    def _paths(self, image: sa.Row[Any]) -> list[str]:
        place = named(self._home, image.path)
        return [str(place / name) for name in image.files] or [str(place)]

    def _drop(self, connection: sa.Connection, image: sa.Row[Any], held: Mapping[str, set[str]], written: Written) -> None:
        holders = sa.select(files).where(files.c.state == "image", sa.cast(files.c.images, sa.String).contains(image.key))
        others = [] if image.files else [row for row in connection.execute(holders).all() if image.key in row.images]
        other = next((row for row in others if row.path not in held and is_there_unchanged(row)), None)
        if other is not None:
            where = origin(self._home, Path(other.path))
            connection.execute(sa.update(images).where(images.c.id == image.id).values(path=where, name=where))
        else:
            made = sa.select(labels).where(labels.c.image_id == image.id, labels.c.kind == "mask").order_by(labels.c.id)
            lost = [f"{row.name} ({row.path})" for row in connection.execute(made) if row.origin.get("how") != "imported"]
            if lost:
                path = next(path for path in self._paths(image) if path in held)
                written.notes[Path(path)] = _WITH_MASKS.format(", ".join(lost))
            connection.execute(sa.delete(images).where(images.c.id == image.id))

    def _label(self, connection: sa.Connection, examined: Sequence[tuple[int, Examined]], written: Written) -> None:
        """Add labels, or replace those of the same file; a structure that another file has given the image is not given again."""
        there: dict[int, list[sa.Row[Any]]] = {}
        ids = [number for number, one in examined if one.labels or one.boxes or one.looked_at]
        for earlier in connection.execute(sa.select(labels).where(labels.c.image_id.in_(ids))):
            there.setdefault(earlier.image_id, []).append(earlier)
        for number, one in examined:
            kept = there.setdefault(number, [])
            rows = _label_rows(one)
            for gone in [old for old in kept if self._is_outdated(old, rows, one.looked_at)]:
                connection.execute(sa.delete(labels).where(labels.c.id == gone.id))
                kept.remove(gone)
            for row, source in rows:
                same = next((old for old in kept if _same_label(old, row)), None)
                if same is not None:
                    connection.execute(sa.update(labels).where(labels.c.id == same.id).values({**row, "name": same.name}))
                    continue
                rival = next((old for old in kept if _is_rival(old, row)), None)
                if rival is not None:
                    written.refused[source] = (
                        f"The image has a mask {legible(rival.name)!r} already, from {legible(rival.path or 'this archive')}; that "
                        "one is kept. Remove it, or give this one another name (mask:NAME in a manifest)."
                    )
                    continue
                row["name"] = self._spelling(connection, str(row["name"]))
                inserted = connection.execute(sa.insert(labels).values(image_id=number, **row).returning(labels))
                kept.append(inserted.one())
                written.labels += 1

    def _is_outdated(self, old: sa.Row[Any], rows: Sequence[tuple[Mapping[str, Any], Path]], looked_at: Mapping[str, str]) -> bool:
        """Whether a label is of a file that now says something else, or of one that is gone and another takes its place."""
        if old.path is None or any(_same_label(old, row) for row, _ in rows):
            return False
        known = old.origin.get("key")
        if known is not None and looked_at.get(old.path, known) != known:
            return True  # what was drawn in it is not there any more, or no longer lies on this image
        if any(old.path == row["path"] and old.kind == row["kind"] and old.member == row["member"] for row, _ in rows):
            return True
        rival = any(_is_rival(old, row) for row, _ in rows)
        return rival and old.origin.get("how") == "imported" and not is_there(self._folder, old.path)

    def _spelling(self, connection: sa.Connection, name: str) -> str:
        """A structure as the archive spells it: the first spelling that came, so that one structure has one name over all cases."""
        if self._spellings is None:
            every = connection.scalars(sa.select(labels.c.name).group_by(labels.c.name).order_by(sa.func.min(labels.c.id)))
            self._spellings = {}
            for known in every:
                self._spellings.setdefault(same_structure(known), known)
        return self._spellings.setdefault(same_structure(name), name)

    def _file_rows(self, connection: sa.Connection, batch: Batch) -> list[dict[str, object]]:
        rows: dict[str, dict[str, object]] = {}
        for outcome in batch.outcomes:
            state = "image" if outcome.images else "failed"
            reason = "\n".join(outcome.failed) or None
            for number, file in enumerate(outcome.unit.files):
                keys = [one.key for one in outcome.images] if number == 0 else []
                # A series is refused once, not once a file.
                rows[str(file)] = self._file_row(file, state, reason if number == 0 else None, keys)
        tried = {str(path) for outcome in batch.outcomes for path in outcome.tried}
        earlier = {row.path: row for row in connection.execute(sa.select(files).where(files.c.path.in_(list(tried))))}
        for outcome in batch.outcomes:
            for path, reason in outcome.tried.items():
                if str(path) not in rows or rows[str(path)]["state"] != "image":
                    row = rows.get(str(path)) or self._earlier(path, earlier.get(str(path)))
                    rows[str(path)] = self._tried(path, row, reason, outcome.notes.get(path), outcome.tried_on)
                    # The voxels that a header names: whether the mask has changed is seen by theirs too.
                    beside = [one for one in whole_file(path)[1:] if one in self._stats]
                    rows |= {str(one): {**rows[str(path)], **self._of_file(one), "reason": None} for one in beside}
        for path, state, reason in batch.settled:
            rows[str(path)] = self._file_row(path, state, reason, [])
        return list(rows.values())

    def _earlier(self, path: Path, row: sa.Row[Any] | None) -> dict[str, object] | None:
        file = self._stats[path]
        if row is None or (row.size, row.mtime_ns) != (file.size, file.mtime_ns) or row.state not in ("label", "failed"):
            return None
        return dict(row._mapping)

    def _tried(
        self, path: Path, row: dict[str, object] | None, reason: str | None, note: str | None, keys: Sequence[str]
    ) -> dict[str, object]:
        """A label file's row: it is a label once it fits one of the images it was tried on; its reason is then a note."""
        tried_on = list(dict.fromkeys([*(row["images"] if row else []), *keys]))  # type: ignore[misc]
        fits = reason is None or (row is not None and row["state"] == "label")
        if not fits:
            return self._file_row(path, "failed", reason, tried_on)
        noted = note or (str(row["reason"]) if row and row["state"] == "label" and row["reason"] else None)
        return self._file_row(path, "label", noted, tried_on)

    def _file_row(self, path: Path, state: str, reason: str | None, keys: Sequence[str]) -> dict[str, object]:
        return {
            **self._of_file(path),
            "key": keys[0] if keys and state == "image" else None,
            "state": state,
            "reason": reason,
            "images": list(keys),
        }

    def _of_file(self, path: Path) -> dict[str, object]:
        file = self._stats[path]
        return {"path": str(path), "size": file.size, "mtime_ns": file.mtime_ns}


def _held_now(batch: Batch) -> dict[str, set[str]]:
    """File → the keys of the images that were found in it just now."""
    held: dict[str, set[str]] = {}
    for outcome in batch.outcomes:
        for file in outcome.unit.files:
            held.setdefault(str(file), set()).update(one.key for one in outcome.images)
    for path in [*(path for outcome in batch.outcomes for path in outcome.tried), *(path for path, _, _ in batch.settled)]:
        held.setdefault(str(path), set())
    return held


def _label_rows(one: Examined) -> list[tuple[dict[str, object], Path]]:
    """The catalogue's rows of an image's labels, each with the file that it was imported from."""
    rows: list[tuple[dict[str, object], Path]] = []
    for label in one.labels:
        about = asdict(label)
        origin = {"how": "imported", "key": about.pop("key"), "above": about.pop("above")}
        source = Path(about.pop("source"))
        rows.append(({**about, "boxes": None, "origin": origin}, source))
    for name, boxes in one.boxes.items():
        row = {"name": name, "kind": "boxes", "path": None, "member": None, "value": None, "boxes": boxes}
        rows.append(({**row, "origin": {"how": "imported"}}, one.found.path))
    return rows


def _same_label(old: sa.Row[Any], new: Mapping[str, Any]) -> bool:
    """The same structure of the same file (at this path or, with the same content, at another), or boxes of the same name."""
    if old.kind != new["kind"]:
        return False
    if new["kind"] == "boxes":
        return bool(old.name == new["name"])
    same_content = old.origin.get("key") == new["origin"]["key"] and old.name == new["name"]
    same_file = old.path == new["path"] or same_content
    return bool(same_file and old.member == new["member"] and old.value == new["value"])


def _is_rival(old: sa.Row[Any], new: Mapping[str, Any]) -> bool:
    """Whether both would be the same structure of an image."""
    return bool(old.kind == new["kind"] and same_structure(old.name) == same_structure(str(new["name"])))
