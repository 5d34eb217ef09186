"""A folder as it was found: its files and folders by name, walked once."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from casewise.archive.suffixes import suffix
from casewise.names import nfc

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"})
VOLUMES = frozenset({".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".hdr"})
HDF5 = frozenset({".h5", ".hdf5"})
DICOM = frozenset({".dcm", ".dicom", ".ima"})
TABLES = frozenset({".csv", ".tsv"})
_DATA = PICTURES | VOLUMES | HDF5 | DICOM


@dataclass(frozen=True)
class File:
    """A file's size in bytes and time of change: if both stay, so does its content."""

    size: int
    mtime_ns: int


@dataclass
class Folder:
    """A folder, with files and folders in the order of their names. ``partial``: others lie beside them that are not asked for."""

    path: Path
    files: dict[str, File] = field(default_factory=dict)
    folders: dict[str, Folder] = field(default_factory=dict)
    partial: bool = False

    @cached_property
    def images(self) -> list[str]:
        """Names of the files here whose suffix is one of images (DICOM files often have none: these are not among them)."""
        return [name for name in self.files if suffix(name) in _DATA]

    @cached_property
    def holds_images(self) -> bool:
        """Whether there is a file of an image's suffix here or below."""
        return bool(self.images) or any(folder.holds_images for folder in self.folders.values())

    def walk(self) -> Iterator[Folder]:
        """This folder and all below, parents first."""
        yield self
        for folder in self.folders.values():
            yield from folder.walk()

    def below(self) -> Iterator[tuple[Path, File]]:
        """Every file here and below."""
        for folder in self.walk():
            for name, file in folder.files.items():
                yield folder.path / name, file

    @cached_property
    def _folders_by_text(self) -> dict[str, list[str]]:
        return _by_text(self.folders)

    @cached_property
    def _files_by_text(self) -> dict[str, list[str]]:
        return _by_text(self.files)

    def find(self, relative: str) -> Path | None:
        """The file at a relative path written with slashes; None if it is not in the tree. Names agree as NFC text."""
        here = self
        *parts, name = [part for part in relative.replace("\\", "/").split("/") if part not in ("", ".")] or [""]
        for part in parts:
            below = _named(part, here.folders, here._folders_by_text)
            if below is None:
                return None
            here = here.folders[below]
        found = _named(name, here.files, here._files_by_text)
        return here.path / found if found is not None else None


def _by_text(names: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(nfc(name), []).append(name)
    return found


def _named(wanted: str, names: Collection[str], by_text: Mapping[str, Sequence[str]]) -> str | None:
    """The one of ``names`` that is this text; None where there is none or are two that differ in their bytes alone."""
    if wanted in names:
        return wanted
    same = by_text.get(nfc(wanted), ())
    return same[0] if len(same) == 1 else None


def stem(name: str) -> str:
    """The name without its suffix; a name of unknown suffix is left whole."""
    ending = suffix(name)
    return name[: -len(ending)] if ending in _DATA | TABLES else name


def walk(
    path: Path,
    leave_out: Path | None = None,
    unreadable: Callable[[Path, OSError], None] | None = None,
    no_file: Callable[[Path], None] | None = None,
) -> Folder:
    """The tree below ``path``, links followed but none twice. Pipes, sockets and devices are no part of it.

    leave_out : a folder not to enter (the archive's own). unreadable : called with each folder that may not be read.
    no_file : called with each pipe, socket or device.
    """
    return _walk(path, leave_out.resolve() if leave_out else None, unreadable, no_file, set())


def _walk(
    path: Path,
    leave_out: Path | None,
    unreadable: Callable[[Path, OSError], None] | None,
    no_file: Callable[[Path], None] | None,
    parents: set[tuple[int, int]],
) -> Folder:
    tree = Folder(path)
    try:
        with os.scandir(path) as listing:
            found = sorted(listing, key=lambda item: item.name)
    except OSError as error:
        if unreadable:
            unreadable(path, error)
        return tree
    for item in found:
        try:
            about = item.stat()
            is_folder = item.is_dir()
        except OSError as error:
            if unreadable:
                unreadable(path / item.name, error)
            continue
        if not is_folder and not stat.S_ISREG(about.st_mode):
            if no_file:
                no_file(path / item.name)
            continue
        if not is_folder:
            tree.files[item.name] = File(about.st_size, about.st_mtime_ns)
            continue
        identity = (about.st_dev, about.st_ino)
        below = path / item.name
        if identity in parents or (leave_out is not None and below.resolve() == leave_out):
            continue
        tree.folders[item.name] = _walk(below, leave_out, unreadable, no_file, {*parents, identity})
    return tree
