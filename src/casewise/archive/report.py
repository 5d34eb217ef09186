"""What an import came to: one number for each outcome, and a reason for each file that is not in the archive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

# Called with a step's name, how much of it is done, and how much there is in all (None: not known yet).
Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True, order=True)
class Refused:
    """A file (or a data set in it) that was not taken in, and why in one sentence."""

    path: str
    reason: str

    def to_json(self) -> dict[str, str]:
        return {"path": self.path, "reason": self.reason}


@dataclass
class ImportReport:
    """The outcome of one import.

    added : images that are new to the archive. known : images that it had already, under this path or another.
    labels : masks, boxes and scribbles that are new. failed : images and labels that cannot be used, each with its reason.
    skipped : files that are no images (texts, tables). vectors : embeddings that are new.
    notes : files that were taken in, with what a person should know of how (a mask that is empty, or was fitted to its image).
    """

    added: int = 0
    known: int = 0
    labels: int = 0
    vectors: int = 0
    failed: list[Refused] = field(default_factory=list)
    skipped: list[Refused] = field(default_factory=list)
    notes: list[Refused] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        return {
            "added": self.added,
            "known": self.known,
            "labels": self.labels,
            "vectors": self.vectors,
            "failed": [refused.to_json() for refused in sorted(self.failed)],
            "skipped": [refused.to_json() for refused in sorted(self.skipped)],
            "notes": [noted.to_json() for noted in sorted(self.notes)],
        }
