"""Arrays as nnInteractive's client and server send them: a short header, then chunks compressed by Blosc2.

``NNIA``, version 1, codec, number of axes, length of the type's name (a byte each); the name; the shape (int64 an axis); the number
of chunks (uint32); for each its plain and its compressed length (uint64) and its bytes. All little-endian, in C order.
"""

from __future__ import annotations

import math
import struct

import numpy as np

from casewise.errors import UsageError
from casewise.image import Array

CONTENT_TYPE = "application/octet-stream"

_MAGIC, _VERSION = b"NNIA", 1
_ZSTD = 1  # the number of the codec in the header
_START = struct.Struct("<4sBBBB")
_CHUNK = struct.Struct("<QQ")
_CHUNK_BYTES = 1 << 30  # Blosc2 takes less than 2 GiB at once
_KINDS = ("bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)), "float16", "float32", "float64")
_AXES = (3, 4)
_FRAME_BYTES = 32  # of a Blosc2 chunk's header
_EXTENDED = 0b101  # flags of a header of that length
_OWN = 4  # Blosc2's own codecs and filters have numbers up to this; higher ones are plug-ins


def pack(array: Array) -> bytes:
    """The array's message; booleans are sent as such."""
    import blosc2

    array = np.ascontiguousarray(array)
    name = array.dtype.name.encode("ascii")
    raw = array.reshape(-1).view(np.uint8).data
    starts = range(0, raw.nbytes, _CHUNK_BYTES)
    parts = [_START.pack(_MAGIC, _VERSION, _ZSTD, array.ndim, len(name)), name, struct.pack(f"<{array.ndim}q", *array.shape)]
    parts.append(struct.pack("<I", len(starts)))
    how = {"typesize": array.dtype.itemsize, "codec": blosc2.Codec.ZSTD, "clevel": 1, "filters": [blosc2.Filter.NOFILTER]}
    for start in starts:
        plain = raw[start : start + _CHUNK_BYTES]
        chunk = blosc2.compress2(plain, **how)
        parts += [_CHUNK.pack(plain.nbytes, len(chunk)), chunk]
    return b"".join(parts)


def unpack(message: bytes, largest: int) -> Array:
    """The array of a message: 3 or 4 axes of numbers or booleans, ``largest`` bytes at most. Raises UsageError, one sentence."""
    try:
        return _unpacked(memoryview(message), largest)
    except (struct.error, TypeError, ValueError, RuntimeError) as error:
        raise _damaged(str(error) or type(error).__name__) from error


def _unpacked(message: memoryview, largest: int) -> Array:
    magic, version, _, axes, length = _START.unpack_from(message, 0)
    if magic != _MAGIC or version != _VERSION:
        raise _damaged("it does not begin as version 1 of nnInteractive's arrays does")
    place = _START.size
    name = bytes(message[place : place + length]).decode("ascii", "replace")
    shape = struct.unpack_from(f"<{axes}q", message, place + length)
    place += length + 8 * axes
    if name not in _KINDS or len(shape) not in _AXES or min(shape) < 1:
        msg = f"An array has 3 or 4 axes of at least one voxel, of one of {', '.join(_KINDS)}; got {name!r} of shape {shape}."
        raise UsageError(msg)
    kind = np.dtype(name)
    size = math.prod(shape) * kind.itemsize
    if size > largest:
        msg = f"The array takes {size} bytes, and this server takes at most {largest} (upload_bytes in server.toml)."
        raise UsageError(msg)
    plain = np.empty(size, np.uint8)
    (count,) = struct.unpack_from("<I", message, place)
    place, done = place + 4, 0
    for _ in range(count):
        part, compressed = _CHUNK.unpack_from(message, place)
        place += _CHUNK.size
        _decompress(message[place : place + compressed], compressed, plain[done : done + part], part)
        place, done = place + compressed, done + part
    if done != size:
        raise _damaged(f"it holds {done} of {size} bytes")
    return plain.view(kind).reshape(shape)


def _decompress(chunk: memoryview, length: int, target: Array, size: int) -> None:
    """Decompress one chunk into ``target``, after its header was compared with what the message says of it."""
    import blosc2

    if len(chunk) != length or length < _FRAME_BYTES or target.nbytes != size:
        raise _damaged("a chunk is cut off or longer than the array")
    flags, filters = chunk[2], chunk[16:22]
    if flags & _EXTENDED != _EXTENDED or flags >> 5 > _OWN or max(filters) > _OWN:
        raise _damaged("a chunk is compressed by a method that is not Blosc2's own")
    plain, compressed, _ = blosc2.get_cbuffer_sizes(chunk)
    if (plain, compressed) != (size, length):
        raise _damaged(f"a chunk of {size} bytes says that it has {plain}")
    blosc2.decompress2(chunk, dst=target)


def _damaged(why: str) -> UsageError:
    return UsageError(f"The array cannot be read: {why}. Send it as nnInteractive's client does.")
