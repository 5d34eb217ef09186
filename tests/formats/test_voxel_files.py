"""NRRD and MetaImage headers: where their voxels may lie, and checks of what is compressed."""

from __future__ import annotations

import bz2
import gzip
import os
import random
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from casewise.errors import UnreadableImageError
from casewise.formats import read
from casewise.formats.voxel_files import HEADER_LIMIT

RNG = np.random.default_rng(13)
TYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64")


def nrrd(middle: bytes = b"", encoding: bytes = b"raw", data: bytes = b"") -> bytes:
    return b"NRRD0004\ntype: uint8\ndimension: 2\nsizes: 40 20\nencoding: " + encoding + b"\n" + middle + b"\n" + data


def meta(middle: bytes = b"", last: bytes = b"LOCAL\n", data: bytes = b"") -> bytes:
    return (
        b"ObjectType = Image\nNDims = 2\nDimSize = 40 20\nElementType = MET_UCHAR\n" + middle + b"ElementDataFile = " + last + data
    )


PIXELS = RNG.integers(0, 256, 800, np.uint8).tobytes()
PICTURE = np.frombuffer(PIXELS, np.uint8).reshape(20, 40).T


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """The folder of an image, and a file of another folder that nobody may read."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "elsewhere").mkdir()
    secret = tmp_path / "elsewhere" / "secret.txt"
    secret.write_bytes(b"nobody may read this as an image. " * 40)
    return tmp_path / "mine", secret


def pointers(mine: Path, secret: Path) -> dict[str, bytes]:
    """Headers that lead out of the folder, each in another spelling."""
    away, up = str(secret).encode(), b"../elsewhere/secret.txt"
    (mine / "link.raw").symlink_to(secret)
    (mine / "folder").symlink_to(secret.parent)
    comment = b"# a comment, and another, and so on, until the pointer is far away\n"
    nrrds = {
        "absolute": b"data file: " + away,
        "up": b"data file: " + up,
        "one word": b"datafile: " + away,
        "capitals": b"DATA FILE: " + away,
        "no blank": b"data file:" + away,
        "tab": b"data\tfile: " + away,
        "link": b"data file: link.raw",
        "linked folder": b"data file: folder/secret.txt",
        "here and up": b"data file: ./" + up,
        "list": b"data file: LIST\n" + away,
        "pattern": b"data file: /tmp/%03d.raw 1 2 1",
        "behind a long comment": b"# " + b"c" * 70000 + b"\ndata file: " + away,
        "behind many comments": comment * 1100 + b"data file: " + away,
        "twice": b"data file: link2.raw\ndata file: " + away,
        "carriage returns": b"data file: " + away + b"\r",
    }
    metas = {
        "absolute": (b"", away),
        "up": (b"", up),
        "link": (b"", b"link.raw"),
        "linked folder": (b"", b"folder/secret.txt"),
        "list": (b"", b"LIST\n" + away),
        "pattern": (b"", b"/tmp/%03d.raw 1 2 1"),
        "DataFile": (b"DataFile = LOCAL\n", away),
        "Data File": (b"Data File = LOCAL\n", away),
        "datafile": (b"datafile = local\n", away),
        "colon": (b"Comment : LOCAL\n", away),
        "behind many comments": (b"".join(b"Comment = line %070d\n" % n for n in range(950)), away),
        "behind a long comment": (b"Comment = " + b"c" * 200_000 + b"\n", away),
        "here and up": (b"", b"./" + up),
    }
    behind = b"-" * 1000
    result = {f"{name}.nrrd": nrrd(middle + b"\n", data=behind) for name, middle in nrrds.items()}
    return result | {f"{name}.mha": meta(middle, last + b"\n", behind) for name, (middle, last) in metas.items()}


def test_no_header_leads_out_of_its_folder(folders: tuple[Path, Path]) -> None:
    mine, secret = folders
    for name, content in pointers(mine, secret).items():
        (mine / name).write_bytes(content)
        with pytest.raises(
            UnreadableImageError, match=r"outside its own folder|is a link|several files|says data file twice"
        ) as caught:
            read(mine / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".nhdr", ".mhd"])
def test_voxels_beside_a_header_are_read_and_nothing_that_is_no_file(tmp_path: Path, suffix: str) -> None:
    header = nrrd(b"data file: ./voxels.raw\n") if suffix == ".nhdr" else meta(b"", b"voxels.raw\n")
    path = tmp_path / f"a{suffix}"
    path.write_bytes(header)
    with pytest.raises(UnreadableImageError, match=r"voxels\.raw, which is not beside it"):
        read(path)
    (tmp_path / "voxels.raw").write_bytes(PIXELS)
    np.testing.assert_array_equal(read(path).array[0], PICTURE)
    (tmp_path / "voxels.raw").write_bytes(PIXELS[:-1])
    with pytest.raises(UnreadableImageError, match="cut short"):
        read(path)
    for make, words in ((os.mkfifo, "a named pipe"), (os.mkdir, "a folder")):
        (tmp_path / "voxels.raw").unlink() if (tmp_path / "voxels.raw").exists() else None
        make(tmp_path / "voxels.raw")
        with pytest.raises(UnreadableImageError, match=words):
            read(path)


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_every_type_packing_and_place_is_as_simpleitk_reads_it(tmp_path: Path, suffix: str, name: str) -> None:
    dtype = np.dtype(name)
    array = RNG.normal(size=(3, 4, 5)) if dtype.kind == "f" else RNG.integers(0, 120, (3, 4, 5))
    image = SimpleITK.GetImageFromArray(array.astype(dtype))
    image.SetSpacing([0.5, 2, 3])
    image.SetOrigin([7, -8, 9])
    image.SetDirection([0, 1, 0, -1, 0, 0, 0, 0, 1])
    for packed in (False, True):
        path = tmp_path / f"{packed}{suffix}"
        SimpleITK.WriteImage(image, str(path), useCompression=packed)
        read_back = read(path)
        assert read_back.array.dtype == dtype
        np.testing.assert_array_equal(read_back.array[0].T, array.astype(dtype))
        np.testing.assert_allclose(read_back.affine[:3, 3], (-7, 8, 9))


def test_encodings_of_nrrd(tmp_path: Path) -> None:
    text = " ".join(str(value) for value in PIXELS).encode()
    contents = {
        "text": nrrd(encoding=b"ascii", data=text),
        "hex": nrrd(encoding=b"hex", data=PIXELS.hex().encode()),
        "gzip": nrrd(encoding=b"gzip", data=gzip.compress(PIXELS)),
        "two members": nrrd(encoding=b"gz", data=gzip.compress(PIXELS[:300]) + gzip.compress(PIXELS[300:])),
        "bzip2": nrrd(encoding=b"bzip2", data=bz2.compress(PIXELS)),
        "line and byte skip": nrrd(b"line skip: 2\nbyte skip: 3\n", data=b"one\ntwo\n..." + PIXELS),
        "last bytes": nrrd(b"byte skip: -1\n", data=b"whatever is before" + PIXELS),
        "key and value": nrrd(b"a:=b: c\n# data file: elsewhere\n", data=PIXELS),
    }
    for name, content in contents.items():
        (tmp_path / "a.nrrd").write_bytes(content)
        np.testing.assert_array_equal(read(tmp_path / "a.nrrd").array[0], PICTURE, err_msg=name)


def test_ways_of_metaimage(tmp_path: Path) -> None:
    text = " ".join(str(value) for value in PIXELS).encode()
    packed = zlib.compress(PIXELS)
    contents = {
        "text": meta(b"BinaryData = False\n", data=text),
        "packed": meta(b"CompressedData = True\nCompressedDataSize = %d\n" % len(packed), data=packed),
        "packed by gzip": meta(b"CompressedData = True\n", data=gzip.compress(PIXELS)),
        "last bytes": meta(b"HeaderSize = -1\n", data=b"whatever is before" + PIXELS),
        "other keys": meta(b"Comment = a\nComment = b\nelementspacing = 2 3\n", data=PIXELS),
    }
    for name, content in contents.items():
        (tmp_path / "a.mha").write_bytes(content)
        np.testing.assert_array_equal(read(tmp_path / "a.mha").array[0], PICTURE, err_msg=name)
    assert read(tmp_path / "a.mha").spacing == (2, 3)


@pytest.mark.parametrize("order", [True, False])
def test_byte_orders(tmp_path: Path, order: bool) -> None:
    values = RNG.integers(0, 60_000, (20, 40), np.uint16)
    stored = values.astype(">u2" if order else "<u2").tobytes()
    (tmp_path / "a.mha").write_bytes(
        meta(b"BinaryDataByteOrderMSB = %s\n" % str(order).encode(), data=stored).replace(b"UCHAR", b"USHORT")
    )
    endian = b"endian: big\n" if order else b"endian: little\n"
    (tmp_path / "a.nrrd").write_bytes(nrrd(endian, data=stored).replace(b"uint8", b"uint16"))
    for name in ("a.mha", "a.nrrd"):
        np.testing.assert_array_equal(read(tmp_path / name).array[0], values.T)
        peer = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / name)))
        np.testing.assert_array_equal(peer, values)


@pytest.mark.parametrize("kinds", ["vector domain domain domain", "domain domain domain list"])
def test_values_of_a_voxel_lie_on_whatever_axis(tmp_path: Path, kinds: str) -> None:
    sizes = "5 4 3 2" if kinds.startswith("vector") else "4 3 2 5"
    values = np.arange(120, dtype="<i2")
    header = f"NRRD0004\ntype: short\ndimension: 4\nsizes: {sizes}\nkinds: {kinds}\nendian: little\nencoding: raw\n\n"
    (tmp_path / "a.nrrd").write_bytes(header.encode() + values.tobytes())
    peer = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "a.nrrd")))
    for number in range(5):
        np.testing.assert_array_equal(read(tmp_path / "a.nrrd", f"volume={number}").array[0].T, peer[..., number])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (meta().replace(b"NDims = 2", b"NDims = -3"), "NDims is '-3'"),
        (meta().replace(b"NDims = 2", b"NDims = 0"), "NDims is '0'"),
        (meta().replace(b"NDims = 2", b"NDims = 99999999999999999999"), "NDims is"),
        (meta().replace(b"NDims = 2", b"NDims = 1"), "1 axes and the sizes of 2"),
        (meta().replace(b"40 20", b"40 -20"), "DimSize is '40 -20'"),
        (meta().replace(b"40 20", b"4000000 2000000"), "at most 4 GiB are read.*CASEWISE_MAX_IMAGE_BYTES"),
        (meta().replace(b"40 20", b"400 200"), "holds only"),
        (meta(b"ElementNumberOfChannels = -1\n"), "ElementNumberOfChannels is '-1'"),
        (meta(b"NDims = 3\n"), "says NDims twice"),
        (meta(data=PIXELS + b"more"), "more voxels than its header describes"),
        (meta(data=b"")[:60], "cut short|damaged header"),
        (nrrd().replace(b"dimension: 2", b"dimension: -3"), "dimension is '-3'"),
        (nrrd().replace(b"40 20", b"40"), "2 axes and the sizes of 1"),
        (nrrd().replace(b"uint8", b"block"), "type 'block'"),
        (nrrd(encoding=b"zrl"), "encoded as 'zrl'"),
        (nrrd(b"line skip: 5\n", data=bytes(900)), "pass over 5 lines"),
        (nrrd(b"not a field at all\n"), "line 6 is no field"),
        (nrrd(data=PIXELS + b"more"), "more voxels than its header describes"),
        (nrrd().replace(b"uint8", b"uint16"), "in which order its bytes are"),
        (b"NRRD0004\n" + b"#" * (HEADER_LIMIT + 10), "more than 16 MiB"),
    ],
)
def test_damaged_headers_have_their_sentence(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "a.img"
    path.write_bytes(content)
    with pytest.raises(UnreadableImageError, match=words) as caught:
        read(path)
    assert str(path) in str(caught.value)


def damaged_stream(packed: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(packed))
    length = rng.choice([1, 7, 35, 200])
    way = rng.choice(["insert", "copy", "drop", "flip", "cut", "append"])
    copy = bytearray(packed)
    if way == "insert":
        copy[start:start] = rng.randbytes(length)
    elif way == "copy":
        source = rng.randrange(len(packed))
        copy[start : start + length] = packed[source : source + length]
    elif way == "drop":
        del copy[start : start + length]
    elif way == "flip":
        copy[start] ^= 1 << rng.randrange(8)
    elif way == "cut":
        del copy[start:]
    else:
        copy += rng.randbytes(length)
    return bytes(copy)


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "zlib", "nifti"])
def test_a_damaged_stream_never_becomes_other_voxels(tmp_path: Path, kind: str) -> None:
    """Each checksum is tested: what is read in spite of some damage (to a name in gzip's header, say) is as it was."""
    import nibabel

    values = (RNG.normal(size=800) * 20).clip(-60, 60).astype(np.int8).view(np.uint8).tobytes()
    rng = random.Random(kind)
    nifti = nibabel.Nifti1Image(np.frombuffer(values, np.uint8).reshape(40, 20, order="F"), np.eye(4)).to_bytes()
    packed = {"gzip": gzip.compress, "bzip2": bz2.compress, "zlib": zlib.compress, "nifti": gzip.compress}[kind](
        nifti if kind == "nifti" else values
    )
    refused = 0
    for _ in range(300):
        data = damaged_stream(packed, rng)
        if data == packed:
            continue
        middle = b"CompressedData = True\n"
        content = (
            data if kind == "nifti" else meta(middle, data=data) if kind == "zlib" else nrrd(encoding=kind.encode(), data=data)
        )
        (tmp_path / "a.nii.gz").write_bytes(content)
        try:
            image = read(tmp_path / "a.nii.gz")
        except UnreadableImageError:
            refused += 1
        else:
            np.testing.assert_array_equal(image.array[0].ravel(order="F"), np.frombuffer(values, np.uint8))
    assert refused > 240


def test_given_damaged_volumes_are_refused(shared_data: Path) -> None:
    for name in ("damaged-inserted-bytes.mha", "damaged-copied-bytes.nrrd"):
        with pytest.raises(UnreadableImageError, match="damaged"):
            read(shared_data / "bug-reports" / "security" / name)
