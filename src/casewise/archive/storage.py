"""Files inside an archive: ``files/<aa>/<key><suffix>``, in its folder or in object storage; one is whole or not there.

In the folder they are written beside and renamed. In storage (``storage`` in ``casewise.toml``) they are objects, and what reads
them reads a copy on this machine, brought when it is asked for. A path of the catalogue that begins with ``s3://`` is that of an
object that was imported and stayed where it is.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from casewise.archive.failures import disk_sentence
from casewise.archive.remote import objects
from casewise.archive.remote.address import Address, is_remote
from casewise.archive.remote.cache import CopiesError
from casewise.archive.remote.sentences import ObjectMissingError, RemoteError
from casewise.archive.remote.setting import Remote, remote_of
from casewise.archive.suffixes import suffix
from casewise.archive.voxels import voxel_names
from casewise.errors import ArchiveError, UnreadableImageError
from casewise.files import replacing
from casewise.names import legible

_FOLDER = "files"


class AwayError(UnreadableImageError):
    """Object storage cannot be reached now, or no copy be written; the file may be there."""


def place(key: str, ending: str) -> str:
    """Where a content of this key lies, relative to the archive."""
    return f"{_FOLDER}/{key[:2]}/{key}{ending}"


def is_own(path: str) -> bool:
    """Whether a catalogue's path is that of a file that was written into the archive, under its content's key."""
    return path.startswith(f"{_FOLDER}/")


def named(folder: Path, path: str) -> Path:
    """The file that a catalogue's path names, or the place of its copy, there or not; a relative one lies in the archive, and never
    leads out of it.
    """
    given = Path(path)
    if ".." in given.parts:
        msg = "The archive's catalogue names a file outside its folder; restore the archive from a copy."
        raise ArchiveError(msg)
    if given.is_absolute():
        return given
    address = _address(folder, path)
    return folder / given if address is None else remote_of(folder).cache.place(address)


def located(folder: Path, path: str) -> Path:
    """As :func:`named`, for a file that is about to be read: that of an object is brought here, and kept for as long as it takes.

    Raises UnreadableImageError where an object cannot be had (AwayError where none can, now); one that is not there any more is a
    file that is not there.
    """
    address = _address(folder, path)
    if address is None:
        return named(folder, path)
    cache = remote_of(folder).cache
    try:
        place = cache.get(address, partial(objects.bring, address))
        for name in voxel_names(place):
            with suppress(ObjectMissingError):
                beside = address.beside(name)
                cache.get(beside, partial(objects.bring, beside))
        return place
    except ObjectMissingError:
        return cache.place(address)
    except (RemoteError, CopiesError) as error:
        raise AwayError(str(error)) from error
    except ArchiveError as error:
        raise UnreadableImageError(str(error)) from error


def located_files(folder: Path, path: str, files: Sequence[str]) -> tuple[Path, tuple[Path, ...]]:
    """The place that a catalogue's path names, and in it the files of a series; none where it is a file itself."""
    if not files:
        return located(folder, path), ()
    here = named(folder, path)
    if (address := _address(folder, path)) is not None:
        try:
            remote_of(folder).cache.hold_folder(address)
        except ArchiveError as error:
            raise AwayError(str(error)) from error
    listed = tuple(located(folder, f"{path}/{name}") for name in files)
    return here, listed if here.is_dir() else ()


def is_there(folder: Path, path: str) -> bool:
    """Whether the file that a catalogue's path names is there, or the object."""
    address = _address(folder, path)
    if address is None:
        return named(folder, path).exists()
    return objects.about(address) is not None or any(True for _ in objects.listed(address))


def origin(folder: Path, file: Path) -> str:
    """What a file is called by: the address of the object whose copy it is, else its path."""
    address = remote_of(folder).cache.address(file)
    return str(file) if address is None else str(address)


def recorded(folder: Path, file: Path) -> tuple[str, ...]:
    """The paths by which the archive's catalogue may name the object whose copy a file is, there or not; none for another file."""
    remote = remote_of(folder)
    address = remote.cache.address(file)
    if address is None:
        return ()
    own = (address.key.removeprefix(f"{remote.place.key}/"),) if remote.place is not None and address.is_below(remote.place) else ()
    return str(address), *own


def take(folder: Path, key: str, files: Sequence[Path], single: bool) -> str:
    """Copy a content's files into the archive, unless they are there; returns their place.

    A single file takes the key as its name; several keep their names in a folder of that name, as their headers may refer to them.
    Raises UnreadableImageError for a name that an object cannot have, ArchiveError where they cannot be copied.
    """
    target = place(key, _ending(files[0]) if single else "")
    remote = remote_of(folder)
    if remote.place is not None:
        places = [remote.place / (target if single else f"{target}/{file.name}") for file in files]
        for file, address in zip(files, places, strict=True):
            if address.below(folder) is None:
                raise UnreadableImageError(
                    f"{legible(str(file))} has a name that no object can have; rename it, and import it again."
                )
        for file, address in zip(files, places, strict=True):
            objects.put(file, address)
    elif not (folder / target).exists():
        try:
            (folder / target).parent.mkdir(parents=True, exist_ok=True)
            _copy(folder / target, files, single)
        except OSError as error:
            raise ArchiveError(disk_sentence(error)) from error
    return target


def keep(folder: Path, target: str, write: Callable[[Path], object]) -> None:
    """Have a file written at its place in the archive, unless it is there: it is called after its content."""
    address = _address(folder, target)
    if address is None:
        if not (folder / target).exists():
            write(folder / target)
    elif objects.about(address) is None:
        _send(remote_of(folder), address, write)


def _send(remote: Remote, address: Address, write: Callable[[Path], object]) -> None:
    def fill(part: Path) -> None:
        # The writers go by the suffix, and make the folder.
        beside = part.with_name(part.name + suffix(address.key))
        try:
            write(beside)
            beside.replace(part)
        finally:
            beside.unlink(missing_ok=True)
        objects.put(part, address)

    remote.cache.add(address, fill)


def _address(folder: Path, path: str) -> Address | None:
    """The object that a catalogue's path names; None for a file of this machine."""
    if is_remote(path):
        return Address.parse(path)
    if not is_own(path) or (home := remote_of(folder).place) is None or (folder / path).exists():
        return None
    return home / path


def _copy(target: Path, files: Sequence[Path], single: bool) -> None:
    try:
        with replacing(target, prefix=".writing-") as beside:
            if single:
                _copy_file(files[0], beside)
            else:
                beside.mkdir()
                for file in files:
                    _copy_file(file, beside / file.name)
    except OSError:
        # Another process was faster with the same content (a folder cannot be renamed onto a full one).
        if not target.exists():
            raise


def _copy_file(source: Path, target: Path) -> None:
    with source.open("rb") as read, target.open("xb") as written:
        shutil.copyfileobj(read, written, 1 << 20)
        written.flush()
        os.fsync(written.fileno())


def _ending(path: Path) -> str:
    ending = suffix(path.name)
    # A suffix is part of a foreign name: what is odd about it stays outside.
    return ending if len(ending) <= 8 and ending[1:].replace(".", "").isalnum() else ""
