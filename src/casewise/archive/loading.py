"""From rows of the catalogue to cases: their images and masks are read when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from casewise.archive.originals import Originals
from casewise.archive.storage import located, located_files
from casewise.case import Case, MaskLoaders
from casewise.formats import Found, Kind, read_found, read_mask
from casewise.image import Box, Image


@dataclass(frozen=True)
class Record:
    """What the catalogue says of an image. ``path``: its file, or a folder, in which its ``files`` are; ``content``: what is known
    beside the columns.
    """

    key: str
    path: str
    name: str
    kind: str
    shape: tuple[int, ...]
    channels: int
    spacing: tuple[float, ...]
    modality: str | None
    sequence: str | None
    category: str | None
    site: str | None
    subject: str | None
    age: float | None
    sex: str | None
    content: Mapping[str, object] = field(default_factory=dict)
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Line:
    """What a list of images says of each. ``id``: the catalogue's."""

    id: int
    key: str
    name: str
    site: str | None
    category: str | None


@dataclass(frozen=True)
class Stored:
    """An image's row in the archive of ``folder``."""

    folder: Path
    row: sa.Row[Any]
    originals: Originals

    @property
    def found(self) -> Found:
        """Where the image lies. Raises UnreadableImageError where its file has gone or holds something else."""
        path, listed = located_files(self.folder, self.row.path, self.row.files)
        found = Found(path, self.row.member, listed or (path,), Kind(self.row.kind))
        self.originals.check_image(found, self.row)
        return found

    def load(self) -> Image:
        """Read the image. Raises UnreadableImageError where its file has gone or holds something else."""
        return read_found(self.found)


def load_mask(stored: Stored, label: sa.Row[Any]) -> npt.NDArray[np.bool_]:
    """(*spatial) bool on the image's grid. Raises UnreadableImageError where its file has gone or holds something else."""
    path = located(stored.folder, label.path)
    stored.originals.check_mask(path, label)
    image = stored.load()
    if label.value is None:
        return read_mask(path, image, member=label.member, above=label.origin.get("above", 0))
    mask = np.zeros(image.spatial_shape, bool)
    for value in label.value:
        mask |= read_mask(path, image, member=label.member, value=value)
    return mask


def case_of(stored: Stored, labels: Sequence[sa.Row[Any]]) -> Case:
    """A row of the catalogue with its masks and boxes, ``labels``."""
    row = stored.row
    masks = [label for label in labels if label.kind == "mask"]
    return Case(
        key=row.key,
        load_image=stored.load,
        load_masks=MaskLoaders({label.name: partial(load_mask, stored, label) for label in masks}),
        category=row.category,
        subject=row.subject,
        site=row.site,
        content=content_of_row(row),
        name=row.name,
        boxes={label.name: tuple(map(_box, label.boxes)) for label in labels if label.kind == "boxes"},
        channels=row.channels,
    )


def _box(pairs: Sequence[Sequence[int]]) -> Box:
    return Box(tuple(low for low, _ in pairs), tuple(high for _, high in pairs))


def content_of_row(row: sa.Row[Any]) -> dict[str, object]:
    """What is known of a case beside its pixels, under the names that ``facts.content_of`` uses for an image at hand."""
    known = {name: getattr(row, name) for name in ("modality", "sequence", "age", "sex")}
    return {**row.content, **{name: value for name, value in known.items() if value is not None}}


def record_of(row: sa.Row[Any]) -> Record:
    known = {name: getattr(row, name) for name in ("key", "path", "name", "kind", "channels", "modality", "sequence", "category")}
    who = {name: getattr(row, name) for name in ("site", "subject", "age", "sex", "content")}
    return Record(shape=tuple(row.shape), spacing=tuple(row.spacing), files=tuple(row.files), **known, **who)
