"""Undamaged small files of every format that is read, for the fuzzer."""

from __future__ import annotations

import bz2
import gzip
import io
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pydicom
import pydicom.data
import SimpleITK
import tifffile
from PIL import Image as Pillow
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from tests.formats.fuzzing import Sample
from tests.formats.synthetic import Plan, enhanced, instance

_PACKAGED = Path(pydicom.data.__file__).parent / "test_files"
_SMALL = 100_000


def samples_in(folder: Path) -> list[Sample]:
    """One file of each format and way of packing, made in ``folder``, and those DICOM files of pydicom that are read."""
    whole = folder / "whole"
    whole.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    smooth = np.cumsum(rng.integers(-9, 10, (12, 14, 9)), axis=0).astype(np.int16)
    grey, colour = rng.integers(0, 256, (40, 50), np.uint8), rng.integers(0, 256, (40, 50, 3), np.uint8)
    return [*_volumes(whole, smooth), *_pictures(whole, grey, colour), *_hdf5(whole, smooth), *_dicom(whole, grey)]


def _whole(path: Path) -> Sample:
    return Sample(path, (0, path.stat().st_size))


def _volumes(folder: Path, volume: np.ndarray) -> list[Sample]:
    image = nib.Nifti1Image(volume, np.diag([1, 2, 3, 1.0]))
    scaled = nib.Nifti1Image(volume.astype(np.float32) / 7, np.diag([1, 2, 3, 1.0]))
    nib.save(image, folder / "0-nifti.nii")
    nib.save(image, folder / "0-nifti.nii.gz")
    nib.save(nib.Nifti2Image(np.stack([volume] * 2, -1)[..., :1], np.eye(4)), folder / "2-nifti2.nii.gz")
    nib.save(scaled, folder / "1-nifti-float.nii")
    (folder / "pair.img").write_bytes(volume.tobytes(order="F"))
    pair = nib.Nifti1Pair(volume, np.eye(4))
    nib.save(pair, folder / "pair.hdr")
    samples = [Sample(folder / "0-nifti.nii"), Sample(folder / "1-nifti-float.nii"), Sample(folder / "pair.hdr")]
    samples += [_whole(folder / "0-nifti.nii.gz"), _whole(folder / "2-nifti2.nii.gz")]
    itk = SimpleITK.GetImageFromArray(volume)
    itk.SetSpacing([0.5, 1, 2])
    for suffix in ("nrrd", "mha"):
        for packed in (False, True):
            path = folder / f"{int(packed)}-{'packed' if packed else 'raw'}.{suffix}"
            SimpleITK.WriteImage(itk, str(path), useCompression=packed)
            samples.append(_packed(path, suffix) if packed else Sample(path))
    voxels = volume.tobytes()
    head = b"NRRD0004\ntype: short\ndimension: 3\nsizes: 9 14 12\nendian: little\nencoding: %s\n%s\n"
    contents = {
        "bzip2.nrrd": head % (b"bzip2", b"") + bz2.compress(voxels),
        "text.nrrd": head % (b"ascii", b"") + " ".join(map(str, volume.ravel())).encode(),
        "members.nrrd": head % (b"gzip", b"") + gzip.compress(voxels[:999]) + gzip.compress(voxels[999:]),
        "detached.nhdr": head % (b"raw", b"data file: detached.raw\n"),
        "detached.mhd": b"NDims = 3\nDimSize = 9 14 12\nElementType = MET_SHORT\nElementDataFile = detached.raw\n",
        "layers.seg.nrrd": (head % (b"gzip", b"Segment0_ID:=a\nSegment0_LabelValue:=1\nSegment0_Layer:=0\n")).replace(
            b"short", b"uchar"
        )
        + gzip.compress(bytes(9 * 14 * 6) + b"\1" * (9 * 14 * 6)),
    }
    for folder_of_data in (folder, folder.parent / "damaged"):
        folder_of_data.mkdir(exist_ok=True)
        (folder_of_data / "detached.raw").write_bytes(voxels)
    for number, (name, content) in enumerate(contents.items(), 10):
        path = folder / f"{number}-{name}"
        path.write_bytes(content)
        checked = name in ("bzip2.nrrd", "members.nrrd", "layers.seg.nrrd")
        samples.append(_packed(path, "nrrd") if checked else Sample(path))
    return samples


def _packed(path: Path, suffix: str) -> Sample:
    data = path.read_bytes()
    mark = b"\n\n" if suffix == "nrrd" else b"LOCAL\n"
    return Sample(path, (data.index(mark) + len(mark), len(data)))


