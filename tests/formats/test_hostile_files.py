"""Small files that would take for ever, or all memory: an image or a sentence, at once."""

from __future__ import annotations

import io
import os
import socket
import struct
import zlib
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pydicom
import pytest
import tifffile
from PIL import Image as Pillow
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from casewise.errors import UnreadableImageError
from casewise.formats import Found, Rejected, read, read_found, read_mask, scan
from casewise.formats.codestreams import streams_in
from tests.formats.fuzzing import MEMORY, read_apart
from tests.formats.synthetic import instance

GREY = np.random.default_rng(7).integers(0, 256, (64, 48), np.uint8)


def refused(path: Path, words: str) -> None:
    with pytest.raises(UnreadableImageError, match=words) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


# What is no regular file, or is there no more


def test_pipes_sockets_and_devices_are_refused_and_never_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.nii.gz")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.dcm")
    Path("device.png").symlink_to("/dev/zero")
    for name, words in (("pipe.nii.gz", "a named pipe"), ("socket.dcm", "a socket"), ("device.png", "a device")):
        refused(tmp_path / name, words)
        with pytest.raises(UnreadableImageError, match=words):
            list(scan(tmp_path / name))
    results = list(scan(tmp_path))
    assert len(results) == 3
    assert all(isinstance(result, Rejected) and not result.is_image for result in results)


def test_masks_that_are_no_regular_files_are_refused(tmp_path: Path) -> None:
    Pillow.fromarray(GREY).save(tmp_path / "a.png")
    image = read(tmp_path / "a.png")
    os.mkfifo(tmp_path / "mask.dcm")
    for name in ("mask.dcm", "none.png"):
        with pytest.raises(UnreadableImageError, match=r"a named pipe|does not exist"):
            read_mask(tmp_path / name, image)


