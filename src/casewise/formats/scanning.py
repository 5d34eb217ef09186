"""``scan``: what lies in a file or folder, each image once, each other file with its reason."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

from casewise.errors import UnreadableImageError
from casewise.formats.found import Found, Kind, Rejected
from casewise.formats.reading import head_of
from casewise.formats.sniffing import SUFFIXES, kind_by_content, suffix_of, why_no_image

_VOXEL_FILES = {".img": (".hdr",), ".raw": (".mhd", ".nhdr"), ".zraw": (".mhd",)}


def scan(path: str | os.PathLike[str], recursive: bool = True) -> Iterator[Found | Rejected]:
    """Yield every image and every file that is none, folder by folder in the order of names.

    Only DICOM headers are read (to tell series apart and to see gaps); other files are recognised by their first bytes, so that
    ``read`` may still refuse one that is found. Hidden files and links to folders are passed over. Raises
    :class:`~casewise.errors.UnreadableImageError` if ``path`` itself does not exist or may not be read.
    """
    path = Path(path)
    if not path.is_dir():
        head_of(path)
        yield from _scan_files(path.parent, [path])
        return
    if not os.access(path, os.R_OK | os.X_OK):
        raise UnreadableImageError(f"{path} may not be read by this user; change its permissions.")
    for folder, names, files in os.walk(path):
        names[:] = sorted(name for name in names if not name.startswith(".")) if recursive else []
        here = Path(folder)
        yield from _scan_files(here, [here / name for name in sorted(files) if not name.startswith(".")])


def _scan_files(folder: Path, files: list[Path]) -> Iterator[Found | Rejected]:
    dicom: list[Path] = []
    stems = {(file.stem.lower(), file.suffix.lower()) for file in files}
    for file in files:
        if not file.is_file():
            yield Rejected(file, f"{file} is not a file (a broken link, a pipe or a device).", False)
            continue
        owner = next((s for s in _VOXEL_FILES.get(file.suffix.lower(), ()) if (file.stem.lower(), s) in stems), None)
        if owner:
            yield Rejected(file, f"{file} holds the voxels of {file.stem}{owner}, which is read instead.", False)
            continue
        try:
            head = head_of(file)
        except UnreadableImageError as error:
            yield Rejected(file, str(error), suffix_of(file) in SUFFIXES)
            continue
        kind = kind_by_content(head)
        if kind is Kind.DICOM:
            dicom.append(file)
        elif kind is None:
            yield Rejected(file, why_no_image(file, head), suffix_of(file) in SUFFIXES)
        else:
            yield Found(file, None, (file,), kind)
    if dicom:
        from casewise.formats.dicom.series import find

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results = find(folder, dicom)
        yield from results
