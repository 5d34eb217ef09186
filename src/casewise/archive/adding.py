"""Adding one image with its masks, from memory or from a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from casewise.archive.catalogue import Catalogue, images
from casewise.archive.contents import content_key, mask_key, with_voxels
from casewise.archive.facts import header_content, header_facts
from casewise.archive.ingest.layouts.entry import Entry
from casewise.archive.ingest.members import expanded
from casewise.archive.ingest.reading import Examiner, Unit
from casewise.archive.label_rows import Made, Masks, Naming, Origin, replace_masks, write_masks
from casewise.archive.pseudonym_key import key_of, subject_under
from casewise.archive.storage import keep, place, recorded
from casewise.errors import ArchiveError, CasewiseError
from casewise.formats import Found, Rejected, drawn_in, mask_suffix, read_mask, scan, write, write_mask
from casewise.hashing import image_key
from casewise.image import Array, Image

_PNG_TYPES = (np.uint8, np.uint16)


class Addition:
    """Additions to one archive. ``folder``: the archive's."""

    def __init__(self, catalogue: Catalogue, folder: Path) -> None:
        self._catalogue = catalogue
        self._folder = folder

    def add(
        self,
        image: Image | str | os.PathLike[str],
        masks: Mapping[str, Array | str | os.PathLike[str]],
        facts: Mapping[str, str | None],
        content: Mapping[str, object],
        origin: Mapping[str, object] | None = None,
    ) -> str:
        """See :meth:`casewise.archive.Archive.add`."""
        if self._catalogue.read_only:
            with self._catalogue.write():
                pass
        if isinstance(image, Image):
            row, pixels = self._written(image), image
        else:
            row, pixels = _read(_alone(Path(image)), key_of(self._folder, self._catalogue))
        given = {name: value for name, value in facts.items() if value is not None}
        key = str(row["key"])
        rows = [self._label(key, name, mask, pixels, origin) for name, mask in masks.items()]
        with self._catalogue.write() as connection:
            self._catalogue.insert_new(connection, images, [{**row, **given}])
            there = connection.execute(sa.select(images).where(images.c.key == key)).one()
            changed: dict[str, Any] = {**given, "content": {**there.content, **content}}
            connection.execute(sa.update(images).where(images.c.id == there.id).values(**changed))
            replace_masks(connection, there.id, rows)
        return key

    def add_masks(self, key: str, image: Image, masks: Masks, origin: Origin, names: Naming | None) -> list[str]:
        """See :meth:`casewise.archive.Archive.add_masks`."""
        made = {name: mask if isinstance(mask, Made) else Made(mask, origin) for name, mask in masks.items()}
        rows = [self._label(key, name, one.mask, image, one.origin) for name, one in made.items()]
        with self._catalogue.write() as connection:
            return write_masks(connection, key, rows, names)

    def keys_of(self, image: Image | str | os.PathLike[str]) -> set[str]:
        """See :meth:`casewise.archive.Archive.keys_of`."""
        keys: set[str] = set()
        path = image.source if isinstance(image, Image) else Path(image)
        places = () if path is None else recorded(self._folder, path)  # the copy of an object may have left this machine
        if isinstance(image, Image):
            keys.add(image_key(image))
        if path is not None and path.exists():
            keys |= _content_keys(path)
        with self._catalogue.read() as connection:
            return set(connection.scalars(sa.select(images.c.key).where(images.c.key.in_(keys) | images.c.path.in_(places))))

    def _written(self, image: Image) -> dict[str, object]:
        key = image_key(image)
        target = place(key, _suffix(image))
        _into_archive(lambda: keep(self._folder, target, lambda path: write(path, image)))
        facts = header_facts(image.header)
        kind = {".png": "PNG", ".tif": "TIFF", ".nrrd": "NRRD"}.get(_suffix(image), "NIfTI")
        return {
            "key": key,
            "path": target,
            "member": None,
            "files": [],
            "name": str(image.source or target),
            "kind": kind,
            "copied": True,
            "shape": list(image.spatial_shape),
            "channels": image.channels,
            "spacing": list(image.spacing),
            **{name: facts.get(name) for name in ("modality", "sequence", "age", "sex")},
            "subject": subject_under(key_of(self._folder, self._catalogue), image.header),
            "content": header_content(image.header),
        }

    def _label(
        self, key: str, name: str, mask: Array | str | os.PathLike[str], image: Image, made: Mapping[str, object] | None = None
    ) -> dict[str, object]:
        origin = {"how": "added", "above": 0, **(made or {})}
        about: dict[str, object] = {"name": name, "kind": "mask", "member": None, "value": None, "boxes": None, "origin": origin}
        if isinstance(mask, str | os.PathLike):
            path = Path(os.path.abspath(mask))  # noqa: PTH100 - links stay links
            contents = drawn_in(path)
            if contents.doubt is not None:
                raise ArchiveError(f"{path} {contents.doubt}.")
            read_mask(path, image)
            above = contents.structures[0].above if contents.soft else 0
            return {**about, "path": str(path), "origin": {**origin, "above": above, "key": mask_key(path)}}
        held = np.asarray(mask).astype(bool)
        if held.shape != image.spatial_shape:
            msg = f"The mask {name!r} has the shape {held.shape}, its image {image.spatial_shape}; a mask lies on its image's grid."
            raise ArchiveError(msg)
        # By its content: a correction never touches the file that an earlier reader may hold.
        mark = image_key(Image(held[None].astype(np.uint8), image.affine))
        target = place(mark, mask_suffix(image) if image.spatial_dims == 2 else ".nii.gz")
        _into_archive(lambda: keep(self._folder, target, lambda path: write_mask(path, held, image)))
        return {**about, "path": target, "origin": {**origin, "key": mark}}


