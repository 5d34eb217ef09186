"""Slices separated into stacks that form one grid each, and the affine of a stack from the true positions of its slices."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from casewise.errors import UnreadableImageError
from casewise.formats.dicom.file import dataset_of
from casewise.formats.dicom.private import number
from casewise.formats.dicom.slices import TRAITS, Slice

_SAME_DIRECTION = 2.5e-3  # of a direction's parts: writers round them to three digits
_SAME_SIZE = 1e-3  # of a pixel, relative
_SAME_ECHO = 1.1  # echo times nearer than this factor are of one echo
_SAME_PLACE = 0.01
_ECHO_TIME = TRAITS.index("EchoTime")
# Images that differ in these are never of one volume, even if their slices lie at different places.
_KINDS = tuple(TRAITS.index(trait) for trait in ("ReferencedSegmentNumber", "b value", "component", "EchoNumbers"))
_TIMES = ("TriggerTime", "NominalCardiacTriggerDelayTime", "AcquisitionTime", "SeriesTime", "ContentTime")
_OF_IMAGES = tuple(trait for trait in TRAITS if trait not in _TIMES)
_MOSTLY = 0.75
_SAME_PLACES = "several of its slices lie at the same place, and nothing in their headers tells which belong together"
_NUMBERS_TWICE = "its slices bear the same numbers twice, in turn, as those of two examinations between each other do"
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Stack:
    """Slices of one series, shape and orientation, in the order of their positions along the normal (or of their numbers).

    member : the name that ``read(folder, member)`` takes. notes : what was left out or separated.
    loop : frames of one file that no position tells apart, or that each lie elsewhere: they form no volume.
    copies : files left out because they hold the same instance with the same pixels as one of ``slices``.
    doubt : why these slices may not be joined, though nothing in their headers tells which belong together; empty if they may.
    """

    series: str
    slices: tuple[Slice, ...]
    member: str = ""
    notes: tuple[str, ...] = ()
    copies: tuple[Path, ...] = ()
    loop: bool = False
    doubt: str = ""

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys(s.file for s in self.slices))

    @property
    def placed(self) -> bool:
        """Whether the slices are to be a grid in patient space."""
        return self.slices[0].placed and not self.loop


def stacks_of(slices: list[Slice]) -> list[Stack]:
    """Separate slices by whose they are, series, shape, colour, pixel size, orientation and what kind of image they are, and, at
    one position, by what else differs between them.

    Copies of one instance count once. The stacks come by series, then by their first slice's number.
    """
    stacks: list[Stack] = []
    for group in _groups(slices):
        if not group[0].placed:
            stacks.append(Stack(group[0].series, tuple(sorted(group, key=_number))))
            continue
        unique, copies = _without_copies(aligned(group))
        parts, again, doubt = _parts(unique)
        copies += again
        notes = (f"{len(copies)} of its files are copies of others and were left out",) if copies else ()
        if len(parts) > 1:
            notes = (*notes, f"{len(parts)} stacks at the same positions were separated")
        for part in parts:
            own = tuple(copy for copy, original in copies if original in part)
            stacks.append(Stack(part[0].series, tuple(sorted(part, key=_along)), notes=notes, copies=own, doubt=doubt))
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


def aligned(slices: list[Slice]) -> list[Slice]:
    """The slices with one orientation, their mean: theirs differ by rounding alone."""
    different = {s.orientation for s in slices}
    if len(different) == 1 or None in different:
        return slices
    mean = np.mean([np.asarray(s.orientation) for s in slices], axis=0).reshape(2, 3)
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    orientation = tuple(float(x) for x in mean.ravel())
    return [replace(s, orientation=orientation) for s in slices]


def _groups(slices: list[Slice]) -> list[list[Slice]]:
    """Slices of one patient, study and series that could share a grid: same shape, colour, pixel size, direction, kind of image."""
    directions: list[npt.NDArray[np.float64]] = []
    sizes: list[npt.NDArray[np.float64]] = []
    echoes = _echoes(slices)
    groups: dict[tuple[object, ...], list[Slice]] = defaultdict(list)
    for s in slices:
        # Frames stay with their file; an instance without a place or a series stands alone.
        alone = "" if s.frame is None and s.series and s.placed else str(s.file)
        direction = _nearest(directions, s.orientation, _SAME_DIRECTION)
        size = _nearest(sizes, s.spacing and tuple(np.log(s.spacing)), _SAME_SIZE)
        echo = echoes.get(s.traits[_ECHO_TIME])
        kind = (*(s.traits[k] for k in _KINDS), echo)
        groups[(s.series, s.owner, s.shape, s.colour, s.localizer, s.placed, size, direction, s.stack, kind, alone)].append(s)
    return list(groups.values())


def _nearest(known: list[npt.NDArray[np.float64]], vector: tuple[float, ...] | None, tolerance: float) -> int:
    """The number of the first known vector that differs by less than the tolerance; a new one is added to them."""
    if vector is None:
        return -1
    asked = np.asarray(vector)
    near = next((k for k, other in enumerate(known) if np.abs(other - asked).max() < tolerance), len(known))
    if near == len(known):
        known.append(asked)
    return near


def _echoes(slices: list[Slice]) -> dict[str, int]:
    """Echo time as it is written → the number of its echo."""
    times = {s.traits[_ECHO_TIME]: number(s.traits[_ECHO_TIME]) for s in slices}
    ordered = sorted((value, written) for written, value in times.items() if value is not None and value > 0)
    echoes: dict[str, int] = {}
    for place, (value, written) in enumerate(ordered):
        before = ordered[place - 1] if place else None
        new = before is not None and value > before[0] * _SAME_ECHO
        echoes[written] = (echoes[before[1]] if before else 0) + int(new)
    return echoes


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
    first, second = (dataset_of(s.file).get("PixelData") for s in (one, other))
    return one.position == other.position and first == second


def _parts(group: list[Slice]) -> tuple[list[list[Slice]], list[tuple[Path, Slice]], str]:
    """The group as it is if each position is there once; else split by the traits that give the fewest such parts.

    Parts are images where they cover the same places. A time is often of a single slice: parts by it that cover different places
    are pieces of images, or mix them; the slices' numbers are surer. By other traits images of different places may be separated.

    Second come copies, each with its original; third the doubt, if nothing tells which slices belong together.
    """
    if _places_differ(group):
        return [group], [], _doubt_of_numbers(group)
    places = _same_places(group)
    most = max(len(place) for place in places)
    for size in (1, 2):
        images = [parts for parts in _splits(group, TRAITS, size) if len(parts) == most or _cover(parts, len(places))]
        if images:
            return min(images, key=len), [], ""
    if not _complete(places, most):
        for size in (1, 2):
            images = [parts for parts in _splits(group, _OF_IMAGES, size) if len(parts) <= len(group) // 2 + 1]
            if images:
                return min(images, key=len), [], ""
    return _by_turn(group)


def _splits(group: list[Slice], traits: Iterable[str], size: int) -> Iterator[list[list[Slice]]]:
    """The ways to split the group by ``size`` traits after which no part has two slices at one place."""
    varied = [k for k in map(TRAITS.index, traits) if len({s.traits[k] for s in group}) > 1]
    for chosen in combinations(varied, size):
        split: dict[tuple[str, ...], list[Slice]] = defaultdict(list)
        for s in group:
            split[tuple(s.traits[k] for k in chosen)].append(s)
        if all(_places_differ(part) for part in split.values()):
            yield list(split.values())


def _cover(parts: list[list[Slice]], places: int) -> bool:
    """Whether each part covers all places, or all but one: a slice may be missing."""
    return places > 2 and all(len(part) >= places - 1 for part in parts)


def _complete(places: list[list[Slice]], most: int) -> bool:
    """Whether about as many slices lie at each place as at any other, as of images of the same places; those of ranges that merely
    overlap do not.
    """
    return sum(len(place) for place in places) > _MOSTLY * most * len(places)


def _by_turn(group: list[Slice]) -> tuple[list[list[Slice]], list[tuple[Path, Slice]], str]:
    """Nothing else in the headers tells them apart: the first slice at each position by number, then the second, and so on."""
    numbers = [s.order for s in group]
    if not all(s.numbered for s in group) or len(set(numbers)) < len(numbers):
        kept, copies = _without_twins(group)
        return [kept], copies, "" if _places_differ(kept) else _SAME_PLACES
    turns: list[list[Slice]] = []
    for same in _same_places(sorted(group, key=_number)):
        for turn, s in enumerate(same):
            if turn == len(turns):
                turns.append([])
            turns[turn].append(s)
    return (turns, [], "") if _are_in_order(turns) else ([group], [], _SAME_PLACES)


def _are_in_order(turns: list[list[Slice]]) -> bool:
    """Whether the numbers go image by image, or place by place: in any other order the n-th slices of all places are no image."""
    by_image = all(max(s.order for s in one) < min(s.order for s in next_) for one, next_ in pairwise(turns))
    places = [sorted(s.order for s in same) for same in _same_places([s for turn in turns for s in turn])]
    by_place = all(len(place) == len(turns) and place[-1] - place[0] == len(turns) - 1 for place in places)
    # Where some places were taken more often than others, a slice of the next image may stand in for a missing one: out of line.
    return by_place or (by_image and (len({len(one) for one in turns}) == 1 or _in_one_direction(turns)))


def _in_one_direction(turns: list[list[Slice]]) -> bool:
    """Whether the numbers go along the places in all turns, or against them in all."""
    steps = [step for one in turns for step in np.diff([s.order for s in sorted(one, key=_along)])]
    return all(step > 0 for step in steps) or all(step < 0 for step in steps)


def _without_twins(group: list[Slice]) -> tuple[list[Slice], list[tuple[Path, Slice]]]:
    """The group with slices of the same pixels at the same place once: they were sent again under other identifiers."""
    kept: list[Slice] = []
    copies: list[tuple[Path, Slice]] = []
    for same in _same_places(group):
        own: list[Slice] = []
        for s in same:
            original = next((twin for twin in own if s.frame is None and _same_pixels(s, twin)), None)
            if original is None:
                own.append(s)
            else:
                copies.append((s.file, original))
        kept += own
    return kept, copies


def _doubt_of_numbers(group: list[Slice]) -> str:
    """Slices of two examinations between each other bear their numbers twice, and in turn; those of one series do not."""
    ordered = [s.order for s in sorted(group, key=_along)]
    most = max(Counter(ordered).values())
    if most == 1 or len(set(ordered)) == 1 or not all(s.numbered for s in group):
        return ""
    steps = np.sign(np.diff(ordered))
    turns = 1 + int(np.count_nonzero(np.diff(steps))) + int(np.count_nonzero(steps == 0))
    return _NUMBERS_TWICE if turns > 2 * most else ""


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
