"""Importing: look at what is there, leave out what is known and unchanged, read the rest, write it in batches.

Every batch is one transaction, and a file's row is written with what came of it. So an import can be stopped at any moment, by
whatever means, and the next one goes on: it reads what has no row, or another size or time of change than its row says.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from casewise.archive.catalogue import Catalogue, files, images
from casewise.archive.contents import whole_file
from casewise.archive.holdings import count_masks
from casewise.archive.ingest.discovery import Finder, Settled
from casewise.archive.ingest.layouts.entry import Entry
from casewise.archive.ingest.layouts.tree import File, Folder, walk
from casewise.archive.ingest.manifest import located, read_manifest
from casewise.archive.ingest.objects import Objects
from casewise.archive.ingest.planning import Plan, plan
from casewise.archive.ingest.reading import Examiner, Outcome, Unit
from casewise.archive.ingest.recording import Batch, Recorder
from casewise.archive.ingest.report import ImportReport, Refused, TableUse
from casewise.archive.pseudonym_key import key_of
from casewise.archive.remote import objects
from casewise.archive.remote.address import SCHEME, Address, is_remote
from casewise.archive.remote.sentences import RemoteError
from casewise.archive.remote.setting import remote_of
from casewise.archive.retrieval.embedding import VectorWriter, encode
from casewise.encoder import Encoder
from casewise.names import legible
from casewise.progress import Progress, silent

_BATCH = 64
_BATCH_BYTES = 128 << 20
_HASHED_BYTES = 64 << 20
_BATCH_SECONDS = 2.0
_PATHS = 500  # that a query names one by one
_MOST_ROWS = 20  # refused rows of one table that are named one by one
_STEP = "Importing"
_NO_FILE = "It is a pipe, a socket or a device, which is never opened."


class Import:
    """One import into one archive. ``folder``: the archive's; ``site``, ``copy``, ``encoder``: as of ``Archive.import_paths``."""

    def __init__(
        self,
        catalogue: Catalogue,
        folder: Path,
        *,
        site: str | None = None,
        copy: bool = False,
        encoder: Encoder | None = None,
        progress: Progress = silent,
    ) -> None:
        self._catalogue = catalogue
        self._folder = folder
        self._site = site
        self._copy = copy
        self._encoder = encoder
        self._progress = progress
        self.report = ImportReport()
        self._cache = remote_of(_absolute(folder)).cache
        self._objects = Objects(self._cache, lambda name, reason: self.report.failed.append(Refused(name, reason)))
        self._keys: set[str] = set()

    def run(self, paths: Iterable[str | os.PathLike[str]], manifest: str | os.PathLike[str] | None = None) -> ImportReport:
        """Import; returns what came of it. What was written before an error or Ctrl-C stays.

        paths, manifest : files and folders, or addresses of objects.
        """
        given, manifest_given = [os.fspath(path) for path in paths], None if manifest is None else os.fspath(manifest)
        far = [Address.parse(path) for path in given if is_remote(path)]
        near = [_absolute(path) for path in given if not is_remote(path)]
        if not far and not is_remote(manifest_given or ""):
            return self._run(self._trees(near), None if manifest_given is None else _absolute(manifest_given))
        with self._cache.keeping():
            whose = None if manifest_given is None else self._manifest(manifest_given)
            trees = [*self._trees(near), *self._far(far)]
            self._objects.bring_what_names()
            report = self._run(trees, whose)
        report.rename(f"{self._cache.root}{os.sep}", SCHEME)
        return report

    def _manifest(self, given: str) -> Path:
        if not is_remote(given):
            return _absolute(given)
        address = Address.parse(given)
        return self._cache.add(address, partial(objects.bring, address))

    def _far(self, places: Sequence[Address]) -> Iterator[Folder]:
        """The trees of objects; what is not there is named in the report."""
        for place in sorted(set(places)):
            if any(place != other and place.is_below(other) for other in places):
                continue
            tree = self._objects.tree(place)
            if tree is None:
                why = "There is no object of this name, nor any below it; correct the address."
                self.report.failed.append(Refused(str(place), why))
            else:
                yield tree

    def _run(self, trees: list[Folder], manifest: Path | None) -> ImportReport:
        rows = read_manifest(manifest) if manifest is not None else []
        stats = {path: file for tree in trees for path, file in tree.below()}
        if manifest is not None:
            rows = located(rows, manifest.parent, trees, stats.keys())
        trees += self._named(rows, stats)
        explicit, orphans = self._present(rows, stats)
        whole = plan(trees, explicit, self._site, orphans, manifest)
        earlier = self._earlier(trees)
        renewed = manifest is not None and self._changed(manifest, stats, earlier)
        finder = Finder(whole, stats, earlier, self.report, self._site, renewed, self._objects.bring)
        total = finder.count_due(trees)
        self._work(finder, trees, stats, total)
        if manifest is not None and renewed:
            self._recorder(stats).write(Batch(settled=[(manifest, "manifest", None)]))
        self._conclude(whole, finder.keys)
        return self.report

    def _conclude(self, whole: Plan, keys: set[str]) -> None:
        """Say what came of tables, folders and masks without an image, and count what there is of the images of this import."""
        report = self.report
        for path, table in whole.tables.items():
            report.tables.append(TableUse(str(path), table.rows, table.joined, table.reason))
            why = f"This table was not used: {table.reason}." if table.reason and not table.joined else None
            if why and not table.readable:
                report.failed.append(Refused(str(path), why))
            elif why and not table.refused:
                report.skipped.append(Refused(str(path), why))
            report.failed += [Refused(str(path), f"A row was not used: {one}.") for one in table.refused[:_MOST_ROWS]]
            if len(table.refused) > _MOST_ROWS:
                more = f"{len(table.refused) - _MOST_ROWS:,} further rows were not used, for reasons like those of the others."
                report.failed.append(Refused(str(path), more))
        report.notes = sorted({*report.notes, *(Refused(str(path), reason) for path, reason in whole.notes.items())})
        report.failed, report.skipped = sorted(set(report.failed)), sorted(set(report.skipped))
        report.left_out = [one for one in report.failed if Path(one.path) in whole.orphans]
        report.not_in_manifest = sorted(set(report.not_in_manifest))
        report.keys = sorted(keys | self._keys)
        count_masks(self._catalogue, report.keys, report)

    def _work(self, finder: Finder, trees: Sequence[Folder], stats: dict[Path, File], total: int) -> None:
        key = key_of(self._folder, self._catalogue)
        examiner = Examiner(self._folder if self._copy else None, self._encoder is not None, key, _absolute(self._folder))
        recorder = self._recorder(stats)
        batch, begun, done = Batch(), time.monotonic(), 0
        try:
            for item in _examined(examiner, _together(finder.due(trees), stats), self._known):
                if isinstance(item, Settled):
                    batch.settled.append((item.path, item.state, item.reason))
                    done += 1
                else:
                    batch.outcomes.append(item)
                    finder.attempted(item)
                    done += len(item.unit.files)
                self._progress(_STEP, min(done, total), total)
                if _is_full(batch) or time.monotonic() - begun > _BATCH_SECONDS:
                    self._flush(recorder, batch)
                    batch, begun = Batch(), time.monotonic()
        except RemoteError:
            self._flush(recorder, batch)  # what had come before the storage went away
            raise
        batch.settled += [(one.path, one.state, one.reason) for one in finder.left_over()]
        self._flush(recorder, batch)

    def _known(self, keys: Collection[str]) -> set[str]:
        """Those of a few keys that the archive has: all of its keys would cost more than the import of a few images."""
        with self._catalogue.read() as connection:
            return set(connection.scalars(sa.select(images.c.key).where(images.c.key.in_(list(keys)))))

    def _flush(self, recorder: Recorder, batch: Batch) -> None:
        if not len(batch):
            return
        if self._encoder is not None:
            pixels = {one.key: one.image for item in batch.outcomes for one in item.images if one.image is not None}
            batch.vectors, refused = encode(self._encoder, pixels)
            names = {one.key: str(one.found.path) for item in batch.outcomes for one in item.images}
            for key, reason in refused.items():
                self.report.failed.append(Refused(names[key], f"It is imported, but has no vector: {reason}"))
        written = recorder.write(batch)
        self._keys |= {one.key for item in batch.outcomes for one in item.images}
        self.report.added += len(written.added)
        self.report.known += written.known
        self.report.labels += written.labels
        self.report.vectors += written.vectors
        self.report.failed += [Refused(str(path), reason) for path, reason in written.refused.items()]
        self.report.notes += [Refused(str(path), legible(reason)) for path, reason in written.notes.items()]
        for item in batch.outcomes:
            self.report.failed += [Refused(str(item.unit.images[0].path), reason) for reason in item.failed]

    def _recorder(self, stats: dict[Path, File]) -> Recorder:
        writer = VectorWriter(self._catalogue, self._folder, self._encoder) if self._encoder is not None else None
        return Recorder(self._catalogue, self._folder, stats, writer)

    def _trees(self, paths: Sequence[Path]) -> list[Folder]:
        """The folders and files given, each once; what is not there is named in the report."""
        trees: list[Folder] = []
        single: dict[Path, Folder] = {}
        for path in sorted(set(paths)):
            # In this order what lies below a folder follows it, before all else.
            if trees and path.is_relative_to(trees[-1].path):
                continue
            if path.is_dir():
                trees.append(walk(path, self._folder, self._unreadable, self._no_file))
            elif path.is_file():
                folder = single.setdefault(path.parent, Folder(path.parent, partial=True))
                folder.files |= {one.name: _about(one) for one in whole_file(path)}
            elif path.exists():
                self.report.failed.append(Refused(str(path), _NO_FILE))
            else:
                self.report.failed.append(Refused(str(path), "There is no file or folder of this name; correct the path."))
        return trees + list(single.values())

    def _no_file(self, path: Path) -> None:
        self.report.skipped.append(Refused(str(path), _NO_FILE))

    def _unreadable(self, path: Path, error: OSError) -> None:
        reason = f"It may not be read ({error.strerror or type(error).__name__}); change its permissions, or mend the link."
        self.report.failed.append(Refused(str(path), reason))

    def _named(self, explicit: Sequence[Entry], stats: dict[Path, File]) -> list[Folder]:
        """Trees of the files that only the manifest names."""
        folders: dict[Path, Folder] = {}
        for path in [path for entry in explicit for path in (entry.path, *(label.path for label in entry.labels))]:
            if path in stats or not path.is_file():
                continue
            every = {one: _about(one) for one in whole_file(path)}
            stats |= every
            folder = folders.setdefault(path.parent, Folder(path.parent, partial=True))
            folder.files |= {one.name: file for one, file in every.items()}
        return list(folders.values())

    def _present(self, explicit: Sequence[Entry], stats: dict[Path, File]) -> tuple[list[Entry], dict[Path, str]]:
        """The manifest's rows whose files are there, and the masks of the others; what is not there is named in the report."""
        kept: list[Entry] = []
        orphans: dict[Path, str] = {}
        for entry in explicit:
            every = (entry.path, *(label.path for label in entry.labels))
            gone = [path for path in every if path not in stats]
            for path in gone:
                self.report.failed.append(
                    Refused(str(path), "The manifest names it, but there is no such file; correct the manifest.")
                )
            labels = tuple(label for label in entry.labels if label.path not in gone)
            if entry.path not in gone:
                kept.append(replace(entry, labels=labels))
            else:
                why = f"The manifest names it the mask of {legible(entry.path.name)}, which is not there; correct the manifest."
                orphans |= {label.path: why for label in labels}
        return kept, orphans

    def _earlier(self, trees: Sequence[Folder]) -> dict[str, sa.Row[tuple[object, ...]]]:
        rows: dict[str, sa.Row[tuple[object, ...]]] = {}
        with self._catalogue.read() as connection:
            for tree in trees:
                for some in self._wheres(tree):
                    rows |= {row.path: row for row in connection.execute(sa.select(files).where(some))}
        return rows

    def _wheres(self, tree: Folder) -> Iterator[sa.ColumnElement[bool]]:
        """Which rows of files are those of a tree."""
        if not tree.partial:
            yield self._catalogue.below(files.c.path, tree.path)
            return
        paths = [str(path) for path, _ in tree.below()]
        for first in range(0, len(paths), _PATHS):
            yield files.c.path.in_(paths[first : first + _PATHS])

    def _changed(self, manifest: Path, stats: dict[Path, File], earlier: dict[str, sa.Row[tuple[object, ...]]]) -> bool:
        """Whether the manifest is another than in the last import with it: then every row of it is read again."""
        path = _absolute(manifest)
        stats[path] = _about(path)
        with self._catalogue.read() as connection:
            row = connection.execute(sa.select(files).where(files.c.path == str(path))).first()
        return row is None or row.state != "manifest" or File(row.size, row.mtime_ns) != stats[path]