def _into_archive(action: Callable[[], object]) -> None:
    try:
        action()
    except CasewiseError as error:
        raise ArchiveError(str(error)) from error


def _suffix(image: Image) -> str:
    """A kind of file that keeps the array's type and, where it is known, its geometry."""
    colour = image.channels == 3 and image.array.dtype == np.uint8
    if image.spatial_dims == 2 and not image.header.spacing_known:
        return ".png" if colour or (image.channels == 1 and image.array.dtype in _PNG_TYPES) else ".tif"
    if image.channels != 1 and not colour:
        given = f"{image.channels} channels of {image.array.dtype}"
        msg = f"An archive keeps images of one channel, or RGB of 8 bits; got {given}: add each channel by itself."
        raise ArchiveError(msg)
    return ".nii.gz" if image.channels == 1 and image.spatial_dims == 3 else ".nrrd"


def _read(found: tuple[Found, bool], key: bytes) -> tuple[dict[str, object], Image]:
    one, several = found
    unit = Unit((one,), Entry(one.path), Entry(one.path), (), several)
    outcome = Examiner(None, keep_pixels=True, key=key).examine(unit)
    if outcome.failed or outcome.images[0].row is None or outcome.images[0].image is None:
        raise ArchiveError("\n".join(outcome.failed))
    return outcome.images[0].row, outcome.images[0].image


def _found(path: Path) -> list[tuple[Found, bool]]:
    path = Path(os.path.abspath(path))  # noqa: PTH100 - links stay links
    every: list[tuple[Found, bool]] = []
    for item in scan(path, recursive=False):
        if isinstance(item, Rejected):
            if item.path == path:
                raise ArchiveError(item.reason)
            continue
        members = expanded(with_voxels(item))
        every += [(member, len(members) > 1) for member in members]
    return every


def _alone(path: Path) -> tuple[Found, bool]:
    every = _found(path)
    if len(every) != 1:
        msg = f"{path} holds {len(every)} images, and one is added at a time; read the one that is meant, or import them all."
        raise ArchiveError(msg)
    return every[0]


def _content_keys(path: Path) -> set[str]:
    """Keys of the images in a file or series; none for what is no image."""
    try:
        return {content_key(found, several) for found, several in _found(path)}
    except (CasewiseError, OSError):
        return set()
