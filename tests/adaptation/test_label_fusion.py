from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from casewise.adaptation.label_fusion import FusionSettings, fuse_labels
from casewise.case import Case
from casewise.image import Image
from casewise.models import Prediction
from casewise.registration.batched import Level, RegistrationSettings, register
from casewise.training import dice
from tests.discs import classifier, segmenter

ALWAYS = FusionSettings(agreement=0.0, correlation=0.0, fewest=1)


def scene(
    shift: tuple[float, float] = (0.0, 0.0), scale: float = 1.0, wave: float = 0.0, size: int = 64
) -> tuple[Image, np.ndarray]:
    """A bright disc beside two darker bars, (1, size, size), and the disc's mask, seen moved (in widths of the picture), scaled and
    bent."""
    rows, columns = ((np.mgrid[:size, :size] + 0.5) / size - 0.5) / scale
    y, x = rows - shift[0], columns - shift[1] + wave * np.sin(2 * np.pi * rows)
    mask = y**2 + x**2 < 0.2**2
    bars = (np.abs(y + 0.33) < 0.04) | (np.abs(x - 0.35) < 0.03)
    texture = 0.1 * np.sin(9 * y) * np.sin(7 * x)
    return Image((0.2 + 0.6 * mask + 0.3 * bars + texture)[None].astype(np.float32)), mask


def case_of(image: Image, mask: np.ndarray) -> Case:
    return Case.of(image, {"disc": mask})


def empty_answer(image: Image) -> Prediction:
    background = np.ones((1, *image.spatial_shape), np.float32)
    return Prediction(("disc",), probabilities=np.concatenate([background, 0 * background]))


@settings(max_examples=10, deadline=None)
@given(down=st.floats(-0.07, 0.07), right=st.floats(-0.07, 0.07), scale=st.floats(0.88, 1.12), wave=st.floats(-0.03, 0.03))
def test_label_of_a_moved_scaled_and_bent_disc_comes_back(down: float, right: float, scale: float, wave: float) -> None:
    image, mask = scene()
    other, label = scene((down, right), scale, wave)
    done = fuse_labels(segmenter(size=64), image, [case_of(other, label)], ALWAYS)
    assert done.prediction is not None
    assert dice(done.prediction.mask > 0, mask) > 0.9


def test_identical_image_gives_its_own_label() -> None:
    image, mask = scene()
    done = fuse_labels(segmenter(size=64), image, [case_of(image, mask)], ALWAYS)
    assert done.prediction is not None
    assert dice(done.prediction.mask > 0, mask) > 0.99
    assert done.used
    assert done.agreement > 0.99


def test_vote_lies_on_the_images_own_grid() -> None:
    image, mask = scene(size=100)
    other, label = scene((0.05, -0.05), size=48)
    done = fuse_labels(segmenter(size=64), image, [case_of(other, label)], ALWAYS)
    assert done.prediction is not None and done.prediction.probabilities is not None
    assert done.prediction.probabilities.shape == (2, 100, 100)
    np.testing.assert_allclose(done.prediction.probabilities.sum(axis=0), 1, atol=1e-5)
    assert dice(done.prediction.mask > 0, mask) > 0.9


def test_same_input_gives_the_same_vote_and_leaves_torch_as_it_was() -> None:
    image, _ = scene()
    cases = [case_of(*scene((0.05 * n, -0.04), 0.9)) for n in (-1, 1)]
    model = segmenter(size=64)
    state = torch.random.get_rng_state()
    first = fuse_labels(model, image, cases)
    torch.manual_seed(99)
    with torch.inference_mode():
        second = fuse_labels(model, image, cases)
    assert first.prediction is not None and second.prediction is not None
    assert first.prediction.probabilities is not None
    np.testing.assert_array_equal(first.prediction.probabilities, second.prediction.probabilities)
    assert (first.agreement, first.correlation, first.used) == (second.agreement, second.correlation, second.used)
    torch.random.set_rng_state(state)
    fuse_labels(model, image, cases)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.is_grad_enabled()


def test_registration_of_one_image_does_not_depend_on_the_others() -> None:
    fixed, first, second = (torch.from_numpy(scene(shift)[0].array) for shift in ((0.0, 0.0), (0.06, 0.02), (-0.05, 0.08)))
    both = register(fixed, torch.stack([first, second]))
    alone = register(fixed, second[None])
    assert not both.grid.requires_grad and not both.correlation.requires_grad
    torch.testing.assert_close(both.grid[1:], alone.grid, atol=1e-3, rtol=0)


