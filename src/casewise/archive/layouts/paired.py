"""Paired folders: ``images/x.png`` beside ``masks/x.png``, ``lung_masks/x.png``, ``labels/x.png`` or ``masks/left_lung/x.png``.

A mask belongs to the image of the same stem (``x_mask``, ``x_seg`` too) under the folders beside the mask folder. Its structure is
the folder between the mask folder and the file (``left_lung``), else the mask folder's own name without the word for mask, in the
singular (``lung_masks`` → lung), else its values (``label_1``, …).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from casewise.archive.layouts.entry import Entry, LabelSource, Orphan
from casewise.archive.layouts.tree import Folder, stem
from casewise.archive.layouts.words import is_mask_name, structure_name, structure_of_folder, without_role, words

# Folders between the image folder (or the folder itself) and an image; the image.
_Place = tuple[tuple[str, ...], Path]


def detect(folder: Folder) -> bool:
    """Whether a folder of masks lies here whose files have the names of images beside it."""
    masks = _mask_folders(folder)
    if not masks:
        return False
    images = _images(folder)
    return any(_match(images, (), name) for mask in masks for below in mask.walk() for name in below.images)


def entries(folder: Folder) -> Iterator[Entry | Orphan]:
    """An entry for each image that has masks; an orphan for each mask that has no image."""
    images = _images(folder)
    labels: dict[Path, list[LabelSource]] = defaultdict(list)
    for root in _mask_folders(folder):
        for below in root.walk():
            for name in below.images:
                path = below.path / name
                between = below.path.relative_to(root.path).parts
                found = _match(images, between, name)
                if found is None:
                    yield Orphan(
                        path, f"It lies in a folder of masks ({root.path.name}), but no image of its name lies beside that."
                    )
                    continue
                apart, image = found
                own = [part for part in between if part not in apart]
                structure = structure_name(own[-1]) if own else structure_of_folder(root.path.name)
                labels[image].append(LabelSource(path, structure, split=structure is None))
    for image, sources in labels.items():
        yield Entry(image, tuple(sources))


def _mask_folders(folder: Folder) -> list[Folder]:
    return [below for name, below in folder.folders.items() if is_mask_name(name) and below.holds_images]


def _images(folder: Folder) -> dict[str, list[_Place]]:
    """Stem → places of the images beside the mask folders."""
    places: dict[str, list[_Place]] = defaultdict(list)
    for name in folder.images:
        places[stem(name)].append(((), folder.path / name))
    for title, beside in folder.folders.items():
        if is_mask_name(title):
            continue
        for below in beside.walk():
            for name in below.images:
                places[stem(name)].append((below.path.relative_to(beside.path).parts, below.path / name))
    return places


def _match(images: dict[str, list[_Place]], between: tuple[str, ...], name: str) -> _Place | None:
    """The image of a mask's name; of several, the one under the same folders."""
    places = images.get(stem(name)) or images.get(_bare(stem(name))) or []
    if len(places) <= 1:
        return places[0] if places else None
    return next((place for place in places if all(part in between for part in place[0]) and place[0]), None) or next(
        (place for place in places if not place[0]), None
    )


def _bare(text: str) -> str:
    """``x_1_mask`` → x_1; the name as it is where its last word is not one for masks."""
    parts = words(text)
    if parts and not without_role(parts[-1:]):
        return text[: text.lower().rfind(parts[-1])].rstrip("_-. ")
    return text
