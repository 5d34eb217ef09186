"""Where networks run: ``auto`` takes CUDA where there is a device."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

from casewise.errors import UsageError

DEVICES = ("auto", "cpu", "cuda")


def resolve_device(name: str) -> str:
    """``cpu`` or ``cuda`` from ``auto``, ``cpu`` or ``cuda``; a UsageError where CUDA is asked for and absent."""
    if name not in DEVICES:
        msg = f"The device is one of {', '.join(DEVICES)}; got {name!r}."
        raise UsageError(msg)
    if name == "cpu":
        return name
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if name == "cuda":
        msg = "CUDA was asked for and this machine has none that torch can use; leave --device out, or use --device cpu."
        raise UsageError(msg)
    return "cpu"


@cache
def computes_in_bfloat16() -> bool:
    """Whether the processor itself multiplies in bfloat16 (AVX-512 BF16, AMX), so that it is faster than float32."""
    import torch

    known: dict[str, object] = getattr(
        torch.cpu, "get_capabilities", dict
    )()  # comes with newer versions than the oldest that is allowed
    return bool(torch.backends.mkldnn.is_available() and (known.get("avx512_bf16") or known.get("amx_bf16")))


def faster(device: str, allowed: bool = True) -> AbstractContextManager[object]:
    """A block in which torch reckons in bfloat16 where that is enough: on CUDA, and on a processor that has it.

    On another processor bfloat16 is emulated, which takes twenty times as long as float32: there the block changes nothing.

    device : ``cpu`` or ``cuda``. allowed : False leaves float32 on a processor that has bfloat16.
    """
    import torch

    return torch.autocast(device, torch.bfloat16, enabled=device == "cuda" or (allowed and computes_in_bfloat16()))


def exact(device: str) -> AbstractContextManager[object]:
    """A block inside of :func:`faster` in which torch keeps the precision that the tensors have: for sums of many numbers."""
    import torch

    return torch.autocast(device, enabled=False)
