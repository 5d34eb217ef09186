"""Phases and dynamics in one series: volumes of one phase each, whatever times the slices bear; never pieces, never mixed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from casewise.formats import Found, Rejected, read_found, scan
from tests.formats.synthetic import Plan, instance, numbers, placed

AXIAL = Plan()
Times = Callable[[int, int], dict[str, Any]]


def written(folder: Path, images: Iterable[tuple[int, int, int]], times: Times) -> None:
    """A file for each (slice, phase, number), by names in no order: all its pixels are 100 · phase + slice."""
    folder.mkdir(exist_ok=True)
    chosen = list(images)
    names = [f"IM{n:04d}" for n in range(len(chosen))]
    random.Random(3).shuffle(names)
    for name, (index, phase, number) in zip(names, chosen, strict=True):
        array = np.full((3, 4), 100 * phase + index, np.uint16)
        instance(folder / name, array, InstanceNumber=number, **placed(AXIAL, index), **times(index, phase))


def by_phase(slices: int, phases: int) -> list[tuple[int, int, int]]:
    return [(index, phase, phase * slices + index + 1) for phase in range(phases) for index in range(slices)]


def by_place(slices: int, phases: int) -> list[tuple[int, int, int]]:
    return [(index, phase, index * phases + phase + 1) for index in range(slices) for phase in range(phases)]


def jittering_triggers(index: int, phase: int) -> dict[str, Any]:
    return {"TriggerTime": numbers([40.0 * phase + random.Random(f"{index} {phase}").randint(0, 25)])[0]}


def unique_triggers(index: int, phase: int) -> dict[str, Any]:
    return {"TriggerTime": numbers([40.0 * phase + index])[0]}


def unique_contents(index: int, phase: int) -> dict[str, Any]:
    return {"ContentTime": f"1030{phase:02d}.{index:03d}"}


def unique_acquisitions(index: int, phase: int) -> dict[str, Any]:
    return {"AcquisitionTime": f"1030{phase:02d}.{index:03d}", "ContentTime": f"11{index:02d}{phase:02d}"}


def of_four_slices(index: int, phase: int) -> dict[str, Any]:
    """Of a scanner that takes four neighbouring slices at once, one block after the other."""
    return {"AcquisitionTime": f"1030{phase:02d}.{index // 4:03d}", "AcquisitionNumber": 1 + index // 4 + 10 * phase}


def volumes(folder: Path) -> list[np.ndarray]:
    found = [result for result in scan(folder) if isinstance(result, Found)]
    return [read_found(result).array[0, 0, 0] for result in found]


def assert_phases(folder: Path, slices: int, phases: int) -> None:
    assert [volume.tolist() for volume in volumes(folder)] == [[100 * phase + k for k in range(slices)] for phase in range(phases)]


@pytest.mark.parametrize("order", [by_phase, by_place])
@pytest.mark.parametrize(
    ("times", "slices", "phases"),
    [
        (jittering_triggers, 10, 20),
        (unique_triggers, 6, 4),
        (unique_contents, 8, 10),
        (unique_acquisitions, 8, 3),
        (of_four_slices, 8, 2),
    ],
)
def test_times_of_single_slices_tear_no_volume(
    tmp_path: Path, order: Callable[[int, int], list[tuple[int, int, int]]], times: Times, slices: int, phases: int
) -> None:
    written(tmp_path, order(slices, phases), times)
    assert_phases(tmp_path, slices, phases)


def test_times_of_phases_tell_them_apart_whatever_the_numbers(tmp_path: Path) -> None:
    images = by_phase(5, 4)
    shuffled = [number for _, _, number in images]
    random.Random(2).shuffle(shuffled)
    mixed = [(index, phase, number) for (index, phase, _), number in zip(images, shuffled, strict=True)]
    written(tmp_path, mixed, lambda _, phase: {"TriggerTime": numbers([40.0 * phase])[0]})
    assert sorted(volume.tolist() for volume in volumes(tmp_path)) == [[100 * phase + k for k in range(5)] for phase in range(4)]


def test_without_numbers_in_an_order_they_are_refused(tmp_path: Path) -> None:
    images = by_phase(5, 4)
    shuffled = [number for _, _, number in images]
    random.Random(2).shuffle(shuffled)
    written(tmp_path, [(k, phase, n) for (k, phase, _), n in zip(images, shuffled, strict=True)], jittering_triggers)
    (result,) = scan(tmp_path)
    assert isinstance(result, Rejected) and "nothing in their headers tells which belong together" in result.reason


@pytest.mark.parametrize("lost", [(0, 0), (0, 1), (2, 1), (4, 2)])
def test_a_missing_slice_is_one_of_its_phase_alone(tmp_path: Path, lost: tuple[int, int]) -> None:
    """Where the phases' time tells them apart, the others stay whole; where the numbers would have to, none is mixed."""
    left = [one for one in by_phase(5, 3) if one[:2] != lost]
    written(tmp_path / "told", left, lambda _, phase: {"TriggerTime": numbers([40.0 * phase])[0]})
    whole = [[100 * phase + k for k in range(5)] for phase in range(3) if phase != lost[1]]
    read_in = [volume.tolist() for volume in volumes(tmp_path / "told")]
    assert [one for one in read_in if len(one) == 5] == whole
    assert all({value // 100 for value in one} == {lost[1]} for one in read_in if len(one) < 5)
    written(tmp_path / "untold", left, unique_contents)
    assert all(len({value // 100 for value in volume.tolist()}) == 1 for volume in volumes(tmp_path / "untold"))


def test_ranges_that_overlap_are_told_by_their_acquisition(tmp_path: Path) -> None:
    """Three stations: at no place are there more than two slices."""
    stations = [(station + 1, index) for station in range(3) for index in range(6 * station, 6 * station + 8)]
    for number, (station, index) in enumerate(stations):
        array = np.full((3, 4), 100 * station + index, np.uint16)
        tags = {"AcquisitionNumber": station, "ContentTime": f"1030{number:02d}"}
        instance(tmp_path / str(number), array, InstanceNumber=number + 1, **placed(AXIAL, index), **tags)
    assert [volume.tolist() for volume in volumes(tmp_path)] == [
        [100 * station + index for number, index in stations if number == station] for station in (1, 2, 3)
    ]


def test_a_part_of_the_slices_taken_before_the_whole_is_never_joined_with_it(tmp_path: Path) -> None:
    first = [(index, 0, number) for number, index in enumerate(range(5, 10), start=1)]
    whole = [(index, 1, number) for number, index in enumerate(range(10), start=6)]
    written(tmp_path, [*first, *whole], unique_contents)
    (result,) = scan(tmp_path)
    assert isinstance(result, Rejected) and "put the files of each examination into a folder of its own" in result.reason
