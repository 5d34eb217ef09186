"""Files written whole or not at all, and what a command may overwrite: what it or an earlier call wrote and nobody changed since.

A file that a command writes is marked with the hash of its content: in the extended attribute ``user.casewise`` where the file
system has such attributes, else in a hidden file of its folder. A file without a mark is the user's, and so is one whose content is
another by now (a mask that somebody corrected). The mark names the command too, which may remove what an earlier call of it left.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from casewise.errors import CasewiseError, UsageError

LEDGER = ".casewise-written"  # a line a file: its mark, a blank, its name
_ATTRIBUTE = "user.casewise"
_PART = ".part-"  # what the names of files begin with that are being written
_FOLDER = "folder"  # the mark of a folder, whose files are one result
_OF = "/"  # between a mark and the command that made it
_NAMED = 3  # files in a sentence


@contextmanager
def replacing(path: Path, *, suffix: str = "", prefix: str = _PART, durable: bool = False) -> Iterator[Path]:
    """A new name beside ``path``; what the block writes there, a file or a folder, takes the place of ``path`` in one step.

    Where the block raises, what it wrote is removed and ``path`` stays as it was. suffix : of the new name, for writers that go by
    it. prefix : by which what killed processes left is recognised. durable : the file is on disk before it gets its name.
    """
    beside = path.with_name(f"{prefix}{secrets.token_hex(8)}{suffix}")  # not made of the name, which may be as long as one can be
    try:
        yield beside
        if durable:
            with beside.open("rb+") as file:
                os.fsync(file.fileno())
        beside.replace(path)
    finally:
        with suppress(OSError):
            if beside.is_dir():
                shutil.rmtree(beside, ignore_errors=True)
            else:
                beside.unlink(missing_ok=True)


@contextmanager
def output(path: Path, what: str = "", *, suffix: str = "") -> Iterator[Path]:
    """As :func:`replacing`, for a file that a command writes for its user: claimed before, marked as casewise's own after.

    what : such as "The report", for the error. Raises CasewiseError where the file cannot be written, and UsageError as
    :func:`claim` does.
    """
    claim(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, suffix=suffix) as beside:
            yield beside
            _mark(beside, path)  # before it has its name: a killed process leaves nothing that looks like the user's
    except (OSError, RuntimeError) as error:  # SimpleITK raises a RuntimeError
        reason = getattr(error, "strerror", None) or (str(error).strip().splitlines() or [type(error).__name__])[-1]
        name = f"{what} {path}".strip()
        raise CasewiseError(
            f"{name} cannot be written: {reason}; choose a folder that may be written and has free space."
        ) from error


@dataclass
class _Policy:
    """force : whatever is there is replaced, but never an input. inputs : files that the call reads. command : that is running."""

    force: bool
    inputs: frozenset[Path] = field(default_factory=frozenset)
    command: str = ""


_policies: list[_Policy] = []  # of the command that is running; empty in a program that uses casewise as a library


@contextmanager
def protecting(inputs: Iterable[Path | None], force: bool = False, command: str = "") -> Iterator[None]:
    """While a command's body runs, :func:`claim` refuses its ``inputs`` and, without ``force``, what casewise did not write.

    command : a word that stands in the marks of what it writes.
    """
    _policies.append(_Policy(force, frozenset(path.resolve() for path in inputs if path is not None), command))
    try:
        yield
    finally:
        _policies.pop()


def claim(path: Path) -> None:
    """Ask before ``path`` is written. Raises UsageError, one sentence, where a command must not replace what lies there."""
    if not _policies:
        return
    policy = _policies[-1]
    if path.resolve() in policy.inputs:
        msg = f"{path} is an input of this command and is not overwritten; choose another output."
        raise UsageError(msg)
    if policy.force or not os.path.lexists(path) or _is_own(path):
        return
    what = "folder" if path.is_dir() else "file"
    msg = f"{path} is a {what} that casewise did not write, or that was changed since; choose another output, or add --force."
    raise UsageError(msg)


def is_left_over(path: Path) -> bool:
    """Whether an earlier call of this command wrote the file, and nobody changed it since; never an input of this call."""
    if not _policies or path.is_dir():
        return False
    policy = _policies[-1]
    return path.resolve() not in policy.inputs and _command_of(path) == policy.command and _is_own(path)


def remove_left_over(paths: Iterable[Path]) -> list[Path]:
    """Remove what earlier calls of this command left and this one did not write again (:func:`is_left_over`).

    The others that are there are a person's or another command's: they stay, and are given back to be named.
    """
    kept = []
    for path in paths:
        if not os.path.lexists(path):
            continue
        if not is_left_over(path):
            kept.append(path)
            continue
        try:
            path.unlink()
        except OSError:
            kept.append(path)
    return kept


def kept_beside(paths: Iterable[Path]) -> str:
    """The sentence that names files that lie beside a result and are not of it; empty where there are none."""
    names = [path.name for path in paths]
    if not names:
        return ""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"Kept, but not of this result: {', '.join(names[:_NAMED])}{more} (made or changed by somebody, or of another command)."


def wrote(path: Path, named: Path | None = None) -> None:
    """Mark ``path`` (a file, or a folder of one result) as casewise's own, where a command wrote it.

    named : what it will be called in its folder, where it has not got its name yet.
    """
    _mark(path, named or path)


def holds_marked(folder: Path) -> bool:
    """Whether each file of a folder of one result is marked, as this version does; earlier ones marked the folder alone."""
    return bool(_policies) and bool(_command_of(folder))


def own_folder(path: Path) -> None:
    """Make a folder of one result that carries casewise's mark as soon as it is there; one that is there stays as it is."""
    if path.is_dir():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with replacing(path) as beside:
            beside.mkdir()
            _mark(beside, path)
    except OSError:
        if not path.is_dir():  # another thread made it meanwhile
            raise


