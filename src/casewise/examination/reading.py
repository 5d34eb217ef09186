"""The images of one examination: from a DICOM study's folder, or from files that are named one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from casewise import formats
from casewise.errors import CasewiseError, UnreadableImageError, UsageError
from casewise.examination.normalisation import check_unit
from casewise.examination.sequences import canonical, kind_of, named, reference_of
from casewise.formats import Found, Rejected
from casewise.formats.dicom.acquisition import Acquisition, acquisition
from casewise.formats.dicom.instances import headers
from casewise.formats.dicom.stacks import stacks_of
from casewise.formats.found import Kind
from casewise.hashing import image_key
from casewise.image import Array, Image
from casewise.progress import Progress, silent

_READING = "Reading sequences"
_FEW_VALUES = 6


@dataclass(frozen=True)
class Source:
    """What an examination is read from: images under their sequences' names, or a DICOM study's folder; and how it is put together.

    reference : the sequence whose grid all come to; for a folder FLAIR, else T2, T1 post, …; for named images the first.
    way : ``rigid``, ``deformable``, or ``none``: as the files state.
    """

    files: tuple[tuple[str, Path], ...] = ()
    folder: Path | None = None
    reference: str | None = None
    way: str = "rigid"

    def __str__(self) -> str:
        return str(self.folder) if self.folder else " ".join(f"{name}={path}" for name, path in self.files)

    @property
    def name(self) -> str:
        """What it is called in a progress bar."""
        return (self.folder or self.files[0][1]).name


@dataclass(frozen=True, eq=False)
class Given:
    """An image under its sequence's name, as it was read. told_by : what the name rests on."""

    name: str
    image: Image
    path: Path
    member: str | None = None
    told_by: str = "name given"
    notes: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return kind_of(self.name)


@dataclass(frozen=True)
class Refused:
    """An image that is no part of the examination though it was to be, and why, in one sentence."""

    name: str
    path: Path
    reason: str

    def to_json(self) -> dict[str, object]:
        return {"name": self.name, "path": str(self.path), "reason": self.reason}


@dataclass(frozen=True, eq=False)
class Study:
    """What was read. body_part : DICOM's word, upper case, or empty. notes : series that are no sequences, and the like."""

    given: tuple[Given, ...]
    refused: tuple[Refused, ...]
    notes: tuple[str, ...] = ()
    body_part: str = ""


def named_files(options: Sequence[str]) -> tuple[tuple[str, Path], ...]:
    """(name, path) of each ``NAME=IMAGE``. Raises UsageError for one that is not so, and for two of one name."""
    files: dict[str, Path] = {}
    for option in options:
        name, separator, path = option.partition("=")
        if not separator or not path:
            raise UsageError(f"A sequence is given as NAME=IMAGE, such as FLAIR=flair.nii.gz; got {option!r}.")
        name = canonical(name)
        if name in files:
            raise UsageError(_both(name, files[name], Path(path)))
        files[name] = Path(path)
    return tuple(files.items())


def study_in(folder: Path) -> tuple[list[Found], list[Rejected]] | None:
    """The DICOM images in a folder and below it, if they are several and some are MR; None if it is no examination.

    Only headers are read.
    """
    found: list[Found] = []
    rejected: list[Rejected] = []
    for entry in formats.scan(folder):
        if isinstance(entry, Rejected):
            rejected += [entry] if entry.is_image else []
        elif entry.kind is Kind.DICOM:
            found.append(entry)
    several = len(found) + len(rejected) > 1
    return (found, rejected) if several and any(acquisition(entry).modality == "MR" for entry in found) else None


def read_image(path: Path) -> Image:
    """The image of a file or of a DICOM series' folder, as :func:`casewise.formats.read` gives it; of an examination's folder the
    reference alone, which is what findings are reported on. Raises UnreadableImageError, one sentence.
    """
    found = study_in(path) if path.is_dir() else None
    if found is None:
        return formats.read(path)
    entries = [(entry, acquisition(entry)) for entry in found[0]]
    _check_one(path, [acquired for _, acquired in entries])
    series, left_out = named(entries)
    reasons = [*(part.reason for part in _refused(*found)), *(part.reason for part in left_out)]
    while series:
        chosen = reference_of([entry.name for entry in series])
        (entry,) = (entry for entry in series if entry.name == chosen)
        try:
            image = formats.read_found(entry.found)
            _check(entry.name, image, entry.found.path)
        except CasewiseError as error:
            reasons.append(str(error))
            series.remove(entry)
            continue
        return image
    raise _no_sequence(path, reasons)


def read_study(folder: Path, found: Sequence[Found], rejected: Sequence[Rejected], progress: Progress = silent) -> Study:
    """Group a study's images (of :func:`study_in`) into sequences, and read them.

    Raises UnreadableImageError, one sentence, for images of several patients or studies, and where no sequence is left.
    """
    entries = [(entry, acquisition(entry)) for entry in found]
    _check_one(folder, [acquired for _, acquired in entries])
    series, left_out = named(entries)
    given: list[Given] = []
    refused = _refused(found, rejected)
    for number, entry in enumerate(series):
        progress(_READING, number, len(series), entry.name)
        try:
            image = formats.read_found(entry.found)
            _check(entry.name, image, entry.found.path)
        except CasewiseError as error:
            refused.append(Refused(entry.name, entry.found.path, str(error)))
            continue
        given.append(Given(entry.name, image, entry.found.path, entry.found.member, entry.told_by, entry.notes))
    progress(_READING, len(series), len(series))
    notes = tuple(part.reason for part in left_out)
    if not given:
        raise _no_sequence(folder, [*(part.reason for part in refused), *notes])
    parts = {acquired.body_part for _, acquired in entries if acquired.body_part}
    return Study(tuple(given), tuple(refused), notes, parts.pop() if len(parts) == 1 else "")


