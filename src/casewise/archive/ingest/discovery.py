"""Which files of an import are to be read: those that no row of the catalogue settles; the others are reported from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from casewise.archive.contents import whole_file, with_voxels
from casewise.archive.ingest.layouts.entry import LabelSource
from casewise.archive.ingest.layouts.hdf5 import images_and_labels
from casewise.archive.ingest.layouts.tree import File, Folder
from casewise.archive.ingest.members import expanded
from casewise.archive.ingest.planning import Plan
from casewise.archive.ingest.reading import Outcome, Unit
from casewise.archive.ingest.report import ImportReport, Refused
from casewise.archive.ingest.segmentations import Segmentations
from casewise.archive.unchanged import is_unchanged
from casewise.errors import CasewiseError
from casewise.formats import Found, Kind, Rejected, read, scan

_WITHOUT_SERIES = "It is a DICOM segmentation, but the series that it names is not among the images; import them together."
_HIDDEN = "It is a hidden file."
_SEVERAL_SERIES = (
    "It is a mask, but its folder holds several DICOM series, and its name says of none; name its image in a manifest."
)


@dataclass(frozen=True)
class Settled:
    """A file of which there is nothing to read. ``state``: failed, skipped or table."""

    path: Path
    state: str
    reason: str


class Finder:
    """Goes through the folders of one import.

    plan : what is known of the files. stats : size and time of each. earlier : the catalogue's rows by path. renewed : the manifest
    has changed, so what it names is read again. bring : has files here before they are read, and returns those that cannot be had.
    keys : of the images that were known and unchanged.
    """

    def __init__(
        self,
        plan: Plan,
        stats: Mapping[Path, File],
        earlier: Mapping[str, sa.Row[Any]],
        report: ImportReport,
        site: str | None,
        renewed: bool,
        bring: Callable[[Iterable[Path]], frozenset[Path]] = lambda paths: frozenset(),
    ) -> None:
        self._plan = plan
        self._stats = stats
        self._earlier = earlier
        self._report = report
        self._site = site
        self._renewed = renewed
        self.keys: set[str] = set()
        # Labels that were tried in this import: None where one fits an image, else the reason why not.
        self._tried: dict[Path, str | None] = {}
        # Labels that an image lacks although a manifest names them for it, which is said of the image.
        self._missed: set[Path] = set()
        self._bring = bring
        self._segmentations = Segmentations(stats, self._state, bring)

    def count_due(self, trees: Sequence[Folder]) -> int:
        """How many files there are to read or to name (labels go with their images)."""
        apart = {*self._plan.labels, *self._segmentations.paths}
        return sum(path not in apart and not self._is_settled(path) for tree in trees for path, _ in tree.below())

    def due(self, trees: Sequence[Folder]) -> Iterator[Unit | Settled]:
        """What is to be read, folder by folder; each refusal is reported as it is met."""
        self._plan.leave(self._segmentations.paths)
        for tree in trees:
            for folder in tree.walk():
                paths = [folder.path / name for name in folder.files]
                # A segmentation may be new to a series that is known: only its files' headers say whose it is.
                settled = not (self._segmentations.any_new and self._segmentations.hold_dicom(paths))
                if paths and settled and all(self._is_settled(path) for path in paths):
                    for path in paths:
                        self._recall(path)
                else:
                    yield from self._folder(folder, paths)

    def attempted(self, outcome: Outcome) -> None:
        """Note what became of the labels of an examined unit."""
        self._missed |= outcome.missing.keys()
        for path, reason in outcome.tried.items():
            row = self._row(path)
            fits = reason is None or self._tried.get(path, "") is None or (row is not None and row.state == "label")
            self._tried[path] = None if fits else reason
            if path in outcome.notes:
                self._report.notes.append(Refused(str(path), outcome.notes[path]))

    def left_over(self) -> Iterator[Settled]:
        """After all is read: report the labels that fit no image, and yield those whose images could not be read."""
        for path in sorted(self._plan.labels):
            if path in self._missed:
                continue
            if path in self._tried:
                reason = self._tried[path]
                if reason is not None:
                    self._report.failed.append(Refused(str(path), reason))
            elif (row := self._row(path)) is not None:
                if row.reason:
                    (self._report.failed if row.state == "failed" else self._report.notes).append(Refused(str(path), row.reason))
            elif path in self._stats and not self._bring([path]):
                yield self._settle(path, "failed", _SEVERAL_SERIES if self._is_alone(path) else _why(path))
        for path in self._segmentations.paths:
            if path in self._tried:
                reason = self._tried[path]
                if reason is not None:
                    self._report.failed.append(Refused(str(path), reason))
            elif self._row(path) is None:
                yield self._settle(path, "failed", _WITHOUT_SERIES)
            else:
                self._recall(path)

    def _is_alone(self, path: Path) -> bool:
        return any(label.alone for label in self._plan.as_label(path))

    def _folder(self, folder: Folder, every: Sequence[Path]) -> Iterator[Unit | Settled]:
        absent = self._bring([*every, *(label.path for path in every for label in self._labels_of(path))])
        self._plan.leave(absent)
        paths = [path for path in every if path not in absent]
        rejected: list[Rejected] = []
        groups: dict[tuple[Path, ...], list[Found]] = {}
        for item in self._scanned(folder, paths):
            if isinstance(item, Rejected):
                rejected.append(item)
            elif self._stats.keys() >= set(item.files):
                whole = with_voxels(item)
                groups.setdefault(whole.files, []).append(whole)
        met = {path for files in groups for path in files}
        series = sum(found[0].kind is Kind.DICOM for found in groups.values())
        for files, found in groups.items():
            yield from self._found(files, found, series)
        refusals: dict[Path, str] = {}
        for item in rejected:
            if item.mask_of is not None:
                met.add(item.path)
            elif item.path in self._stats and item.path not in met:
                met.add(item.path)
                yield from self._rejected(item)
            # A series is refused by its folder's name.
            refusals[item.path] = item.reason
        for path in paths:
            if path not in met:
                yield from self._unmet(path, refusals)

    def _labels_of(self, path: Path) -> tuple[LabelSource, ...]:
        entry = self._plan.entries.get(path)
        return entry.labels if entry is not None else ()

    def _scanned(self, folder: Folder, paths: Sequence[Path]) -> Iterator[Found | Rejected]:
        if not paths:
            return
        if not folder.partial:
            yield from scan(folder.path, recursive=False)
            return
        for path in paths:
            try:
                yield from scan(path)
            except CasewiseError as error:
                yield Rejected(path, str(error), True)

    def _rejected(self, item: Rejected) -> Iterator[Settled]:
        if self._is_settled(item.path):
            self._recall(item.path)
        else:
            self._tried[item.path] = None
            yield self._settle(item.path, "failed" if item.is_image else "skipped", item.reason)

    def _unmet(self, path: Path, refusals: Mapping[Path, str]) -> Iterator[Settled]:
        if path in self._plan.labels:
            return
        if self._is_settled(path):
            self._recall(path)
        elif path.name.startswith("."):
            yield self._settle(path, "skipped", _HIDDEN)
        else:
            yield self._settle(path, "failed", refusals.get(path.parent, "It went away while the folder was read; import again."))

    def _found(self, files: tuple[Path, ...], found: list[Found], series: int) -> Iterator[Unit | Settled]:
        if any(path in self._plan.labels for path in files):
            return
        segmentations = self._segmentations.of(found[0].series, files[0].parent)
        tried = all(self._is_tried(label, self._keys(files[0])) for label in segmentations)
        if tried and all(self._is_settled(path) for path in files):
            for path in files:
                self._recall(path)
            return
        if files[0] in self._plan.orphans:
            # Its name or place says that it is a mask, so it is no image, whatever it was taken for before.
            yield self._settle(files[0], "failed", self._plan.orphans[files[0]])
            return
        try:
            every = [one for item in found for one in expanded(item)]
        except CasewiseError as error:
            yield self._settle(files[0], "failed", str(error))
            return
        known, guess = self._plan.of(files)
        images, labels, refused = images_and_labels(every) if every[0].kind is Kind.HDF5 else (every, [], [])
        # A mask of the folder's one series belongs to none where there are several.
        beside = [label for label in known.labels if not label.alone or (series == 1 and found[0].kind is Kind.DICOM)]
        self._note_unnamed(files[0])
        every_label = (*beside, *labels, *segmentations)
        yield Unit(tuple(images), known, guess, every_label, len(every) > 1, self._site, tuple(refused))

    def _is_settled(self, path: Path) -> bool:
        """Whether the catalogue knows what came of this file, and of its labels with it."""
        row = self._row(path)
        if path in self._plan.orphans:
            return row is not None and row.state == "failed" and row.reason == self._plan.orphans[path]
        if path in self._plan.labels:
            # It is looked at with its images; its own row matters to them alone, unless it was taken for something else.
            return row is not None and row.state in ("label", "failed")
        if row is None or row.state in ("label", "manifest"):
            return row is not None and row.state == "manifest"
        entry = self._plan.entries.get(path)
        if entry is None:
            return True
        if entry.explicit and self._renewed:
            return False
        return all(self._is_tried(label, row.images) for label in entry.labels)

    def _state(self, path: Path) -> str | None:
        row = self._row(path)
        return row.state if row is not None else None

    def _keys(self, path: Path) -> Sequence[str]:
        row = self._row(path)
        return row.images if row is not None else ()

    def _is_tried(self, label: LabelSource, keys: Sequence[str]) -> bool:
        row = self._row(label.path)
        return row is not None and row.state in ("label", "failed") and set(keys) <= set(row.images)

    def _row(self, path: Path) -> sa.Row[Any] | None:
        """The catalogue's row of this file, if the file is as it was, and for a label the voxels that it names."""
        row = self._earlier.get(str(path))
        if row is None or not self._is_as_it_was(path):
            return None
        return row if row.state != "label" or all(map(self._is_as_it_was, whole_file(path))) else None

    def _is_as_it_was(self, path: Path) -> bool:
        row, file = self._earlier.get(str(path)), self._stats.get(path)
        return file is not None and is_unchanged(row, file.size, file.mtime_ns)

    def _recall(self, path: Path) -> None:
        """Report of an unchanged file what was found before."""
        row = self._row(path)
        if row is None or path in self._plan.tables or path in self._plan.labels:
            # Tables are looked at anew each time; labels when their images have been.
            return
        if row.state == "image":
            self._report.known += len(row.images)
            self.keys.update(row.images)
            if row.images:
                self._note_unnamed(path)
        if row.reason and row.state == "label":
            self._report.notes.append(Refused(str(path), row.reason))
        elif row.reason:
            self._missed |= {label.path for label in self._labels_of(path) if label.explicit and str(label.path) in row.reason}
            refused = [Refused(str(path), reason) for reason in row.reason.split("\n")]
            (self._report.skipped if row.state == "skipped" else self._report.failed).extend(refused)

    def _note_unnamed(self, path: Path) -> None:
        if self._plan.manifest is not None and path not in self._plan.explicit:
            self._report.not_in_manifest.append(str(path))

    def _settle(self, path: Path, state: str, reason: str) -> Settled:
        if path in self._plan.tables:
            return Settled(path, "table", reason)
        (self._report.skipped if state == "skipped" else self._report.failed).append(Refused(str(path), reason))
        return Settled(path, state, reason)


def _why(path: Path) -> str:
    """Why a label came to nothing: it cannot be read itself, or its image cannot."""
    try:
        read(path)
    except CasewiseError as error:
        return str(error)
    return "It is a mask, but the image that it belongs to could not be read."