def forget_parts(folder: Path, older: float) -> None:
    """Remove from ``folder`` the halves of files that killed processes left more than ``older`` seconds ago."""
    limit = time.time() - older
    for path in folder.glob(f"{_PART}*"):
        with suppress(OSError):
            if path.stat().st_mtime < limit:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def locked(path: Path, shared: bool) -> int | None:
    """The open file of a lock, made where it is not there; None where it cannot be had: another holds it, or no locks are here.

    shared : others may hold it too, and a lock that another holds alone is waited for. To be closed; the system lets go of it
    however the process ends.
    """
    try:
        import fcntl

        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    except (ImportError, OSError):
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def _mark(path: Path, named: Path) -> None:
    """Mark what lies at ``path`` and is, or will be, called ``named`` in the same folder."""
    if not _policies:
        return
    command = _policies[-1].command
    mark = f"{_FOLDER if path.is_dir() else _key(path)}{_OF if command else ''}{command}".encode()
    try:
        os.setxattr(path, _ATTRIBUTE, mark, follow_symlinks=False)
    except (OSError, AttributeError):  # no such attributes on this file system, or in this operating system
        ledger = os.open(path.parent / LEDGER, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
        try:
            os.write(ledger, mark + b" " + _line(named) + b"\n")  # one call: lines of several processes do not mix
        finally:
            os.close(ledger)


def _is_own(path: Path) -> bool:
    if path.is_symlink():
        return False
    mark = (_mark_of(path) or "").partition(_OF)[0]
    if path.is_dir():
        return mark == _FOLDER
    return bool(mark) and path.is_file() and mark == _key(path)


def _command_of(path: Path) -> str:
    return (_mark_of(path) or "").partition(_OF)[2]


def _key(path: Path) -> str:
    from casewise.hashing import file_key  # with it comes numpy, which `casewise --help` does without

    return file_key(path)


def _mark_of(path: Path) -> str | None:
    try:
        return os.getxattr(path, _ATTRIBUTE, follow_symlinks=False).decode("ascii", "replace")
    except (OSError, AttributeError):
        pass
    try:
        lines = (path.parent / LEDGER).read_bytes().splitlines()
    except OSError:
        return None
    marks = [mark for mark, _, name in (line.partition(b" ") for line in lines) if name == _line(path)]
    return marks[-1].decode("ascii", "replace") if marks else None


def _line(path: Path) -> bytes:
    return os.fsencode(path.name).replace(b"\n", b"\\n")
