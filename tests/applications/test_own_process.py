"""Casewise's own applications: they share what they compute of an image, and one that fails costs its own answer alone."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from casewise import chest, formats
from casewise.applications import chest_regions
from casewise.applications.builtin import BUILT_IN
from casewise.applications.declared import Declared, PythonRun
from casewise.applications.outcome import Done, Job, JobResult
from casewise.applications.registry import Registry
from casewise.applications.runner import Runner
from casewise.chest.region_codec import packed, unpacked
from casewise.errors import CasewiseError
from casewise.header import Header
from casewise.image import Image

HERE = "tests.applications.isolated.behaviours"
NAMES = ("chest-regions", "cardiothoracic-ratio", "irregularities", "tuberculosis")


def declared(name: str, target: str = "Sharing", own: bool = True, **settings: object) -> Declared:
    return Declared(name, ("*",), ("f",), PythonRun(f"{HERE}:{target}"), "", settings, 120, own=own)


def run(path: Path, *applications: Declared, workers: int = 2) -> JobResult:
    with Runner(workers=workers) as runner:
        (ran,) = runner.run([Job(path, formats.read(path), applications, path.parent.parent / "out")])
    return ran


def measured(ran: JobResult, name: str) -> list[float]:
    return [finding.measures[name] for finding in ran.findings]


def test_the_first_outlines_the_regions_for_all(picture: Path) -> None:
    ran = run(picture, declared("a"), declared("b"), declared("c"))
    assert measured(ran, "outlined") == [1, 1, 1] and len(set(measured(ran, "process"))) == 1
    assert [outcome.application for outcome in ran.outcomes] == ["a", "b", "c"]
    assert all(outcome.seconds > 0 for outcome in ran.outcomes)


def test_each_has_its_own_folder_of_files(picture: Path) -> None:
    ran = run(picture, declared("a"), declared("b"))
    assert [finding.mask for finding in ran.findings] == [ran.job.folder / name / "mask.png" for name in ("a", "b")]
    image = formats.read(picture)
    for finding in ran.findings:
        assert finding.mask is not None
        assert (formats.read_mask(finding.mask, image) == (image.array[0] > 0)).all()


def test_a_foreign_application_has_a_process_of_its_own(picture: Path) -> None:
    ran = run(picture, declared("a"), declared("foreign", own=False), declared("b"))
    assert [outcome.application for outcome in ran.outcomes] == ["a", "foreign", "b"]
    first, foreign, second = measured(ran, "process")
    assert first == second != foreign


def test_what_a_package_brings_is_foreign_whatever_it_says() -> None:
    from importlib.metadata import EntryPoint

    from casewise.applications.registry import _of_entry_points

    point = EntryPoint("liar", "tests.applications.isolated.behaviours:liar", "casewise.applications")
    (found,), problems = _of_entry_points([point])
    assert not found.own and not problems


def test_images_find_the_processes_that_were_started_ahead(picture: Path) -> None:
    with Runner(workers=1) as runner:
        runner.start(3)
        (started,) = runner._own._idle._waiting
        (ran,) = runner.run([Job(picture, formats.read(picture), (declared("a"), declared("b")), picture.parent.parent / "out")])
        assert runner._own._idle._waiting == [started]
    assert measured(ran, "outlined") == [1, 1]


def test_one_that_ended_before_there_was_an_image_costs_nothing(picture: Path) -> None:
    with Runner(workers=1) as runner:
        runner.start(1)
        (started,) = runner._own._idle._waiting
        os.kill(started.pid, signal.SIGKILL)
        started._process.process.wait(120)
        (ran,) = runner.run([Job(picture, formats.read(picture), (declared("a"),), picture.parent.parent / "out")])
    assert not ran.failures


def test_every_image_has_its_own_regions_in_the_same_process(picture: Path, tmp_path: Path) -> None:
    other = formats.write(tmp_path / "images" / "other.png", Image(np.full((1, 40, 60), 7, np.uint8)))
    applications = (declared("a"), declared("b"))
    with Runner(workers=1) as runner:
        jobs = [Job(path, formats.read(path), applications, tmp_path / path.stem) for path in (picture, other)]
        first, second = runner.run(jobs)
    assert measured(first, "outlined") == [1, 1] and measured(second, "outlined") == [2, 2]
    assert set(measured(first, "process")) == set(measured(second, "process"))


@pytest.mark.parametrize(
    ("outcome", "words", "goes_on"),
    [
        ("dies", "exit code 3", False),
        ("hangs", "stopped after 3 s", False),
        ("eats", "its limit is 900 MB", False),
        ("raises", "failed with RuntimeError: the network has 3 channels", False),
        ("refuses", "says: the image is upside down", True),
    ],
)
def test_one_that_fails_costs_its_own_answer_alone(picture: Path, outcome: str, words: str, goes_on: bool) -> None:
    bad = replace(declared("bad", outcome=outcome), seconds=3.0 if outcome == "hangs" else 120.0, memory_mb=900.0)
    ran = run(picture, declared("a"), bad, declared("b"), declared("c"), workers=1)
    assert [type(one) is Done for one in ran.outcomes] == [True, False, True, True]
    (failure,) = ran.failures
    assert failure.reason.startswith("bad ") and words in failure.reason
    assert (failure.log is not None) == (outcome == "raises")
    first, second, third = measured(ran, "process")
    assert second == third and (first == second) == goes_on
    assert measured(ran, "outlined") == [1, 1, 1]


def test_regions_that_the_caller_has_are_used(picture: Path) -> None:
    image = formats.read(picture)
    job = Job(picture, image, (declared("a"), declared("b", own=False)), picture.parent, regions=chest.Regions({}))
    with Runner(workers=1) as runner:
        (ran,) = runner.run([job])
    assert measured(ran, "outlined") == [0, 1]


def test_regions_unpacked_are_those_outlined(shared_data: Path) -> None:
    array = formats.read(shared_data / "jsrt/images/JPCNN031.png").array[:, ::4, ::4]
    turned = Image(np.ascontiguousarray(np.rot90(255 - array, 1, (1, 2))), header=Header(spacing_known=False))
    outlined = chest.regions(turned)
    found = unpacked(packed(outlined))
    assert (found.remarks, found.pose, list(found.found)) == (outlined.remarks, outlined.pose, list(outlined.found))
    for name, region in outlined.found.items():
        assert np.array_equal(found[name].mask, region.mask)
        assert found[name].box == region.box and found[name].probability == region.probability


def test_what_is_refused_is_refused_once(monkeypatch: pytest.MonkeyPatch) -> None:
    black = Image(np.zeros((1, 64, 64), np.uint8))
    with pytest.raises(CasewiseError, match="one value") as first:
        chest_regions.chest_regions(black, "cpu")
    monkeypatch.setattr(chest_regions, "regions", None)
    with pytest.raises(CasewiseError) as second:
        chest_regions.chest_regions(black, "cpu")
    assert str(first.value) == str(second.value)


def test_all_that_come_with_casewise_are_its_own() -> None:
    assert all(one.own for one in Registry(BUILT_IN))
    assert {one.name for one in BUILT_IN if one.regions} == set(NAMES)


def test_chest_applications_say_together_what_each_says_alone(shared_data: Path, tmp_path: Path) -> None:
    array = formats.read(shared_data / "jsrt/images/JPCNN031.png").array[:, ::4, ::4]
    film = formats.write(tmp_path / "images" / "film.png", Image(array, header=Header(spacing_known=False)))
    applications = tuple(one for one in BUILT_IN if one.name in NAMES)
    together, alone = run(film, *applications), run(film, *(replace(one, own=False) for one in applications))
    assert not together.failures and len(together.findings) > 5
    for one, other in zip(together.findings, alone.findings, strict=True):
        assert (one.label, one.region, one.box, one.probability) == (other.label, other.region, other.box, other.probability)
        assert one.measures == pytest.approx(other.measures)
