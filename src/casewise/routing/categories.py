"""Which DICOM tags fit a category of images: a table that comes with casewise, and that archives and routers extend.

``categories.toml`` beside this module is the shipped table. A file of that name and form in the folder of an archive or of a router
adds categories, or replaces those of the same name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

import msgspec
import tomli_w

from casewise.errors import UsageError
from casewise.files import replacing
from casewise.formats.dicom.region import region_meaning
from casewise.formats.dicom.sequence_words import modality_code
from casewise.names import plain_category
from casewise.settings_file import read_settings

FILE = "categories.toml"
_CODE = re.compile(r"SCT:\d{6,18}")
_PART = re.compile(r"[A-Z][A-Z ]*")
_XRAY = ("CR", "DX", "RG", "RF")
_NAMED_MODALITIES = {  # what a word of the name of a category in no table says
    "xray": _XRAY,
    "radiograph": _XRAY,
    "ct": ("CT",),
    "mr": ("MR",),
    "mri": ("MR",),
    "ultrasound": ("US",),
    "us": ("US",),
    "mammography": ("MG",),
}
_NAMED_PARTS = {  # and of whose parts its body region has the words
    "chest": "chest-ct",
    "abdomen": "abdomen-ct",
    "head": "head-ct",
    "brain": "brain-mr",
    "hand": "hand-xray",
    "breast": "breast-mr",
    "cardiac": "cardiac-mr",
    "heart": "cardiac-mr",
    "prostate": "prostate-mr",
}


class Category(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """name : what a hospital calls it. region, modality, view : in words, empty where they do not matter.

    modalities : DICOM's codes that fit; of none every one fits. code : what the images show, as ``SCT:12738006``: a region of the
    body, or a kind of specimen. parts : words, upper case, that a tag of the body part may contain. codes : of further regions that
    fit. Without parts and codes, and without a ``code`` that is a region, every region fits.
    """

    name: str
    region: str = ""
    modality: str = ""
    view: str = ""
    modalities: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    code: str = ""
    codes: tuple[str, ...] = ()

    @property
    def regions(self) -> tuple[str, ...]:
        """The codes of the regions that fit, its own first where that is a region; empty where no code of a region is named."""
        own = (self.code,) if self.code and region_meaning(self.code) else ()
        return (*own, *self.codes)

    @property
    def title(self) -> str:
        """Body region, modality and view: ``chest, radiograph, frontal``."""
        return ", ".join(word for word in (self.region, self.modality, self.view) if word)


class _File(msgspec.Struct, forbid_unknown_fields=True):
    category: dict[str, Category] = {}


class Table:
    """Categories by name; capitals, blanks, ``-`` and ``_`` do not matter."""

    def __init__(self, entries: Mapping[str, Category]) -> None:
        self.entries = dict(entries)
        self._by_plain_name = {plain_category(name): entry for name, entry in self.entries.items()}

    def __getitem__(self, name: str) -> Category:
        """The entry of a category; for one that has none, what its name says (``knee-xray``, ``chest-ct``)."""
        return self._by_plain_name.get(plain_category(name)) or _by_name(name)

    def __contains__(self, name: str) -> bool:
        return plain_category(name) in self._by_plain_name

    def extended(self, other: Table) -> Table:
        """With the entries of ``other``, which replace those of the same name."""
        kept = {name: entry for name, entry in self.entries.items() if name not in other}
        return Table({**kept, **other.entries})

    def extended_by(self, folder: Path) -> Table:
        """With the table in ``folder``, where there is one. Raises UsageError, one sentence."""
        return self.extended(read(folder)) if (folder / FILE).exists() else self

    def added(self, names: Iterable[str]) -> Table:
        """The entries of ``names`` that the shipped table has not, or has otherwise."""
        own = {name: self[name] for name in names if name in self}
        return Table({name: entry for name, entry in own.items() if name not in shipped() or shipped()[name] != entry})

    def write(self, folder: Path) -> None:
        """As ``folder/categories.toml``; nothing where the table is empty. Raises UsageError, one sentence."""
        if not self.entries:
            return
        document = {"category": {name: _stated(entry) for name, entry in self.entries.items()}}
        try:
            with replacing(folder / FILE) as beside:
                beside.write_text(tomli_w.dumps(document), encoding="utf-8")
        except OSError as error:
            msg = f"{folder / FILE} cannot be written: {error.strerror}; free some space or copy the archive's {FILE} there."
            raise UsageError(msg) from error


@lru_cache(maxsize=1)
def shipped() -> Table:
    """The table that comes with casewise."""
    return read(Path(__file__).parent)


def read(folder: Path) -> Table:
    """The table in a folder, empty without one. Raises UsageError, one sentence that names the file and what is allowed."""
    entries = read_settings(folder / FILE, _File).category
    for name, entry in entries.items():
        for wrong, allowed in _faults(entry):
            msg = f"{folder / FILE}: the category {name} has {wrong}; {allowed}."
            raise UsageError(msg)
    return Table(entries)


def _faults(entry: Category) -> Iterable[tuple[str, str]]:
    for code in entry.modalities:
        if modality_code(code) != code:
            yield f"the modality {code!r}", "DICOM's codes are allowed, such as CT, MR, CR, DX, US, OP, SM"
    for part in entry.parts:
        if not _PART.fullmatch(part):
            yield f"the part {part!r}", "words in capital letters are allowed, such as KNEE"
    for code in (*([entry.code] if entry.code else []), *entry.codes):
        if not _CODE.fullmatch(code):
            yield f"the code {code!r}", "codes of SNOMED CT are allowed, such as SCT:72696002"


def _by_name(name: str) -> Category:
    words = re.split(r"[^a-z]+", name.lower().replace("x-ray", "xray"))
    modalities = [code for word in words for code in _NAMED_MODALITIES.get(word, ())]
    like = [shipped().entries[_NAMED_PARTS[word]] for word in words if word in _NAMED_PARTS]
    return Category(
        name,
        modalities=tuple(modalities),
        parts=tuple(part for entry in like for part in entry.parts),
        codes=tuple(code for entry in like for code in entry.regions),
    )


def _stated(entry: Category) -> dict[str, object]:
    return {key: value for key, value in msgspec.to_builtins(entry).items() if value}
