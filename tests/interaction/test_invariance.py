"""A picture and its negative, its mirror images, the same turned or padded are answered alike; an object's last row is not lost."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casewise.case import Structure
from casewise.image import Box, Image
from casewise.interaction import InteractiveSegmentation
from casewise.interaction.crop import Region
from casewise.models import Model, Preparation, Spec
from casewise.training.metrics import dice

Way = Callable[[np.ndarray], np.ndarray]
PAD = 17


def network(seed: int, size: int = 32) -> Model:
    """Of random weights, so that all that it is given shows in its answer."""
    settings, structures = {"kind": "prompt_unet", "channels": [4, 8, 8]}, (Structure.parse("object"),)
    return Model.initial("random", Spec("segmentation", settings, Preparation(2, (size, size)), structures=structures), seed)


def scene(seed: int, shape: tuple[int, int] = (70, 64)) -> np.ndarray:
    """A bright and a dark spot on a slope with grain."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: shape[0], : shape[1]] / 64
    spots = sum(s * np.exp(-((rows - rng.uniform(0.3, 0.7)) ** 2 + (columns - rng.uniform(0.3, 0.7)) ** 2) / 0.02) for s in (1, -1))
    return (spots + 0.3 * rows + rng.normal(0, 0.02, shape)).astype(np.float32)


def answers(model: Model, picture: np.ndarray, box: np.ndarray, strokes: tuple[np.ndarray, np.ndarray]) -> list[np.ndarray]:
    """After the box, which encloses the marked part of ``box``, and after the strokes."""
    session = InteractiveSegmentation(model, Image(np.ascontiguousarray(picture)[None]), Box.around(box), device="cpu")
    return [session.mask, session.add_scribbles(*map(np.ascontiguousarray, strokes))]


def padded(value: float) -> tuple[Way, Way]:
    return (lambda mask: np.pad(mask, PAD)), (lambda picture: np.pad(picture, PAD, constant_values=value))


def same(mask: np.ndarray) -> np.ndarray:
    return mask


CHANGES: dict[str, tuple[Way, Way]] = {  # of masks, of the picture
    "negative": (same, lambda picture: 1.7 - picture),
    "upside down": (np.flipud, np.flipud),
    "mirrored": (np.fliplr, np.fliplr),
    "turned": (np.rot90, np.rot90),
    "padded with zeros": padded(0.0),
    "padded with another value": padded(0.4),
}


@pytest.mark.parametrize("size", [32, 16])  # eight views of the picture, and on the finest grid four
@pytest.mark.parametrize("change", list(CHANGES))
def test_what_a_picture_shows_does_not_depend_on_how_it_lies(change: str, size: int) -> None:
    of_masks, of_picture = CHANGES[change]
    for seed in range(3):
        picture = scene(seed)
        box, fore, back = (np.zeros(picture.shape, bool) for _ in range(3))
        box[14:52, 10:51] = True
        fore[30:33, 20:30] = True
        back[44, 12:40] = True
        model = network(seed, size)
        before = answers(model, picture, box, (fore, back))
        after = answers(model, of_picture(picture), of_masks(box), (of_masks(fore), of_masks(back)))
        for one, other in zip(before, after, strict=True):
            assert one.any() and dice(of_masks(one), other) > 0.99


@settings(max_examples=25, deadline=None)
@given(sides=st.lists(st.booleans(), min_size=4, max_size=4), pad=st.integers(0, 5))
def test_what_lies_beyond_the_images_border_is_no_background(sides: list[bool], pad: int) -> None:
    """A side of the box on the border of the picture, or of what is not padding, stays open."""
    picture = np.pad(scene(1), pad, constant_values=0.25)
    lower = [pad if ended else pad + 9 for ended in sides[:2]]
    upper = [pad + (n if ended else n - 9) for ended, n in zip(sides[2:], (70, 64), strict=True)]
    region = Region.around(Image(picture[None]), Box(tuple(lower), tuple(upper)), (32, 32))
    inside = region.inside()
    found = [inside[0].any(), inside[:, 0].any(), inside[-1].any(), inside[:, -1].any()]
    assert found == sides
    crop = region.crop(Image(picture[None]))[0]
    for axis in (0, 1):  # beyond, the border itself goes on
        if sides[axis]:
            first = np.take(crop, 0, axis)
            np.testing.assert_allclose(np.take(crop, 1, axis), first, atol=0.08)


def test_an_object_at_the_border_is_marked_to_its_last_row() -> None:
    rows, columns = np.mgrid[:60, :60]
    truth = np.hypot(rows, columns - 30) < 18
    image = Image((0.2 + 0.6 * truth + np.random.default_rng(0).normal(0, 0.01, truth.shape)).astype(np.float32)[None])
    session = InteractiveSegmentation(None, image, [(0, 21), (10, 51)], device="cpu")
    assert dice(session.mask, truth) > 0.95
    assert dice(session.mask[:3], truth[:3]) > 0.95


def test_a_box_in_an_even_part_of_a_picture_is_looked_at_as_it_is() -> None:
    picture = np.zeros((80, 80), np.float32)
    picture[50:, 50:] = scene(0)[:30, :30]
    for box in (Box((5, 5), (30, 30)), Box((2, 2), (79, 79))):
        region = Region.around(Image(picture[None]), box, (32, 32))
        assert np.isfinite(region.crop(Image(picture[None]))).all() and region.inside().any()
    even = Image(np.zeros((1, 40, 40), np.float32))
    assert np.isfinite(Region.around(even, Box((5, 5), (20, 20)), (32, 32)).crop(even)).all()
