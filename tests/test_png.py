"""How PNGs are packed."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as Pillow

from casewise.png import packing


def film() -> np.ndarray:
    rows, columns = np.mgrid[:256, :256]
    grain = np.random.default_rng(0).normal(0, 2, (256, 256))
    return (128 + 90 * np.sin(rows / 60) * np.cos(columns / 40) + grain).astype(np.uint8)


def saved(picture: Pillow.Image, **settings: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", **settings)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_grey_pixels_are_kept_and_take_hardly_more_room_than_usual(kind: type) -> None:
    pixels = film().astype(kind) * (1 if kind is np.uint8 else 16)
    picture = Pillow.fromarray(pixels)
    found = saved(picture, **packing(picture))
    assert np.array_equal(np.asarray(Pillow.open(io.BytesIO(found))), pixels)
    assert len(found) <= 1.05 * len(saved(picture))


def test_grey_in_three_colours_takes_little_more_room_than_usual() -> None:
    picture = Pillow.fromarray(np.repeat(film()[..., None], 3, axis=2))
    assert len(saved(picture, **packing(picture))) <= 1.25 * len(saved(picture))
