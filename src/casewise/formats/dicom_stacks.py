"""Slices told apart into stacks that form one grid each, and the affine of a stack from the true positions of its slices."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt

from casewise.errors import UnreadableImageError
from casewise.formats.dicom_slices import TRAITS, Slice

_SAME_DIRECTION = 5e-4
_SAME_PLACE = 0.01
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Stack:
    """Slices of one series, shape and orientation, in the order of their positions along the normal (or of their numbers).

    member : the name that ``read(folder, member)`` takes. notes : what was left out or told apart.
    loop : frames of one file that no position tells apart, or that each lie elsewhere: they form no volume.
    copies : files left out because they hold the same instance with the same pixels as one of ``slices``.
    """

    series: str
    slices: tuple[Slice, ...]
    member: str = ""
    notes: tuple[str, ...] = ()
    copies: tuple[Path, ...] = ()
    loop: bool = False

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys(s.file for s in self.slices))

    @property
    def placed(self) -> bool:
        """Whether the slices are to be a grid in patient space."""
        return self.slices[0].placed and not self.loop


def stacks_of(slices: list[Slice]) -> list[Stack]:
    """Tell slices apart by series, shape, colour, pixel size, orientation and, at one position, by what else differs between them.

    Copies of one instance count once. The stacks come by series, then by their first slice's number.
    """
    stacks: list[Stack] = []
    for group in _groups(slices):
        if not group[0].placed:
            stacks.append(Stack(group[0].series, tuple(sorted(group, key=_number))))
            continue
        unique, copies = _without_copies(group)
        notes = (f"{len(copies)} of its files are copies of others and were left out",) if copies else ()
        parts = _parts(unique)
        if len(parts) > 1:
            notes = (*notes, f"{len(parts)} stacks at the same positions were told apart")
        for part in parts:
            own = tuple(copy for copy, original in copies if original in part)
            stacks.append(Stack(part[0].series, tuple(sorted(part, key=_along)), notes=notes, copies=own))
    stacks = _loops_joined(stacks)
    stacks.sort(key=lambda stack: (stack.series, min(_number(s) for s in stack.slices)))
    counts: dict[str, int] = defaultdict(int)
    for stack in stacks:
        counts[stack.series] += 1
    numbers: dict[str, int] = defaultdict(int)
    named = []
    for stack in stacks:
        numbers[stack.series] += 1
        series = stack.series or "no-series"
        member = series if counts[stack.series] == 1 else f"{series}#{numbers[stack.series]}"
        named.append(replace(stack, member=member))
    return named


def affine_of(path: Path, slices: tuple[Slice, ...]) -> npt.NDArray[np.float64]:
    """(4, 4) from (row, column, slice) indices to RAS mm, by the true positions; a sheared grid (gantry tilt) is kept as it is.

    A missing slice, an uneven step or slices off the line are one sentence: they never become a grid that is not there.
    """
    first = slices[0]
    if first.position is None or first.orientation is None or first.spacing is None:
        raise UnreadableImageError(f"{path} does not say where its slices lie.")
    positions = np.asarray([s.position for s in slices], dtype=np.float64)
    if len(slices) > 1:
        step = (positions[-1] - positions[0]) / (len(slices) - 1)
        _check_even(path, positions, first.normal, step)
    else:
        step = first.normal * (first.thickness or 1.0)
    affine = np.eye(4)
    affine[:3, 0] = np.asarray(first.orientation[3:]) * first.spacing[0]
    affine[:3, 1] = np.asarray(first.orientation[:3]) * first.spacing[1]
    affine[:3, 2] = step
    affine[:3, 3] = positions[0]
    return _LPS_TO_RAS @ affine


def is_sheared(affine: npt.NDArray[np.float64]) -> bool:
    """Whether the slices are shifted against each other by more than a hundredth of their distance."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() > 0.01)


def _check_even(
    path: Path, positions: npt.NDArray[np.float64], normal: npt.NDArray[np.float64], step: npt.NDArray[np.float64]
) -> None:
    along = positions @ normal
    steps = np.diff(along)
    expected = positions[0] + np.arange(len(positions))[:, None] * step
    off = np.linalg.norm(positions - expected, axis=1).max()
    allowed = max(0.06, 0.02 * float(np.linalg.norm(step)))
    usual = float(np.median(steps))
    if off <= allowed and usual > _SAME_PLACE:
        return
    wide = np.flatnonzero(np.rint(steps / usual) > 1) if usual > _SAME_PLACE else np.array([], dtype=int)
    if wide.size and np.abs(steps / usual - np.rint(steps / usual)).max() < 0.1:
        missing = sum(int(np.rint(steps[k] / usual)) - 1 for k in wide)
        k = int(wide[0])
        many = f"{missing} slices are missing, the first" if missing > 1 else "a slice is missing"
        msg = (
            f"{path}: {many} between {along[k]:.1f} mm and {along[k + 1]:.1f} mm along the series' normal "
            f"(its {len(positions)} slices are otherwise {usual:.2f} mm apart); export the whole series again."
        )
        raise UnreadableImageError(msg)
    if steps.max() - steps.min() > allowed:
        k = int(np.argmax(np.abs(steps - usual)))
        msg = (
            f"{path}: its {len(positions)} slices are unevenly spaced, {steps.min():.2f} to {steps.max():.2f} mm (near "
            f"{along[k]:.1f} mm along the normal), so that they form no grid; resample the series, or read its slices one by one."
        )
    else:
        msg = f"{path}: its {len(positions)} slices lie up to {off:.2f} mm off a straight line, so that they form no grid."
    raise UnreadableImageError(msg)


