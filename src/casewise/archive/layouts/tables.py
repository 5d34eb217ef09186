"""A table beside images: a CSV or TSV with a column whose values are the images' file names (with or without suffix).

Columns for age, sex, subject, site, modality, sequence and category are understood; the others become content. Columns that may
name a person (name, birth date, address, …) are left out.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from casewise.archive.layouts.entry import Entry, Orphan
from casewise.archive.layouts.tree import TABLES, Folder, stem, suffix
from casewise.archive.layouts.words import words

_LARGEST = 64 << 20
_PRIVATE = frozenset({
    "name", "names", "surname", "birth", "birthdate", "birthday", "dob", "address", "phone", "email", "mrn", "ssn", "insurance",
})  # fmt: skip
_MEANING = {
    "age": "age", "patient age": "age", "age years": "age", "sex": "sex", "gender": "sex", "patient sex": "sex",
    "patient gender": "sex",
    "subject": "subject", "subject id": "subject", "patient": "subject", "patient id": "subject", "patientid": "subject",
    "participant id": "subject", "site": "site", "hospital": "site", "centre": "site", "center": "site", "modality": "modality",
    "sequence": "sequence", "category": "category", "class": "category",
}  # fmt: skip
_CONTENT = {"diagnosis": "pathology", "pathology": "pathology", "disease": "pathology"}
_SEXES = {"m": "M", "male": "M", "man": "M", "f": "F", "female": "F", "woman": "F", "o": "O", "other": "O"}


def detect(folder: Folder) -> bool:
    """Whether there is a table here and images here or below."""
    return any(suffix(name) in TABLES for name in folder.files) and folder.holds_images


def entries(folder: Folder) -> Iterator[Entry | Orphan]:
    """What the tables here say of each image here or below."""
    stems: dict[str, list[Path]] = defaultdict(list)
    for below in folder.walk():
        for name in below.images:
            stems[stem(name)].append(below.path / name)
    for name, file in folder.files.items():
        if suffix(name) in TABLES and file.size <= _LARGEST:
            rows = read_rows(folder.path / name)
            column = _naming(rows, stems)
            for row in rows if column else []:
                for image in stems.get(stem(Path(row[column]).name), []):
                    yield entry(image, {title: value for title, value in row.items() if title != column})


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a table with a header; empty for what is no such table."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            delimiter = "\t" if suffix(path.name) == ".tsv" else _delimiter(file.readline())
            file.seek(0)
            reader = csv.DictReader(file, delimiter=delimiter, restkey="", restval="")
            return [{str(title).strip(): value.strip() for title, value in row.items() if title} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error, AttributeError):
        # No table after all: the file is named among the skipped ones, its images come without what it may have said.
        return []


def entry(image: Path, row: Mapping[str, str], *, explicit: bool = False) -> Entry:
    """A row's columns as facts about an image."""
    facts: dict[str, str] = {}
    content: dict[str, object] = {}
    for title, value in row.items():
        parts = words(title)
        meaning = _MEANING.get(" ".join(parts))
        if value == "" or _PRIVATE & set(parts) or {"first", "last"} & set(parts):
            continue
        if meaning:
            facts[meaning] = value
        else:
            content[_CONTENT.get(title.lower(), "_".join(parts) or title)] = number(value)
    age = number(facts.get("age", "").rstrip("yY "))
    return Entry(
        image,
        category=facts.get("category"),
        site=facts.get("site"),
        subject=facts.get("subject"),
        modality=facts.get("modality"),
        sequences=(facts["sequence"],) if "sequence" in facts else (),
        age=float(age) if isinstance(age, int | float) and 0 <= age < 130 else None,
        sex=_SEXES.get(facts.get("sex", "").lower()),
        content=content,
        explicit=explicit,
    )


def number(text: str) -> int | float | str:
    """``text`` as a number where it is one."""
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        return value if abs(value) < 1e300 else text
    return text


def _naming(rows: list[dict[str, str]], stems: Mapping[str, object]) -> str:
    """The column that names images: half of its values do, or half of the images are in it; empty if there is none."""
    best, most = "", 0
    for title in rows[0] if rows else ():
        values = {stem(Path(row.get(title, "")).name) for row in rows}
        hits = len(values & stems.keys())
        if hits > most and 2 * hits >= min(len(values), len(stems)):
            best, most = title, hits
    return best


def _delimiter(header: str) -> str:
    return max(",;\t", key=header.count)
