"""Labelled examinations to train on: an archive's images of one patient put together, on one grid, with the lesions' mask."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from casewise.case import UNNAMED, Case, Structure, check_grid, chosen
from casewise.errors import CasewiseError
from casewise.examination.archived import examinations_in, sequence_of, spoken
from casewise.examination.examination import of_study
from casewise.examination.normalisation import normalised
from casewise.examination.reading import Given, Study
from casewise.examination.sequences import reference_of
from casewise.image import Image
from casewise.label_map import LabelMap

Mask = npt.NDArray[np.bool_]
LESION = "lesion"


def labelled(image: Image, mask: Mask, category: str | None, subject: str, site: str | None = None) -> Case:
    """An examination at hand, whose header names its channels as ``sequences``, with the mask (*spatial) of its lesions.

    Raises CasewiseError for another grid's mask.
    """
    return Case.of(image, {LESION: mask}, category=category, subject=subject, site=site, name=subject)


def labelled_cases(cases: Sequence[Case], lesion: Structure) -> tuple[list[Case], list[str]]:
    """(the examinations of which at least one image has a mask of ``lesion``, a sentence for each image that is left out).

    Images of one subject and site are one examination; where a sequence would be twice, those of one folder are.
    Raises CasewiseError where no case has such a mask.
    """
    if not any(case.has(lesion) for case in cases):
        have = sorted({mask for case in cases for mask in case.load_masks})
        raise CasewiseError(f"No image has a mask of {lesion}; there are masks of {', '.join(have) or 'nothing'}.")
    found, left_out = [], []
    for own, repeated in examinations_in(cases):
        left_out += repeated
        if any(case.has(lesion) for case in own.values()):
            found.append(_labelled(own, lesion))
        else:
            left_out += [f"{spoken(case)} has no mask of {lesion} and was left out." for case in own.values()]
    return found, left_out


def unlabelled_cases(cases: Sequence[Case], lesion: Structure) -> list[Case]:
    """The examinations of which no image has a mask of ``lesion``: theirs is empty, which says nothing of them."""
    groups = [own for own, _ in examinations_in(cases)]
    return [_labelled(own, None) for own in groups if not any(case.has(lesion) for case in own.values())]


def _labelled(own: dict[str, Case], lesion: Structure | None) -> Case:
    first = next(iter(own.values()))
    return Case.examined(
        partial(_loaded, own, lesion),
        tuple(own),
        [case.key for case in own.values()],
        [lesion.name] if lesion is not None else [],
        category=next((case.category for case in own.values() if case.category), None),
        subject=f"{first.site}/{first.subject or first.key}",
        site=first.site,
        name=first.name or first.key[:12],
    )


def _loaded(own: dict[str, Case], lesion: Structure | None, wanted: Sequence[str]) -> tuple[Image, LabelMap]:
    """An examination's sequences, normalised, and mask: that of the reference, else of the first sequence that has one.

    No mask without ``lesion``.
    """
    images = {name: case.image for name, case in own.items()}
    reference = reference_of(list(images))
    first = images[reference]
    if first.spatial_dims == 2:
        return _picture(own[reference], first, lesion, wanted)
    given = tuple(Given(name, image, Path(own[name].name)) for name, image in images.items())
    made = of_study(Study(given, ()), workers=1)
    if lesion is None:
        return made.stacked(wanted), LabelMap.like({}, made.image)
    outlined = next((name for name in made.names if own[name].has(lesion)), None)
    if outlined is None:
        raise CasewiseError(f"{spoken(own[reference])}: the sequence with the mask could not be registered, so it is left out.")
    drawn = own[outlined].label_map([lesion]) > 0
    return made.stacked(wanted), LabelMap.like({lesion.name: made.carried(outlined, drawn)}, made.image)


def _picture(case: Case, image: Image, lesion: Structure | None, wanted: Sequence[str]) -> tuple[Image, LabelMap]:
    grey = image.array.astype(np.float32).mean(axis=0)
    masks = {lesion.name: case.label_map([lesion])} if lesion is not None else {}
    for mask in masks.values():
        check_grid(mask, image, spoken(case))
    ready = Image(normalised(grey, UNNAMED)[None], image.affine, image.header)
    return chosen(ready, (sequence_of(case),), wanted), LabelMap.like(masks, image)
