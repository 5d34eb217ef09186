"""Labelled examinations to train on: an archive's images of one patient put together, on one grid, with the lesions' mask."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePath

import numpy as np
import numpy.typing as npt

from casewise.case import Case, Structure
from casewise.errors import CasewiseError, UsageError
from casewise.examination.examination import of_study
from casewise.examination.normalisation import normalised
from casewise.examination.reading import Given, Study
from casewise.examination.sequences import canonical, of_description, reference_of
from casewise.image import Image

Mask = npt.NDArray[np.bool_]
Load = Callable[[Sequence[str]], tuple[Image, Mask]]
UNNAMED = "image"  # the one sequence of pictures and volumes of which nothing says what they are


@dataclass(frozen=True, eq=False)
class Labelled:
    """An examination with the mask of its lesions.

    load : gives, for the names of sequences asked for, (image (sequences, *spatial), normalised, a missing one 0 and in
    ``header.absent``; mask (*spatial)). sequences : those that it has. category : what its lesions are. keys : content hashes of
    its images.
    """

    load: Load
    sequences: tuple[str, ...]
    category: str | None
    keys: tuple[str, ...]
    subject: str
    site: str | None = None
    name: str = ""

    @classmethod
    def of(cls, image: Image, mask: Mask, category: str | None, subject: str, site: str | None = None) -> Labelled:
        """Of an image at hand, whose header names its channels as ``sequences``. Raises CasewiseError for another grid's mask."""
        from casewise.hashing import image_key

        names = image.header.sequences or (UNNAMED,)
        own = tuple(str(name) for name in names) if isinstance(names, tuple) else (UNNAMED,)
        if len(own) != image.channels:
            raise CasewiseError(f"The image has {image.channels} channels and its header names {len(own)} sequences; name each.")
        _check_grid(mask, image.spatial_shape, subject)
        return cls(lambda wanted: (_chosen(image, own, wanted), mask), own, category, (image_key(image),), subject, site, subject)


def labelled_cases(cases: Sequence[Case], lesion: Structure) -> tuple[list[Labelled], list[str]]:
    """(the examinations of which at least one image has a mask of ``lesion``, a sentence for each image that is left out).

    Images of one subject and site are one examination; where a sequence would be twice, those of one folder are.
    Raises CasewiseError where no case has such a mask.
    """
    if not any(case.has(lesion) for case in cases):
        have = sorted({mask for case in cases for mask in case.load_masks})
        raise CasewiseError(f"No image has a mask of {lesion}; there are masks of {', '.join(have) or 'nothing'}.")
    found, left_out = [], []
    for own, repeated in map(_named, _groups(cases)):
        left_out += repeated
        if any(case.has(lesion) for case in own.values()):
            found.append(_labelled(own, lesion))
        else:
            left_out += [f"{_spoken(case)} has no mask of {lesion} and was left out." for case in own.values()]
    return found, left_out


def unlabelled_cases(cases: Sequence[Case], lesion: Structure) -> list[Labelled]:
    """The examinations of which no image has a mask of ``lesion``: theirs is empty, which says nothing of them."""
    groups = [own for own, _ in map(_named, _groups(cases))]
    return [_labelled(own, None) for own in groups if not any(case.has(lesion) for case in own.values())]


def _named(group: Sequence[Case]) -> tuple[dict[str, Case], list[str]]:
    """(an examination's images by sequence, a sentence for each that repeats one)."""
    own: dict[str, Case] = {}
    repeated = []
    for case in group:
        name = _sequence(case)
        if name in own:
            repeated.append(f"{_spoken(case)} is a second {name} of its examination and was left out.")
        else:
            own[name] = case
    return own, repeated


def _labelled(own: dict[str, Case], lesion: Structure | None) -> Labelled:
    first = next(iter(own.values()))
    return Labelled(
        partial(_loaded, own, lesion),
        tuple(own),
        next((case.category for case in own.values() if case.category), None),
        tuple(case.key for case in own.values()),
        f"{first.site}/{first.subject or first.key}",
        first.site,
        first.name or first.key[:12],
    )


def _groups(cases: Sequence[Case]) -> list[list[Case]]:
    groups: dict[object, list[Case]] = defaultdict(list)
    for case in cases:
        alone = case.subject is None or _sequence(case) == UNNAMED
        groups[case.key if alone else (case.site, case.subject)].append(case)
    parted: list[list[Case]] = []
    for group in groups.values():
        if len({_sequence(case) for case in group}) == len(group):
            parted.append(group)
            continue
        folders: dict[PurePath, list[Case]] = defaultdict(list)
        for case in group:
            folders[PurePath(case.name).parent].append(case)
        parted += folders.values()
    return parted


def _sequence(case: Case) -> str:
    told = case.content.get("sequence")
    if not isinstance(told, str) or not told:
        return UNNAMED
    try:
        return canonical(told)
    except UsageError:  # a series' description that is no name
        return of_description(told) or UNNAMED


def _spoken(case: Case) -> str:
    return PurePath(case.name).name or case.key[:12]


def _loaded(own: dict[str, Case], lesion: Structure | None, wanted: Sequence[str]) -> tuple[Image, Mask]:
    """An examination's sequences and mask; the mask is that of the reference, or else of the first sequence that has one. Without
    ``lesion`` it is empty.
    """
    images = {name: case.image for name, case in own.items()}
    reference = reference_of(list(images))
    first = images[reference]
    if first.spatial_dims == 2:
        return _picture(own[reference], first, lesion, wanted)
    given = tuple(Given(name, image, Path(own[name].name)) for name, image in images.items())
    made = of_study(Study(given, ()), workers=1)
    if lesion is None:
        return made.stacked(wanted), np.zeros(made.image.spatial_shape, bool)
    outlined = next((name for name in made.names if own[name].has(lesion)), None)
    if outlined is None:
        raise CasewiseError(f"{_spoken(own[reference])}: the sequence with the mask could not be registered, so it is left out.")
    drawn = own[outlined].label_map([lesion]) > 0
    return made.stacked(wanted), made.carried(outlined, drawn)


def _picture(case: Case, image: Image, lesion: Structure | None, wanted: Sequence[str]) -> tuple[Image, Mask]:
    grey = image.array.astype(np.float32).mean(axis=0)
    mask = case.label_map([lesion]) > 0 if lesion is not None else np.zeros(image.spatial_shape, bool)
    _check_grid(mask, image.spatial_shape, _spoken(case))
    return _chosen(Image(normalised(grey, UNNAMED)[None], image.affine, image.header), (_sequence(case),), wanted), mask


def _chosen(image: Image, own: Sequence[str], wanted: Sequence[str]) -> Image:
    nothing = np.zeros(image.spatial_shape, np.float32)
    parts = [image.array[list(own).index(name)].astype(np.float32) if name in own else nothing for name in wanted]
    absent = tuple(name for name in wanted if name not in own)
    return Image(np.stack(parts), image.affine, replace(image.header, sequences=tuple(wanted), absent=absent), image.source)


def _check_grid(mask: Mask, shape: tuple[int, ...], name: str) -> None:
    if tuple(mask.shape) != shape:
        msg = f"The mask of {name} has the shape {tuple(mask.shape)} and its image {shape}; bring it onto the image's grid."
        raise CasewiseError(msg)
