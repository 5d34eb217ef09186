"""Nothing of a person leaves a header: not into an archive, not into a message, not into what the command line writes."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.datadict import DicomDictionary
from pydicom.tag import Tag

from casewise.archive import Archive
from casewise.errors import ArchiveError, CasewiseError
from casewise.formats import read
from tests.formats.synthetic import Plan, instance, pixels, placed, series

MARKER = "Zqxmark"
GROUPS = {0x8, 0x10, 0x18, 0x20, 0x28, 0x32, 0x38, 0x40, 0x3004}
TEXTS = {"LO", "SH", "PN", "ST", "LT", "UT", "UC", "CS", "AE"}
NEEDED = {"PhotometricInterpretation", "SpecificCharacterSet", "Modality", "TransferSyntaxUID"}


def everything_in(folder: Path) -> bytes:
    return b"\n".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def marked(path: Path, size: int = 9, **tags: object) -> Path:
    """A file with the marker in every text element that the standard knows for images, patients, studies and machines."""
    instance(path, pixels(0, size, size), **placed(Plan(), 0), **tags)
    dataset = dcmread(path)
    for number, (kind, _, _, retired, keyword) in DicomDictionary.items():
        group = number >> 16
        if kind in TEXTS and not retired and keyword not in NEEDED and group in GROUPS:
            value = f"{MARKER}{number & 0xFFFF:04X}" if kind != "CS" else f"{MARKER}{number & 0xFFFF:04X}".upper()
            dataset.add_new(Tag(number), kind, [value] * 3 if keyword == "ImageType" else value)
    dataset.add_new(0x00090010, "LO", f"{MARKER} private")
    dataset.add_new(0x00091001, "LO", f"{MARKER} private")
    dataset.save_as(path)
    return path


def test_no_text_element_comes_out_of_a_header(tmp_path: Path) -> None:
    image = read(marked(tmp_path / "a.dcm"))
    assert MARKER.lower() not in repr(image.header).lower()
    assert image.header.modality == "CT"


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("keyword", sorted(NEEDED - {"TransferSyntaxUID"}))
def test_no_text_element_comes_out_in_a_message(tmp_path: Path, keyword: str) -> None:
    path = marked(tmp_path / "a.dcm")
    dataset = dcmread(path)
    setattr(dataset, keyword, MARKER)
    dataset.save_as(path)
    try:
        text = repr(read(path).header)
    except CasewiseError as error:
        text = str(error)
    assert MARKER.lower() not in text.lower()


def test_no_text_element_comes_into_an_archive_or_its_documents(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    marked(tmp_path / "in" / "a.dcm")
    bad = marked(tmp_path / "in" / "bad.dcm", SOPInstanceUID="1.2.9")
    dataset = dcmread(bad)
    dataset.PhotometricInterpretation = MARKER.upper()
    dataset.save_as(bad)
    with Archive.open(tmp_path / "archive", create=True) as archive:
        report = archive.import_paths([tmp_path / "in"])
        assert (report.added, len(report.failed)) == (1, 1)
        archive.add(read(tmp_path / "in" / "a.dcm"), {"all": np.ones((9, 9), bool)})
        text = json.dumps([[str(case.content), case.subject] for case in archive.cases()]) + str(report.failed)
    assert MARKER.lower() not in text.lower()
    assert MARKER.lower().encode() not in everything_in(tmp_path / "archive").lower()


@pytest.mark.parametrize(
    ("description", "tags"),
    [
        ("T2 Anna Maria Meier Huber", {"PatientName": "Meier-Huber^Anna-Maria"}),
        ("T2 MUELLER JUERGEN", {"PatientName": "Müller^Jürgen", "SpecificCharacterSet": "ISO_IR 100"}),
        ("T2 born 1961-02-03", {"PatientName": "A^B", "PatientBirthDate": "19610203"}),
        ("T2 3.2.61 / 03021961", {"PatientName": "A^B", "PatientBirthDate": "19610203"}),
        ("T2 Kowalska", {"PatientName": "A^B", "PatientMotherBirthName": "Kowalska"}),
        ("T2 Iwanow Ivanov", {"PatientName": "Иванов^Пётр", "SpecificCharacterSet": "ISO_IR 144"}),
        ("T2 Yamada Tarou", {"PatientName": "山田^太郎", "SpecificCharacterSet": "ISO_IR 192"}),
        ("T2 KH 4711 St Wilfred Dr Who", {"PatientID": "KH-4711", "InstitutionName": "St Wilfred"}),
        ("T2 Head", {"PatientName": "Head^Anna"}),
    ],
)
def test_a_description_keeps_its_sequence_alone(tmp_path: Path, description: str, tags: dict[str, str]) -> None:
    path = instance(tmp_path / "a.dcm", pixels(0), SeriesDescription=description, **placed(Plan(), 0), **tags)
    assert read(path).header.sequence == "T2"
    with Archive.open(tmp_path / "archive", create=True) as archive:
        archive.import_paths([path])
        (case,) = archive.cases()
        assert case.content["sequence"] == "T2"
    held = everything_in(tmp_path / "archive").lower()
    words = [word for word in re.split(r"[\W_]+", description.lower()) if len(word) > 3]
    # Digits stand in hashes and times by chance: there they are among others.
    assert not [word for word in words if word != "head" and re.search(rf"(?<![0-9a-f]){word}(?![0-9a-f])".encode(), held)]


def plain(identifier: str) -> str:
    """What a pseudonym was before there was a key: anyone can make it."""
    return hashlib.blake2b(f"{identifier}\n".encode(), digest_size=8).hexdigest()


def subject_in(folder: Path) -> str:
    with Archive.open(folder) as archive:
        (subject,) = {case.subject for case in archive.cases()}
    assert subject is not None
    return subject


def test_a_pseudonym_is_made_with_the_archives_own_key(tmp_path: Path) -> None:
    series(tmp_path / "in", Plan(), PatientID="4711")
    assert read(tmp_path / "in").header.subject != plain("4711")
    subjects = []
    for name in ("one", "two"):
        with Archive.open(tmp_path / name, create=True) as archive:
            archive.import_paths([tmp_path / "in"])
        subjects.append(subject_in(tmp_path / name))
        key = tmp_path / name / "pseudonyms.key"
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert key.stat().st_size == 32
        held = everything_in(tmp_path / name)
        assert b"4711" not in held.replace(str(tmp_path).encode(), b"")
        assert plain("4711").encode() not in held
    assert subjects[0] != subjects[1]


def test_a_patient_is_the_same_in_every_import_and_process(tmp_path: Path) -> None:
    series(tmp_path / "first", Plan(), PatientID="4711")
    instance(tmp_path / "later.dcm", pixels(3), PatientID="4711", **placed(Plan(), 3))
    instance(tmp_path / "memory.dcm", pixels(4), PatientID="4711", **placed(Plan(), 4))
    with Archive.open(tmp_path / "a", create=True) as archive:
        archive.import_paths([tmp_path / "first"])
    code = (
        "import sys, casewise\nfrom casewise.archive import Archive\n"
        "with Archive.open(sys.argv[1]) as a:\n    a.import_paths([sys.argv[2]])\n    a.add(casewise.read(sys.argv[3]))\n"
    )
    arguments = [str(tmp_path / name) for name in ("a", "later.dcm", "memory.dcm")]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True)
    with Archive.open(tmp_path / "a") as archive:
        assert len(archive) == 3
    subject_in(tmp_path / "a")


def as_before(folder: Path) -> None:
    """Make an archive what it was before there was a key: a plain hash, free text, no word of it in ``meta``."""
    (folder / "pseudonyms.key").unlink()
    with sqlite3.connect(folder / "catalogue.sqlite") as connection:
        connection.execute("DELETE FROM meta WHERE name = 'pseudonyms'")
        connection.execute("UPDATE images SET subject = ?, sequence = 'T2 Kowalska scan'", (plain("4711"),))
        content = json.dumps({"series_description": "T2 Kowalska", "scanner": "Skyra Kowalska", "weight": 7})
        connection.execute("UPDATE images SET content = ?", (content,))


def test_an_older_archive_is_renewed_and_still_knows_its_patients(tmp_path: Path) -> None:
    series(tmp_path / "in", Plan(), PatientID="4711")
    instance(tmp_path / "later.dcm", pixels(3), PatientID="4711", **placed(Plan(), 3))
    with Archive.open(tmp_path / "a", create=True) as archive:
        archive.import_paths([tmp_path / "in"])
    as_before(tmp_path / "a")
    with Archive.open(tmp_path / "a") as archive:
        (case,) = archive.cases()
        assert case.content["series_description"] == "T2"
        assert (case.content["scanner"], case.content["weight"]) == ("Skyra", 7)
        archive.import_paths([tmp_path / "later.dcm"])
    assert subject_in(tmp_path / "a") != plain("4711")
    held = everything_in(tmp_path / "a")
    assert plain("4711").encode() not in held
    assert b"Kowalska" not in held


def test_without_its_key_an_archive_is_read_and_takes_nothing_in(tmp_path: Path) -> None:
    series(tmp_path / "in", Plan(), PatientID="4711")
    instance(tmp_path / "later.dcm", pixels(3), PatientID="4711", **placed(Plan(), 3))
    with Archive.open(tmp_path / "a", create=True) as archive:
        archive.import_paths([tmp_path / "in"])
    key = tmp_path / "a" / "pseudonyms.key"
    for content in (None, b"x" * 32, b"short"):
        key.unlink(missing_ok=True)
        if content is not None:
            key.write_bytes(content)
        with Archive.open(tmp_path / "a") as archive:
            assert len(archive.cases()) == 1
            with pytest.raises(ArchiveError, match=r"pseudonyms\.key is missing or is not this archive's key"):
                archive.import_paths([tmp_path / "later.dcm"])


def test_documents_of_an_analysis_hold_nothing_of_the_person(tmp_path: Path) -> None:
    path, out = marked(tmp_path / "a.dcm", 64), tmp_path / "out"
    options = ["--application", "quality", "--output", str(out)]
    done = subprocess.run([sys.executable, "-m", "casewise", "analyze", str(path), *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    documents = [file for file in out.rglob("*") if file.suffix in (".json", ".html")]
    assert documents
    held = b"".join(file.read_bytes() for file in documents) + (done.stdout + done.stderr).encode()
    assert MARKER.lower().encode() not in held.lower()
