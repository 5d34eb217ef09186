"""The identity of what is imported, by its files' bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from casewise.archive.voxels import voxel_names
from casewise.formats import Found
from casewise.formats.regular_files import is_plain_file
from casewise.hashing import combined_key, file_key


def content_key(found: Found, several: bool) -> str:
    """The identity of an image by its files' bytes (one key for a series), and by its member where several share a file."""
    key = _key_of(found.files)
    return combined_key([key, f"member {found.member}"]) if several else key


def with_voxels(found: Found) -> Found:
    """With the file of voxels that a header names (``.hdr`` and ``.img``, ``.mhd`` and ``.raw``): both are the image's content."""
    return found if len(found.files) > 1 else replace(found, files=whole_file(found.path))


def whole_file(path: Path) -> tuple[Path, ...]:
    """A file, and the file of voxels that it names."""
    names = [path.parent / name for name in voxel_names(path)]
    return (path, *(name for name in names if is_plain_file(name)))


def mask_key(path: Path) -> str:
    """The identity of a mask's file."""
    return _key_of(whole_file(path))


def _key_of(files: Sequence[Path]) -> str:
    keys = [file_key(path) for path in files]
    return keys[0] if len(keys) == 1 else combined_key(keys)