@pytest.mark.parametrize("ending", [".png", ".nii", ".dcm", ".h5", ".tif", ".mha"])
def test_what_was_moved_is_said_to_be_moved_and_not_damaged(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    writers = {
        ".png": lambda: Pillow.fromarray(GREY).save(path),
        ".nii": lambda: nibabel.save(nibabel.Nifti1Image(GREY[..., None], np.eye(4)), path),
        ".dcm": lambda: instance(path, GREY),
        ".h5": lambda: h5py.File(path, "w").create_dataset("image", data=GREY).file.close(),
        ".tif": lambda: tifffile.imwrite(path, GREY),
        ".mha": lambda: path.write_bytes(b"NDims = 2\nDimSize = 2 2\nElementType = MET_UCHAR\nElementDataFile = LOCAL\nabcd"),
    }
    writers[ending]()
    (found,) = scan(tmp_path)
    assert isinstance(found, Found)
    path.rename(tmp_path / "elsewhere")
    with pytest.raises(UnreadableImageError, match="was moved or deleted") as caught:
        read_found(found)
    assert str(path) in str(caught.value)
    assert "damaged" not in str(caught.value)
    path.write_text("Another file by now.")
    with pytest.raises(UnreadableImageError):
        read_found(found)


def test_a_file_of_another_kind_in_its_place_is_said(tmp_path: Path) -> None:
    Pillow.fromarray(GREY).save(tmp_path / "a.png")
    (found,) = scan(tmp_path)
    tifffile.imwrite(tmp_path / "a.png", GREY)
    assert isinstance(found, Found)
    with pytest.raises(UnreadableImageError, match="is not the PNG file that was found there before"):
        read_found(found)


def test_slices_that_were_moved_are_named(tmp_path: Path) -> None:
    from tests.formats.synthetic import Plan, series

    files = series(tmp_path / "s", Plan())
    (found,) = scan(tmp_path / "s")
    assert isinstance(found, Found)
    files[2].unlink()
    with pytest.raises(UnreadableImageError, match="was moved or deleted"):
        read_found(found)


@pytest.mark.parametrize("name", ["n" * 246 + ".png", "患" * 80 + ".png", "n" * 250])
def test_long_names(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    Pillow.fromarray(GREY).save(path, format="PNG")
    assert read(path).array.shape == (1, 64, 48)
    path.write_bytes(path.read_bytes()[:-20])
    refused(path, "cut short")


# The ceiling


@pytest.mark.parametrize(
    ("setting", "words"), [("1000", "at most 1000 bytes"), ("2k", "at most 2 KiB"), ("2 KiB", "at most 2 KiB")]
)
def test_the_ceiling_is_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, words: str) -> None:
    Pillow.fromarray(GREY).save(tmp_path / "a.png")
    instance(tmp_path / "a.dcm", GREY)
    monkeypatch.setenv("CASEWISE_MAX_IMAGE_BYTES", setting)
    for name in ("a.png", "a.dcm"):
        refused(tmp_path / name, f"{words} are read.*CASEWISE_MAX_IMAGE_BYTES")
    monkeypatch.setenv("CASEWISE_MAX_IMAGE_BYTES", "1M")
    assert read(tmp_path / "a.png").channels == 1


def test_the_ceiling_holds_for_all_slices_of_a_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.formats.synthetic import Plan, series

    files = series(tmp_path / "s", Plan())
    alone = 2 * read(files[0]).array.size
    monkeypatch.setenv("CASEWISE_MAX_IMAGE_BYTES", str(alone * len(files) - 1))
    assert read(files[0]).channels == 1
    refused(tmp_path / "s", "at most .* are read")
    monkeypatch.setenv("CASEWISE_MAX_IMAGE_BYTES", str(alone * len(files)))
    assert read(tmp_path / "s").array.shape[-1] == len(files)


@pytest.mark.parametrize("setting", ["much", "-5", "0", "5 GB or so"])
def test_a_ceiling_that_is_none_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    Pillow.fromarray(GREY).save(tmp_path / "a.png")
    monkeypatch.setenv("CASEWISE_MAX_IMAGE_BYTES", setting)
    refused(tmp_path / "a.png", "CASEWISE_MAX_IMAGE_BYTES is .*expected a whole number of bytes")


def test_a_picture_beyond_pillows_own_limit_is_read(tmp_path: Path) -> None:
    large = np.zeros((18_000, 10_000), np.uint8)
    large[5, 7] = 9
    Pillow.fromarray(large).save(tmp_path / "a.png", compress_level=1)
    assert read(tmp_path / "a.png").array[0, 5, 7] == 9


# Pages, groups, frames


def page(offset: int, following: int, compression: int = 1, count: int = 800) -> bytes:
    tags = ((256, 40), (257, 20), (258, 8), (259, compression), (262, 1), (273, offset), (277, 1), (278, 20), (279, count))
    return struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", t, 4, 1, v) for t, v in tags) + struct.pack("<I", following)


@pytest.mark.parametrize("following", [8, 130, 0xFFFFFF00])
def test_pages_that_lead_nowhere(tmp_path: Path, following: int) -> None:
    """To itself, back to the first, and past the end."""
    first, second = page(260, 130 if following == 8 else following), page(260, following)
    (tmp_path / "a.tif").write_bytes((b"II*\0" + struct.pack("<I", 8) + first).ljust(130, b"\0") + second + bytes(1100))
    refused(tmp_path / "a.tif", "in a circle|cannot be followed")


def test_many_pages(tmp_path: Path) -> None:
    few = struct.pack("<H", 3) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in ((256, 10), (257, 10), (258, 8)))
    step, count = len(few) + 4, 70_000
    chain = b"".join(few + struct.pack("<I", 8 + step * (n + 1) if n + 1 < count else 0) for n in range(count))
    (tmp_path / "a.tif").write_bytes(b"II*\0" + struct.pack("<I", 8) + chain)
    refused(tmp_path / "a.tif", "more than 65,536 pages")


def test_pages_and_their_smaller_copies_are_kept_apart_as_tifffile_does(tmp_path: Path) -> None:
    for big in (False, True):
        with tifffile.TiffWriter(tmp_path / "a.tif", bigtiff=big) as writer:
            for number in range(3):
                writer.write(GREY + np.uint8(number), metadata=None)
                writer.write(GREY[::2, ::2], subfiletype=1, metadata=None)
        for number in range(3):
            np.testing.assert_array_equal(read(tmp_path / "a.tif", f"page={number}").array[0], GREY + np.uint8(number))
        refused(tmp_path / "a.tif", "holds 3 pages")


