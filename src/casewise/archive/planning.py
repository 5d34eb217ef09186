"""What is known of the files of an import before any of them is read: roles, labels, categories, sites and subjects.

Site: the one given; else what a manifest, a table or a header says; else the name of the data set's folder. That is the folder
imported, or, where several data sets lie in it side by side (at least two of its folders hold images and one of them is of a
known layout by itself), the folder of that data set.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType

from casewise.archive.layouts import beside, bids, classes, decathlon, nnunet, paired, tables
from casewise.archive.layouts.entry import Entry, Orphan
from casewise.archive.layouts.subjects import subjects
from casewise.archive.layouts.tree import Folder, stem
from casewise.archive.layouts.words import IMAGE_WORDS, modality_in, sequence_in

# Believed in this order.
LAYOUTS: tuple[ModuleType, ...] = (nnunet, decathlon, bids, paired, beside, classes, tables)
_WHOLE = (nnunet, decathlon, bids, paired, classes)
_GENERAL = IMAGE_WORDS | classes.SPLITS


@dataclass
class Plan:
    """Facts by file. ``labels``: files that are labels of some image. ``orphans``: labels without an image, and why."""

    entries: dict[Path, Entry] = field(default_factory=dict)
    guesses: dict[Path, Entry] = field(default_factory=dict)
    labels: set[Path] = field(default_factory=set)
    orphans: dict[Path, str] = field(default_factory=dict)

    def leave(self, paths: Collection[Path]) -> None:
        """Forget what names say of files that turned out to say it themselves."""
        self.labels -= set(paths)
        for path in paths:
            self.orphans.pop(path, None)
            self.entries.pop(path, None)
        for path, entry in self.entries.items():
            if any(label.path in paths for label in entry.labels):
                self.entries[path] = replace(entry, labels=tuple(label for label in entry.labels if label.path not in paths))

    def of(self, files: Iterable[Path]) -> tuple[Entry, Entry]:
        """What is known, and what names alone let one guess, of the image that these files make."""
        first, *others = files
        known = self.entries.get(first, Entry(first))
        for other in others:
            if other in self.entries:
                known = known.merged(self.entries[other])
        return known, self.guesses.get(first, Entry(first))


def plan(trees: Iterable[Folder], explicit: Iterable[Entry] = (), site: str | None = None) -> Plan:
    """Look at the names in ``trees``; ``explicit`` entries (a manifest's) are believed before all others."""
    whole = Plan()
    for entry in explicit:
        _add(whole, entry, set())
    for tree in trees:
        for layout in LAYOUTS:
            claimed = set(whole.labels)
            for folder in tree.walk():
                if layout.detect(folder):
                    for item in layout.entries(folder):
                        _add(whole, item, claimed)
        _guess(whole, tree, site)
    whole.orphans = {path: reason for path, reason in whole.orphans.items() if path not in whole.labels}
    return whole


def _add(whole: Plan, item: Entry | Orphan, claimed: set[Path]) -> None:
    """Add what a layout says; labels that an earlier layout has spoken for (``claimed``) stay as that one has them."""
    if isinstance(item, Orphan):
        whole.orphans.setdefault(item.path, item.reason)
        return
    item = replace(item, labels=tuple(label for label in item.labels if label.path not in claimed))
    whole.labels.update(label.path for label in item.labels if label.path != item.path)
    known = whole.entries.get(item.path)
    whole.entries[item.path] = known.merged(item) if known else item


def _guess(whole: Plan, tree: Folder, site: str | None) -> None:
    collection = is_collection(tree)
    for folder in tree.walk():
        below = folder.path.relative_to(tree.path).parts
        top = tree.path / below[0] if collection and below else tree.path
        named = site or _name(top)
        stems = [stem(name) for name in folder.files]
        who = subjects([folder.path / name for name in folder.files], stems, top)
        for (path, subject), text in zip(who.items(), stems, strict=True):
            # Names like patient001 recur from data set to data set; they are one person's only within one.
            whose = f"{named}/{subject}" if subject and named else subject
            sequence = sequence_in(text)
            whole.guesses[path] = Entry(
                path, site=named, subject=whose, modality=modality_in(text), sequences=(sequence,) if sequence else ()
            )


def is_collection(tree: Folder) -> bool:
    """Whether several data sets lie side by side in a folder."""
    children = [child for name, child in tree.folders.items() if name.lower() not in _GENERAL and child.files | child.folders]
    if tree.images or len(children) < 2 or any(layout.detect(tree) for layout in _WHOLE):
        return False
    return any(layout.detect(child) for child in children for layout in _WHOLE)


def _name(folder: Path) -> str | None:
    """The folder's name, or that of the first above it that says more than ``images`` or ``train``."""
    return next((part for part in reversed(folder.parts[1:]) if part.lower() not in _GENERAL), None)
