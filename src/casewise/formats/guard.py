"""What every reader owes its caller: one sentence for whatever goes wrong, and no memory taken on the word of a damaged header."""

from __future__ import annotations

import io
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from casewise.errors import CasewiseError, UnreadableImageError
from casewise.formats.limits import SETTING, max_image_bytes, size_text
from casewise.formats.regular_files import open_regular
from casewise.header import Header
from casewise.image import Array, Image

_SLACK = 1 << 20
_LARGE_READ = 1 << 16
MOST_IMAGES = 64  # volumes or pages of one file that an import takes: a series over time is not so many cases


@contextmanager
def one_sentence(path: Path, kind: str, quote: bool = True) -> Iterator[None]:
    """Turn whatever a library raises into an :class:`UnreadableImageError`.

    quote : whether the library's own words may be repeated (not those of a DICOM parser: they can hold a patient's data).
    """
    try:
        yield
    except UnreadableImageError:
        raise
    except MemoryError as error:
        msg = f"{path} needs more memory than there is; read a smaller part of it, or free memory."
        raise UnreadableImageError(msg) from error
    except CasewiseError as error:
        msg = f"{path} cannot be read as {kind}: {' '.join(str(error).split())}"
        raise UnreadableImageError(msg) from error
    except FileNotFoundError as error:
        raise UnreadableImageError(f"{path} was moved or deleted; give where it is now.") from error
    except PermissionError as error:
        raise UnreadableImageError(f"{path} may not be read by this user; change its permissions.") from error
    except Exception as error:
        words = f": {_first_line(error)}" if quote and _first_line(error) else ""
        msg = f"{path} cannot be read as {kind}: it is damaged or cut short ({type(error).__name__}{words})."
        raise UnreadableImageError(msg) from error


class BoundedFile(io.BufferedReader):
    """A file opened to be read whose ``read`` never asks for more memory than the file has bytes left, whatever a header claims.

    file : its path, or a descriptor that is the caller's no more. Only a regular file is opened.
    """

    def __init__(self, file: Path | int) -> None:
        descriptor = open_regular(file) if isinstance(file, Path) else file
        super().__init__(io.FileIO(descriptor, "rb"))
        self.size = os.fstat(descriptor).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _LARGE_READ:
            size = max(0, min(size, self.size - self.tell()))
        return super().read(size)


def _first_line(error: Exception) -> str:
    """The line of a library's words that says most: ITK puts it last, the others first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return ""
    line = re.sub(r"^.*ERROR: |\(0x[0-9a-f]+\)", "", lines[-1]) if "SimpleITK" in lines[0] else lines[0]
    return re.sub(r"\s+", " ", line).rstrip(".:;, ")[:160]


def check_claim(path: Path, shape: Sequence[int], itemsize: float, stored: int, ratio: float = 1.0) -> None:
    """Refuse a header that claims more voxels than its file can hold, or than may be read, before anything is allocated.

    shape : claimed shape, every axis. itemsize : bytes a voxel. stored : bytes that are there, packed at most ``ratio`` to one.
    """
    if any(n <= 0 for n in shape):
        raise UnreadableImageError(f"{path} claims a shape of {_times(shape)}: it holds no voxels.")
    claimed = math.prod(int(n) for n in shape) * itemsize
    check_ceiling(path, claimed, f"claims {_times(shape)} voxels ({size_text(claimed)})")
    if claimed > stored * ratio + (_SLACK if ratio > 1 else 0):
        msg = f"{path} claims {_times(shape)} voxels but holds only {stored:,} bytes: it is cut short or its header is damaged."
        raise UnreadableImageError(msg)


def check_ceiling(path: Path, count: float, what: str) -> None:
    """Refuse an image of ``count`` bytes if that is more than may be read (``what``: how the message begins, after the name)."""
    if count > (most := max_image_bytes()):
        msg = f"{path} {what}; at most {size_text(most)} are read. Set the environment variable {SETTING} to read more."
        raise UnreadableImageError(msg)


def finished(
    path: Path, array: Array, affine: npt.NDArray[np.float64], header: Mapping[str, object], source: Path | None = None
) -> Image:
    """The image around ``array`` (C, *spatial), of a native real type, finite, contiguous; an error sentence otherwise."""
    array = _native(path, array)
    if array.size == 0:
        raise UnreadableImageError(f"{path} holds no voxels: its shape is {_times(array.shape[1:])}.")
    if array.dtype.kind == "f":
        bad = array.size - int(np.count_nonzero(np.isfinite(array)))
        if bad:
            msg = (
                f"{path} has {bad:,} of {array.size:,} voxels that are not finite (NaN or infinite); replace them, for instance "
                "with numpy.nan_to_num, and save it again."
            )
            raise UnreadableImageError(msg)
    return Image(array=array, affine=affine, header=Header.from_json(header), source=source or path)


def _native(path: Path, array: Array) -> Array:
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind == "b":
        array = array.astype(np.uint8)
    elif kind == "f" and size not in (4, 8):
        array = array.astype(np.float32 if size < 4 else np.float64)
    elif kind not in "iuf":
        msg = f"{path} holds values of type {array.dtype}; real numbers (integers or floats) are allowed."
        raise UnreadableImageError(msg)
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


def _times(shape: Sequence[int]) -> str:
    return "×".join(str(int(n)) for n in shape)


def one_of_several(path: Path, several: str, members: str, *, imported: bool = True) -> UnreadableImageError:
    """That a file holds several images, and how one is had: by the commands and the server, which take files alone, and in Python.

    several : how many of what. members : what ``read`` takes. imported : whether an import takes each.
    """
    each = ", or import the file, which takes each" if imported else ""
    msg = f"{path} holds {several}: save the one that is meant as a file of its own{each}; in Python, name it by {members}."
    return UnreadableImageError(msg)


def numbered(path: Path, member: str | None, word: str, count: int) -> int | None:
    """Which of ``count`` things a member ``"word=n"`` names, from 0; None if no member is given."""
    if member is None:
        return None
    match = re.fullmatch(rf"{word}=(\d{{1,9}})", member.strip())
    if match is None or int(match[1]) >= count:
        allowed = f'"{word}=0"' + (f' to "{word}={count - 1}"' if count > 1 else "")
        raise UnreadableImageError(f"{path} has no member {member!r}; {allowed} may be given.")
    return int(match[1])
