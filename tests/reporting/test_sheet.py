from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as Pillow

from casewise.errors import CasewiseError
from casewise.image import Image
from casewise.reporting.pictures import COLOURS, rgb
from casewise.reporting.sheet import SimilarPicture, contact_sheet
from casewise.result import SimilarCase
from tests.reporting.pages import disc


def cases(count: int, image: Image, **masks: np.ndarray) -> list[SimilarPicture]:
    similar = (SimilarCase(str(n), f"/a/case {n}.png", 1 - n / 50, 0.5, None, "Łódź →", "日本") for n in range(count))
    return [SimilarPicture(case, image, masks) for case in similar]


def pixels(path) -> np.ndarray:
    with Pillow.open(path) as sheet:
        assert sheet.format == "PNG"
        return np.asarray(sheet)


def has_colour(sheet: np.ndarray, colour: str) -> bool:
    return bool((sheet == np.array(rgb(colour))).all(axis=-1).sum() > 50)


@pytest.mark.parametrize("count", [0, 1, 2, 8, 23])
def test_a_sheet_of_any_number_of_cases(tmp_path, picture, count):
    path = contact_sheet(picture, cases(count, picture), tmp_path / "new" / "sheet.png", ["All are alike."] * 3)
    sheet = pixels(path)
    assert sheet.shape[1] < 2000 and sheet.shape[0] < 2200


def test_masks_have_one_colour_all_over_the_sheet(tmp_path, picture):
    mask = disc(picture.spatial_shape)
    query = pixels(contact_sheet(picture, cases(4, picture, heart=mask), tmp_path / "a.png", masks={"lungs": mask}))
    left, right = query[80:, :560], query[80:, 600:]
    assert has_colour(left, COLOURS[0]) and not has_colour(left, COLOURS[1])
    assert has_colour(right, COLOURS[1]) and not has_colour(right, COLOURS[0])


def test_what_they_have_in_common_takes_its_room(tmp_path, picture):
    bare = pixels(contact_sheet(picture, cases(3, picture), tmp_path / "a.png"))
    said = pixels(contact_sheet(picture, cases(3, picture), tmp_path / "b.png", ["They are all of women over forty. " * 20]))
    assert said.shape[0] > bare.shape[0] + 80 and said.shape[1] == bare.shape[1]
    np.testing.assert_array_equal(said[: bare.shape[0] - 40], bare[: bare.shape[0] - 40])


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (3, 4, 5), (900, 2, 2)])
@pytest.mark.filterwarnings("error")
def test_small_and_long_images_fit(tmp_path, shape):
    image = Image(np.zeros((1, *shape), np.int16))
    contact_sheet(image, cases(2, image, m=np.ones(shape, bool)), tmp_path / "a.png")
    assert (tmp_path / "a.png").is_file()


def test_volumes_and_colour_pictures_stand_side_by_side(tmp_path):
    volume = Image(np.random.default_rng(0).normal(size=(1, 20, 24, 28)))
    colour = Image(np.random.default_rng(0).integers(0, 255, (3, 20, 30), np.uint8))
    assert pixels(contact_sheet(volume, [*cases(1, colour), *cases(1, volume)], tmp_path / "a.png")).ndim == 3


def test_a_mask_off_the_grid_and_a_bad_path_are_one_sentence(tmp_path, picture):
    with pytest.raises(CasewiseError, match="'m' has the grid"):
        contact_sheet(picture, cases(1, picture, m=np.ones((2, 2), bool)), tmp_path / "a.png")
    (tmp_path / "file").write_text("")
    with pytest.raises(CasewiseError, match="cannot be written"):
        contact_sheet(picture, [], tmp_path / "file" / "a.png")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
