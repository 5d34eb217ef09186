"""Masks in picture files, as many programs write them: the structures as drawn, or a sentence that says what is ambiguous."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFilter
from scipy import ndimage

from casewise.errors import CasewiseError, UnreadableImageError
from casewise.formats import drawn_in, read_mask, write
from casewise.formats.mask_levels import levels
from casewise.image import Image

PICTURE = {"format": "PNG", "spacing_known": False}
SHAPE = (64, 80)
BILINEAR, BICUBIC, LANCZOS = Pillow.Resampling.BILINEAR, Pillow.Resampling.BICUBIC, Pillow.Resampling.LANCZOS


def like(shape: tuple[int, int] = SHAPE) -> Image:
    return Image(np.zeros((1, *shape), np.uint8), header=PICTURE)


def disc(centre: tuple[float, float] = (30, 40), radius: float = 9, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2


DISC = disc()


def labels(*values: int, radius: float = 7, dtype: type = np.uint8) -> np.ndarray:
    """A disc for each value, side by side."""
    array = np.zeros((64, 20 * len(values) + 10), dtype)
    for number, value in enumerate(values):
        array[disc((30, 15 + 20 * number), radius, array.shape)] = value
    return array


def saved(path: Path, array: np.ndarray, **options: object) -> Path:
    Pillow.fromarray(array).save(path, **options)
    return path


def structures(path: Path, shape: tuple[int, int] = SHAPE) -> list[np.ndarray]:
    """Each structure's mask by what ``drawn_in`` says of the file."""
    contents = drawn_in(path)
    assert contents.doubt is None
    return [read_mask(path, like(shape), member=one.member, value=one.value, above=one.above) for one in contents.structures]


@pytest.mark.parametrize("factor", [0.125, 0.25, 0.5, 2, 3, 5])
@pytest.mark.parametrize("filter_", [BILINEAR, BICUBIC, LANCZOS, Pillow.Resampling.BOX])
def test_the_edge_of_a_resized_mask_is_cut_at_the_half(tmp_path: Path, factor: float, filter_: int) -> None:
    size = (80, 64) if factor > 1 else (640, 512)
    image = Pillow.fromarray((disc((size[1] * 0.4, size[0] * 0.5), size[1] / 5, size[::-1]) * 255).astype(np.uint8))
    resized = np.asarray(image.resize((int(size[0] * factor), int(size[1] * factor)), filter_))
    path = saved(tmp_path / "m.png", resized)
    (mask,) = structures(path, resized.shape)
    np.testing.assert_array_equal(mask, resized > 127)
    np.testing.assert_array_equal(read_mask(path, like(resized.shape)), resized > 127)


@pytest.mark.parametrize("scale", [255, 1])
def test_antialiased_smoothed_and_fractional_masks_are_one_structure(tmp_path: Path, scale: int) -> None:
    drawn = Pillow.new("L", (320, 256))
    ImageDraw.Draw(drawn).polygon([(40, 30), (250, 60), (200, 220), (70, 180)], fill=255)
    for image in (drawn.reduce(4), drawn.filter(ImageFilter.GaussianBlur(2))):
        array = np.asarray(image)
        path = tmp_path / "m.tif"
        tifffile.imwrite(path, array.astype(np.float32) * scale / 255 if scale == 1 else array)
        (mask,) = structures(path, array.shape)
        np.testing.assert_array_equal(mask, array > 127)


@pytest.mark.parametrize("quality", [95, 75, 50, 30])
def test_a_jpeg_of_one_structure_is_cut_at_the_half(tmp_path: Path, quality: int) -> None:
    path = saved(tmp_path / "m.jpg", (DISC * 255).astype(np.uint8), quality=quality)
    (mask,) = structures(path)
    assert 2 * (mask & DISC).sum() / (mask.sum() + DISC.sum()) > 0.97


