"""What a layout knows of one image before anybody has read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path


@dataclass(frozen=True)
class LabelSource:
    """A file that holds labels of an image.

    name : the structure's name; None where only the values distinguish structures.
    values : structure → the values whose union it is, where the layout says them.
    split : whether several values are several structures (``label_1``, ``label_2``, …) rather than one.
    loose : it may belong to this image; it does if it has the same grid.
    kind : ``mask``, or ``scribble`` (a person's strokes, kept as they are).
    role : the word for mask in the name of its file or folder, by which two masks of no other name are distinguished.
    alone : it belongs to the one DICOM series of its folder; where there are several, to none.
    of_member : the data set of its file that it labels; None for all.
    explicit : named by a person (in a manifest) as this image's, so where it does not fit, the image's row is said to lack it.
    """

    path: Path
    name: str | None = None
    member: str | None = None
    values: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    split: bool = True
    loose: bool = False
    kind: str = "mask"
    role: str = ""
    alone: bool = False
    of_member: str | None = None
    explicit: bool = False


@dataclass(frozen=True)
class Entry:
    """Facts about the images in one file; None (or empty) is not known.

    sequences : of its volumes in turn, for a file that holds several; one for a file that holds one.
    boxes : structure → half-open boxes [[lo, hi], …] in voxels.
    explicit : named by a person (in a manifest), so it wins over headers.
    """

    path: Path
    labels: tuple[LabelSource, ...] = ()
    boxes: Mapping[str, list[list[list[int]]]] = field(default_factory=dict)
    category: str | None = None
    site: str | None = None
    subject: str | None = None
    modality: str | None = None
    sequences: tuple[str, ...] = ()
    age: float | None = None
    sex: str | None = None
    content: Mapping[str, object] = field(default_factory=dict)
    explicit: bool = False

    def merged(self, other: Entry) -> Entry:
        """This entry, with what it does not know from ``other``; labels and content of both."""
        known = {(label.path, label.member): label for label in (*other.labels, *self.labels)}
        values = {
            item.name: getattr(self, item.name) if getattr(self, item.name) else getattr(other, item.name) for item in fields(self)
        }
        values["labels"] = tuple(known.values())
        values["content"] = {**other.content, **self.content}
        values["boxes"] = {**other.boxes, **self.boxes}
        return Entry(**values)

    @property
    def facts(self) -> dict[str, object]:
        """What is known beside labels: the catalogue's own columns."""
        names = ("category", "site", "subject", "modality", "age", "sex")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


@dataclass(frozen=True)
class Orphan:
    """A file that its place says is a mask, but whose image is not there; ``reason`` in one sentence."""

    path: Path
    reason: str


@dataclass(frozen=True)
class TableNote:
    """What came of a table beside images.

    rows : how many it has. joined : how many of them are of an image here. reason : why it was not used, or what of it was not;
    None where all was. refused : rows that may be of an image here, but not with certainty, each a sentence.
    """

    path: Path
    rows: int = 0
    joined: int = 0
    reason: str | None = None
    refused: tuple[str, ...] = ()
    readable: bool = True


@dataclass(frozen=True)
class FolderNote:
    """What was not taken from a folder's name, and why; ``reason`` in whole sentences."""

    path: Path
    reason: str
