"""How much haematoxylin and eosin a stained section holds, by colour deconvolution."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from casewise.applications.measurements.measuring import Floats, Mask, Measuring
from casewise.errors import CasewiseError
from casewise.finding import Finding
from casewise.image import Image

CATEGORIES = ("histology",)
WHAT = "colour pictures of sections stained with haematoxylin and eosin"
# Optical densities of red, green and blue (Ruifrok and Johnston 2001, Anal Quant Cytol Histol 23:291), as unit vectors.
_HAEMATOXYLIN, _EOSIN = (0.650, 0.704, 0.286), (0.072, 0.990, 0.105)
_TISSUE = 0.15  # optical density (mean of the channels) from which a pixel is tissue
_LEAST = 0.05  # of the picture that is tissue
_PURPLE = 0.85  # of the tissue absorbs green most, as both stains do
_MOST_SIDE = 2048  # pixels; a larger picture is thinned out


@dataclass(frozen=True, eq=False)
class Stains:
    """haematoxylin, eosin : (rows, columns), optical densities. tissue : as large. thinned : one pixel of so many is here."""

    haematoxylin: Floats
    eosin: Floats
    tissue: Mask
    thinned: int


class HistologyStains(Measuring):
    """Optical densities of haematoxylin and eosin in the tissue, and how much of the picture is tissue.

    Colour deconvolution with the stain vectors of Ruifrok and Johnston (2001), against white; a laboratory's own stains and scanner
    differ from these, so compare pictures of one laboratory. Refused where less than 85 % of the tissue absorbs green more than red
    and blue, as both stains do: other stains, dyes and photographs do not.
    """

    name = "histology-stains"
    categories = CATEGORIES
    what = WHAT

    def measured(self, image: Image, folder: Path | None) -> list[Finding]:
        """One finding, ``stains``."""
        stains = self.stains(image)
        haematoxylin, eosin = (
            float(np.clip(values, 0, None)[stains.tissue].mean()) for values in (stains.haematoxylin, stains.eosin)
        )
        measures = {
            "tissue_percent": 100 * float(stains.tissue.mean()),
            "haematoxylin_density": haematoxylin,
            "eosin_density": eosin,
            "haematoxylin_percent": 100 * haematoxylin / max(haematoxylin + eosin, 1e-6),
        }
        return [self.finding("stains", measures)]

    def stains(self, image: Image) -> Stains:
        """Raises NotMeasuredError for a picture that is not stained so."""
        try:
            return stains_of(image)
        except CasewiseError as error:
            raise self.refusal(str(error)) from error


def stains_of(image: Image) -> Stains:
    """The two stains of a colour picture. Raises CasewiseError, a clause, where it is not stained so."""
    if image.spatial_dims != 2 or image.channels != 3 or image.array.dtype != np.uint8:
        raise CasewiseError("it takes colour pictures of 8 bits a channel, and this image is none; export the section as such")
    thinned = -(-max(image.spatial_shape) // _MOST_SIDE)
    density = -np.log10((image.array[:, ::thinned, ::thinned].astype(np.float32) + 1) / 256)
    tissue = density.mean(axis=0) > _TISSUE
    if tissue.mean() < _LEAST:
        raise CasewiseError("hardly any of it is tissue; give a picture of a stained section")
    red, green, blue = (channel[tissue] for channel in density)
    if float(np.mean((green > red) & (green > blue))) < _PURPLE or float(np.median(red - blue)) < -0.02:
        raise CasewiseError("its colours are not those of haematoxylin and eosin; give a section with these stains")
    unmixed = np.tensordot(_unmixing(), density, axes=1).astype(np.float32)
    return Stains(unmixed[0], unmixed[1], tissue, thinned)


def _unmixing() -> npt.NDArray[np.float64]:
    """(3, 3): from optical densities of red, green and blue to the two stains and what neither explains."""
    first, second = (np.array(stain) / np.linalg.norm(stain) for stain in (_HAEMATOXYLIN, _EOSIN))
    rest = np.cross(first, second)
    return np.linalg.inv(np.column_stack([first, second, rest / np.linalg.norm(rest)]))
