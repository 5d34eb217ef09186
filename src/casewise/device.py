"""Where networks run: ``auto`` takes CUDA where there is a device."""

from __future__ import annotations

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
