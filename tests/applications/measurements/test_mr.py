"""Measures of MR: signal to noise and shading are what was put in; where the ground holds no noise there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from casewise.applications.measurements.mr_noise import MrNoise
from casewise.applications.measurements.mr_shading import MrShading
from casewise.applications.refusal import NotMeasuredError
from casewise.header import Header
from casewise.image import Image
from tests.applications.measurements.phantoms import magnitude


@pytest.mark.parametrize(("signal", "noise"), [(1000.0, 20.0), (300.0, 10.0)])
@pytest.mark.parametrize("shape", [(160, 160), (160, 150, 12)])
def test_signal_to_noise_is_what_was_put_in(signal: float, noise: float, shape: tuple[int, ...]) -> None:
    (finding,) = MrNoise(intended_only=False).analyze(magnitude(signal, noise, shape))
    assert finding.measures["signal_to_noise_ratio"] == pytest.approx(signal / noise, rel=0.08)
    assert finding.kind == "measure"


@pytest.mark.parametrize("ground", ["zeroed", "filtered", "of several coils", "filled"])
def test_a_ground_that_is_not_rayleighs_is_refused(ground: str) -> None:
    image = magnitude(500, 10)
    array = image.array.copy()
    if ground == "zeroed":
        array[array < 100] = 0
    elif ground == "filtered":
        from scipy.ndimage import gaussian_filter

        array = gaussian_filter(array, (0, 2, 2))
    elif ground == "of several coils":
        array = np.sqrt(sum(magnitude(500, 10).array ** 2 + np.roll(array, shift, 1) ** 2 for shift in (20, 40, 60)))
    else:
        array[:] = np.random.default_rng(0).normal(500, 40, array.shape)
    with pytest.raises(NotMeasuredError, match="too few corners hold noise"):
        MrNoise(intended_only=False).analyze(replace(image, array=array.astype(np.float32)))


def test_a_windowed_picture_has_no_signal_to_noise_and_no_shading() -> None:
    image = magnitude(500, 10)
    picture = Image((image.array / 600 * 255).clip(0, 255).astype(np.uint8), header=Header(spacing_known=False))
    for application in (MrNoise, MrShading):
        with pytest.raises(NotMeasuredError, match="windowed"):
            application(intended_only=False).analyze(picture)


@pytest.mark.parametrize("slope", [0.1, 0.4])
def test_shading_is_the_field_that_was_multiplied_in(slope: float) -> None:
    image = magnitude(1000, 5)
    field = np.exp(slope * np.linspace(-1, 1, 160))[:, None] * np.ones((1, 160))
    inside = image.array[0] > 500
    (finding,) = MrShading(intended_only=False).analyze(replace(image, array=(image.array * field).astype(np.float32)))
    assert finding.measures["non_uniformity_percent"] == pytest.approx(100 * field[inside].std() / field[inside].mean(), rel=0.1)
    (even,) = MrShading(intended_only=False).analyze(image)
    assert even.measures["non_uniformity_percent"] < 1


def test_of_a_loop_the_middle_frame_is_measured_and_a_note_says_so() -> None:
    image = magnitude(1000, 20, (160, 160, 9))
    loop = replace(image, header=replace(image.header, third_axis="time"))
    application = MrNoise(intended_only=False)
    assert application.analyze(loop)[0].measures["signal_to_noise_ratio"] == pytest.approx(50, rel=0.1)
    assert application.notes == ["Measured in frame 5 of 9."]


@pytest.mark.parametrize("value", [np.nan, 7.0])
def test_values_that_are_not_finite_or_all_the_same_are_refused(value: float) -> None:
    image = magnitude(500, 10)
    array = np.full_like(image.array, 7.0)
    array[0, 0, 0] = value
    with pytest.raises(NotMeasuredError, match="finite" if np.isnan(value) else "one value throughout"):
        MrNoise(intended_only=False).analyze(replace(image, array=array))
