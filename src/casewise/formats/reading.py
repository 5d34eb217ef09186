"""``read``: one image from one file or folder, whatever its kind; anything unreadable is one sentence."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

from casewise.errors import UnreadableImageError
from casewise.formats.found import Found, Kind
from casewise.formats.guard import BoundedFile, one_sentence
from casewise.formats.sniffing import HEAD, kind_by_content, why_no_image
from casewise.image import Image


def read(path: str | os.PathLike[str], member: str | None = None) -> Image:
    """Read one image: array (C, *spatial), affine to RAS mm, header (see :class:`casewise.image.Image`).

    path : a file of any kind that :func:`scan` finds, or the folder of a DICOM series. The content decides the kind, not the name.
    member : which image, where a file or folder holds several: a DICOM series' UID (``UID#2`` for the second stack in it),
        ``frame=3`` of a DICOM file, ``volume=3`` of a 4D file, ``page=3`` of a TIFF (all from 0), an HDF5 data set's name.

    Raises :class:`~casewise.errors.UnreadableImageError` with one sentence that says what is wrong.
    """
    path = Path(path)
    if path.is_dir():
        from casewise.formats.dicom.series import read_folder

        with one_sentence(path, "a DICOM series", quote=False), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read_folder(path, member)
    return read_kind(path, kind_of(path), member)


def read_found(found: Found) -> Image:
    """The image that a scan found, without looking through its folder again."""
    if found.path.is_dir():
        from casewise.formats.dicom.series import read_files

        with one_sentence(found.path, "a DICOM series", quote=False), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read_files(found.path, found.files, found.notes)
    if not found.path.exists():
        raise UnreadableImageError(f"{found.path} was moved or deleted since it was found; give where it is now.")
    if kind_of(found.path) is not found.kind:
        raise UnreadableImageError(f"{found.path} is not the {found.kind} file that was found there before; look for images again.")
    return read_kind(found.path, found.kind, found.member)


def head_of(path: Path) -> bytes:
    """A file's first bytes, or one sentence why there are none."""
    try:
        with BoundedFile(path) as file:
            return file.read(HEAD)
    except UnreadableImageError:
        raise
    except FileNotFoundError as error:
        raise UnreadableImageError(f"{path} does not exist.") from error
    except PermissionError as error:
        raise UnreadableImageError(f"{path} may not be read by this user; change its permissions.") from error
    except (OSError, ValueError) as error:
        raise UnreadableImageError(f"{path!s} cannot be opened: {error}.") from error


def kind_of(path: Path) -> Kind:
    """The kind of a file by its content; an error sentence if it is none that is read."""
    head = head_of(path)
    kind = kind_by_content(head)
    if kind is None:
        raise UnreadableImageError(why_no_image(path, head))
    return kind


def read_kind(path: Path, kind: Kind, member: str | None) -> Image:
    """Read a file whose kind is known."""
    with one_sentence(path, f"a {kind} file", quote=kind is not Kind.DICOM), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind is Kind.DICOM:
            from casewise.formats.dicom.series import read_file

            return read_file(path, member)
        if kind is Kind.NIFTI:
            from casewise.formats.nifti import read_nifti

            return read_nifti(path, member)
        if kind in (Kind.NRRD, Kind.META):
            from casewise.formats.itk import read_itk

            return read_itk(path, kind, member)
        if kind is Kind.TIFF:
            from casewise.formats.tiff import read_tiff

            return read_tiff(path, member)
        if kind is Kind.HDF5:
            from casewise.formats.hdf5 import read_hdf5

            return read_hdf5(path, member)
        from casewise.formats.pictures import read_picture

        return read_picture(path, kind, member)


def listed(names: Sequence[str], most: int = 12) -> str:
    """The names, comma-separated, cut after ``most``."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
