"""What makers wrote into elements of their own before the standard had a place for it."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

# b value: Siemens, GE (with 1e9 added), Philips, United Imaging. The word stands in the name of who reserved the block.
_B_VALUES = (
    ((0x0019, 0x100C), "SIEMENS"),
    ((0x0043, 0x1039), "GEMS"),
    ((0x2001, 0x1003), "PHILIPS"),
    ((0x0065, 0x1009), "UIH"),
)
_B_OFFSET = 1_000_000_000
_B_NAME = re.compile(r"_b(\d+)(?:t|#\d+)?$")  # Siemens' sequence name: *ep_b800t; *ep_b50_800 is of two
_GE_COMPONENT = {0: "M", 1: "P", 2: "R", 3: "I"}


def b_value(dataset: Any, standard: str, sequence_name: str) -> float | None:
    """s/mm²: from the standard's element, else a maker's own, else the sequence's name; None where none says it."""
    stated = number(standard)
    if stated is not None:
        return stated
    for tag, maker in _B_VALUES:
        value = private_number(dataset, tag, maker)
        if value is not None and value >= 0:
            return value % _B_OFFSET
    named = _B_NAME.search(sequence_name)
    return float(named[1]) if named else None


def component(dataset: Any, image_type: str) -> str:
    """Which part of a complex image this is, M, P, R or I, or which map (ADC, FA, WATER, …); empty where it is not said.

    GE writes the same ImageType for all parts, and the part into an element of its own.
    """
    stated = private_number(dataset, (0x0043, 0x102F), "GEMS")
    parts = [_GE_COMPONENT[int(stated)]] if stated is not None and stated in _GE_COMPONENT else []
    return "\\".join(parts + [word for word in image_type.upper().split("\\")[2:] if word in _COMPONENTS])


_COMPONENTS = frozenset({
    "M", "P", "R", "I", "MAGNITUDE", "PHASE", "REAL", "IMAGINARY", "M_FFE", "P_FFE", "R_FFE", "I_FFE", "M_SE", "P_SE", "R_SE",
    "I_SE", "M_IR", "R_IR", "P_IR", "I_IR", "PHASE MAP", "PHASE CONTRAST M", "VELOCITY MAP", "ADC", "EADC", "FA", "TRACEW",
    "TRACE", "EXP", "TENSOR", "W", "F", "IP", "OP", "WATER", "FAT", "IN_PHASE", "OUT_PHASE", "OPP_PHASE", "DIFFUSION", "CBF", "CBV",
    "MTT", "TTP", "T0", "T1", "T2", "T2_STAR", "MIP", "MINIP", "MNIP", "SUB", "SUBTRACTION",
})  # fmt: skip


def private_number(dataset: Any, tag: tuple[int, int], maker: str) -> float | None:
    """The first number of a private element, which may come as bytes where its kind is not known; None if another's block it is."""
    element = dataset.get(tag)
    creator = dataset.get((tag[0], tag[1] >> 8))
    if element is None or (creator is not None and maker not in str(creator.value).upper()):
        return None
    value = element.value
    if isinstance(value, bytes):
        value = value.decode("ascii", "ignore").strip("\x00 ").split("\\")[0]
    elif value is not None and not isinstance(value, (str, int, float)):
        value = value[0] if len(value) else None
    return number(str(value)) if value is not None else None


def number(value: str) -> float | None:
    """A finite number from text; None if it is none."""
    try:
        stated = float(value)
    except ValueError:
        return None
    return stated if np.isfinite(stated) else None