ENCODINGS = {
    "k×12": range(12, 241, 12),
    "k×10": range(10, 251, 10),
    "1 to 30": range(1, 31),
    "85, 170, 255": (85, 170, 255),
    "50, 100, 150": (50, 100, 150),
    "127, 255": (127, 255),
    "3, 255": (3, 255),
    "of no rule": (7, 19, 101, 102, 103, 200),
    "two": (1, 2),
}


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize("radius", [2, 7])
def test_labels_of_any_encoding_are_structures(tmp_path: Path, name: str, radius: int) -> None:
    array = labels(*ENCODINGS[name], radius=radius)
    path = saved(tmp_path / "m.png", array)
    assert [one.value for one in drawn_in(path).structures] == list(ENCODINGS[name])
    for value, mask in zip(ENCODINGS[name], structures(path, array.shape), strict=True):
        np.testing.assert_array_equal(mask, array == value)


def test_labels_of_16_bits_of_nested_and_of_thin_structures(tmp_path: Path) -> None:
    wide = labels(1000, 2000, 40000, dtype=np.uint16)
    assert len(structures(saved(tmp_path / "a.png", wide), wide.shape)) == 3
    nested = np.zeros(SHAPE, np.uint8)
    for value, radius in ((85, 20), (170, 14), (255, 7)):
        nested[disc(radius=radius)] = value
    assert [int(mask.sum()) for mask in structures(saved(tmp_path / "b.png", nested))] == [
        int((nested == value).sum()) for value in (85, 170, 255)
    ]
    vessels = np.zeros(SHAPE, np.uint8)
    vessels[10, 5:70], vessels[20:50, 33], vessels[55, 5:70] = 128, 255, 128
    assert len(structures(saved(tmp_path / "c.png", vessels))) == 2


@pytest.mark.parametrize(
    "blended",
    [
        np.asarray(Pillow.fromarray(labels(85, 170, 255)).resize((140, 128), BILINEAR)),
        np.asarray(Pillow.fromarray(labels(128, 255)).resize((150, 192), BICUBIC)),
        np.asarray(Pillow.fromarray(labels(30, 255)).resize((100, 128), BILINEAR)),
        np.asarray(Pillow.fromarray(labels(3, 255)).resize((100, 128), BILINEAR)),
        np.asarray(Pillow.fromarray(labels(*range(12, 241, 12))).resize((800, 128), BILINEAR)),
        np.tile(np.arange(256, dtype=np.uint8), (64, 1)),
        np.random.default_rng(1).integers(0, 256, SHAPE).astype(np.uint8),
        (np.exp(-((np.indices(SHAPE) - 30) ** 2).sum(axis=0) / 200) * 255).astype(np.uint8),
    ],
    ids=["three", "two", "faint", "fainter", "twenty", "ramp", "noise", "heat map"],
)
def test_what_may_be_an_edge_or_a_structure_is_refused(tmp_path: Path, blended: np.ndarray) -> None:
    path = saved(tmp_path / "m.png", blended)
    for call in (lambda: drawn_in(path), lambda: read_mask(path, like(blended.shape))):
        with pytest.raises(UnreadableImageError, match=r"m\.png is no mask: .*without interpolation"):
            call()


def test_a_jpeg_of_several_structures_is_refused(tmp_path: Path) -> None:
    for values in ((85, 170, 255), (30, 255), (20, 255), (128, 255), (1, 2)):
        path = saved(tmp_path / "m.jpg", labels(*values), quality=80)
        with pytest.raises(UnreadableImageError, match="is a JPEG, whose compression blurs"):
            drawn_in(path)


def palette(indices: np.ndarray, colours: list[tuple[int, int, int]], path: Path, **options: object) -> Path:
    picture = Pillow.fromarray(indices.astype(np.uint8), mode="P")
    picture.putpalette([part for colour in colours for part in colour])
    picture.save(path, **options)
    return path


VOC = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0)]


@pytest.mark.parametrize(
    "colours",
    [
        VOC,
        [(0, 0, 0), (85, 85, 85), (170, 170, 170), (255, 255, 255)],
        [(0, 0, 0)] * 4,
        [(255, 255, 255), (128, 0, 0), (0, 128, 0), (128, 128, 0)],
    ],
    ids=["colours", "greys", "all black", "white ground"],
)
@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_a_palettes_indices_are_its_labels(tmp_path: Path, colours: list[tuple[int, int, int]], suffix: str) -> None:
    indices = labels(1, 2, 3)
    path = palette(indices, colours, tmp_path / f"m{suffix}")
    assert [one.value for one in drawn_in(path).structures] == [1, 2, 3]
    for value, mask in zip((1, 2, 3), structures(path, indices.shape), strict=True):
        np.testing.assert_array_equal(mask, indices == value)


