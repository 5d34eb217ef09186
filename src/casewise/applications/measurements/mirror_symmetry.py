"""How different the two halves of a head or of both breasts are, about the line that mirrors them best."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from casewise.applications.measurements.measuring import Floats, Mask, Measuring, is_coloured
from casewise.applications.measures import longest_diameter
from casewise.finding import Finding
from casewise.image import Image
from casewise.intensity import grey, percentile_range

_SIDE = 96  # pixels along the longer side at which the mirror line is looked for
_TURNS = np.arange(0.0, 180.0, 6.0)  # degrees: all directions that a line may have
_FINER = (2.0, 0.5)
_BESIDE = (-3.0, -1.5, 0.0, 1.5, 3.0)  # pixels from the foreground's middle that the line may lie
_BLUR = 1.5  # pixels of that size: gyri are not mirror images of each other
_FLOOR = 0.02  # of what is foreground, so that it differs from the ground
_SYMMETRIC = 0.5  # correlation of a plane and its mirror image below which it has no line of symmetry
_LEAST, _MOST = 0.05, 0.85  # of a plane, that the foreground fills


@dataclass(frozen=True)
class Mirror:
    """degrees : of the line's direction, from the rows' axis towards the columns'. correlation : of the plane and its mirror image.
    asymmetry : their mean absolute difference where both are foreground, of its range of values.
    """

    degrees: float
    correlation: float
    asymmetry: float


class MirrorSymmetry(Measuring):
    """Symmetry and size of what an axial plane shows: of a volume, of the plane two thirds up those that are filled.

    The line of symmetry is the one near the middle at which plane and mirror image correlate best (Liu 2001, IEEE TMI 20:175). The
    asymmetry is the mean absolute difference of the halves, as a share of the range of grey values. What lies askew (tilted about
    another axis) is asymmetric too: that something is abnormal does not follow. Planes without a line of symmetry, as sagittal ones
    or those of one breast, are refused.
    """

    name = "mirror-symmetry"
    categories = ("head-ct", "brain-mr", "breast-mr")
    what = "axial planes of head CT, brain MR, or MR of both breasts"

    def measured(self, image: Image, folder: Path | None) -> list[Finding]:
        """One finding, ``symmetry``: the asymmetry, and the length along the line and the width across it, in mm or pixels."""
        if is_coloured(image):
            raise self.refusal("it is in colour, which no CT or MR is; give one of these")
        plane, spacing = self._plane(image)
        known = image.header.spacing_known
        foreground = _foreground(plane)
        if not _LEAST <= foreground.mean() <= _MOST:
            raise self.refusal(
                "nothing stands out from a dark ground in this plane; give an axial plane that shows the whole head or both breasts"
            )
        mirror = mirror_of(plane, foreground, spacing)
        if mirror.correlation < _SYMMETRIC:
            raise self.refusal(
                f"the plane has no mirror line (correlation {mirror.correlation:.2f}, at least {_SYMMETRIC}); give an axial one"
            )
        unit = "mm" if known else "px"
        along, across = _extents(foreground, mirror.degrees, spacing)
        measures = {
            "asymmetry_percent": 100 * mirror.asymmetry,
            "mirror_correlation": mirror.correlation,
            f"length_{unit}": along,
            f"width_{unit}": across,
            f"longest_diameter_{unit}": longest_diameter(foreground, np.diag([*spacing, 1.0, 1.0])),
        }
        return [self.finding("symmetry", measures)]

    def _plane(self, image: Image) -> tuple[Floats, tuple[float, float]]:
        """An axial plane, and the size of its pixels along rows and columns; 1 where that is not known."""
        values = grey(image.array)
        spacing = image.spacing if image.header.spacing_known else (1.0,) * image.spatial_dims
        if image.spatial_dims == 2:
            return values, (spacing[0], spacing[1])
        if not image.header.orientation_known:
            raise self.refusal("the file does not say which plane of the volume is axial; give a file that does, or one plane")
        axis = int(np.argmax(np.abs(image.affine[2, :3])))
        moved = np.moveaxis(values, axis, 2)
        low, high = percentile_range(values.reshape(-1)[:: values.size // 500_000 + 1])
        filled = np.flatnonzero((moved > low + 0.15 * (high - low)).mean(axis=(0, 1)) > _LEAST)
        if not filled.size:
            raise self.refusal("no plane of the volume is filled; give a scan of a head or of both breasts")
        steps = [step for number, step in enumerate(spacing) if number != axis]
        # Two thirds up: above the skull's base, where left and right are alike in health.
        place = int(filled[0] + (2 if image.affine[2, axis] > 0 else 1) * (filled[-1] - filled[0]) // 3)
        return moved[..., place], (steps[0], steps[1])


def mirror_of(plane: Floats, foreground: Mask, spacing: tuple[float, float]) -> Mirror:
    """plane, foreground : (rows, columns). spacing : of a pixel along both, in one unit."""
    low, high = percentile_range(plane[foreground], (2, 98))
    values = np.where(foreground, np.clip((plane - low) / max(high - low, 1e-6), _FLOOR, 1), 0.0).astype(np.float32)
    zoom = [step / min(spacing) for step in spacing]
    factor = _SIDE / max(n * z for n, z in zip(plane.shape, zoom, strict=True))
    reduced = ndimage.gaussian_filter(values, [_BLUR / (z * factor) for z in zoom])
    small = ndimage.zoom(reduced, [z * factor for z in zoom], order=1)
    centre = np.array(ndimage.center_of_mass(small > _FLOOR / 2))
    best = max((_mirrored(small, centre, turn, 0.0) for turn in _TURNS), key=lambda found: found.correlation)
    for step in _FINER:
        tried = [(best.degrees + step * turn, beside) for turn in range(-2, 3) for beside in _BESIDE]
        best = max((_mirrored(small, centre, *one) for one in tried), key=lambda found: found.correlation)
    return best


def _mirrored(plane: Floats, centre: npt.NDArray[np.float64], degrees: float, beside: float) -> Mirror:
    """About the line in that direction whose distance from ``centre`` is ``beside``."""
    angle = np.radians(degrees)
    reflection = np.array([[np.cos(2 * angle), np.sin(2 * angle)], [np.sin(2 * angle), -np.cos(2 * angle)]])
    middle = centre + beside * np.array([-np.sin(angle), np.cos(angle)])
    other = ndimage.affine_transform(plane, reflection, middle - reflection @ middle, order=1)
    here, there = plane > _FLOOR / 2, other > _FLOOR / 2
    # Over both together, so that an outline that is not symmetric counts.
    either, both = here | there, here & there
    if not both.any() or plane[either].std() < 1e-6 or other[either].std() < 1e-6:
        return Mirror(float(degrees % 180), -1.0, 1.0)
    correlation = float(np.corrcoef(plane[either], other[either])[0, 1])
    return Mirror(float(degrees % 180), correlation, float(np.abs(plane - other)[both].mean()))


def _foreground(plane: Floats) -> Mask:
    """The largest piece that is brighter than the ground, its holes filled."""
    from skimage.filters import threshold_otsu

    low, high = percentile_range(plane)
    scaled = np.clip((plane - low) / max(high - low, 1e-6), 0, 1)
    pieces, count = ndimage.label(ndimage.binary_opening(scaled > threshold_otsu(scaled) / 2, iterations=2))
    if not count:
        return np.zeros(plane.shape, bool)
    largest = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    return np.asarray(ndimage.binary_fill_holes(largest))


def _extents(foreground: Mask, degrees: float, spacing: tuple[float, float]) -> tuple[float, float]:
    """(along the line of symmetry, across it)."""
    points = np.argwhere(foreground) * np.array(spacing)
    angle = np.radians(degrees)
    along, across = points @ [np.cos(angle), np.sin(angle)], points @ [-np.sin(angle), np.cos(angle)]
    return float(np.ptp(along)) + min(spacing), float(np.ptp(across)) + min(spacing)
