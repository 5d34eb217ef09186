"""One file (or series) of an import, read and understood: its images, their labels, and what is wrong. Touches no catalogue."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from casewise.archive.contents import content_key
from casewise.archive.facts import header_content, header_facts
from casewise.archive.ingest.labels import LabelReader, LabelRow
from casewise.archive.ingest.layouts.entry import Entry, LabelSource
from casewise.archive.ingest.members import expanded
from casewise.archive.pseudonym_key import subject_under
from casewise.archive.storage import origin, take
from casewise.archive.suffixes import suffix
from casewise.errors import ArchiveError, CasewiseError
from casewise.formats import Found, Kind, read_found
from casewise.image import Image


@dataclass(frozen=True)
class Unit:
    """The images made of the same files, and what was known of them before. ``site``: the one given for the whole import.
    ``refused``: reasons why some of the labels in its file are of none of them.
    """

    images: tuple[Found, ...]
    known: Entry
    guess: Entry
    labels: tuple[LabelSource, ...]
    several: bool = False
    site: str | None = None
    refused: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        return self.images[0].files


@dataclass
class Examined:
    """What came of one image.

    row : for the catalogue, None where its content is there already and was not read again. looked_at : the label files that were
    compared with it, as the catalogue names them, and the keys of their contents.
    """

    key: str
    found: Found
    row: dict[str, object] | None = None
    image: Image | None = None
    labels: list[LabelRow] = field(default_factory=list)
    boxes: dict[str, list[list[list[int]]]] = field(default_factory=dict)
    looked_at: dict[str, str] = field(default_factory=dict)


@dataclass
class Outcome:
    """What came of a unit. ``failed``: reasons by image. ``tried``: label file → reason why it did not fit, None where it did.
    ``notes``: label file → what a person should know of how it was taken.
    """

    unit: Unit
    images: list[Examined] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    tried: dict[Path, str | None] = field(default_factory=dict)
    notes: dict[Path, str] = field(default_factory=dict)
    tried_on: list[str] = field(default_factory=list)

    @property
    def missing(self) -> dict[Path, str]:
        """Label file → reason, of those that a person named as this unit's and that did not fit."""
        tried = {label.path: self.tried.get(label.path) for label in self.unit.labels if label.explicit}
        return {path: reason for path, reason in tried.items() if reason is not None}


def place_of(path: Path, archive: Path | None) -> str:
    """How the catalogue names a file that is not copied: an object by its address, a file in the archive relative to its folder."""
    called = str(path) if archive is None else origin(archive, path)
    if archive is None or called != str(path) or not path.is_relative_to(archive):
        return called
    return path.relative_to(archive).as_posix()


def series_files(found: Found) -> list[str]:
    """The names in its folder of the files that make a series; none for an image that is read by its own path."""
    return [] if found.path in found.files else [file.name for file in found.files]


class Examiner:
    """Reads units, several at once from several threads.

    copy_to : the archive's folder, where files are to be copied into it. keep_pixels : hand the image on (for an encoder).
    key : the archive's, for pseudonyms. archive : its folder; what lies in it already is known by its place there, so that the
    archive can be moved.
    """

    def __init__(self, copy_to: Path | None, keep_pixels: bool, key: bytes, archive: Path | None = None) -> None:
        self._archive = archive
        self._copy_to = copy_to
        self._keep_pixels = keep_pixels
        self._key = key
        self._labels = LabelReader(copy_to, archive)

    def keys(self, unit: Unit) -> dict[Found, str]:
        """The keys of a unit's images; those whose files cannot be read are missing."""
        keys = {}
        for found in unit.images:
            with suppress(CasewiseError, OSError):
                keys[found] = content_key(found, unit.several)
        return keys

    def examine(self, unit: Unit, keys: Mapping[Found, str] | None = None, known: Collection[str] = ()) -> Outcome:
        """Read a unit. keys : what :meth:`keys` gave, if it was asked. known : keys of contents that the catalogue has; they are
        read again only for labels that are new.
        """
        outcome = Outcome(unit, failed=list(unit.refused))
        for found in unit.images:
            try:
                key = (keys or {}).get(found) or content_key(found, unit.several)
                examined = self._image(unit, found, outcome, Examined(key, found), key in known)
            except ArchiveError:
                raise
            except CasewiseError as error:
                outcome.failed.append(str(error))
            except OSError as error:
                outcome.failed.append(f"{found.path} cannot be read: {error.strerror or type(error).__name__}.")
            else:
                outcome.images.append(examined)
                outcome.tried_on.append(examined.key)
        # That it fits the image of another row does not help this one.
        outcome.failed += [f"It is imported, but without its mask: {reason}" for reason in outcome.missing.values()]
        return outcome

    def _image(self, unit: Unit, found: Found, outcome: Outcome, examined: Examined, is_known: bool) -> Examined:
        if is_known and not unit.labels and not unit.known.explicit:
            return examined
        image = read_found(found)
        examined.row = self._row(unit, examined, image)
        for source in unit.labels:
            if source.of_member in (None, found.member):
                self._label(source, unit, image, examined, outcome)
        examined.boxes = _fitting(unit.known.boxes, image, outcome)
        examined.image = image if self._keep_pixels else None
        return examined

    def _row(self, unit: Unit, examined: Examined, image: Image) -> dict[str, object]:
        found = examined.found
        single = len(found.files) == 1
        row: dict[str, object] = {
            "key": examined.key,
            "path": place_of(found.path, self._archive),
            "member": found.member,
            "files": series_files(found),
            "name": str(found.path) if self._archive is None else origin(self._archive, found.path),
            "kind": found.kind.value,
            "copied": self._copy_to is not None,
            "shape": list(image.spatial_shape),
            "channels": image.channels,
            "spacing": list(image.spacing),
            **described(unit, found, image, self._key),
        }
        if self._copy_to is not None:
            # By its files, not its key: images of the same file share one copy.
            files_key = examined.key if not unit.several else content_key(found, False)
            row["path"] = take(self._copy_to, files_key, found.files, single)
            if not single and found.path in found.files:
                # A header and its voxels: the header is what is read.
                row["path"] = f"{row['path']}/{found.path.name}"
        return row

    def _label(self, source: LabelSource, unit: Unit, image: Image, examined: Examined, outcome: Outcome) -> None:
        with suppress(OSError):  # reading it says why
            examined.looked_at[self._labels.place(source)] = self._labels.key(source.path)
        try:
            read = self._labels.labels(_of_same_page(source, unit, examined.found), image)
        except ArchiveError:
            raise
        except (CasewiseError, OSError) as error:
            outcome.tried.setdefault(source.path, str(error))
        else:
            examined.labels += read.rows
            outcome.tried[source.path] = None
            if read.note:
                outcome.notes[source.path] = read.note