def _pictures(folder: Path, grey: np.ndarray, colour: np.ndarray) -> list[Sample]:
    deep = grey.astype(np.uint16) * 257
    contents = (("g.png", grey), ("c.png", colour), ("d.png", deep), ("g.jpg", grey), ("c.jpg", colour), ("c.bmp", colour))
    for name, array in contents:
        Pillow.fromarray(array).save(folder / f"0-{name}")
    Pillow.fromarray(colour).save(folder / "1-progressive.jpg", progressive=True)
    Pillow.fromarray(grey).convert("P").save(folder / "1-palette.png")
    samples = [_whole(path) for path in sorted(folder.glob("*.png"))]
    samples += [Sample(path) for path in sorted([*folder.glob("*.jpg"), *folder.glob("*.bmp")])]
    tifffile.imwrite(folder / "0-raw.tif", grey)
    tifffile.imwrite(folder / "1-deep.tif", deep, byteorder=">", bigtiff=True)
    tifffile.imwrite(folder / "2-packed.tif", colour, compression="zlib", photometric="rgb", rowsperstrip=9)
    tifffile.imwrite(folder / "3-tiled.tif", deep, compression="zlib", predictor=True, tile=(16, 16))
    Pillow.fromarray(grey).save(folder / "4-lzw.tif", compression="tiff_lzw")
    Pillow.fromarray(grey).save(folder / "5-packbits.tif", compression="packbits")
    Pillow.fromarray(colour).save(folder / "6-jpeg.tif", compression="jpeg")
    with tifffile.TiffWriter(folder / "7-pages.tif") as writer:
        for _ in range(3):
            writer.write(grey, metadata=None)
    return samples + [_strips(path) for path in sorted(folder.glob("*.tif")) if not path.name.startswith("7-")]


def _strips(path: Path) -> Sample:
    """Deflated strips that lie in one piece carry checksums."""
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        first, last = page.dataoffsets[0], page.dataoffsets[-1] + page.databytecounts[-1]
        packed = page.compression == 8 and len(page.dataoffsets) > 1
    return Sample(path, (first, last)) if packed else Sample(path)


def _hdf5(folder: Path, volume: np.ndarray) -> list[Sample]:
    samples = []
    for number, (name, options) in enumerate(
        {"raw.h5": {}, "gzip.h5": {"compression": "gzip"}, "fletcher.h5": {"chunks": volume.shape, "fletcher32": True}}.items()
    ):
        path = folder / f"{number}-{name}"
        with h5py.File(path, "w") as file:
            dataset = file.create_dataset("image", data=volume, **options)
            chunk = dataset.id.get_chunk_info(0) if options else None
            one = chunk is not None and dataset.id.get_num_chunks() == 1
        samples.append(Sample(path, (chunk.byte_offset, chunk.byte_offset + chunk.size) if one and chunk else None))
    return samples


def _dicom(folder: Path, grey: np.ndarray) -> list[Sample]:
    plain = instance(folder / "0-explicit.dcm", grey)
    enhanced(folder / "1-enhanced.dcm", Plan(), [0, 1, 2])
    streams = {
        JPEG2000Lossless: ("2-jpeg2000.dcm", _jpeg_2000),
        JPEGLSLossless: ("3-jpegls.dcm", _jpeg_ls),
        JPEGBaseline8Bit: ("4-jpeg.dcm", _jpeg),
    }
    for syntax, (name, encode) in streams.items():
        dataset = pydicom.dcmread(plain)
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.PixelData = encapsulate([encode(grey)])
        dataset["PixelData"].is_undefined_length = True
        dataset.save_as(folder / name, enforce_file_format=True)
    dataset = pydicom.dcmread(plain)
    dataset.compress(RLELossless)
    dataset.save_as(folder / "5-rle.dcm")
    for name, syntax in (("6-implicit.dcm", ImplicitVRLittleEndian), ("7-deflated.dcm", DeflatedExplicitVRLittleEndian)):
        dataset = pydicom.dcmread(plain)
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.save_as(folder / name, implicit_vr=syntax == ImplicitVRLittleEndian, force_encoding=True)
    return [Sample(path) for path in sorted(folder.glob("*.dcm"))] + _of_pydicom()


def _of_pydicom() -> list[Sample]:
    """pydicom's own small test files that are read, of many vendors and transfer syntaxes."""
    from casewise.errors import UnreadableImageError
    from casewise.formats import read

    found = []
    for path in sorted(_PACKAGED.glob("*.dcm")):
        if path.stat().st_size > _SMALL:
            continue
        try:
            read(path)
        except UnreadableImageError:
            continue
        found.append(Sample(path))
    return found


def _jpeg_2000(array: np.ndarray) -> bytes:
    from openjpeg.utils import encode_array

    return bytes(encode_array(array))


def _jpeg_ls(array: np.ndarray) -> bytes:
    import jpeg_ls

    return bytes(jpeg_ls.encode_array(np.ascontiguousarray(array), 0))


def _jpeg(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    Pillow.fromarray(array).save(file, format="JPEG", quality=95)
    return file.getvalue()
