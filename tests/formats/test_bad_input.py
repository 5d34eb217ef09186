"""Whatever is given comes to an image or to one sentence: nothing crashes, hangs or takes more than a GiB."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pydicom.data
import pytest
import SimpleITK
import tifffile
from PIL import Image as Pillow

from casewise.errors import UnreadableImageError
from casewise.formats import Found, Rejected, read, scan
from tests.formats.fuzzing import MEMORY, damaged, read_apart

PACKAGED = Path(pydicom.data.__file__).parent / "test_files"


def test_a_missing_file(tmp_path: Path) -> None:
    for call in (read, lambda path: list(scan(path))):
        with pytest.raises(UnreadableImageError, match=r"none\.dcm does not exist\."):
            call(tmp_path / "none.dcm")


def test_a_text_file_named_dcm_is_not_quoted(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_text("Surname, Forename: see letter")
    with pytest.raises(UnreadableImageError, match=r"a\.dcm is not a DICOM file: it is a text file\.$"):
        read(path)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.nii.gz", b"", "it is empty"),
        ("a.png", bytes(500), "nothing but zeros"),
        ("a.zip", b"PK\x03\x04" + bytes(100), "ZIP archive; unpack it"),
        ("a.nii.gz", b"\x1f\x8b\x08" + bytes(100), "compressed data are damaged"),
        ("a.hdr", (348).to_bytes(4, "little") + bytes(344), "Analyze 7.5"),
        ("a.gif", b"GIF89a" + bytes(100), "save it as PNG"),
        ("a.xyz", bytes(range(1, 200)), "first bytes are of none of DICOM"),
    ],
)
def test_content_that_is_no_image(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableImageError, match=words):
        read(tmp_path / name)


def test_the_content_decides_not_the_name(tmp_path: Path) -> None:
    Pillow.fromarray(np.full((3, 4), 9, np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.dcm")
    assert read(tmp_path / "a.dcm").header["format"] == "PNG"


def test_folders_without_images(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match="holds no DICOM series"):
        read(tmp_path)
    assert list(scan(tmp_path)) == []


def test_one_pixel_and_one_value(tmp_path: Path) -> None:
    Pillow.fromarray(np.full((1, 1), 9, np.uint8)).save(tmp_path / "a.png")
    assert read(tmp_path / "a.png").array.shape == (1, 1, 1)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"x")
    path.chmod(0)
    with pytest.raises(UnreadableImageError, match="may not be read by this user"):
        read(path)
    (result,) = scan(tmp_path)
    assert isinstance(result, Rejected)


def test_a_refused_permission_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"x")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(UnreadableImageError, match="may not be read by this user"):
        read(path)


def test_a_scan_passes_over_links_pipes_and_hidden_files(tmp_path: Path) -> None:
    Pillow.fromarray(np.full((3, 4), 9, np.uint8)).save(tmp_path / "a.png")
    (tmp_path / ".hidden.png").write_bytes(b"x")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "broken.dcm").symlink_to(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe.dcm")
    results = {result.path.name: result for result in scan(tmp_path)}
    assert set(results) == {"a.png", "broken.dcm", "pipe.dcm"}
    assert isinstance(results["a.png"], Found)


def test_importing_formats_is_cheap() -> None:
    code = (
        "import sys, casewise.formats; "
        "heavy = {'SimpleITK', 'pydicom', 'nibabel', 'PIL', 'h5py', 'tifffile', 'torch', 'scipy'} & set(sys.modules); "
        "sys.exit(', '.join(heavy) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_real_damaged_tiffs_have_their_reason(shared_data: Path) -> None:
    for path in sorted((shared_data / "damaged-tiff").glob("*.tif")):
        with pytest.raises(UnreadableImageError):
            read(path)


def sources(folder: Path) -> list[Path]:
    """One whole file of every kind, beside the DICOM files that come with pydicom."""
    rng = np.random.default_rng(0)
    volume = rng.integers(0, 1000, (12, 14, 9)).astype(np.int16)
    grey, colour = rng.integers(0, 256, (40, 50), np.uint8), rng.integers(0, 256, (40, 50, 3), np.uint8)
    for suffix in (".nii", ".nii.gz"):
        nib.save(nib.Nifti1Image(volume, np.diag([1, 2, 3, 1.0])), folder / f"volume{suffix}")
    for name, packed in (("raw.nrrd", False), ("packed.nrrd", True), ("raw.mha", False), ("packed.mha", True)):
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(volume), str(folder / name), useCompression=packed)
    for name, array in (
        ("g.png", grey),
        ("c.png", colour),
        ("d.png", grey.astype(np.uint16) * 257),
        ("g.jpg", grey),
        ("c.jpg", colour),
    ):
        Pillow.fromarray(array).save(folder / name)
    Pillow.fromarray(colour).save(folder / "c.bmp")
    tifffile.imwrite(folder / "raw.tif", grey)
    tifffile.imwrite(folder / "packed.tif", colour, compression="zlib", photometric="rgb")
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("image", data=volume, compression="gzip")
    return sorted(folder.iterdir())


def test_300_damaged_files_are_an_image_or_a_reason(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "damaged").mkdir()
    others = sources(tmp_path / "whole")
    dicom = sorted(path for path in PACKAGED.glob("*.dcm") if path.stat().st_size < 200_000)
    rng = random.Random(2026)
    paths = []
    for number in range(300):
        source = rng.choice(dicom if number % 2 else others)
        path = tmp_path / "damaged" / f"{number}-{source.name}"
        path.write_bytes(damaged(source.read_bytes(), number))
        paths.append(path)
    results = read_apart(paths, timeout=240)
    assert len(results) == len(paths), f"the reader died of {paths[len(results)].name}"
    assert not [result for result in results if "escaped" in result]
    assert all("\n" not in str(result.get("reason", "")) for result in results)
    assert max(int(str(result["peak"])) for result in results) < MEMORY
    assert 20 < sum("shape" in result for result in results) < 280