def test_a_palette_that_a_program_put_in_another_order(tmp_path: Path) -> None:
    path = palette(DISC, [(0, 0, 0), (255, 255, 255)], tmp_path / "a.png")
    inverted = palette(~DISC, [(255, 255, 255), (0, 0, 0)], tmp_path / "b.png")
    last = palette(np.where(DISC, 1, 3), [(9, 9, 9), (200, 0, 0), (7, 7, 7), (0, 0, 0)], tmp_path / "c.png")
    transparent = palette(DISC, [(0, 0, 0), (255, 0, 0)], tmp_path / "d.png", transparency=0)
    for one in (path, inverted, last, transparent):
        (mask,) = structures(one)
        np.testing.assert_array_equal(mask, DISC)


def test_soft_edges_in_a_palette_of_greys(tmp_path: Path) -> None:
    soft = np.asarray(Pillow.fromarray((DISC * 255).astype(np.uint8)).resize((160, 128), BILINEAR))
    shades = np.unique(soft)[::-1]  # by no order that a label has
    indices = np.argsort(shades)[np.searchsorted(shades[::-1], soft)]
    path = palette(indices, [(int(s),) * 3 for s in shades], tmp_path / "m.png")
    (mask,) = structures(path, soft.shape)
    np.testing.assert_array_equal(mask, soft > 127)


def test_colours_are_structures(tmp_path: Path) -> None:
    indices = labels(1, 2, 3)
    for number, ground in enumerate(((0, 0, 0), (255, 255, 255))):
        colours = np.array([ground, (255, 0, 0), (0, 255, 0), (255, 255, 0)], np.uint8)[indices]
        path = saved(tmp_path / f"{number}.png", colours)
        contents = drawn_in(path)
        assert [(one.value, one.colour) for one in contents.structures] == [(0x00FF00, True), (0xFF0000, True), (0xFFFF00, True)]
        for value, mask in zip((2, 1, 3), structures(path, indices.shape), strict=True):
            np.testing.assert_array_equal(mask, indices == value)


@pytest.mark.parametrize("colour", [(255, 0, 0), (255, 255, 255), (0, 200, 200)])
def test_one_colour_with_a_soft_edge_is_one_structure(tmp_path: Path, colour: tuple[int, int, int]) -> None:
    soft = np.asarray(Pillow.fromarray((DISC * 255).astype(np.uint8)).resize((160, 128), BILINEAR))
    array = np.rint(soft[..., None] * (np.array(colour) / 255)).astype(np.uint8)
    (mask,) = structures(saved(tmp_path / "m.png", array), soft.shape)
    np.testing.assert_array_equal(mask, soft > 127)


def test_colours_that_say_no_structures_are_refused(tmp_path: Path) -> None:
    three = np.array([(0, 0, 255), (255, 0, 0), (0, 255, 0), (255, 255, 0)], np.uint8)[labels(1, 2, 3)]
    blended = np.asarray(Pillow.fromarray(three).resize((140, 128), BILINEAR))
    photograph = np.random.default_rng(0).integers(0, 256, (64, 80, 3)).astype(np.uint8)
    for array, words in ((three, "without black"), (blended, "not a mask"), (photograph, "not a mask")):
        with pytest.raises(UnreadableImageError, match=f"is a colour picture .*{words}|is a colour picture {words}"):
            drawn_in(saved(tmp_path / "m.png", array))


