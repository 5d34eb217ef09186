"""How a mask's border lies on what the image shows: whether a guess agrees with the picture, beside how alike the pictures are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from casewise.image import Box, Image

Mask = npt.NDArray[np.bool_]

_AROUND = 0.15  # of a box's side that counts as its surroundings
_LEAST = 2  # voxels of them
_SIGMA = 1.0  # voxels by which image and distances are smoothed


def border_contrast(image: Image, box: Box, mask: Mask) -> float:
    """How much brighter the object is just within its border than beyond it; below 0 where it is darker.

    The mean slope of the image (channels averaged) along the inward normal of the border of ``mask`` (*spatial) bool, over the
    mean length of the gradient in the ``box`` and 15 % around it: about 1 where the border follows edges of one sign, 0 where it
    runs across them. 0 for a mask without a border there.
    """
    axes = list(zip(box.lower, box.upper, strict=True))
    pads = [max(_LEAST, round(_AROUND * (high - low))) for low, high in axes]
    window = tuple(slice(max(0, low - pad), high + pad) for (low, high), pad in zip(axes, pads, strict=True))
    inside = mask[window]
    if not inside.any() or inside.all() or min(inside.shape) < _LEAST:
        return 0.0
    values = ndimage.gaussian_filter(image.array[(slice(None), *window)].mean(axis=0, dtype=np.float32), _SIGMA)
    spacing = image.spacing
    depth = ndimage.distance_transform_edt(inside, spacing) - ndimage.distance_transform_edt(~inside, spacing)
    slopes = np.stack(np.gradient(values, *spacing))
    normals = np.stack(np.gradient(ndimage.gaussian_filter(depth, _SIGMA), *spacing))
    lengths = np.linalg.norm(slopes, axis=0)
    along = (slopes * normals).sum(axis=0) / np.maximum(np.linalg.norm(normals, axis=0), 1e-6)
    border = inside != ndimage.binary_erosion(inside, border_value=1)
    border |= ~inside & ndimage.binary_dilation(inside)
    mean = float(lengths.mean())
    return float(along[border].mean()) / mean if mean > 0 and border.any() else 0.0
