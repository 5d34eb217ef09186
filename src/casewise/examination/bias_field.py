"""The bias field of an MR image: slow changes of brightness that come from the coils. Found by N4, in SimpleITK."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from casewise.errors import CasewiseError
from casewise.image import Array

_VOXELS = 25_000  # that N4 works on: the field is smooth, and its time grows with them
_ITERATIONS = (15, 15, 10)
_TOLERANCE = 1e-3
_MOST = 10.0  # no coil is that uneven: beyond, the field follows noise


def without_bias(
    array: Array, within: npt.NDArray[np.bool_], spacing: tuple[float, ...], threads: int = 1
) -> npt.NDArray[np.float32]:
    """(i, j, k) float32: ``array`` divided by its field, whose mean over ``within`` (*spatial, bool) is 1.

    spacing : mm of a voxel, one an axis. Values at or below 0 stay as they are.

    Raises CasewiseError where there is too little to see a field in.
    """
    import SimpleITK

    if np.count_nonzero(within) < 1000:
        raise CasewiseError("The image has too little foreground for its bias field to be estimated.")
    picture, mask = (_picture(part, spacing) for part in (array.astype(np.float32), within.astype(np.uint8)))
    size, sides = np.asarray(array.shape), np.asarray(spacing)
    voxel = float((np.prod(size * sides) / _VOXELS) ** (1 / 3))
    factors = [max(1, min(round(voxel / float(side)), int(n) // 8 or 1)) for side, n in zip(sides, size, strict=True)]
    small, part = SimpleITK.BinShrink(picture, factors), SimpleITK.BinShrink(mask, factors)
    corrector = SimpleITK.N4BiasFieldCorrectionImageFilter()
    corrector.SetMaximumNumberOfIterations(_ITERATIONS)
    corrector.SetConvergenceThreshold(_TOLERANCE)
    corrector.SetNumberOfThreads(threads)
    try:
        corrector.Execute(SimpleITK.Cast(small, SimpleITK.sitkFloat32), part > 0)
        field = SimpleITK.Exp(corrector.GetLogBiasFieldAsImage(picture))
    except RuntimeError as error:
        raise CasewiseError("The image's bias field could not be found: N4 does not converge on it.") from error
    factor: npt.NDArray[np.float32] = SimpleITK.GetArrayFromImage(field).transpose(2, 1, 0)
    factor = np.clip(factor / float(factor[within].mean()), 1 / _MOST, _MOST)
    values = array.astype(np.float32)
    return np.where(values > 0, values / factor, values)


def _picture(array: Array, spacing: tuple[float, ...]) -> object:
    import SimpleITK

    picture = SimpleITK.GetImageFromArray(np.ascontiguousarray(array.transpose(2, 1, 0)))
    picture.SetSpacing([float(side) for side in spacing])
    return picture
