"""The orientation tag of TIFF, JPEG and PNG turns a picture, and the mask of it, in the same way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from casewise.formats import read, read_mask

STORED = np.arange(192, dtype=np.uint8).reshape(12, 16)
UPRIGHT = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: np.rot90,
}


def tiff(path: Path, array: np.ndarray, orientation: int, **options: object) -> Path:
    tag = (274, "H", 1, orientation, True)
    tifffile.imwrite(path, array, extratags=[tag], metadata=None, **options)
    return path


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_tiff_is_upright(tmp_path: Path, orientation: int, compression: str | None, dtype: type) -> None:
    tiff(tmp_path / "a.tif", STORED.astype(dtype), orientation, compression=compression, photometric="minisblack")
    np.testing.assert_array_equal(read(tmp_path / "a.tif").array[0], UPRIGHT[orientation](STORED))


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_deflate"])
def test_a_tiff_of_another_codec_is_upright_too(tmp_path: Path, orientation: int, compression: str) -> None:
    Pillow.fromarray(STORED).save(tmp_path / "a.tif", compression=compression, tiffinfo={274: orientation})
    np.testing.assert_array_equal(read(tmp_path / "a.tif").array[0], UPRIGHT[orientation](STORED))


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_colours_and_masks_turn_with_the_tag(tmp_path: Path, orientation: int) -> None:
    colours = np.stack([STORED, STORED // 2, 255 - STORED], axis=-1)
    image = read(tiff(tmp_path / "a.tif", colours, orientation, photometric="rgb"))
    np.testing.assert_array_equal(np.moveaxis(image.array, 0, -1), UPRIGHT[orientation](colours))
    held = np.where(STORED > 100, 255, 0).astype(np.uint8)
    mask = read_mask(tiff(tmp_path / "m.tif", held, orientation, photometric="minisblack"), image, above=127)
    np.testing.assert_array_equal(mask, image.array[0] > 100)


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_all_pictures_are_turned_alike(tmp_path: Path, orientation: int, suffix: str) -> None:
    exif = Pillow.Exif()
    exif[274] = orientation
    corner = np.zeros((24, 32), np.uint8)
    corner[:8, :8] = 255
    Pillow.fromarray(corner).save(tmp_path / f"a.{suffix}", exif=exif)
    np.testing.assert_array_equal(read(tmp_path / f"a.{suffix}").array[0] > 127, UPRIGHT[orientation](corner) > 127)


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_png_of_16_bits_a_channel_is_turned_too(tmp_path: Path, orientation: int) -> None:
    import struct
    import zlib

    deep = (np.stack([STORED, STORED, 255 - STORED], axis=-1).astype(np.uint16) * 100).astype(">u2")
    exif = Pillow.Exif()
    exif[274] = orientation

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = b"".join(b"\0" + row.tobytes() for row in deep)
    head = struct.pack(">IIBBBBB", 16, 12, 16, 2, 0, 0, 0)
    content = chunk(b"IHDR", head) + chunk(b"eXIf", exif.tobytes()[6:]) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "deep.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    image = read(tmp_path / "deep.png")
    np.testing.assert_array_equal(np.moveaxis(image.array, 0, -1), UPRIGHT[orientation](deep))


@pytest.mark.parametrize("orientation", [0, 9, 300])
def test_a_tag_that_says_nothing_turns_nothing(tmp_path: Path, orientation: int) -> None:
    np.testing.assert_array_equal(read(tiff(tmp_path / "a.tif", STORED, orientation)).array[0], STORED)


@pytest.mark.shared
def test_reported_orientations(shared_data: Path) -> None:
    reports = shared_data / "bug-reports" / "tiff"
    np.testing.assert_array_equal(read(reports / "orientation_3.tif").array[0], np.rot90(STORED, 2))
    np.testing.assert_array_equal(read(reports / "orientation_6.tif").array[0], np.rot90(STORED, -1))
