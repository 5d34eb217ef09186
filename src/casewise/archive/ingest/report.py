"""What an import came to: one number for each outcome, and a reason for each file that is not in the archive."""

from __future__ import annotations

from dataclasses import dataclass, field, replace


@dataclass(frozen=True, order=True)
class Refused:
    """A file (or a data set in it) that was not taken in, and why in one sentence."""

    path: str
    reason: str

    def to_json(self) -> dict[str, str]:
        return {"path": self.path, "reason": self.reason}


@dataclass(frozen=True, order=True)
class TableUse:
    """What came of a table beside images: how many ``rows`` it has, how many were ``used``, and why not all. See ``TableNote``."""

    path: str
    rows: int
    used: int
    reason: str | None

    def to_json(self) -> dict[str, object]:
        return {"path": self.path, "rows": self.rows, "used": self.used, "reason": self.reason}


@dataclass
class ImportReport:
    """The outcome of one import.

    added : images that are new to the archive. known : images that it had already, under this path or another.
    labels : masks, boxes and scribbles that are new. failed : images, labels and rows that cannot be used, each with its reason.
    skipped : files that are no images (texts, tables that were not used). vectors : embeddings that are new.
    left_out : the masks among those that failed, as their image is not there or not certain. tables : what came of each table.
    not_in_manifest : images found that the manifest, where there is one, does not name; they are imported.
    notes : what a person should know: masks that are empty or were fitted to their images, folders of whose names nothing was
    taken, masks made here that went with the image of a file that holds another one now.
    Of the images of this import, new and known: keys; masks, how many have one of each structure; sites, images of each;
    subjects, how many.
    """

    added: int = 0
    known: int = 0
    labels: int = 0
    vectors: int = 0
    failed: list[Refused] = field(default_factory=list)
    skipped: list[Refused] = field(default_factory=list)
    left_out: list[Refused] = field(default_factory=list)
    tables: list[TableUse] = field(default_factory=list)
    not_in_manifest: list[str] = field(default_factory=list)
    notes: list[Refused] = field(default_factory=list)
    masks: dict[str, int] = field(default_factory=dict)
    sites: dict[str, int] = field(default_factory=dict)
    subjects: int = 0
    keys: list[str] = field(default_factory=list)

    def rename(self, start: str, other: str) -> None:
        """Call what begins with ``start`` by a name that begins with ``other``, in paths and in what is said of them."""

        def renamed(lines: list[Refused]) -> list[Refused]:
            return [Refused(line.path.replace(start, other), line.reason.replace(start, other)) for line in lines]

        for lines in (self.failed, self.skipped, self.left_out, self.notes):
            lines[:] = renamed(lines)
        self.tables = [replace(table, path=table.path.replace(start, other)) for table in self.tables]
        self.not_in_manifest = [path.replace(start, other) for path in self.not_in_manifest]

    def to_json(self) -> dict[str, object]:
        return {
            "added": self.added,
            "known": self.known,
            "labels": self.labels,
            "vectors": self.vectors,
            "failed": [refused.to_json() for refused in sorted(self.failed)],
            "skipped": [refused.to_json() for refused in sorted(self.skipped)],
            "masks": dict(sorted(self.masks.items())),
            "sites": dict(sorted(self.sites.items())),
            "subjects": self.subjects,
            "left_out_masks": [refused.to_json() for refused in sorted(self.left_out)],
            "tables": [table.to_json() for table in sorted(self.tables)],
            "not_in_manifest": sorted(self.not_in_manifest),
            "notes": [refused.to_json() for refused in sorted(self.notes)],
        }
