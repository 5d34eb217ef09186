"""One image brought to another of the same patient: mutual information over several resolutions, by SimpleITK.

Rotations and shifts come first (rigid); on request a B-spline bends the image afterwards. How well it went is measured apart from
what the optimiser saw, see :class:`Registration`: an alignment must stand out against deliberate misplacements, else it is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise.errors import CasewiseError, UsageError
from casewise.image import Image
from casewise.intensity import percentile_range

WAYS = ("none", "rigid", "deformable")
WORTH = 1.03  # a place found that is hardly better than the stated one follows noise
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_LEVELS = (8.0, 4.0, 2.0)  # mm: the voxels that each level of the search works on, unless the image's own are larger
_LEAST_VOXELS = 16  # along an axis: a slab of few slices keeps them
_SAMPLES = 60_000
_BINS = 32
_TURNS, _SHIFTS = (-12.0, 0.0, 12.0), (-12.0, 0.0, 12.0)  # degrees and mm from which the coarsest level starts
_STARTS = 4
_POLISHES = 250  # places that are tried at the end
_BENDS = 30  # steps of the spline's optimiser
_KNOTS = 50.0  # mm between the B-spline's control points
_OUTSIDE = -1e9
_BENT_AT = 3.0  # mm: the voxels on which the spline is found
_LEAST_JACOBIAN = 0.1
_STANDS_OUT, _LEAST_SIMILARITY = 1.05, 0.005
_FULL_SHARE = 0.7  # of the overlap that could be: a place that has it is not scored by its overlap
_MEASURED = 3.0  # mm: the voxels on which similarity is measured
_LEAST_SHARE = 0.01
_TAILS = (0.5, 99.8)  # percent: vessels and metal are the brightest


@dataclass(frozen=True, eq=False)
class Registration:
    """Where a moving image lies in the space of a fixed one.

    way : ``none``, ``rigid`` or ``deformable``. used : whether the search found a place that is worth leaving the stated one for.
    transform : SimpleITK's, from the fixed image's LPS mm to the moving one's; what ``Resample`` takes.
    before, after : similarity (0 to 1: normalised mutual information) where the files state that it lies, and as registered.
    misplaced : the highest similarity that deliberate misplacements of the registered image reach.
    overlap : share of the fixed image that the moving one covers. moved : mean distance in mm by which the inner part of the fixed
    image was moved. turned : degrees.
    """

    way: str
    used: bool
    transform: Any
    before: float
    after: float
    misplaced: float
    overlap: float
    moved: float
    turned: float

    def doubt(self, name: str, target: str) -> str:
        """One sentence if the alignment does not stand out against misplacements; empty if it does."""
        if self.after > _STANDS_OUT * self.misplaced and self.after > _LEAST_SIMILARITY:
            return ""
        return (
            f"{name} could not be registered to {target}: their similarity is {self.after:.3f}, and {self.misplaced:.3f} where it "
            "is misplaced on purpose; it was left out. Check that both are of one patient and one part of the body."
        )

    def to_json(self) -> dict[str, object]:
        return {
            "way": self.way,
            "used": self.used,
            "before": round(self.before, 4),
            "after": round(self.after, 4),
            "misplaced": round(self.misplaced, 4),
            "overlap": round(self.overlap, 4),
            "moved_mm": round(self.moved, 2),
            "turned_degrees": round(self.turned, 2),
        }


def to_itk(image: Image, channel: int = 0) -> Any:
    """A channel of a volume as a SimpleITK image of float32, in its own index order; LPS mm as ITK counts them."""
    import SimpleITK

    if image.spatial_dims != 3:
        raise CasewiseError(f"Only volumes are registered; this image has {image.spatial_dims} axes.")
    array = image.array[channel].astype(np.float32, copy=False)
    picture = SimpleITK.GetImageFromArray(np.ascontiguousarray(array.transpose(2, 1, 0)))
    place(picture, image.affine)
    return picture


def place(picture: Any, affine: npt.NDArray[np.float64]) -> None:
    """Give a SimpleITK image the geometry of an affine to RAS mm."""
    lps = _LPS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    picture.SetSpacing([float(x) for x in spacing])
    picture.SetOrigin([float(x) for x in lps[:3, 3]])
    picture.SetDirection([float(x) for x in (lps[:3, :3] / spacing).ravel()])


def from_itk(picture: Any) -> npt.NDArray[np.float32]:
    """(i, j, k) of a SimpleITK image."""
    import SimpleITK

    array: npt.NDArray[np.float32] = SimpleITK.GetArrayFromImage(picture).transpose(2, 1, 0)
    return array


def resampled(moving: Image, fixed: Image, transform: Any, fill: float = 0.0, *, nearest: bool = False) -> Any:
    """``moving`` on the grid of ``fixed`` as a SimpleITK image of float32; ``transform`` None: where the files say it lies."""
    import SimpleITK

    grid = SimpleITK.Image([int(n) for n in fixed.spatial_shape], SimpleITK.sitkUInt8)
    place(grid, fixed.affine)
    way = SimpleITK.sitkNearestNeighbor if nearest else SimpleITK.sitkLinear
    return SimpleITK.Resample(
        to_itk(moving), grid, SimpleITK.Transform(3, SimpleITK.sitkIdentity) if transform is None else transform, way, fill
    )


def register(moving: Image, fixed: Image, way: str = "rigid", *, worth: float = WORTH, seed: int = 0) -> Registration:
    """Find where ``moving`` lies in the space of ``fixed``; both are volumes of one channel, with affines to RAS mm.

    way : ``none`` measures what the files state; ``rigid`` turns and shifts; ``deformable`` also bends, where that gains ``WORTH``.
    worth : how many times the stated place's similarity a place found must reach to be used. It runs in one thread, so that a seed
    gives the same result.

    Raises CasewiseError for an image of one value, and UsageError for an unknown way.
    """
    if way not in WAYS:
        raise UsageError(f"Images are registered by one of {', '.join(WAYS)}; got {way!r}.")
    with one_thread_each():
        return _register(moving, fixed, way, worth, seed)


@contextmanager
def one_thread_each() -> Iterator[None]:
    """SimpleITK's filters in one thread each, in the whole process: sums of several threads differ from run to run."""
    from SimpleITK import ProcessObject

    before = ProcessObject.GetGlobalDefaultNumberOfThreads()
    ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def _register(moving: Image, fixed: Image, way: str, worth: float, seed: int) -> Registration:
    still, other = _Pyramid(to_itk(fixed)), _Pyramid(to_itk(moving))
    stated = _centred(still)
    before, overlap = _similarity(still, other, stated)
    found, after, used = stated, before, False
    if way != "none":
        rigid = _rigid(still, other, seed)
        value, share = _similarity(still, other, rigid)
        if value > worth * before:
            found, after, overlap, used = rigid, value, share, True
    if way == "deformable":
        bent = _bent(still, other, found, seed)
        value, share = _similarity(still, other, bent)
        if value > WORTH * after:
            found, after, overlap, used = bent, value, share, True
    moved, turned = _motion(still, found)
    return Registration(way, used, found, before, after, _misplaced(still, other, found), overlap, moved, turned)


