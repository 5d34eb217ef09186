"""A table beside images: a CSV or TSV with a column whose values name the images, by path or file name.

Each row is of one image (:mod:`casewise.archive.ingest.layouts.joining`), or is left out with its reason. Columns for age, sex,
subject, site, modality, sequence and category are understood; the others become content. Columns that may name a person (name,
birth date, address, …) are left out. Rows of one image that contradict each other in what is understood are refused; content on
which they differ is left out.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from casewise.archive.ingest.layouts.entry import Entry, Orphan, TableNote
from casewise.archive.ingest.layouts.joining import Images
from casewise.archive.ingest.layouts.table_files import Table, TableError, read_table
from casewise.archive.ingest.layouts.tree import TABLES, Folder
from casewise.archive.suffixes import suffix
from casewise.archive.words import camel_words, words
from casewise.names import legible

_SPREADSHEETS = frozenset({".xlsx", ".xls", ".xlsm", ".ods", ".numbers"})
_PRIVATE = frozenset({
    "name", "names", "surname", "firstname", "lastname", "fullname", "patientname", "forename", "birth",
    "birthdate", "birthday", "dob", "address", "phone", "email", "mrn", "ssn", "insurance", "vorname",
    "nachname", "familienname", "patientenname", "geburtsdatum", "geburtstag", "adresse", "telefon", "nom",
    "prénom", "prenom", "naissance", "téléphone", "nombre", "apellido", "apellidos", "nacimiento", "dirección",
    "nome", "cognome", "sobrenome", "nascita", "nascimento", "имя", "фамилия", "отчество", "фио", "рождения",
    "адрес", "телефон", "姓名", "患者姓名", "名前", "氏名", "患者名",
    "出生日期", "生年月日", "住所", "电话", "이름", "환자명", "생년월일",
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
_NAMING = frozenset({"image", "images", "file", "filename", "path", "filepath", "img", "id", "study", "scan"})
_NUMBER = re.compile(r"[+-]?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,15})?")
_DECIMAL_COMMA = re.compile(r"[+-]?(?:0|[1-9][0-9]{0,14}),[0-9]{1,15}")
_AGE = re.compile(r"0{0,2}([0-9]{1,3}(?:[.,][0-9]{1,6})?) ?(?:y|yrs?|years?|jahre?|ans|años)?", re.IGNORECASE)
_MONTHS_AND_LESS = {"m": 12.0, "w": 52.1775, "d": 365.25}
_MOST_NAMED = 3
_LONGEST = 1000  # characters of a cell: a longer text is nobody's category and no measure


def detect(folder: Folder) -> bool:
    """Whether there is a table here and images here or below."""
    return any(suffix(name) in TABLES | _SPREADSHEETS for name in folder.files) and folder.holds_images


def entries(folder: Folder, masks: Container[Path] = (), manifest: Path | None = None) -> Iterator[Entry | Orphan | TableNote]:
    """What the tables here say of each image here or below, and what came of each table. ``masks``: files that are no
    images. ``manifest``: a table that is read as such, not here.
    """
    paths = [below.path / name for below in folder.walk() for name in below.images]
    images = Images(folder.path, [path for path in paths if path not in masks])
    rows_of: dict[Path, list[tuple[Path, int, Entry]]] = defaultdict(list)
    notes: dict[Path, TableNote] = {}
    for name in folder.files:
        path = folder.path / name
        if path == manifest:
            continue
        if suffix(name) in _SPREADSHEETS:
            notes[path] = TableNote(path, reason="it is a spreadsheet, and tables are read as CSV or TSV; save it as CSV")
        elif suffix(name) in TABLES:
            notes[path] = _joined(path, images, rows_of)
    differing: dict[Path, set[str]] = defaultdict(set)
    for image, rows in rows_of.items():
        several = [one for _, _, one in rows]
        contradiction = _contradiction(several)
        if contradiction is None:
            for path, _, _ in rows:
                differing[path] |= _differing(several)
            yield _merged(several)
            continue
        lines = " and ".join(f"line {line} of {legible(path.name)}" for path, line, _ in rows[:_MOST_NAMED])
        reason = f"{lines} contradict each other about {legible(image.name)} ({contradiction})"
        for path, count in Counter(path for path, _, _ in rows).items():
            notes[path] = replace(notes[path], joined=notes[path].joined - count, refused=(*notes[path].refused, reason))
    for path, note in notes.items():
        titles = ", ".join(sorted(differing[path])[:_MOST_NAMED])
        yield (
            note
            if not titles
            else replace(note, reason=_and(note.reason, f"rows of one image differ on {titles}, which is left out"))
        )


def _and(first: str | None, second: str) -> str:
    return f"{first}; {second}" if first else second


def _joined(path: Path, images: Images, rows_of: dict[Path, list[tuple[Path, int, Entry]]]) -> TableNote:
    """Add a table's rows to those of their images."""
    try:
        table = read_table(path)
    except TableError as error:
        return TableNote(path, reason=str(error), readable=False)
    column, found, refused = _naming(table, images)
    if not column:
        why = "it has no rows" if not table.rows else "none of its columns holds the paths or file names of the images here"
        return TableNote(path, len(table.rows), reason=why)
    named: dict[Path, set[str]] = defaultdict(set)
    for _, row in table.rows:
        if row[column] in found:
            named[found[row[column]]].add(row[column])
    # Two paths that lead to one image cannot both be its own, unless one of them is just its path.
    doubtful = {text for image, texts in named.items() if len(texts) > 1 for text in texts if not images.is_whole(text, image)}
    comma = table.delimiter != ","
    joined, unknown, unsure = 0, [], list(table.refused)
    for line, row in table.rows:
        text = row[column]
        if text in refused or text in doubtful:
            why = refused.get(text, "another row's path leads to the same image")
            unsure.append(f"line {line} ({text!r}): {why}")
        elif text in found:
            rest = {title: value for title, value in row.items() if title != column}
            rows_of[found[text]].append((path, line, entry(found[text], rest, decimal_comma=comma)))
            joined += 1
        else:
            unknown.append(text)
    reason = None
    if unknown:
        which = ", ".join(repr(text) for text in unknown[:_MOST_NAMED]) + (", …" if len(unknown) > _MOST_NAMED else "")
        reason = f"{len(unknown)} of its {len(table.rows)} rows name no image here ({which})"
    return TableNote(path, len(table.rows), joined, reason, tuple(unsure))


