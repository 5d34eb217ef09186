"""PNG, JPEG, BMP and TIFF keep their bits; grey stays one channel; nothing claims a size in mm."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import tifffile
from PIL import Image as Pillow

from casewise.errors import UnreadableImageError
from casewise.formats import read

RNG = np.random.default_rng(3)
GREY = RNG.integers(0, 256, (5, 7), np.uint8)
COLOUR = RNG.integers(0, 256, (5, 7, 3), np.uint8)
DEEP = RNG.integers(0, 65536, (5, 7)).astype(np.uint16)


def saved(path: Path, array: np.ndarray, mode: str | None = None, **options: object) -> Path:
    picture = Pillow.fromarray(array)
    (picture.convert(mode) if mode else picture).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_grey_and_colour(tmp_path: Path, suffix: str) -> None:
    grey = read(saved(tmp_path / f"g{suffix}", GREY))
    np.testing.assert_array_equal(grey.array, GREY[None])
    np.testing.assert_array_equal(read(saved(tmp_path / f"c{suffix}", COLOUR)).array, np.moveaxis(COLOUR, -1, 0))
    np.testing.assert_array_equal(grey.affine, np.eye(4))
    assert grey.header.spacing_known is False


def test_colour_of_three_equal_channels_is_grey(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read(saved(tmp_path / "a.png", np.stack([GREY] * 3, -1))).array, GREY[None])
    np.testing.assert_array_equal(read(saved(tmp_path / "p.png", GREY, "P")).array, GREY[None])
    image = read(saved(tmp_path / "a.jpg", np.stack([GREY] * 3, -1)))
    assert image.channels == 1
    assert image.header.photometric == "MONOCHROME2"


def test_sixteen_bits_stay(tmp_path: Path) -> None:
    for name in ("a.png", "a.tif"):
        image = read(saved(tmp_path / name, DEEP))
        np.testing.assert_array_equal(image.array, DEEP[None])
        assert image.array.dtype == np.uint16
    deep_colour = RNG.integers(0, 65536, (5, 7, 3)).astype(np.uint16)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(deep_colour, isVector=True), str(tmp_path / "c.png"))
    np.testing.assert_array_equal(read(tmp_path / "c.png").array, np.moveaxis(deep_colour, -1, 0))


def test_transparency(tmp_path: Path) -> None:
    alpha = np.full((5, 7, 1), 255, np.uint8)
    opaque = read(saved(tmp_path / "a.png", np.concatenate([COLOUR, alpha], -1)))
    np.testing.assert_array_equal(opaque.array, np.moveaxis(COLOUR, -1, 0))
    assert opaque.header.alpha is None
    alpha[0] = 0
    clear = read(saved(tmp_path / "b.png", np.concatenate([COLOUR, alpha], -1)))
    assert clear.header.alpha == "laid on black"
    assert (clear.array[:, 0] == 0).all()
    np.testing.assert_array_equal(clear.array[:, 1:], np.moveaxis(COLOUR[1:], -1, 0))


def test_black_and_white_is_0_and_255(tmp_path: Path) -> None:
    image = read(saved(tmp_path / "a.png", (GREY > 99).astype(np.uint8) * 255, "1"))
    np.testing.assert_array_equal(image.array[0], (GREY > 99) * 255)


def test_a_camera_held_upright_is_turned(tmp_path: Path) -> None:
    picture = Pillow.fromarray(np.repeat(np.repeat(GREY, 8, 0), 8, 1))
    exif = Pillow.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / "a.jpg", exif=exif, quality=100)
    image = read(tmp_path / "a.jpg")
    assert image.spatial_shape == (56, 40)
    assert np.abs(image.array[0][4::8, 4::8].astype(int) - np.rot90(GREY, -1)).max() < 30


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64])
def test_tiff_of_every_type(tmp_path: Path, dtype: type, compression: str | None) -> None:
    array = (DEEP // 3).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", array, compression=compression, photometric="minisblack")
    image = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.array[0], array)
    assert image.array.dtype == dtype


def test_tiff_variants(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "w.tif", GREY, photometric="miniswhite")
    np.testing.assert_array_equal(read(tmp_path / "w.tif").array[0], 255 - GREY)
    tifffile.imwrite(tmp_path / "p.tif", np.moveaxis(COLOUR, -1, 0), photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(read(tmp_path / "p.tif").array, np.moveaxis(COLOUR, -1, 0))
    tifffile.imwrite(tmp_path / "b.tif", DEEP, byteorder=">")
    np.testing.assert_array_equal(read(tmp_path / "b.tif").array[0], DEEP)
    for codec in ("tiff_lzw", "packbits", "jpeg"):
        Pillow.fromarray(np.full((16, 16), 77, np.uint8)).save(tmp_path / "c.tif", compression=codec)
        assert np.abs(read(tmp_path / "c.tif").array.astype(int) - 77).max() <= 2


def test_pages_are_chosen(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.stack([GREY, GREY // 2]), photometric="minisblack")
    with pytest.raises(UnreadableImageError, match=r'holds 2 pages: save .* import the file.* member="page=0" to member="page=1"'):
        read(tmp_path / "a.tif")
    np.testing.assert_array_equal(read(tmp_path / "a.tif", "page=1").array[0], GREY // 2)


def test_a_member_of_a_single_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match="holds one picture"):
        read(saved(tmp_path / "a.png", GREY), "page=1")


@pytest.mark.parametrize("side", [12_000, 60_000])
def test_a_png_that_claims_too_much_is_refused_at_once(tmp_path: Path, side: int) -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(UnreadableImageError, match="claims"):
        read(tmp_path / "a.png")


def test_a_flipped_bit_in_a_png_is_noticed(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", RNG.integers(0, 256, (64, 64), np.uint8))
    data = path.read_bytes()
    for position in range(60, len(data) - 20, 331):
        copy = bytearray(data)
        copy[position] ^= 16
        path.write_bytes(bytes(copy))
        with pytest.raises(UnreadableImageError):
            read(path)