class _Pyramid:
    """An image without its extreme values, at several voxel sizes."""

    def __init__(self, picture: Any) -> None:
        import SimpleITK

        values = SimpleITK.GetArrayViewFromImage(picture)
        low, high = percentile_range(values.reshape(-1)[:: values.size // 500_000 + 1], _TAILS)
        if not high > low:
            low, high = float(values.min()), float(values.max())
        if not high > low:
            raise CasewiseError("An image of one value everywhere cannot be registered.")
        self.picture = SimpleITK.Clamp(picture, SimpleITK.sitkFloat32, low, high)
        self.low, self.high = low, high
        self.size = np.asarray(picture.GetSize())
        self.spacing = np.asarray(picture.GetSpacing())
        self.centre = self.picture.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in self.size.tolist()])
        self._levels: dict[float, Any] = {}
        self._bins: dict[float, npt.NDArray[np.int64]] = {}

    def at(self, voxel: float) -> Any:
        """The image in voxels of about ``voxel`` mm: means of blocks."""
        import SimpleITK

        if voxel not in self._levels:
            wanted = np.minimum(voxel / self.spacing, self.size / _LEAST_VOXELS)
            self._levels[voxel] = SimpleITK.BinShrink(self.picture, [max(1, round(float(x))) for x in wanted])
        return self._levels[voxel]

    def binned(self, voxel: float) -> npt.NDArray[np.int64]:
        """Which of the histogram's bins each voxel of a level is in; flat, in SimpleITK's order."""
        import SimpleITK

        if voxel not in self._bins:
            self._bins[voxel] = self.bins(SimpleITK.GetArrayViewFromImage(self.at(voxel)).ravel())
        return self._bins[voxel]

    def bins(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
        return np.asarray(np.clip((values - self.low) * (_BINS / (self.high - self.low)), 0, _BINS - 1).astype(np.int64))


def _similarity(fixed: _Pyramid, moving: _Pyramid, transform: Any, voxel: float = _MEASURED) -> tuple[float, float]:
    """(normalised mutual information, 0 to 1, where both images are; the share of the fixed one where that is)."""
    import SimpleITK

    moved = SimpleITK.Resample(moving.at(voxel), fixed.at(voxel), transform, SimpleITK.sitkLinear, _OUTSIDE)
    values = SimpleITK.GetArrayViewFromImage(moved).ravel()
    inside = values > _OUTSIDE / 2
    share = float(inside.mean())
    if share < _LEAST_SHARE:
        return 0.0, share
    pairs = fixed.binned(voxel)[inside] * _BINS + moving.bins(values[inside])
    return _shared_information(np.bincount(pairs, minlength=_BINS**2).reshape(_BINS, _BINS)), share


def _shared_information(joint: npt.NDArray[np.int64]) -> float:
    """2 I(a, b) / (H(a) + H(b)) of a histogram of pairs."""
    p = joint / joint.sum()
    apart = _entropy(p.sum(axis=1)) + _entropy(p.sum(axis=0))
    return 2 * (apart - _entropy(p.ravel())) / apart if apart > 0 else 0.0


def _entropy(p: npt.NDArray[np.float64]) -> float:
    p = p[p > 0]
    return float(-(p * np.log(p)).sum())


def _centred(still: _Pyramid, turns: Sequence[float] = (0, 0, 0), shift: Sequence[float] = (0, 0, 0)) -> Any:
    """A rigid transform about the fixed image's centre; degrees, mm."""
    import SimpleITK

    transform = SimpleITK.Euler3DTransform()
    transform.SetCenter([float(x) for x in still.centre])
    transform.SetRotation(*(float(np.radians(x)) for x in turns))
    transform.SetTranslation([float(x) for x in shift])
    return transform


def _rigid(still: _Pyramid, other: _Pyramid, seed: int) -> Any:
    coarsest, *finer = _LEVELS
    starts: list[tuple[float, int, Any]] = []
    for turns, shift in product(product(_TURNS, repeat=3), product(_SHIFTS, repeat=3)):
        if np.count_nonzero(turns) + np.count_nonzero(shift) <= 2:
            start = _centred(still, turns, shift)
            starts.append((_worth(still, other, start, coarsest), -len(starts), start))
    starts.sort(key=lambda entry: entry[:2], reverse=True)
    tried = [_optimised(still, other, start, coarsest, seed) for _, _, start in starts[:_STARTS]]
    best = max(tried, key=lambda found: _worth(still, other, found, coarsest))
    for level in finer:
        best = _optimised(still, other, best, level, seed)
    return _polished(still, other, best)


def _polished(still: _Pyramid, other: _Pyramid, start: Any) -> Any:
    """The place near ``start`` of the highest similarity: the optimiser saw samples of it, smoothed."""
    from scipy.optimize import minimize

    first = np.asarray(start.GetParameters())
    steps = np.asarray([*np.radians([1.0] * 3), 1.5, 1.5, 1.5])

    def loss(change: npt.NDArray[np.float64]) -> float:
        return -_worth(still, other, _at(start, first + change * steps), _MEASURED)

    found = minimize(loss, np.zeros(6), method="Powell", options={"maxfev": _POLISHES, "xtol": 0.05, "ftol": 1e-5})
    return _at(start, first + found.x * steps) if found.fun < loss(np.zeros(6)) else start


def _at(rigid: Any, parameters: npt.NDArray[np.float64]) -> Any:
    import SimpleITK

    transform = SimpleITK.Euler3DTransform(rigid)
    transform.SetParameters([float(x) for x in parameters])
    return transform


def _worth(still: _Pyramid, other: _Pyramid, transform: Any, voxel: float) -> float:
    """Similarity, less where the images hardly meet: a small overlap looks alike by chance."""
    value, share = _similarity(still, other, transform, voxel)
    return value * min(1.0, share / (_FULL_SHARE * _reachable(still, other)))


def _reachable(still: _Pyramid, other: _Pyramid) -> float:
    """The share of the fixed image that the moving one could cover at most."""
    return float(min(1.0, np.prod(other.size * other.spacing) / np.prod(still.size * still.spacing)))


def _optimised(still: _Pyramid, other: _Pyramid, start: Any, level: float, seed: int) -> Any:
    import SimpleITK

    fixed, moving = (SimpleITK.DiscreteGaussian(p.at(level), 0.5 * level**2 / 4) for p in (still, other))
    method = SimpleITK.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(min(1.0, _SAMPLES / fixed.GetNumberOfPixels()), seed + 1)
    method.SetInterpolator(SimpleITK.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=level / 4, minStep=level / 400, numberOfIterations=60, relaxationFactor=0.6, gradientMagnitudeTolerance=1e-7
    )
    method.SetOptimizerScalesFromPhysicalShift()
    transform = SimpleITK.Euler3DTransform(start)
    method.SetInitialTransform(transform, inPlace=True)
    try:
        method.Execute(fixed, moving)
    except RuntimeError:
        return start
    return transform


def _bent(still: _Pyramid, other: _Pyramid, start: Any, seed: int) -> Any:
    """``start``, after a B-spline over the fixed image that does not fold; ``start`` alone where it would."""
    import SimpleITK

    fixed, moving = (p.at(_BENT_AT) for p in (still, other))
    mesh = [max(1, round(float(x) / _KNOTS)) for x in still.size * still.spacing]
    spline = SimpleITK.BSplineTransformInitializer(fixed, mesh)
    method = SimpleITK.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(min(1.0, _SAMPLES / 2 / fixed.GetNumberOfPixels()), seed + 1)
    method.SetInterpolator(SimpleITK.sitkLinear)
    method.SetOptimizerAsLBFGSB(
        gradientConvergenceTolerance=1e-6, numberOfIterations=_BENDS, maximumNumberOfFunctionEvaluations=2 * _BENDS
    )
    method.SetMovingInitialTransform(start)
    method.SetInitialTransform(spline, inPlace=True)
    try:
        method.Execute(fixed, moving)
    except RuntimeError:
        return start
    field = SimpleITK.TransformToDisplacementField(spline, SimpleITK.sitkVectorFloat64, *_grid_of(fixed))
    # a copy: SimpleITK's views do not keep alive the image that they show
    jacobian = SimpleITK.GetArrayFromImage(SimpleITK.DisplacementFieldJacobianDeterminant(field))
    return start if jacobian.min() <= _LEAST_JACOBIAN else SimpleITK.CompositeTransform([start, spline])


def _grid_of(picture: Any) -> tuple[Any, Any, Any, Any]:
    return picture.GetSize(), picture.GetOrigin(), picture.GetSpacing(), picture.GetDirection()


def _misplaced(still: _Pyramid, other: _Pyramid, transform: Any) -> float:
    import SimpleITK

    extent = still.size * still.spacing
    highest = 0.0
    for axis, sign in product(range(3), (-1, 1)):
        shift, turns = [0.0] * 3, [0.0] * 3
        shift[axis], turns[axis] = sign * float(np.clip(0.15 * extent.min(), 8, 30)), sign * 20.0
        for wrong in (_centred(still, shift=shift), _centred(still, turns)):
            both = SimpleITK.CompositeTransform([transform, wrong])
            highest = max(highest, _similarity(still, other, both)[0])
    return highest


def _motion(still: _Pyramid, transform: Any) -> tuple[float, float]:
    """(mean distance in mm between points of the fixed image's inner part and where they go, mean turn in degrees)."""
    ends = [(0.15 * n, 0.85 * n) for n in still.size]
    points = [still.picture.TransformContinuousIndexToPhysicalPoint([float(x) for x in p]) for p in product(*ends)]
    before = np.asarray(points)
    after = np.asarray([transform.TransformPoint(p) for p in points])
    u, _, v = np.linalg.svd((after - after.mean(axis=0)).T @ (before - before.mean(axis=0)))
    turn = np.clip((np.trace(u @ v) - 1) / 2, -1, 1)
    return float(np.linalg.norm(after - before, axis=1).mean()), float(np.degrees(np.arccos(turn)))
