"""Models that take several sequences together, and archives, which keep each as an image of its own.

A patient's images that the archive names by the model's sequences are one case, known by the image of the model's first sequence:
it stands for the case where images are compared, since encoders see one image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from casewise.case import Case, MaskLoaders
from casewise.errors import CasewiseError
from casewise.examination.archived import examinations_in, name_of
from casewise.examination.examination import Examination, of_study
from casewise.examination.reading import Given, Source, Study
from casewise.image import Image
from casewise.models.model import Model

Mask = npt.NDArray[np.bool_]


def cases_for(model: Model, cases: Sequence[Case]) -> list[Case]:
    """``cases`` as the model takes them; of a model of several sequences, the examinations that have all of them."""
    wanted = model.spec.preparation.sequences
    if not wanted:
        return list(cases)
    whole = [case for case in cases if case.channels == len(wanted)]
    found = [_together(own, wanted) for own, _ in examinations_in(cases) if {name_of(name) for name in wanted} <= set(own)]
    return [*whole, *found]


def learnable(model: Model | None, cases: Sequence[Case]) -> list[Case]:
    """:func:`cases_for`, to train or measure a model. Raises CasewiseError where no examination has the sequences that it takes."""
    if model is None:
        return list(cases)
    found = cases_for(model, cases)
    if cases and not found:
        wanted = ", ".join(model.spec.preparation.sequences)
        raise CasewiseError(
            f"{model.name} takes {wanted} together, and no patient of the archive has images of all of them; import each one's "
            "sequences under these names (docs/how-to/refine-an-nnunet.md)."
        )
    return found


def compared(model: Model, image: Image) -> Image:
    """What stands for an image where images are compared: of several sequences the model's first, else the image itself."""
    wanted = model.spec.preparation.sequences
    if not wanted or image.channels != len(wanted):
        return image
    held = [name_of(name) for name in image.header.sequences]
    place = held.index(name_of(wanted[0])) if name_of(wanted[0]) in held else 0
    header = replace(image.header, sequences=(), absent=())
    return Image(image.array[place : place + 1], image.affine, header, image.source)


def said_of(model: Model) -> tuple[str, ...]:
    """What a report says of how images are compared for a model of several sequences."""
    wanted = model.spec.preparation.sequences
    if not wanted:
        return ()
    return (f"{model.name} takes {', '.join(wanted)} together; similar cases were compared by the first, {wanted[0]}.",)


@dataclass(frozen=True)
class _Parts:
    """The images of one patient: ``cases`` in the order of the model's sequences, ``names``. grid : the one that all come to."""

    names: tuple[str, ...]
    cases: tuple[Case, ...]
    grid: int

    def image(self) -> Image:
        images = [case.image for case in self.cases]
        first = images[self.grid]
        if all(_alike(first, other) for other in images):
            array = np.concatenate([image.array for image in images])
            return Image(array, first.affine, replace(first.header, sequences=self.names), images[0].source)
        return _registered(self).of_model(self.names)

    def mask(self, load: Callable[[], Mask], number: int) -> Mask:
        mask, images = load(), [self.cases[number].image, self.cases[self.grid].image]
        return mask if _alike(*images) else _registered(self).carried(name_of(self.names[number]), mask)


@lru_cache(maxsize=1)  # a case's image and masks are asked for one after the other
def _registered(parts: _Parts) -> Examination:
    """Raises CasewiseError where a sequence cannot be brought to the others' grid."""
    given = [Given(name_of(name), case.image, Path(case.name)) for name, case in zip(parts.names, parts.cases, strict=True)]
    ordered = [given[parts.grid], *(one for number, one in enumerate(given) if number != parts.grid)]
    made = of_study(Study(tuple(ordered), ()), Source(reference=given[parts.grid].name), bias=False, workers=1)
    if made.refused:
        raise CasewiseError(f"{parts.cases[0].name}: {made.refused[0].reason}")
    return made


def _together(own: dict[str, Case], wanted: tuple[str, ...]) -> Case:
    cases = tuple(own[name_of(name)] for name in wanted)
    masked = next((number for number, case in enumerate(cases) if case.load_masks), 0)
    parts = _Parts(wanted, cases, masked)
    masks = {
        name: partial(parts.mask, load, number)
        for number, case in reversed(list(enumerate(cases)))
        for name, load in case.load_masks.items()
    }
    return replace(
        cases[0],
        load_image=parts.image,
        load_masks=MaskLoaders(masks),
        category=next((case.category for case in cases if case.category), None),
        sequences=wanted,
        channels=len(wanted),
        keys=tuple(case.key for case in cases),
    )


def _alike(first: Image, second: Image) -> bool:
    return first.spatial_shape == second.spatial_shape and np.allclose(first.affine, second.affine, atol=1e-3)
