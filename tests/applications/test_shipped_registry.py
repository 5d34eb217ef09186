"""The registry as it is shipped: every kind of image goes to several applications, each of which reads a different feature."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from casewise.applications.builtin import BUILT_IN
from casewise.applications.declared import ANY, ON_REQUEST
from casewise.applications.isolated.python import started
from casewise.applications.measurements.declarations import MEASURING
from casewise.applications.outcome import Done, Failure, Job
from casewise.applications.registry import Registry, default_registry
from casewise.applications.runner import Runner
from casewise.formats import read, write
from casewise.header import Header
from casewise.image import Image
from casewise.routing import Router
from casewise.summary import QUESTIONS

CATEGORIES = sorted({*Router.load().categories, "fundus-photograph", "histology"})
REGISTRY = Registry(BUILT_IN)


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_category_has_two_applications_of_its_own_that_read_different_features(category: str) -> None:
    own = [one for one in REGISTRY.for_route(category) if ANY not in one.categories]
    features = [set(one.features) for one in own]
    assert len(own) >= 2, [one.name for one in own]
    assert all(not first & second for n, first in enumerate(features) for second in features[:n])
    assert category in QUESTIONS


def test_there_are_more_applications_than_categories_and_some_serve_several() -> None:
    routed = [one for one in REGISTRY if ON_REQUEST not in one.categories]
    assert len(routed) > len(CATEGORIES)
    several = [one.name for one in routed if len([name for name in CATEGORIES if name in one.categories]) > 1]
    assert len(several) >= 3, several
    assert {name for one in routed for name in one.categories} <= {*CATEGORIES, ANY}


@pytest.mark.parametrize("declared", MEASURING, ids=lambda declared: declared.name)
def test_a_measuring_application_is_declared_as_it_is(declared: object) -> None:
    assert declared.detects == () and declared.own  # type: ignore[attr-defined]
    module, _, name = declared.run.target.partition(":")  # type: ignore[attr-defined]
    made = getattr(__import__(module, fromlist=[name]), name)()
    assert (made.name, made.categories) == (declared.name, declared.categories)  # type: ignore[attr-defined]
    assert callable(started(declared.run.target, dict(declared.settings)))  # type: ignore[attr-defined]


@pytest.fixture
def ct_picture(tmp_path: Path) -> Path:
    """A windowed picture, which no measure of CT takes."""
    pixels = np.random.default_rng(0).integers(0, 200, (1, 80, 90)).astype(np.uint8)
    return write(tmp_path / "images" / "ct.png", Image(pixels, header=Header(spacing_known=False)))


@pytest.mark.parametrize("routed", [True, False])
def test_what_cannot_be_measured_is_a_note_for_the_routed_and_a_failure_for_whoever_named_it(
    routed: bool, ct_picture: Path, runner: Runner, tmp_path: Path
) -> None:
    chosen = tuple(one for one in BUILT_IN if one.name in ("body-composition", "ct-noise"))
    job = Job(ct_picture, read(ct_picture), chosen, tmp_path / "kept", "abdomen-ct" if routed else "unknown")
    (ran,) = runner.run([job])
    if routed:
        assert all(isinstance(one, Done) and not one.findings for one in ran.outcomes)
        assert "not Hounsfield units" in ran.outcomes[0].notes[0]  # type: ignore[union-attr]
    else:
        assert all(isinstance(one, Failure) for one in ran.outcomes)
        assert "body-composition is for CT" in ran.failures[0].reason or "Hounsfield" in ran.failures[0].reason


def test_measures_come_back_from_the_own_process_with_their_masks(shared_data: Path, runner: Runner, tmp_path: Path) -> None:
    path = shared_data / "totalseg-example" / "example_ct_sm.nii.gz"
    image = read(path)
    names = ("body-outline", "body-composition", "lung-fields-ct")
    job = Job(path, image, tuple(one for one in BUILT_IN if one.name in names), tmp_path / "kept", "abdomen-ct")
    (ran,) = runner.run([job])
    assert not ran.failures
    body = next(finding for finding in ran.findings if finding.label == "body")
    assert body.mask is not None and body.mask.is_file() and body.measures["volume_ml"] > 1000


def test_own_applications_may_be_for_categories_that_another_router_does_not_know() -> None:
    registry = default_registry([])
    registry.check_categories(["hand-xray"])
    foreign = replace(registry.get("quality"), name="other", own=False, categories=("histology",))
    with pytest.raises(Exception, match="'histology'"):
        registry.with_application(foreign).check_categories(["hand-xray"])