def test_deep_groups_and_groups_in_circles(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "deep.h5", "w") as file:
        group = file
        for _ in range(300):
            group = group.create_group("a")
        group["image"] = GREY
    refused(tmp_path / "deep.h5", "more than 64 deep")
    np.testing.assert_array_equal(read(tmp_path / "deep.h5", "a/" * 300 + "image").array[0], GREY)
    with h5py.File(tmp_path / "circle.h5", "w") as file:
        group = file.create_group("a/b")
        group["c"] = file["a"]
        group["soft"] = h5py.SoftLink("/a/b/soft")
        file["a/image"] = GREY
    np.testing.assert_array_equal(read(tmp_path / "circle.h5").array[0], GREY)


@pytest.mark.parametrize("way", ["external link", "soft link", "virtual", "external data", "linked group"])
def test_hdf5_never_leads_elsewhere(tmp_path: Path, way: str) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["image"] = GREY
        file["group/image"] = GREY
    (tmp_path / "secret.raw").write_bytes(GREY.tobytes())
    with h5py.File(tmp_path / "a.h5", "w") as file:
        if way == "external link":
            file["image"] = h5py.ExternalLink("secret.h5", "image")
        elif way == "soft link":
            file["x"] = h5py.ExternalLink("secret.h5", "image")
            file["image"] = h5py.SoftLink("/x")
        elif way == "virtual":
            layout = h5py.VirtualLayout(GREY.shape, GREY.dtype)
            layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "image", GREY.shape)
            file.create_virtual_dataset("image", layout)
        elif way == "external data":
            file.create_dataset("image", GREY.shape, GREY.dtype, external=[(str(tmp_path / "secret.raw"), 0, GREY.nbytes)])
        else:
            file["group"] = h5py.ExternalLink("secret.h5", "group")
    for member in (None, "image", "group/image"):
        with pytest.raises(UnreadableImageError):
            read(tmp_path / "a.h5", member)


def test_more_frames_than_there_is_room_for(tmp_path: Path) -> None:
    instance(tmp_path / "a.dcm", np.stack([GREY] * 3), NumberOfFrames=60_000)
    refused(tmp_path / "a.dcm", "claims 60,000 frames but holds only")
    compressed(tmp_path / "b.dcm", JPEG2000Lossless, [jpeg_2000(GREY)], NumberOfFrames=60_000)
    refused(tmp_path / "b.dcm", "claims 60,000 frames but holds only")
    results = list(scan(tmp_path))
    assert all(isinstance(result, Rejected) and result.is_image for result in results)


# Streams that unpack to more than is said


def compressed(path: Path, syntax: str, frames: list[bytes], **tags: object) -> Path:
    instance(path, GREY, SecondaryCaptureImageStorage, **{key: value for key, value in tags.items() if key != "colour"})
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate(frames)
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path, enforce_file_format=True)
    return path


def jpeg_2000(array: np.ndarray) -> bytes:
    from openjpeg.utils import encode_array

    return bytes(encode_array(array))


def jpeg_ls(array: np.ndarray) -> bytes:
    import jpeg_ls as encoder

    buffer = encoder.encode_array(np.ascontiguousarray(array), 0)
    return bytes(buffer)


