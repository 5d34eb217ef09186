"""Which of pydicom's decoders decode compressed pixels, in an order that is the same everywhere: lossy ones differ by a little."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from casewise.errors import UnreadableImageError

# GDCM is not among them: a damaged JPEG makes it abort the whole process instead of raising an error.
_DECODERS = ("pylibjpeg", "pillow", "pydicom")
Made = TypeVar("Made")


def by_first_able(path: Path, syntax: Any, decode: Callable[[str], Made]) -> Made:
    """What ``decode`` gives for the first of the decoders with which it does not raise.

    syntax : the file's transfer syntax, a pydicom UID; of one without compression the decoder's name is empty. Raises
    UnreadableImageError where there is none.
    """
    from pydicom.pixels import get_decoder

    able = get_decoder(syntax).available_plugins if syntax.is_encapsulated else ("",)
    failure: BaseException | None = None
    for name in (name for name in ("", *_DECODERS) if name in able):
        try:
            return decode(name)
        except MemoryError:
            raise
        except BaseException as error:
            # The RLE decoder is of Rust, whose panic is no Exception.
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            failure = failure or error
    reason = _reason(failure) if failure else "no decoder is installed"
    msg = f"{path} cannot be decoded ({syntax.name}): {reason}; its pixel data are damaged or not as its header says."
    raise UnreadableImageError(msg) from failure


def _reason(error: BaseException) -> str:
    """The last, most particular line of a decoder's words."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    line = lines[1] if len(lines) > 1 and lines[0].endswith(":") else lines[0] if lines else type(error).__name__
    return line.rstrip(".")[:160]