def _loops_joined(stacks: list[Stack]) -> list[Stack]:
    """Several stacks of one slice each in one file become one loop."""
    files: dict[Path, list[Stack]] = defaultdict(list)
    for stack in stacks:
        files[stack.slices[0].file].append(stack)
    joined: list[Stack] = []
    for same in files.values():
        if len(same) > 1 and all(len(stack.slices) == 1 for stack in same):
            frames = sorted((stack.slices[0] for stack in same), key=_number)
            joined.append(Stack(frames[0].series, tuple(frames), notes=("its frames form no volume: a loop",), loop=True))
        else:
            joined += same
    return joined


def _groups(slices: list[Slice]) -> list[list[Slice]]:
    """Slices of one series that could share a grid: same shape, colour, pixel size and direction."""
    groups: dict[tuple[object, ...], list[Slice]] = defaultdict(list)
    directions: list[npt.NDArray[np.float64]] = []
    for s in slices:
        direction = -1
        if s.orientation is not None:
            vector = np.asarray(s.orientation)
            near = (k for k, known in enumerate(directions) if np.abs(known - vector).max() < _SAME_DIRECTION)
            direction = next(near, len(directions))
            if direction == len(directions):
                directions.append(vector)
        # Frames stay with their file; an instance without a place or a series stands alone.
        alone = "" if s.frame is None and s.series and s.placed else str(s.file)
        size = tuple(round(x, 4) for x in s.spacing) if s.spacing else ()
        groups[(s.series, s.shape, s.colour, s.localizer, s.placed, size, direction, s.stack, alone)].append(s)
    return list(groups.values())


def _without_copies(group: list[Slice]) -> tuple[list[Slice], list[tuple[Path, Slice]]]:
    """The group with each instance once, and each copy's file with its original. One identifier with other pixels is no copy."""
    seen: dict[tuple[str, int | None], list[Slice]] = defaultdict(list)
    unique: list[Slice] = []
    copies: list[tuple[Path, Slice]] = []
    for s in group:
        twins = seen[(s.instance, s.frame)] if s.instance else []
        original = next((twin for twin in twins if _same_pixels(s, twin)), None)
        if original is not None:
            copies.append((s.file, original))
            continue
        twins.append(s)
        unique.append(s)
    return unique, copies


def _same_pixels(one: Slice, other: Slice) -> bool:
    from pydicom import dcmread

    first, second = (dcmread(s.file, force=True, specific_tags=["PixelData"]).get("PixelData") for s in (one, other))
    return one.position == other.position and first == second


def _parts(group: list[Slice]) -> list[list[Slice]]:
    """The group as it is if each position is there once; else split by the traits that give the fewest such parts."""
    if _places_differ(group):
        return [group]
    best: list[list[Slice]] | None = None
    varied = [k for k in range(len(TRAITS)) if len({s.traits[k] for s in group}) > 1]
    for size in (1, 2):
        for chosen in combinations(varied, size):
            split: dict[tuple[str, ...], list[Slice]] = defaultdict(list)
            for s in group:
                split[tuple(s.traits[k] for k in chosen)].append(s)
            parts = list(split.values())
            if all(_places_differ(part) for part in parts) and (best is None or len(parts) < len(best)):
                best = parts
        if best is not None and len(best) <= max(2, len(group) // 2 + 1):
            return best
    return best or _by_turn(group)


def _by_turn(group: list[Slice]) -> list[list[Slice]]:
    """Nothing in the headers tells them apart: the first slice at each position by number, then the second, and so on."""
    turns: list[list[Slice]] = []
    for same in _same_places(sorted(group, key=_number)):
        for turn, s in enumerate(same):
            if turn == len(turns):
                turns.append([])
            turns[turn].append(s)
    return turns


def _same_places(group: list[Slice]) -> list[list[Slice]]:
    places: list[list[Slice]] = []
    for s in sorted(group, key=_along):
        if places and _along(s) - _along(places[-1][-1]) < _SAME_PLACE:
            places[-1].append(s)
        else:
            places.append([s])
    return [sorted(place, key=_number) for place in places]


def _places_differ(group: list[Slice]) -> bool:
    along = np.sort([_along(s) for s in group])
    return bool((np.diff(along) >= _SAME_PLACE).all())


def _along(s: Slice) -> float:
    return float(np.dot(s.position or (0.0, 0.0, 0.0), s.normal))


def _number(s: Slice) -> tuple[int, str]:
    return (s.order, str(s.file))
