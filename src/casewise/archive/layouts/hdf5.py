"""HDF5 files that hold an image with its labels (ACDC's: ``image``, ``label``, ``scribble``)."""

from __future__ import annotations

from collections.abc import Sequence

from casewise.archive.layouts.entry import LabelSource
from casewise.archive.layouts.words import is_mask_name
from casewise.formats import Found

_SCRIBBLES = frozenset({"scribble", "scribbles"})


def told_apart(found: Sequence[Found]) -> tuple[list[Found], list[LabelSource]]:
    """The data sets of one file that are images, and those that label them by their names.

    Where no data set has an image's name, all are images.
    """
    images: list[Found] = []
    labels: list[LabelSource] = []
    for one in found:
        name = (one.member or "").rsplit("/", 1)[-1]
        if name.lower() in _SCRIBBLES:
            labels.append(LabelSource(one.path, "scribble", one.member, split=False, kind="scribble"))
        elif is_mask_name(name):
            labels.append(LabelSource(one.path, None, one.member))
        else:
            images.append(one)
    return (images, labels) if images else (list(found), [])