def jpeg(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    Pillow.fromarray(array).save(file, format="JPEG", quality=95)
    return file.getvalue()


STREAMS = {JPEG2000Lossless: jpeg_2000, JPEGLSLossless: jpeg_ls, JPEGBaseline8Bit: jpeg}


@pytest.mark.parametrize("syntax", STREAMS)
def test_a_stream_of_another_size_than_its_header(tmp_path: Path, syntax: str) -> None:
    stream = STREAMS[syntax](GREY)
    assert streams_in(stream)[0].rows == 64
    compressed(tmp_path / "a.dcm", syntax, [stream])
    assert read(tmp_path / "a.dcm").array.shape == (1, 64, 48)
    narrow, wide = struct.pack(">HH", 64, 48), struct.pack(">HH", 65_500, 65_500)
    if syntax == JPEG2000Lossless:
        narrow, wide = struct.pack(">II", 48, 64), struct.pack(">II", 60_000, 60_000)
    assert stream.count(narrow) >= 1
    compressed(tmp_path / "b.dcm", syntax, [stream.replace(narrow, wide)])
    refused(tmp_path / "b.dcm", "by its compressed stream")
    if syntax != JPEG2000Lossless:
        # A second size behind the first, as some decoders take it.
        place = stream.index(narrow) - 5
        segment = stream[place : place + 2 + struct.unpack(">H", stream[place + 2 : place + 4])[0]].replace(narrow, wide)
        compressed(tmp_path / "c.dcm", syntax, [stream[:2] + segment + stream[2:]])
        refused(tmp_path / "c.dcm", "by its compressed stream")
        compressed(tmp_path / "d.dcm", syntax, [stream[:-2] + segment + stream[-2:]])
        refused(tmp_path / "d.dcm", "by its compressed stream")
    compressed(tmp_path / "e.dcm", syntax, [stream], SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0)
    refused(tmp_path / "e.dcm", "samples a pixel by its header")


def test_jpeg_ls_says_a_larger_size_in_a_segment_of_its_own(tmp_path: Path) -> None:
    stream = jpeg_ls(GREY)
    larger = b"\xff\xf8\x00\x0d\x04\x04" + struct.pack(">II", 70_000, 70_000)
    compressed(tmp_path / "a.dcm", JPEGLSLossless, [stream[:2] + larger + stream[2:]])
    refused(tmp_path / "a.dcm", "70000×70000 by its compressed stream")


def test_the_second_frame_is_looked_at_too(tmp_path: Path) -> None:
    good = jpeg_ls(GREY)
    bad = good.replace(struct.pack(">HH", 64, 48), struct.pack(">HH", 65_500, 65_500))
    compressed(tmp_path / "a.dcm", JPEGLSLossless, [good, bad], NumberOfFrames=2)
    refused(tmp_path / "a.dcm", r"frame 1, has 64×48 pixels by its header and 65500×65500")


def test_run_lengths_with_too_many_segments(tmp_path: Path) -> None:
    compressed(tmp_path / "a.dcm", RLELossless, [struct.pack("<16I", 15, *range(64, 79)) + bytes(100)])
    refused(tmp_path / "a.dcm", "15 segments for 1 samples")


def deflated(path: Path, dataset: Dataset, behind: bytes) -> None:
    meta, body = io.BytesIO(), DicomBytesIO()
    body.is_little_endian, body.is_implicit_VR = True, False
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    write_file_meta_info(meta, dataset.file_meta)
    write_dataset(body, dataset)
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    path.write_bytes(bytes(128) + b"DICM" + meta.getvalue() + packer.compress(body.getvalue() + behind) + packer.flush())


def test_deflated_files_are_read_and_bombs_are_not(tmp_path: Path) -> None:
    instance(tmp_path / "plain.dcm", GREY)
    dataset = pydicom.dcmread(tmp_path / "plain.dcm")
    deflated(tmp_path / "good.dcm", dataset, b"")
    np.testing.assert_array_equal(read(tmp_path / "good.dcm").array[0], GREY)
    del dataset.PixelData
    deflated(tmp_path / "bomb.dcm", dataset, struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, 0xFFFFFFFE) + bytes(100 << 20))
    refused(tmp_path / "bomb.dcm", "unfolds to more than")
    content = (tmp_path / "good.dcm").read_bytes()
    (tmp_path / "good.dcm").write_bytes(content[:-30])
    refused(tmp_path / "good.dcm", "cut short")


def test_zeros_behind_a_volume_are_not_unpacked(tmp_path: Path) -> None:
    import gzip

    volume = np.arange(120, dtype="i2").reshape(6, 5, 4)
    good = nibabel.Nifti1Image(volume, np.eye(4)).to_bytes()
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    zeros = b"".join(packer.compress(bytes(1 << 24)) for _ in range(2)) + packer.flush()
    (tmp_path / "members.nii.gz").write_bytes(gzip.compress(good) + zeros * 200)
    np.testing.assert_array_equal(read(tmp_path / "members.nii.gz").array[0], volume)
    (tmp_path / "one.nii.gz").write_bytes(gzip.compress(good + bytes(100 << 20), 1))
    refused(tmp_path / "one.nii.gz", "behind its voxels")
    (tmp_path / "few.nii.gz").write_bytes(gzip.compress(good + bytes(1000)))
    np.testing.assert_array_equal(read(tmp_path / "few.nii.gz").array[0], volume)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_pictures_larger_than_their_files_can_be(tmp_path: Path) -> None:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0))
    (tmp_path / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1 << 20))) + chunk(b"IEND", b"")
    )
    refused(tmp_path / "a.png", "claims 60000×60000")
    (tmp_path / "a.jpg").write_bytes(jpeg(GREY).replace(struct.pack(">HH", 64, 48), struct.pack(">HH", 65_000, 65_000)))
    refused(tmp_path / "a.jpg", "claims 65000×65000|at most 4 GiB")
    bomb = zlib.compress(bytes(64 << 20), 1)
    tags = page(130, 0, compression=8, count=len(bomb))
    (tmp_path / "a.tif").write_bytes((b"II*\0" + struct.pack("<I", 8) + tags).ljust(130, b"\0") + bomb)
    refused(tmp_path / "a.tif", "unpacks to another length")


