"""Paired folders: ``images/x.png`` beside ``masks/x.png``, ``lung_masks/x.png``, ``labels/x.png`` or ``masks/left_lung/x.png``.

A mask belongs to the image of its name (``x_mask``, ``x_seg`` too) under the same folders, in the folder that goes with the mask
folder: ``train_images`` with ``train_masks``, ``imagesTr`` with ``labelsTr``; else a folder called ``images``, else the files
beside, else the other folders beside. Its structure is the folder between the mask folder and the file (``left_lung``), else the
mask folder's own name without the word for mask, in the singular (``lung_masks`` → lung), else its values (``label_1``, …).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from casewise.archive.ingest.layouts.classes import SPLITS
from casewise.archive.ingest.layouts.entry import Entry, LabelSource, Orphan
from casewise.archive.ingest.layouts.matching import Match, pair
from casewise.archive.ingest.layouts.tree import Folder, stem
from casewise.archive.ingest.layouts.vocabulary import is_structure
from casewise.archive.words import (
    IMAGE_WORDS,
    camel_words,
    is_mask_name,
    structure_name,
    structure_of_folder,
    without_role,
    without_roles,
)
from casewise.names import nfc

# Folders between an image folder and an image → names of the images there.
_Parts = tuple[str, ...]


def detect(folder: Folder) -> bool:
    """Whether a folder of masks lies here."""
    return bool(_mask_folders(folder))


def entries(folder: Folder) -> Iterator[Entry | Orphan]:
    """An entry for each image that has masks; an orphan for each mask whose image is not there or is not certain."""
    labels: dict[Path, list[LabelSource]] = defaultdict(list)
    for root in _mask_folders(folder):
        images = _Images(folder, root)
        named = None if images.go_with_it else structure_of_folder(root.path.name)
        for below in root.walk():
            if not below.images:
                continue
            for mask, found in _matched(root, below, images).items():
                path = below.path / mask
                if isinstance(found, str):
                    yield Orphan(path, found)
                    continue
                for image, match, folder_says in found:
                    structure = "_".join(part for part in (folder_says or named, match.structure) if part) or None
                    source = LabelSource(path, structure, split=structure is None, role=match.role or root.path.name)
                    labels[image].append(source)
    for image, sources in labels.items():
        yield Entry(image, tuple(sources))


def _mask_folders(folder: Folder) -> list[Folder]:
    return [
        below for name, below in folder.folders.items() if is_mask_name(name) and below.holds_images and _is_masks(folder, below)
    ]


def _is_masks(folder: Folder, below: Folder) -> bool:
    """Whether a folder called after masks holds them, and is no whole data set of that name (``seg-challenge/images``)."""
    inside = list(below.walk())
    whole = any(set(camel_words(here.path.name)) & IMAGE_WORDS and here is not below for here in inside) or any(
        len({is_mask_name(stem(name)) for name in here.images}) > 1 for here in inside
    )
    if not whole:
        return True
    images = _Images(folder, below)
    return any(not isinstance(found, str) for here in inside for found in _matched(below, here, images).values())


class _Images:
    """The images that a mask folder's masks may belong to, by the folders they lie in. ``go_with_it``: their folder's name does."""

    def __init__(self, folder: Folder, masks: Folder) -> None:
        own = without_role(camel_words(masks.path.name))
        beside = [one for name, one in folder.folders.items() if one is not masks and not is_mask_name(name) and one.holds_images]
        counterparts = [one for one in beside if own and _rest(one.path.name) == own]
        called = [one for one in beside if not _rest(one.path.name)]
        self.go_with_it = bool(counterparts) or bool(set(own) and set(own) <= SPLITS)
        self.places: dict[_Parts, list[Path]] = defaultdict(list)
        # Folders beside of any name may be those of patients: there a mask's folder has to be called as theirs.
        self.any_folder = not counterparts and not called and not folder.images
        if not counterparts and not called and folder.images:
            self.places[()] = [folder.path / name for name in folder.images if not is_mask_name(stem(name))]
            return
        for top in counterparts or called or beside:
            for below in top.walk():
                start = folder.path if self.any_folder else top.path
                parts = tuple(nfc(part) for part in below.path.relative_to(start).parts)
                self.places[parts] += [below.path / name for name in below.images]
        if self.any_folder and len(beside) == 1:
            self.places[()] = [beside[0].path / name for name in beside[0].images]
        self.places = defaultdict(list, {parts: paths for parts, paths in self.places.items() if paths})


def _rest(name: str) -> list[str]:
    return [word for word in camel_words(name) if word not in IMAGE_WORDS]


_Found = dict[str, list[tuple[Path, Match, str | None]] | str]


def _matched(root: Folder, below: Folder, images: _Images) -> _Found:
    """The masks of one folder below a mask folder: their images, what was matched and the structure their folder says."""
    between = tuple(nfc(part) for part in below.path.relative_to(root.path).parts)
    found = _in_place(below, images.places.get(between, []), None)
    if between and any(isinstance(one, str) for one in found.values()):
        for apart, named in ((between[:-1], between[-1]), (between[1:], between[0])):
            inside = _in_place(below, images.places.get(apart, []), named)
            if between not in images.places and _is_structure_folder(named, inside, not images.any_folder):
                return inside
    elif not between and not images.places.get(()) and _all_apart(images):
        # Masks that lie together have names of their own each, so their images have too.
        return _in_place(below, [path for paths in images.places.values() for path in paths], None)
    return found


def _in_place(below: Folder, images: list[Path], named: str | None) -> _Found:
    by_name: dict[str, list[Path]] = defaultdict(list)
    for path in images:
        by_name[path.name].append(path)
    once = [name for name, paths in by_name.items() if len(paths) == 1]
    more = {name: paths for name, paths in by_name.items() if len(paths) > 1}
    matches = pair(below.images, once, in_mask_folder=True)
    found: _Found = {}
    for mask, match in matches.items():
        several = [paths for name, paths in more.items() if nfc(stem(name)) in _names_of(mask)]
        if several:
            found[mask] = f"{len(several[0])} images beside its folder have its name; name its image in a manifest."
        elif isinstance(match, Match):
            says = structure_name(named) if named is not None and without_roles(named) else None
            found[mask] = [(by_name[image][0], match, says) for image in match.images]
        else:
            found[mask] = match
    return found


def _names_of(mask: str) -> set[str]:
    return {nfc(stem(mask)), without_roles(stem(mask))}


def _all_apart(images: _Images) -> bool:
    stems = [nfc(stem(path.name)) for paths in images.places.values() for path in paths]
    return len(set(stems)) == len(stems)


def _is_structure_folder(name: str, found: _Found, among_images: bool) -> bool:
    """Whether a folder of masks is called after a structure, and not after a subject whose images are missing.

    among_images : its masks are compared with the images of a folder that is called so.
    """
    if is_mask_name(name) or is_structure(name):
        return True
    if not among_images:
        return False
    fits = [one for one in found.values() if not isinstance(one, str)]
    return len(fits) > 1 and len(fits) == len(found) and not any(letter.isdecimal() for letter in name)
