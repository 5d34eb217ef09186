"""Messages between casewise and a confined network: a header of JSON, and tensors behind it as they lie in memory."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

MOST_HEADER = 16 << 20
_DTYPES = {
    str(kind).removeprefix("torch."): kind
    for kind in (
        torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
        torch.bool, torch.complex64, torch.complex128,
    )
}  # fmt: skip
_LENGTH = struct.Struct("<Q")


class FrameError(ValueError):
    """What came is no message, or a larger one than is allowed."""


def packed(header: dict[str, Any], tensors: Sequence[Tensor] = ()) -> list[memoryview]:
    """The pieces of a message, in order. The tensors may lie on any device and be of any strides."""
    plain = [tensor.detach().cpu().contiguous() for tensor in tensors]
    about = [[str(tensor.dtype).removeprefix("torch."), list(tensor.shape)] for tensor in plain]
    text = json.dumps({**header, "tensors": about}).encode()
    pieces = [memoryview(_LENGTH.pack(len(text)) + text)]
    return pieces + [_bytes_of(tensor) for tensor in plain if tensor.numel()]


def unpacked(fill: Callable[[memoryview], None], most: int) -> tuple[dict[str, Any], list[Tensor]]:
    """The next message. fill : fills a buffer with the next bytes. most : bytes of its tensors. Raises FrameError."""
    start = bytearray(_LENGTH.size)
    fill(memoryview(start))
    (length,) = _LENGTH.unpack(start)
    if length > MOST_HEADER:
        raise FrameError(f"a header of {length:,} bytes")
    text = bytearray(length)
    fill(memoryview(text))
    try:
        header = json.loads(text)
        kinds = [(_DTYPES[name], [int(side) for side in shape]) for name, shape in header.pop("tensors")]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FrameError("no header") from error
    tensors = []
    for dtype, shape in kinds:
        if any(side < 0 for side in shape):
            raise FrameError("a negative shape")
        most -= math.prod(shape) * dtype.itemsize
        if most < 0:
            raise FrameError("more than is allowed")
        tensor = torch.empty(shape, dtype=dtype)
        if tensor.numel():
            fill(_bytes_of(tensor))
        tensors.append(tensor)
    return header, tensors


def _bytes_of(tensor: Tensor) -> memoryview:
    view: Any = tensor.reshape(-1).view(torch.uint8).numpy()
    return memoryview(view)