def test_case_without_the_structure_takes_nothing_away() -> None:
    image, mask = scene()
    answer = Prediction(("disc",), probabilities=np.stack([~mask, mask]).astype(np.float32))
    done = fuse_labels(segmenter(size=64), image, [case_of(scene((0.02, 0.02))[0], np.zeros_like(mask))], ALWAYS)
    assert not done.used
    assert done.joined(answer) is answer


def test_labels_that_do_not_fit_are_not_used() -> None:
    image, mask = scene()
    rng = np.random.default_rng(3)
    noise = [case_of(Image(rng.random((1, 64, 64), np.float32)), np.roll(mask, 12 * n, axis=0)) for n in range(-2, 3)]
    done = fuse_labels(segmenter(size=64), image, noise)
    assert done.prediction is not None
    assert not done.used
    assert "do not fit" in done.reason
    answer = empty_answer(image)
    assert done.joined(answer) is answer


def test_one_case_alone_is_not_trusted() -> None:
    image, mask = scene()
    done = fuse_labels(segmenter(size=64), image, [case_of(image, mask)])
    assert done.prediction is not None and done.agreement > 0.99
    assert not done.used
    assert "3 are needed" in done.reason


def test_vote_finds_what_the_model_missed() -> None:
    image, mask = scene()
    cases = [case_of(*scene((0.05 * n, 0.03), 1 + 0.05 * n, 0.01 * n)) for n in range(-2, 3)]
    done = fuse_labels(segmenter(size=64), image, cases, replace(ALWAYS, weight=0.6))
    assert dice(done.joined(empty_answer(image)).mask > 0, mask) > 0.9


def test_first_k_cases_that_have_the_structures_vote() -> None:
    image, mask = scene()
    unlabelled = Case.of(image, {"other": mask})
    cases = [case_of(*scene((0.01 * n, 0))) for n in range(4)]
    done = fuse_labels(segmenter(size=64), image, [unlabelled, *cases], replace(ALWAYS, k=3))
    assert [case.key for case in done.cases] == [case.key for case in cases[:3]]


def test_no_case_that_can_vote_leaves_the_model_alone() -> None:
    image, mask = scene()
    volume = Image(np.random.default_rng(0).random((1, 16, 16, 6), np.float32))
    for cases in ([], [Case.of(volume, {"disc": volume.array[0] > 0.5})], [Case.of(image, {"other": mask})]):
        done = fuse_labels(segmenter(size=64), image, cases)
        assert not done.used and done.prediction is None and done.reason.endswith(".")


def test_classifier_is_left_alone() -> None:
    image, mask = scene()
    assert not fuse_labels(classifier(size=64), image, [case_of(image, mask)]).used


@pytest.mark.parametrize("dims", [2, 3])
def test_volumes_vote_whether_the_model_sees_them_whole_or_in_slices(dims: int) -> None:
    def ball(centre: tuple[float, float, float], scale: float, slices: int) -> tuple[Image, np.ndarray]:
        z, y, x = ((g / 32 - c) / scale for g, c in zip(np.mgrid[:32, :32, :slices] + 0.5, centre, strict=True))
        mask = z**2 + y**2 + x**2 < 0.22**2
        texture = 0.1 * np.sin(9 * z) * np.sin(7 * y + 5 * x)
        return Image((0.3 + 0.6 * mask + texture)[None].astype(np.float32)), mask

    image, mask = ball((0.5, 0.5, 0.4), 1.0, 24)
    quick = replace(ALWAYS, registration=RegistrationSettings(levels=(Level(24, 30), Level(24, 15, 4)), window=7, measured=32))
    done = fuse_labels(segmenter(dims, size=32), image, [case_of(*ball((0.55, 0.46, 0.36), 1.15, 26))], quick)
    assert done.prediction is not None
    assert done.prediction.mask.shape == mask.shape
    assert dice(done.prediction.mask > 0, mask) > 0.9


def test_models_of_a_set_spacing_see_cases_of_other_sizes() -> None:
    image, mask = scene(size=64)
    other, label = scene((0.04, -0.04), size=96)
    done = fuse_labels(segmenter(size=32, spacing=(1.0, 1.0)), image, [case_of(other, label)], ALWAYS)
    assert done.prediction is not None
    assert dice(done.prediction.mask > 0, mask) > 0.9


def test_intensities_outside_0_to_1_register_as_well() -> None:
    image, mask = scene()
    other, label = scene((0.08, -0.06))
    done = fuse_labels(segmenter(size=64, intensity="normal"), image, [case_of(other, label)], ALWAYS)
    assert done.prediction is not None
    assert dice(done.prediction.mask > 0, mask) > 0.9
