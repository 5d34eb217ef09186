"""What is known of the files of an import before any of them is read: roles, labels, categories, sites and subjects.

Site: the one given; else what a manifest, a table or a header says; else the name of the data set's folder. That is the folder
imported, or, where several data sets lie in it side by side (at least two of its folders hold images and one of them is of a
known layout by itself), the folder of that data set.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import ModuleType

from casewise.archive.ingest.layouts import beside, bids, classes, decathlon, nnunet, paired, tables
from casewise.archive.ingest.layouts.classes import look_like_people
from casewise.archive.ingest.layouts.entry import Entry, FolderNote, LabelSource, Orphan, TableNote
from casewise.archive.ingest.layouts.subjects import subjects
from casewise.archive.ingest.layouts.tree import Folder, stem
from casewise.archive.words import IMAGE_WORDS, modality_in, sequence_in, structure_name
from casewise.names import legible, same_structure

# Believed in this order.
LAYOUTS: tuple[ModuleType, ...] = (nnunet, decathlon, bids, paired, beside, classes, tables)
_WHOLE = (nnunet, decathlon, bids, paired, classes)
_GENERAL = IMAGE_WORDS | classes.SPLITS


@dataclass
class Plan:
    """Facts by file.

    labels : files that are labels of some image. orphans : labels without a certain image, and why. tables : what came of each
    table.
    notes : folders of whose names nothing was taken, and why. explicit : images that a manifest names, ``manifest``: where there
    is one.
    """

    entries: dict[Path, Entry] = field(default_factory=dict)
    guesses: dict[Path, Entry] = field(default_factory=dict)
    labels: set[Path] = field(default_factory=set)
    orphans: dict[Path, str] = field(default_factory=dict)
    tables: dict[Path, TableNote] = field(default_factory=dict)
    notes: dict[Path, str] = field(default_factory=dict)
    explicit: set[Path] = field(default_factory=set)
    manifest: Path | None = None

    def leave(self, paths: Collection[Path]) -> None:
        """Forget what names say of files that turned out to say it themselves, or cannot be had."""
        gone = frozenset(paths)
        for path in gone:
            self.labels.discard(path)
            self.orphans.pop(path, None)
            self.entries.pop(path, None)
        for image in {image for path in gone for image in self._labelled.get(path, ())} & self.entries.keys():
            entry = self.entries[image]
            self.entries[image] = replace(entry, labels=tuple(label for label in entry.labels if label.path not in gone))

    def as_label(self, path: Path) -> list[LabelSource]:
        """A file as a label of each image that it may belong to."""
        entries = [self.entries[image] for image in self._labelled.get(path, ()) if image in self.entries]
        return [label for entry in entries for label in entry.labels if label.path == path]

    @cached_property
    def _labelled(self) -> dict[Path, list[Path]]:
        """Label → the images that have it. Once the plan is made labels are taken from entries, but none come to them."""
        found: dict[Path, list[Path]] = {}
        for image, entry in self.entries.items():
            for path in {label.path for label in entry.labels}:
                found.setdefault(path, []).append(image)
        return found

    def of(self, files: Iterable[Path]) -> tuple[Entry, Entry]:
        """What is known, and what names alone let one guess, of the image that these files make."""
        first, *others = files
        known = self.entries.get(first, Entry(first))
        for other in others:
            if other in self.entries:
                known = known.merged(self.entries[other])
        return known, self.guesses.get(first, Entry(first))


def plan(
    trees: Iterable[Folder],
    explicit: Iterable[Entry] = (),
    site: str | None = None,
    orphans: Mapping[Path, str] | None = None,
    manifest: Path | None = None,
) -> Plan:
    """Look at the names in ``trees``; ``explicit`` entries (a manifest's) are believed before all others, and so are its
    ``orphans``: masks that it names and whose images are not there.
    """
    whole = Plan(orphans=dict(orphans or {}), manifest=manifest)
    for entry in explicit:
        _add(whole, entry, set())
    whole.explicit, sure = set(whole.entries), set(whole.labels)
    for tree in trees:
        for layout in LAYOUTS:
            claimed = {*whole.labels, *whole.orphans}
            for folder in tree.walk():
                settled = layout is beside and all(folder.path / name in claimed for name in folder.images)
                if not settled and layout.detect(folder):
                    found = tables.entries(folder, claimed, whole.manifest) if layout is tables else layout.entries(folder)
                    for item in found:
                        _add(whole, item, claimed)
        _guess(whole, tree, site)
    for image in list(whole.entries):
        if image in whole.labels and image not in whole.explicit:
            # A mask is nobody's image.
            whole.entries[image] = replace(whole.entries[image], labels=())
        else:
            _tell_apart(whole, image, sure)
    whole.labels -= whole.orphans.keys() - sure
    whole.orphans = {path: reason for path, reason in whole.orphans.items() if path not in whole.labels | whole.explicit}
    return whole


def _add(whole: Plan, item: Entry | Orphan | TableNote | FolderNote, claimed: set[Path]) -> None:
    """Add what a layout says; labels that an earlier layout has spoken for (``claimed``) stay as that one has them."""
    if isinstance(item, Orphan):
        if item.path not in whole.labels:
            whole.orphans.setdefault(item.path, item.reason)
    elif isinstance(item, TableNote):
        if item.path == whole.manifest:
            return
        whole.tables.setdefault(item.path, item)
    elif isinstance(item, FolderNote):
        whole.notes.setdefault(item.path, item.reason)
    else:
        free = [label for label in item.labels if label.path == item.path or not _is_taken(whole, label.path, claimed)]
        item = replace(item, labels=tuple(free))
        whole.labels.update(label.path for label in item.labels if label.path != item.path)
        known = whole.entries.get(item.path)
        whole.entries[item.path] = known.merged(item) if known else item


def _is_taken(whole: Plan, label: Path, claimed: set[Path]) -> bool:
    return label in claimed or label in whole.explicit


def _tell_apart(whole: Plan, image: Path, sure: set[Path]) -> None:
    """Give the masks of one image a name each; of several that name one structure, none is believed but a manifest's."""
    labels = whole.entries[image].labels
    masks = [label for label in labels if label.kind == "mask" and not label.values]
    if len(masks) < 2:
        return
    unnamed = [label for label in masks if label.name is None]
    if len(unnamed) > 1:
        masks = [
            replace(one, name=structure_name(one.role) or None) if one.name is None and one.path not in sure else one
            for one in masks
        ]
    names = [same_structure(label.name or "") for label in masks]
    kept: list[LabelSource] = []
    for label, name in zip(masks, names, strict=True):
        rivals = [other for other, same in zip(masks, names, strict=True) if same == name and other is not label]
        if not rivals or (label.path in sure and not any(other.path in sure for other in rivals)):
            kept.append(label)
            continue
        others = ", ".join(sorted(legible(other.path.name) for other in rivals))
        whole.orphans[label.path] = (
            f"{legible(image.name)} has another mask of the same structure ({others}); "
            "keep one, or name each in a manifest (mask:NAME)."
        )
    others_of_it = [label for label in labels if label.kind != "mask" or label.values]
    whole.entries[image] = replace(whole.entries[image], labels=(*kept, *others_of_it))


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
            whose = legible(f"{named}/{subject}" if subject and named else subject) if subject else None
            sequence = sequence_in(text)
            whole.guesses[path] = Entry(
                path, site=named, subject=whose, modality=modality_in(text), sequences=(sequence,) if sequence else ()
            )


def is_collection(tree: Folder) -> bool:
    """Whether several data sets lie side by side in a folder."""
    children = [child for name, child in tree.folders.items() if name.lower() not in _GENERAL and child.files | child.folders]
    if tree.images or len(children) < 2 or look_like_people(child.path.name for child in children):
        return False
    if any(layout.detect(tree) for layout in _WHOLE):
        return False
    return any(classes.holds_classes(child) or any(layout.detect(child) for layout in _WHOLE[:-1]) for child in children)


def _name(folder: Path) -> str | None:
    """The folder's name, or that of the first above it that says more than ``images`` or ``train``."""
    named = next((part for part in reversed(folder.parts[1:]) if part.lower() not in _GENERAL), None)
    return legible(named) if named is not None else None
