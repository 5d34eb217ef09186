"""Whatever is given comes to an image or to one sentence: nothing crashes, hangs or takes more than a GiB."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom.data
import pytest
from PIL import Image as Pillow

from casewise.archive import Archive
from casewise.errors import UnreadableImageError
from casewise.formats import Found, Rejected, read, scan
from tests.dicom_studies import film, with_element
from tests.formats.fuzzing import damaged, failures_of
from tests.formats.fuzzing_samples import samples_in

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
    assert read(tmp_path / "a.dcm").header.format == "PNG"


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


def test_damaged_files_of_every_format_are_an_image_or_a_sentence(tmp_path: Path) -> None:
    """A few of what ``python -m tests.formats.fuzzing`` reads: within 20 s and 1 GiB each, and as each checksum says."""
    (tmp_path / "damaged").mkdir()
    failures, tally = failures_of(samples_in(tmp_path), tmp_path / "damaged", 250, seed=20_000)
    assert not failures, "\n".join(failures)
    assert 40 < tally["all"]["refused"] < 210


def test_an_import_of_damaged_files_ends_with_all_others(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    samples = [sample for sample in samples_in(tmp_path) if sample.path.parent == tmp_path / "whole"]
    for number, sample in enumerate(samples):
        data = damaged(sample.path.read_bytes(), number)
        (tmp_path / "in" / f"{number}-{sample.path.name}").write_bytes(data)
    for number in range(3):
        Pillow.fromarray(np.full((30, 40), 50 + number, np.uint8)).save(tmp_path / "in" / f"good{number}.png")
    with Archive.open(tmp_path / "A", create=True) as archive:
        report = archive.import_paths([tmp_path / "in"])
        held = {Path(record.name).name for record in archive.images()}
    assert {f"good{number}.png" for number in range(3)} <= held
    named = {Path(refused.path).name for refused in (*report.failed, *report.skipped)}
    assert {path.name for path in (tmp_path / "in").iterdir()} <= held | named
    assert all(refused.reason and "\n" not in refused.reason for refused in report.failed)


@pytest.mark.parametrize(("tag", "vr"), [(0x0020000E, "US"), (0x0020000E, "FD"), (0x00080016, "US"), (0x00280010, "??")])
def test_a_damaged_element_that_a_refusal_looks_at_ends_no_import(tmp_path: Path, tag: int, vr: str) -> None:
    """The series, the class or the number of rows."""
    good = film(tmp_path / "good", rows=40, columns=30)
    bad = film(tmp_path / "bad", rows=40, columns=31)
    with_element(bad.files[0], tag, vr, b"abc")
    with Archive.open(tmp_path / "A", create=True) as archive:
        report = archive.import_paths([tmp_path])
        assert [Path(record.path) for record in archive.images()] == good.files
    assert [Path(refused.path) for refused in report.failed] == bad.files
