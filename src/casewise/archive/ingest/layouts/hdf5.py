"""HDF5 files that hold images with their labels (ACDC's: ``image``, ``label``, ``scribble``)."""

from __future__ import annotations

from collections.abc import Sequence

from casewise.archive.ingest.layouts.entry import LabelSource
from casewise.archive.ingest.layouts.matching import Match, pair
from casewise.archive.words import is_mask_name
from casewise.formats import Found

_SCRIBBLES = ("scribbles", "scribble")


def images_and_labels(found: Sequence[Found]) -> tuple[list[Found], list[LabelSource], list[str]]:
    """The data sets of one file that are images, those that label them by their names, and a reason for each of no certain image.

    Where no data set has an image's name, all are images.
    """
    images: list[Found] = []
    named: list[tuple[Found, str]] = []
    for one in found:
        name = _name(one)
        role = next((word for word in _SCRIBBLES if word in name.lower()), None)
        if role is not None:
            named.append((one, name.lower().replace(role, "mask")))
        elif is_mask_name(name):
            named.append((one, name))
        else:
            images.append(one)
    if not images:
        return list(found), [], []
    labels: list[LabelSource] = []
    refused: list[str] = []
    for one, name in named:
        of = _image(one, name, images)
        if of is None:
            refused.append(f"Its data set {one.member} labels none of its {len(images)} images by its name; name them alike.")
        elif "scribble" in _name(one).lower():
            labels.append(LabelSource(one.path, "scribble", one.member, split=False, kind="scribble", of_member=of))
        else:
            labels.append(LabelSource(one.path, None, one.member, role=name, of_member=of))
    return images, labels, refused


def _image(label: Found, name: str, images: Sequence[Found]) -> str | None:
    """The member of the image that a label is of: the only one, or that of its name in its group."""
    beside = [one for one in images if _group(one) == _group(label)] if len(images) > 1 else list(images)
    if len(beside) == 1:
        return beside[0].member
    match = pair([name], [_name(one) for one in beside])[name]
    if not isinstance(match, Match) or len(match.images) != 1:
        return None
    return next(one.member for one in beside if _name(one) == match.images[0])


def _name(found: Found) -> str:
    return (found.member or "").rpartition("/")[2]


def _group(found: Found) -> str:
    return (found.member or "").rpartition("/")[0]