def _of_same_page(source: LabelSource, unit: Unit, found: Found) -> LabelSource:
    """The label's own page for a page of several: a mask of one page is not that of all. A volume's mask is that of all its
    times.
    """
    if source.member is not None or len(unit.images) < 2 or found.kind not in (Kind.TIFF, Kind.NIFTI):
        return source
    mask = Found(source.path, None, (source.path,), Kind.TIFF if suffix(source.path.name) in (".tif", ".tiff") else Kind.NIFTI)
    pages = len(expanded(mask))
    if pages == len(unit.images):
        return replace(source, member=found.member)
    if found.kind is Kind.TIFF or pages > 1:
        msg = f"{source.path} has {pages} pages or volumes and its image {len(unit.images)}; a mask has one for each."
        raise CasewiseError(msg)
    return source


def described(unit: Unit, found: Found, image: Image, key: bytes) -> dict[str, object]:
    """The columns that say what an image is of: from a manifest, else the header, else the layout, else the names."""
    known, guess = unit.known, unit.guess
    header = header_facts(image.header)
    subject = subject_under(key, image.header)
    header |= {"subject": subject} if subject is not None else {}
    said = {**known.facts, **_sequence(known, found)}
    guessed = {**guess.facts, **_sequence(guess, found)}
    if not known.explicit and "subject" in said and guess.site:
        said["subject"] = f"{guess.site}/{said['subject']}"
    facts = {**guessed, **header, **said} if known.explicit else {**guessed, **said, **header}
    site = (known.site if known.explicit else None) or unit.site or known.site or guess.site
    category = None if found.kind is Kind.DICOM and len(found.files) > 1 and not known.explicit else known.category
    return {
        "modality": facts.get("modality"),
        "sequence": facts.get("sequence"),
        "category": category,
        "site": site,
        "subject": facts.get("subject"),
        "age": facts.get("age"),
        "sex": facts.get("sex"),
        "content": {**header_content(image.header), **known.content},
    }


def _sequence(entry: Entry, found: Found) -> dict[str, object]:
    """The sequence of a single image, or of the n-th volume of several."""
    if (found.member or "").startswith("volume="):
        number = int((found.member or "").partition("=")[2])
        return {"sequence": entry.sequences[number]} if number < len(entry.sequences) else {}
    return {"sequence": entry.sequences[0]} if len(entry.sequences) == 1 else {}


def _fitting(boxes: Mapping[str, list[list[list[int]]]], image: Image, outcome: Outcome) -> dict[str, list[list[list[int]]]]:
    """The boxes that lie in the image; the others are named among what failed."""
    fitting = {}
    for name, several in boxes.items():
        if all(_inside(box, image.spatial_shape) for box in several):
            fitting[name] = several
        else:
            shape = "×".join(str(length) for length in image.spatial_shape)
            outcome.failed.append(f"Its boxes {name} do not lie in the image ({shape} voxels); correct them and import again.")
    return fitting


def _inside(box: Sequence[Sequence[int]], shape: Sequence[int]) -> bool:
    return len(box) == len(shape) and all(0 <= low < high <= length for (low, high), length in zip(box, shape, strict=True))
