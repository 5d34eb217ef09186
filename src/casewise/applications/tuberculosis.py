"""Tuberculosis in a frontal chest radiograph: an answer about the film, and a map of where the network sees signs of it."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from casewise.finding import ABSENT, FINDING, Finding
from casewise.image import Image

if TYPE_CHECKING:
    from casewise.applications.intended import Intended

NAME = "tuberculosis"
HALF = 0.5  # from which it is reported


class Tuberculosis:
    """Implements :class:`casewise.applications.Application` by the shipped model of that name, loaded at the first image.

    maps : folder where the heat map is written, on the image's grid; None writes none. intended_only : whether a film unlike those
    that the model was trained on is refused. notes : what whoever reads the last image's findings must know.
    """

    name = NAME

    def __init__(self, device: str = "auto", maps: str | Path | None = None, intended_only: bool = True) -> None:
        self._device = device
        self._maps = None if maps is None else Path(maps)
        self._intended_only = intended_only
        self.notes: list[str] = []

    def analyze(self, image: Image) -> list[Finding]:
        """One finding, as :func:`tuberculosis_in` gives it.

        Raises CasewiseError, one sentence, for a volume, for a picture that is no frontal chest radiograph, and for a film unlike
        those of the model's training.
        """
        from casewise.applications.chest_regions import chest_regions
        from casewise.chest.upright import laid

        found = chest_regions(image, self._device)
        self.notes = [remark.sentence for remark in found.remarks]
        if self._intended is not None:
            self._intended.check(laid(image, found.pose.turn), self.name)
        finding, notes = tuberculosis_in(image, self._device, self.name, self._maps)
        self.notes += notes
        return [finding]

    @cached_property
    def _intended(self) -> Intended | None:
        from casewise.applications.intended import Intended
        from casewise.models.shipped import FOLDER

        return Intended.load(FOLDER / NAME) if self._intended_only else None


def tuberculosis_in(image: Image, device: str, application: str, maps: Path | None) -> tuple[Finding, list[str]]:
    """What the shipped model says of a film's lungs: a finding where its probability reaches one half, else one that is absent; and
    what whoever reads it must know.

    maps : folder of the map, on the image's grid: 0 outside the lungs, and in them from 1 to 255 the probability of a film that
    looked everywhere as it does there. Raises CasewiseError, one sentence, for a picture that is no frontal chest radiograph.
    """
    from casewise.applications.chest_regions import chest_regions
    from casewise.chest.diffuse import assess
    from casewise.chest.diffuse.views import COARSE
    from casewise.device import resolve_device
    from casewise.formats import mask_suffix, write_mask
    from casewise.models.shipped import load
    from casewise.segments_map import in_grey_levels

    seen = assess(image, chest_regions(image, device), load(NAME).ready(resolve_device(device)))
    path = None
    if maps is not None:
        path = write_mask(maps / f"{application}-{NAME}-map{mask_suffix(image)}", in_grey_levels(seen.heat), image)
    kind = FINDING if seen.probability >= HALF else ABSENT
    notes = []
    if seen.rows < COARSE:
        how = f"The lungs are {seen.rows} pixels high in this film: too coarse to show signs of {NAME} reliably"
        notes.append(f"{how}; use one in which they have {COARSE} or more.")
    return Finding(application, NAME, seen.probability, "lungs", map=path, kind=kind), notes