def _naming(table: Table, images: Images) -> tuple[str, dict[str, Path], dict[str, str]]:
    """The column that names images: half of its values do, or half of the images are in it; empty if there is none."""
    best: tuple[str, dict[str, Path], dict[str, str]] = ("", {}, {})
    most = (0, False)
    twice = {title for title in table.header if table.header.count(title) > 1}
    for title in dict.fromkeys(table.header):
        values = {row[title] for _, row in table.rows if title and row[title]} if title not in twice else set()
        likely = [value for value in values if images.may_name(value)]
        if 2 * len(likely) < min(len(values), len(images)) or not likely:
            continue
        found, refused = images.named(list(values))
        hits = (len(found) + len(refused), bool(_NAMING & set(camel_words(title))))
        if hits > most and 2 * hits[0] >= min(len(values), len(images)):
            best, most = (title, found, refused), hits
    return best


def _contradiction(rows: Sequence[Entry]) -> str | None:
    """The first fact on which the rows of one image differ, with its values; None where there is none."""
    for name in ("category", "site", "subject", "modality", "sequences", "age", "sex"):
        values = {getattr(row, name) for row in rows if getattr(row, name)}
        if len(values) > 1:
            return f"{name.rstrip('s')} {' or '.join(sorted(str(value) for value in values))}"
    return None


def _merged(rows: Sequence[Entry]) -> Entry:
    whole = rows[0]
    for row in rows[1:]:
        whole = whole.merged(row)
    differing = _differing(rows)
    return replace(whole, content={title: value for title, value in whole.content.items() if title not in differing})


def _differing(rows: Sequence[Entry]) -> set[str]:
    """The content on which the rows of one image differ."""
    values: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        for title, value in row.content.items():
            values[title].add(repr(value))
    return {title for title, several in values.items() if len(several) > 1}


def entry(image: Path, row: Mapping[str, str], *, explicit: bool = False, decimal_comma: bool = False) -> Entry:
    """A row's columns as facts about an image. ``decimal_comma``: ``1,5`` is a number."""
    facts: dict[str, set[str]] = defaultdict(set)
    content: dict[str, object] = {}
    for title, value in row.items():
        if value == "" or not title or len(value) > _LONGEST or _is_private(title):
            continue
        parts = words(title)
        meaning = _MEANING.get(" ".join(parts)) or _MEANING.get(" ".join(camel_words(title)))
        if meaning:
            facts[meaning].add(_SEXES.get(value.lower(), value) if meaning == "sex" else value)
        else:
            content[_CONTENT.get(title.lower(), "_".join(parts) or title)] = number(value, decimal_comma)
    # Two columns of one meaning that differ say nothing.
    known = {meaning: next(iter(values)) for meaning, values in facts.items() if len(values) == 1}
    return Entry(
        image,
        category=known.get("category"),
        site=known.get("site"),
        subject=known.get("subject"),
        modality=known.get("modality"),
        sequences=(known["sequence"],) if "sequence" in known else (),
        age=_age(known.get("age", "")),
        sex=_SEXES.get(known.get("sex", "").lower()),
        content=content,
        explicit=explicit,
    )


def _is_private(title: str) -> bool:
    for parts in (set(words(title)), set(camel_words(title))):
        if _PRIVATE & parts or {"first", "last"} & parts or any("姓名" in part or "氏名" in part for part in parts):
            return True
    return False


def _age(text: str) -> float | None:
    if match := _AGE.fullmatch(text.strip()):
        age = float(match.group(1).replace(",", "."))
    elif match := re.fullmatch(r"([0-9]{3})([mMwWdD])", text.strip()):
        age = int(match.group(1)) / _MONTHS_AND_LESS[match.group(2).lower()]
    else:
        return None
    return age if age < 130 else None


def number(text: str, decimal_comma: bool = False) -> int | float | str:
    """``text`` as a number where it is plainly one; ``007``, ``1_2``, ``1e5`` and ``nan`` are text."""
    if decimal_comma and _DECIMAL_COMMA.fullmatch(text):
        text = text.replace(",", ".")
    if not _NUMBER.fullmatch(text):
        return text
    return float(text) if "." in text else int(text)