def _no_sequence(folder: Path, reasons: Sequence[str]) -> UnreadableImageError:
    said = f"{folder} holds no MR sequence that can be read; give a single series' folder or a file."
    return UnreadableImageError(" ".join((said, *dict.fromkeys(reasons))))


def _refused(found: Sequence[Found], rejected: Sequence[Rejected]) -> list[Refused]:
    """What a scan rejected, by the description of its series: a folder of several series does not say which is meant."""
    refused: list[Refused] = []
    known = {entry.files for entry in found}
    for folder in dict.fromkeys(entry.path for entry in rejected):
        entries = [entry for entry in rejected if entry.path == folder]
        names = _descriptions(folder, known) if folder.is_dir() else []
        names = names if len(names) == len(entries) else [folder.name] * len(entries)
        for name, entry in zip(names, entries, strict=True):
            said = entry.reason if name in entry.reason else f"{name}: {entry.reason}"
            refused.append(Refused(name, folder, said))
    return refused


def _descriptions(folder: Path, known: set[tuple[Path, ...]]) -> list[str]:
    """Of the series of several files in a folder that a scan did not find, in the scan's order."""
    slices, _ = headers(sorted(path for path in folder.iterdir() if path.is_file()))
    lost = [stack for stack in stacks_of(slices) if stack.files not in known and len(stack.files) > 1]
    acquisitions = [acquisition(Found(folder, stack.member, stack.files, Kind.DICOM)) for stack in lost]
    return [acquired.description or f"series {acquired.order[0]}" for acquired in acquisitions]


def read_named(files: Sequence[tuple[str, Path]], progress: Progress = silent) -> Study:
    """Read the images of an examination that are named one by one, such as ``("FLAIR", Path("a.nii.gz"))``.

    Raises UsageError for two of one name, CasewiseError for images of different patients or one image under two names, and
    UnreadableImageError where none can be read; a single one that cannot is refused.
    """
    names = [canonical(name) for name, _ in files]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise UsageError(_both(name, files[names.index(name)][1], files[number][1]))
    given: list[Given] = []
    refused: list[Refused] = []
    for number, (name, (_, path)) in enumerate(zip(names, files, strict=True)):
        progress(_READING, number, len(files), name)
        try:
            image = formats.read(path)
            _check(name, image, path)
        except CasewiseError as error:
            refused.append(Refused(name, path, str(error)))
            continue
        given.append(Given(name, image, path))
    progress(_READING, len(files), len(files))
    if not given:
        raise UnreadableImageError(" ".join(part.reason for part in refused))
    _check_apart(given)
    parts = {(entry.image.header.body_part or "").upper() for entry in given} - {""}
    return Study(tuple(given), tuple(refused), (), parts.pop() if len(parts) == 1 else "")


def _both(name: str, first: Path, second: Path) -> str:
    return f"Two images are both named {name}: {first} and {second}; each sequence of an examination has one image."


def _check_one(folder: Path, acquisitions: Sequence[Acquisition]) -> None:
    patients = {acquired.patient for acquired in acquisitions if acquired.patient}
    if len(patients) > 1:
        msg = f"{folder} holds images of {len(patients)} patients; an examination is of one: give that one's folder."
        raise UnreadableImageError(msg)
    studies = {acquired.study for acquired in acquisitions if acquired.study}
    if len(studies) > 1:
        msg = f"{folder} holds {len(studies)} studies of a patient; give the folder of one, or images by --sequence NAME=IMAGE."
        raise UnreadableImageError(msg)


def _check_apart(given: Sequence[Given]) -> None:
    patients = {str(entry.image.header.subject): entry for entry in given if entry.image.header.subject}
    if len(patients) > 1:
        first, second, *_ = patients.values()
        msg = (
            f"{first.name} ({first.path}) and {second.name} ({second.path}) are of different patients by their headers; "
            "the sequences of an examination are of one."
        )
        raise CasewiseError(msg)
    known: dict[str, Given] = {}
    for entry in given:
        twin = known.setdefault(image_key(entry.image), entry)
        if twin is not entry:
            msg = f"{twin.name} ({twin.path}) and {entry.name} ({entry.path}) are the same image; give each sequence its own."
            raise CasewiseError(msg)


def _check(name: str, image: Image, path: Path) -> None:
    """Raises CasewiseError for an image that cannot be a sequence of an examination."""
    given = f"{name} ({path})"
    if image.spatial_dims != 3 or image.channels != 1:
        what = "a colour image" if image.channels != 1 else "a single picture"
        raise CasewiseError(f"{given} is {what}; a sequence is a volume of one channel.")
    if min(image.spatial_shape) < 3:
        raise CasewiseError(f"{given} has the shape {image.spatial_shape}; a sequence has at least three slices.")
    if not image.header.placed:
        msg = f"{given} does not say where its voxels lie, so that it cannot be registered; give it with its geometry."
        raise CasewiseError(msg)
    if not np.isfinite(image.array).all():
        raise CasewiseError(f"{given} holds values that are not finite; replace them.")
    if image.array.min() == image.array.max():
        raise CasewiseError(f"{given} has the same value everywhere: it is empty.")
    if _is_label_map(image.array):
        raise CasewiseError(f"{given} holds no more than {_FEW_VALUES} values: it is a mask or label map, not a sequence.")
    if kind_of(name) == "ADC":
        check_unit(image.array, given)


def _is_label_map(array: Array) -> bool:
    """Whether an image has so few values that it is of labels; a part of it is looked at first, most images show it there."""
    part = array[..., :: max(1, array.shape[-1] // 4)]
    return all(len(np.unique(values)) <= _FEW_VALUES for values in (part, array))
