"""Files opened to be read: regular ones alone, never a pipe, a device or a socket, so that nothing is waited for."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from casewise.errors import UnreadableImageError

# Neither a named pipe nor a device that is not ready makes this wait. Systems without these flags have no such files.
_FLAGS = os.O_RDONLY
for _name in ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY"):
    _FLAGS |= getattr(os, _name, 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISDIR, "a folder"),
)


def open_regular(path: Path) -> int:
    """A descriptor of a regular file, opened to be read.

    Raises UnreadableImageError for anything else, OSError where it is not there or may not be read.
    """
    # Looked at before, because to open a device can already do something to it; and after, because it may have been exchanged.
    _check(path, path.stat().st_mode)
    return _checked(path, os.open(path, _FLAGS))


def open_beside(path: Path, name: str) -> int:
    """A descriptor of the regular file ``name`` in the folder of ``path``: no other folder, and no link, whatever the name says.

    Raises UnreadableImageError for a name that leads elsewhere and for what is no regular file.
    """
    check_beside(path, name)
    data = path.parent / name
    try:
        mode = data.lstat().st_mode
        if stat.S_ISLNK(mode):
            msg = f"{path} keeps its voxels in {_printable(name)}, which is a link and is not followed; put the file itself there."
            raise UnreadableImageError(msg)
        _check(data, mode)
        if os.open not in os.supports_dir_fd:
            return _checked(data, os.open(data, _FLAGS | _NO_LINK))
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            return _checked(data, os.open(name, _FLAGS | _NO_LINK, dir_fd=folder))
        finally:
            os.close(folder)
    except FileNotFoundError as error:
        raise UnreadableImageError(f"{path} keeps its voxels in {_printable(name)}, which is not beside it.") from error
    except PermissionError as error:
        raise UnreadableImageError(f"{data} may not be read by this user; change its permissions.") from error
    except OSError as error:
        msg = f"{path} keeps its voxels in {_printable(name)}, which cannot be opened ({error.strerror or type(error).__name__})."
        raise UnreadableImageError(msg) from error


def named_beside(path: Path, value: str, single: str) -> str:
    """The name of the one voxel file beside ``path`` that a header's ``value`` gives; ``single``: a kind of file without a second.

    Raises UnreadableImageError for several files, and for a name that leads elsewhere.
    """
    if value.upper().startswith("LIST") or "%" in value:
        msg = f"{path} keeps its voxels in several files, which is not read; save it as one {single} file."
        raise UnreadableImageError(msg)
    name = value.removeprefix("./")
    check_beside(path, name)
    return name


def check_beside(path: Path, name: str) -> None:
    """Refuse a name in the header ``path`` that is not of a file in the same folder."""
    if name in ("", ".", "..") or "/" in name or "\\" in name or "\0" in name or Path(name).name != name:
        msg = f"{path} points at voxels outside its own folder ({_printable(name)}), which is refused; keep both files together."
        raise UnreadableImageError(msg)


def is_plain_file(path: Path) -> bool:
    """Whether a regular file lies there, and no link to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _checked(path: Path, descriptor: int) -> int:
    try:
        _check(path, os.fstat(descriptor).st_mode)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = next((words for is_it, words in _KINDS if is_it(mode)), "no regular file")
        raise UnreadableImageError(f"{path} is {kind}; an image is read from a regular file.")


def _printable(name: str) -> str:
    """A name out of a file's header, fit for a message: printable and short."""
    text = "".join(c if c.isprintable() else "?" for c in name)
    return text if len(text) <= 80 else text[:77] + "…"