def _together(due: Iterator[Unit | Settled], stats: Mapping[Path, File]) -> Iterator[list[Unit | Settled]]:
    """What is due, so much at once that the files are still in memory when they are read after they were hashed."""
    items: list[Unit | Settled] = []
    size = 0
    for item in due:
        items.append(item)
        size += sum(stats[path].size for path in item.files) if isinstance(item, Unit) else 0
        if len(items) >= _BATCH or size >= _HASHED_BYTES:
            yield items
            items, size = [], 0
    yield items


def _examined(
    examiner: Examiner, due: Iterable[list[Unit | Settled]], known_among: Callable[[Collection[str]], set[str]]
) -> Iterator[Outcome | Settled]:
    """Results in the order of ``due``, a few read ahead by threads (decompression, most of the work, runs beside).

    known_among : which of some keys the catalogue has.
    """
    workers = min(4, os.cpu_count() or 1)
    waiting: deque[Future[Outcome] | Settled] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="import")
    try:
        for items in due:
            keys = deque(pool.map(examiner.keys, [item for item in items if isinstance(item, Unit)]))
            known = known_among({key for found in keys for key in found.values()})
            for item in items:
                waiting.append(item if isinstance(item, Settled) else pool.submit(examiner.examine, item, keys.popleft(), known))
                while len(waiting) > 2 * workers:
                    yield _result(waiting.popleft())
        while waiting:
            yield _result(waiting.popleft())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _result(item: Future[Outcome] | Settled) -> Outcome | Settled:
    return item if isinstance(item, Settled) else item.result()


def _is_full(batch: Batch) -> bool:
    pixels = sum(one.image.array.nbytes for item in batch.outcomes for one in item.images if one.image is not None)
    return len(batch) >= _BATCH or pixels >= _BATCH_BYTES


def _about(path: Path) -> File:
    about = path.stat()
    return File(about.st_size, about.st_mtime_ns)


def _absolute(path: str | os.PathLike[str]) -> Path:
    # By name alone: a link stays the name under which the user knows the file.
    return Path(os.path.abspath(path))  # noqa: PTH100
