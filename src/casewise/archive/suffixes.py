"""Suffixes of files, as an archive and its import compare them."""

from __future__ import annotations

import os


def suffix(name: str) -> str:
    """The suffix in lower case, with ``.nii.gz`` taken as one."""
    lower = name.lower()
    return ".nii.gz" if lower.endswith(".nii.gz") else os.path.splitext(lower)[1]  # noqa: PTH122 - a name, not a path
