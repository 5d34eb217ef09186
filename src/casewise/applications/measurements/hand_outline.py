"""How large a hand is in a radiograph, and how well its bone stands out from the soft tissue."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage

from casewise.applications.measurements.measuring import Floats, Mask, Measuring
from casewise.applications.measures import longest_diameter, size_of
from casewise.finding import Finding
from casewise.image import Image
from casewise.intensity import grey, unit_range

_LEAST, _MOST = 0.05, 0.8  # of the picture, that a hand and wrist fill
_SMOOTH = 1 / 200  # of the longer edge
_RIM = 0.06  # of the picture's edge, where frames and ringing are bright


class HandOutline(Measuring):
    """The outline of a hand with its wrist in a radiograph, its area and longest extent, and the contrast of bone in it.

    The hand is the largest piece that is brighter than the ground (Otsu 1979). A second threshold within it separates bone
    from soft tissue; the contrast is the difference of their means, as a share of the difference of the hand and the
    ground. How much of the forearm the film shows is in the area. No skeletal age is measured.
    """

    name = "hand-outline"
    categories = ("hand-xray",)
    what = "radiographs of a hand, bone bright"

    def measured(self, image: Image, folder: Path | None) -> list[Finding]:
        """One finding, ``hand``."""
        if image.spatial_dims != 2:
            raise self.refusal("it takes a picture, and this image is a volume; give a radiograph")
        plane = unit_range(grey(image.array))
        hand = _hand(plane)
        if not _LEAST <= hand.mean() <= _MOST:
            raise self.refusal("no bright hand on a dark ground was found; give a radiograph of one whose bone is bright")
        inside, ground = plane[hand], plane[~hand]
        measures = size_of(hand, image) | {
            f"longest_diameter_{'mm' if image.header.spacing_known else 'px'}": longest_diameter(hand, image.affine),
            "area_percent": 100 * float(hand.mean()),
            "bone_contrast_percent": 100 * _contrast(inside, float(np.median(ground))),
        }
        return [self.finding("hand", measures, hand, self.written("hand", hand, image, folder))]


def _hand(plane: Floats) -> Mask:
    from skimage.filters import threshold_otsu

    smooth = ndimage.gaussian_filter(plane, _SMOOTH * max(plane.shape))
    rim = [max(1, round(_RIM * n)) for n in plane.shape]
    bright = smooth > threshold_otsu(smooth)
    pieces, count = ndimage.label(bright)
    if not count:
        return np.zeros(plane.shape, bool)
    # The piece that has most of the middle: a frame or a marker may be large too.
    inner = pieces[rim[0] : -rim[0], rim[1] : -rim[1]]
    sizes = np.bincount(inner.ravel(), minlength=count + 1)[1:]
    return np.asarray(ndimage.binary_fill_holes(pieces == 1 + int(np.argmax(sizes))))


def _contrast(inside: Floats, ground: float) -> float:
    from skimage.filters import threshold_otsu

    if inside.min() == inside.max():
        return 0.0
    bone = inside > threshold_otsu(inside)
    return float(inside[bone].mean() - inside[~bone].mean()) / max(float(inside.mean()) - ground, 1e-6)