def rgba(colour: np.ndarray | tuple[int, int, int], alpha: np.ndarray) -> np.ndarray:
    array = np.zeros((*alpha.shape, 4), np.uint8)
    array[..., :3], array[..., 3] = colour, alpha
    return array


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (255, 0, 0)])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_mask_in_the_transparency(tmp_path: Path, colour: tuple[int, int, int], suffix: str) -> None:
    alpha = (DISC * 255).astype(np.uint8)
    (mask,) = structures(saved(tmp_path / f"m{suffix}", rgba(colour, alpha)))
    np.testing.assert_array_equal(mask, DISC)
    half = (DISC * 128).astype(np.uint8)  # an overlay that shows what is below
    (mask,) = structures(saved(tmp_path / f"h{suffix}", rgba(colour, half)))
    np.testing.assert_array_equal(mask, DISC)
    soft = np.asarray(Pillow.fromarray(alpha).resize((160, 128), BILINEAR))
    (mask,) = structures(saved(tmp_path / f"s{suffix}", rgba(colour, soft)), soft.shape)
    np.testing.assert_array_equal(mask, soft > 127)


def test_colours_on_transparent_ground_and_an_opaque_mask(tmp_path: Path) -> None:
    indices = labels(1, 2, 3)
    colours = np.array(VOC, np.uint8)[indices]
    masks = structures(saved(tmp_path / "a.png", rgba(colours, np.where(indices > 0, 255, 0))), indices.shape)
    assert sorted(int(mask.sum()) for mask in masks) == sorted(int((indices == value).sum()) for value in (1, 2, 3))
    white = np.where(DISC[..., None], 255, 0).astype(np.uint8)
    for alpha in (255, 128):
        (mask,) = structures(saved(tmp_path / "b.png", rgba(white, np.full(SHAPE, alpha))))
        np.testing.assert_array_equal(mask, DISC)
    grey = np.dstack([DISC * 255, np.full(SHAPE, 255)]).astype(np.uint8)
    (mask,) = structures(saved(tmp_path / "c.png", grey))
    np.testing.assert_array_equal(mask, DISC)


def test_transparency_that_says_no_structure_is_refused(tmp_path: Path) -> None:
    white = np.where(DISC[..., None], 255, 0).astype(np.uint8)
    cases = (
        (rgba(white, np.zeros(SHAPE)), "transparent all over"),
        (rgba(white, np.where(disc((30, 10)), 0, 255)), "transparent in one part and black in another"),
        (rgba(np.where(DISC[..., None], (255, 0, 0), (0, 0, 255)), np.where(disc(radius=20), 90, 0)), "partly transparent"),
    )
    for array, words in cases:
        with pytest.raises(UnreadableImageError, match=words):
            drawn_in(saved(tmp_path / "m.png", array))


def test_white_is_zero_by_where_the_background_lies(tmp_path: Path) -> None:
    path = tmp_path / "m.tif"
    for stored in ((DISC * 255).astype(np.uint8), (~DISC * 255).astype(np.uint8), DISC, ~DISC, (~DISC * 65535).astype(np.uint16)):
        tifffile.imwrite(path, stored, photometric="miniswhite")
        (mask,) = structures(path)
        np.testing.assert_array_equal(mask, DISC)
    three = labels(1, 2, 3)
    tifffile.imwrite(path, three, photometric="miniswhite")
    assert [one.value for one in drawn_in(path).structures] == [1, 2, 3]
    tifffile.imwrite(path, np.zeros(SHAPE, np.uint8), photometric="miniswhite")
    assert drawn_in(path).structures == ()
    half = np.zeros(SHAPE, np.uint8)
    half[:, :40] = 255
    tifffile.imwrite(path, half, photometric="miniswhite")
    with pytest.raises(UnreadableImageError, match="not clear which of its values is the background"):
        drawn_in(path)


def test_bilevel_pictures(tmp_path: Path) -> None:
    for suffix in (".png", ".tif", ".bmp"):
        Pillow.fromarray(DISC).save(tmp_path / f"m{suffix}")
        (mask,) = structures(tmp_path / f"m{suffix}")
        np.testing.assert_array_equal(mask, DISC)


def test_an_inverted_mask_is_in_doubt(tmp_path: Path) -> None:
    for array in (~DISC * 255, np.full(SHAPE, 255), np.where(DISC, 1, 7), np.where(DISC, 2, 255)):
        contents = drawn_in(saved(tmp_path / "m.png", array.astype(np.uint8)))
        assert contents.doubt is not None
        assert "inverted" in contents.doubt
    border = np.zeros(SHAPE, bool)
    border[:5] = True
    for array in (disc(radius=45), border, disc((0, 0), 60)):
        assert drawn_in(saved(tmp_path / "m.png", (array * 255).astype(np.uint8))).doubt is None


