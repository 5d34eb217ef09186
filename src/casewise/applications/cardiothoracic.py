"""Applications that read a frontal chest radiograph's regions: their outlines, and the cardiothoracic ratio."""

from __future__ import annotations

from pathlib import Path

from casewise.applications.chest_regions import chest_regions
from casewise.applications.measures import measure
from casewise.chest.region import Regions
from casewise.finding import MEASURE, Finding
from casewise.formats import mask_suffix, write_mask
from casewise.image import Array, Box, Image


class _Regional:
    """What both share: the regions, and where masks are written. ``notes`` : what must be said of the last image."""

    name = ""

    def __init__(self, device: str = "auto", masks: str | Path | None = None) -> None:
        self._device = device
        self._masks = None if masks is None else Path(masks)
        self.notes: tuple[str, ...] = ()

    def _regions(self, image: Image) -> Regions:
        found = chest_regions(image, self._device)
        self.notes = tuple(remark.sentence for remark in found.remarks)
        return found

    def _written(self, label: str, mask: Array, image: Image) -> Path | None:
        if self._masks is None:
            return None
        return write_mask(self._masks / f"{self.name}-{label}{mask_suffix(image)}", mask, image)


class ChestRegions(_Regional):
    """Implements :class:`casewise.applications.Application`: lungs by two definitions, heart and clavicles, with their areas.

    masks : folder where the masks are written, on the image's grid; None writes none.
    """

    name = "chest-regions"

    def analyze(self, image: Image) -> list[Finding]:
        """A finding a region. Raises CasewiseError, one sentence, for what is no frontal chest radiograph."""
        found = self._regions(image)
        return [
            Finding(
                self.name,
                region.name,
                probability=region.probability,
                box=region.box,
                mask=self._written(region.name, region.mask, image),
                measures=measure(region.mask, image),
                kind=MEASURE,
            )
            for region in found.found.values()
        ]


class CardiothoracicRatio(_Regional):
    """Implements :class:`casewise.applications.Application`: the heart's width against the thorax's, with the lines drawn.

    masks : folder where the drawing is written, on the image's grid: midline, heart's distances from it, and thorax; None: none.
    """

    name = "cardiothoracic-ratio"

    def analyze(self, image: Image) -> list[Finding]:
        """One finding. Raises CasewiseError where a lung or the heart is not found, and for no frontal chest radiograph."""
        from casewise.chest.cardiothoracic_ratio import cardiothoracic, drawing

        found = self._regions(image)
        lines = cardiothoracic(found)
        drawn = drawing(lines, found)
        known = image.header.spacing_known
        across = image.spacing[0 if found.pose.turns % 2 else 1] if known else 1.0
        unit = "mm" if known else "px"
        lengths = {"heart_diameter": lines.heart_width, "thorax_diameter": lines.thorax.length}
        if found.sides_known:
            lengths |= {"heart_right_of_midline": lines.right.length, "heart_left_of_midline": lines.left.length}
        measures = {"cardiothoracic_ratio": lines.ratio} | {f"{name}_{unit}": length * across for name, length in lengths.items()}
        mask = self._written("lines", drawn, image)
        return [
            Finding(
                self.name, "cardiothoracic ratio", region="heart", box=Box.around(drawn), mask=mask, measures=measures, kind=MEASURE
            )
        ]