def test_a_jpeg_of_countless_scans(tmp_path: Path) -> None:
    file = io.BytesIO()
    Pillow.fromarray(np.zeros((4000, 4000), np.uint8)).save(file, format="JPEG", progressive=True)
    content = file.getvalue()
    last = content.rindex(b"\xff\xda")
    (tmp_path / "a.jpg").write_bytes(content[:-2] + content[last:-2] * 300 + content[-2:])
    refused(tmp_path / "a.jpg", "times over its pixels")


@pytest.mark.parametrize("way", ["crc", "cut", "no end", "header"])
def test_damaged_png(tmp_path: Path, way: str) -> None:
    Pillow.fromarray(GREY).save(tmp_path / "a.png")
    content = bytearray((tmp_path / "a.png").read_bytes())
    if way == "crc":
        content[len(content) // 2] ^= 1
    elif way == "cut":
        del content[len(content) // 2 :]
    elif way == "no end":
        del content[-12:]
    else:
        content[19] ^= 1
    (tmp_path / "a.png").write_bytes(content)
    refused(tmp_path / "a.png", "cut short|damaged")


def test_damaged_deflate_in_tiff(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GREY, compression="zlib", rowsperstrip=10)
    np.testing.assert_array_equal(read(tmp_path / "a.tif").array[0], GREY)
    content = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        place = tiff.pages[0].dataoffsets[3]
    for at in (place + 5, place + 100, place + 300):
        damaged = content.copy()
        damaged[at] ^= 4
        (tmp_path / "a.tif").write_bytes(damaged)
        refused(tmp_path / "a.tif", "damaged")


@pytest.mark.parametrize(
    "options", [{"tile": (16, 16)}, {"rowsperstrip": 7}, {"compression": "zlib", "tile": (32, 16)}, {"compression": "packbits"}]
)
@pytest.mark.parametrize("colour", [False, True])
def test_whole_tiffs_pass_their_checks(tmp_path: Path, options: dict[str, object], colour: bool) -> None:
    array = np.random.default_rng(1).integers(0, 256, (50, 41, 3) if colour else (50, 41), np.uint8)
    for planar in ("contig", "separate") if colour else (None,):
        stored = np.moveaxis(array, -1, 0) if planar == "separate" else array
        if options.get("compression") == "packbits":
            Pillow.fromarray(array).save(tmp_path / "a.tif", compression="packbits")
        else:
            photometric = "rgb" if colour else "minisblack"
            tifffile.imwrite(tmp_path / "a.tif", stored, photometric=photometric, planarconfig=planar, metadata=None, **options)
        np.testing.assert_array_equal(read(tmp_path / "a.tif").array, np.moveaxis(array, -1, 0) if colour else array[None])


def test_checksums_of_hdf5(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("image", data=GREY, chunks=GREY.shape, fletcher32=True)
    content = bytearray((tmp_path / "a.h5").read_bytes())
    content[content.index(GREY.tobytes()[:40]) + 20] ^= 1
    (tmp_path / "a.h5").write_bytes(content)
    refused(tmp_path / "a.h5", "cannot be read as a HDF5 file")


def test_given_hostile_files_within_a_gibibyte(shared_data: Path) -> None:
    folder = shared_data / "bug-reports" / "security"
    names = ("frames-65535-of-10.dcm", "jls-claims-65500.dcm", "damaged-inserted-bytes.mha", "damaged-copied-bytes.nrrd")
    results = read_apart([folder / name for name in names], timeout=60)
    assert len(results) == 4
    assert all("reason" in result for result in results)
    assert max(int(str(result["peak"])) for result in results) < MEMORY