def test_values_off_by_rounding_negative_ones_and_fractions() -> None:
    drawn = labels(1, 2, 3).astype(np.float64)
    for factor in (0.9999, 1.02):
        assert levels(drawn * factor).values == (1, 2, 3)
    for wrong, words in (
        (np.where(drawn > 0, -1, 0), "negative values down to -1"),
        (np.where(drawn == 1, -1, drawn), "negative values"),
        (drawn / 3, "not whole numbers"),
        (np.where(drawn > 0, 0.05, 0), "not whole numbers"),
        (drawn * 0.37, "not whole numbers"),
    ):
        with pytest.raises(CasewiseError, match=words):
            levels(wrong)
    soft = ndimage.zoom((DISC * 1.0), 2, order=3)
    assert soft.min() < 0
    assert levels(soft).above == 0.5
    assert levels(np.zeros(SHAPE)).values == ()


@settings(max_examples=40, deadline=None)
@given(
    values=st.lists(st.integers(1, 255), min_size=1, max_size=6, unique=True),
    centres=st.lists(st.tuples(st.integers(5, 58), st.integers(5, 74)), min_size=6, max_size=6),
    radius=st.integers(3, 9),
)
def test_discs_of_any_labels_come_back_or_are_refused(
    tmp_path_factory: pytest.TempPathFactory, values: list[int], centres: list[tuple[int, int]], radius: int
) -> None:
    array = np.zeros(SHAPE, np.uint8)
    for value, centre in zip(values, centres, strict=False):
        array[disc(centre, radius)] = value
    path = saved(tmp_path_factory.mktemp("m") / "m.png", array)
    try:
        contents = drawn_in(path)
    except UnreadableImageError:
        return
    masks = [read_mask(path, like(), member=one.member, value=one.value, above=one.above) for one in contents.structures]
    assert [int(one.value or -1) for one in contents.structures] == sorted(set(np.unique(array)) - {0})
    for one, mask in zip(contents.structures, masks, strict=True):
        np.testing.assert_array_equal(mask, array == one.value)


def test_a_square_mask_in_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    square, oblong = disc((10, 30), shape=(64, 64)), DISC
    for suffix in (".nrrd", ".mha", ".nii.gz"):
        path = write(tmp_path / f"s{suffix}", Image(square[None].astype(np.uint8)))
        with pytest.raises(UnreadableImageError, match="both are square"):
            read_mask(path, like((64, 64)))
        # Stored by columns, as ITK does, or as an array was: the shape decides.
        for array in (oblong, oblong.T):
            path = write(tmp_path / f"o{suffix}", Image(array[None].astype(np.uint8)))
            np.testing.assert_array_equal(read_mask(path, like()), oblong)


def test_a_mask_whose_axes_run_elsewhere_is_not_transposed(tmp_path: Path) -> None:
    stated = np.diag([1.0, 1.0, -1.0, 1.0])[:, [1, 2, 0, 3]]
    stated[:3, 3] = (5, 6, 7)
    path = write(tmp_path / "m.nii.gz", Image(DISC.T[None].astype(np.uint8), stated))
    with pytest.raises(UnreadableImageError, match="only one says where its axes run"):
        read_mask(path, like())


REPORTED: dict[str, Callable[[list[np.ndarray]], bool]] = {
    "resized2x_bilinear/case1_mask.png": lambda masks: [mask.sum() for mask in masks] == [276],
    "png_20_labels_x12/case1_mask.png": lambda masks: [mask.sum() for mask in masks] == [56] * 20,
    "rgba_black_alpha_is_mask/case1_mask.png": lambda masks: [mask.sum() for mask in masks] == [249],
    "tif_miniswhite/case1_mask.tif": lambda masks: [mask.sum() for mask in masks] == [249],
}


@pytest.mark.parametrize("name", REPORTED)
def test_reported_masks(shared_data: Path, name: str) -> None:
    assert REPORTED[name](structures(shared_data / "bug-reports" / "masks" / name))
