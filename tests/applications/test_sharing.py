"""What several applications need of an image is made once, by whichever asks first, and by no other application."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from casewise import chest, formats
from casewise.applications import chest_regions
from casewise.applications.builtin import BUILT_IN
from casewise.applications.declared import Declared, PythonRun
from casewise.applications.isolated import Done, Job, Ran, Runner
from casewise.applications.sharing import shared, sharing
from casewise.errors import CasewiseError
from casewise.header import Header
from casewise.image import Image
from tests.applications.isolated.behaviours import confined

HERE = "tests.applications.isolated.behaviours"
NAMES = ("chest-regions", "cardiothoracic-ratio", "irregularities")


def declared(name: str, target: str = "Sharing", shares: bool = True, **settings: object) -> Declared:
    return Declared(name, ("*",), ("f",), PythonRun(f"{HERE}:{target}"), "", settings, 20, shared=shares)


def run(path: Path, *applications: Declared, workers: int = 3) -> Ran:
    with Runner(workers=workers) as runner:
        (ran,) = runner.run([Job(path, formats.read(path), applications, path.parent.parent / "out")])
    return ran


def made_and_told(ran: Ran) -> tuple[int, set[str]]:
    return int(sum(finding.measures["made"] for finding in ran.findings)), {finding.label for finding in ran.findings}


def test_the_first_makes_it_for_all(picture: Path) -> None:
    made, told = made_and_told(run(picture, declared("a"), declared("b"), declared("c")))
    assert made == 1 and len(told) == 1


def test_who_does_not_share_makes_its_own(picture: Path) -> None:
    made, told = made_and_told(run(picture, declared("a"), declared("b"), declared("c", shares=False)))
    assert made == 2 and len(told) == 2


def test_every_image_has_its_own(picture: Path, tmp_path: Path) -> None:
    other = formats.write(tmp_path / "images" / "other.png", Image(np.full((1, 40, 60), 7, np.uint8)))
    applications = (declared("a"), declared("b"))
    with Runner(workers=2) as runner:
        jobs = [Job(path, formats.read(path), applications, tmp_path / path.stem) for path in (picture, other)]
        first, second = runner.run(jobs)
    assert made_and_told(first)[0] == made_and_told(second)[0] == 1
    assert made_and_told(second)[1].pop().endswith("saw 7.0")


def test_where_the_first_dies_the_next_makes_it(picture: Path) -> None:
    ran = run(picture, declared("a", outcome="dies"), declared("b"), workers=1)
    assert [type(outcome) is Done for outcome in ran.outcomes] == [False, True]
    assert made_and_told(ran)[0] == 1


def test_what_the_caller_knows_is_not_made(picture: Path) -> None:
    def write(path: Path) -> None:
        path.write_text("known before")

    job = Job(picture, formats.read(picture), (declared("a"), declared("b")), picture.parent, known={"what": write})
    with Runner(workers=2) as runner:
        (ran,) = runner.run([job])
    assert made_and_told(ran) == (0, {"known before"})


@pytest.mark.skipif(not confined, reason="this kernel cannot hold a process to its folder")
def test_no_other_application_may_write_there(picture: Path) -> None:
    ran = run(picture, declared("a", target="Trespassing", shares=False))
    assert "may not" in ran.failures[0].reason


def test_nothing_is_kept_outside_of_a_run(tmp_path: Path) -> None:
    made: list[int] = []
    for _ in range(2):
        shared("x", lambda: made.append(1), lambda path, _: path.touch(), lambda _: None)
    assert len(made) == 2
    with sharing(tmp_path / "here"):
        for _ in range(2):
            shared("x", lambda: made.append(1), lambda path, _: path.touch(), lambda _: None)
    assert len(made) == 3


def test_regions_read_are_those_outlined(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = formats.read(shared_data / "jsrt/images/JPCNN031.png").array[:, ::4, ::4]
    turned = Image(np.ascontiguousarray(np.rot90(255 - array, 1, (1, 2))), header=Header(spacing_known=False))
    outlined = chest.regions(turned)
    calls: list[int] = []

    def counted(image: Image, device: str) -> chest.Regions:
        calls.append(1)
        return chest.regions(image, device)

    monkeypatch.setattr(chest_regions, "regions", counted)
    found: list[chest.Regions] = []

    def ask() -> None:
        with sharing(tmp_path):
            found.append(chest_regions.chest_regions(turned, "cpu"))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(calls) == 1 and len(found) == 3
    for one in found:
        assert (one.remarks, one.pose, list(one.found)) == (outlined.remarks, outlined.pose, list(outlined.found))
        for name, region in outlined.found.items():
            assert np.array_equal(one[name].mask, region.mask)
            assert one[name].box == region.box and one[name].probability == region.probability


def test_what_is_refused_is_refused_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    black = Image(np.zeros((1, 64, 64), np.uint8))
    with sharing(tmp_path):
        with pytest.raises(CasewiseError, match="one value") as first:
            chest_regions.chest_regions(black, "cpu")
        monkeypatch.setattr(chest_regions, "regions", None)
        with pytest.raises(CasewiseError) as second:
            chest_regions.chest_regions(black, "cpu")
    assert str(first.value) == str(second.value)


def test_chest_applications_say_together_what_each_says_alone(shared_data: Path, tmp_path: Path) -> None:
    array = formats.read(shared_data / "jsrt/images/JPCNN031.png").array[:, ::4, ::4]
    film = formats.write(tmp_path / "images" / "film.png", Image(array, header=Header(spacing_known=False)))
    applications = tuple(one for one in BUILT_IN if one.name in NAMES)
    assert all(one.shared for one in applications)
    together, alone = run(film, *applications), run(film, *(replace(one, shared=False) for one in applications))
    assert not together.failures and len(together.findings) > 5
    for one, other in zip(together.findings, alone.findings, strict=True):
        assert (one.label, one.region, one.box, one.probability) == (other.label, other.region, other.box, other.probability)
        assert one.measures == pytest.approx(other.measures)
