"""How many nuclei a stained section shows, counted in its haematoxylin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from casewise.applications.measurements.histology_stains import CATEGORIES, WHAT, HistologyStains, Stains
from casewise.finding import Finding
from casewise.image import Image

_SMOOTH = 1.5  # pixels
_LOCAL = 101  # pixels of the window of the local threshold
_APART = 5  # pixels between the middles of two nuclei
_LEAST, _MOST = 40, 4000  # pixels of a nucleus
_ROUND = 0.75  # of its convex hull that a nucleus fills at least


class HistologyNuclei(HistologyStains):
    """Nuclei in a section stained with haematoxylin and eosin: how many, how dense, how large.

    Haematoxylin above a threshold (the mean of Otsu's and a local one), pieces that touch parted by a watershed of the distance to
    their edges (Beucher and Lantuejoul 1979). How well that agrees with nuclei outlined by hand stands in
    ``benchmarks/results/classical_measures.md``. It was made for pictures in which a nucleus is 8 to 60 pixels wide (20 to 40 times
    magnified); pale nuclei are missed and crowded ones merge. Kinds of cells are not distinguished.
    """

    name = "histology-nuclei"
    categories = CATEGORIES
    what = WHAT

    def measured(self, image: Image, folder: Path | None) -> list[Finding]:
        """One finding, ``nuclei``: the density for a mm² where the size of a pixel is known, else for a million pixels."""
        stains = self.stains(image)
        if stains.thinned > 1:
            raise self.refusal("the picture is larger than 2048 pixels an edge; cut out a part of it")
        labels = nuclei_of(stains)
        count = int(labels.max())
        known = image.header.spacing_known
        pixel = image.spacing[0] * image.spacing[1] if known else 1.0
        area = stains.tissue.size * pixel
        density = {"density_permm2": count / area} if known else {"density_permegapixel": 1e6 * count / area}
        measures = {"nuclei_count": float(count), **density, "nuclear_percent": 100 * float((labels > 0).mean())}
        if count:
            measures[f"mean_area_{'mm2' if known else 'px'}"] = float((labels > 0).sum()) / count * pixel
        mask = labels > 0
        return [self.finding("nuclei", measures, mask, self.written("nuclei", mask, image, folder))]


def nuclei_of(stains: Stains) -> npt.NDArray[np.int32]:
    """(rows, columns): the number of the nucleus of each pixel, from 1; 0 where there is none."""
    from skimage.feature import peak_local_max
    from skimage.filters import threshold_otsu
    from skimage.measure import regionprops
    from skimage.segmentation import relabel_sequential, watershed

    density = ndimage.gaussian_filter(stains.haematoxylin, _SMOOTH)
    local = ndimage.uniform_filter(density, _LOCAL)
    dark = density > (threshold_otsu(density[stains.tissue]) + local) / 2
    dark = ndimage.binary_fill_holes(ndimage.binary_opening(dark & stains.tissue, iterations=2))
    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(dark), 1.0)
    middles = peak_local_max(depth, min_distance=_APART, labels=ndimage.label(dark)[0], exclude_border=False)
    seeds = np.zeros(dark.shape, np.int32)
    seeds[tuple(middles.T)] = np.arange(1, len(middles) + 1)
    parted = watershed(-depth, seeds, mask=dark).astype(np.int32)
    for piece in regionprops(parted):
        if not _LEAST <= piece.area <= _MOST or piece.solidity < _ROUND:
            parted[piece.slice][piece.image] = 0
    return np.asarray(relabel_sequential(parted)[0], np.int32)
