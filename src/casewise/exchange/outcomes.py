"""What became of a file that was sent, and what the codes mean by which the other end says so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

State = Literal["accepted", "refused", "failed"]
MOST_CUTS = 3  # times one after the other that the line is cut before a file is taken; then the rest are not tried


@dataclass(frozen=True)
class Outcome:
    """Of one file.

    state : accepted (the other end has it, as far as it says), refused (it will not take this file as it is, so sending it again
    is of no use) or failed (try again). message : one sentence; empty for accepted ones, unless the other end warned of something.
    tried : whether the file itself was sent; False where the other end was not reached, or had cut the line too often before.
    """

    file: Path
    state: State
    message: str = ""
    tried: bool = True


def gone(file: Path) -> Outcome:
    """Of a file that was moved, removed, or may not be read."""
    return Outcome(file, "failed", f"{file.name} cannot be read any more.")


def no_dicom(file: Path) -> Outcome:
    return Outcome(file, "refused", f"{file.name} is no DICOM file that can be sent.")


def not_tried(files: Iterable[Path], why: str) -> Iterator[Outcome]:
    return (Outcome(file, "failed", why, tried=False) for file in files)


# DICOM PS3.4 table B.2-1 and PS3.7 annex C: those that may pass, and those that stand for the file as it is.
_PASSING = {
    0x0110: "it met an error of its own while processing",
    0x0124: "it does not allow casewise to store",
    0x0210: "it took the message for a second one of the same number",
    0x0211: "it does not know the operation",
    0x0213: "it is out of resources",
}
_STANDING = {
    0x0112: "it knows no such object",
    0x0115: "it finds an argument not valid",
    0x0117: "it finds the object's UID not valid",
    0x0118: "it knows no such class of objects",
    0x0119: "the object's class and UID do not fit each other",
    0x0122: "it does not take objects of this class",
    0x0131: "it has the object, with another content",
    0x0212: "it finds an argument mistyped",
}
_HAS_IT = 0x0111  # duplicate SOP instance
_WARNINGS = {0xB000: "it changed some values", 0xB006: "it left some values out", 0xB007: "the object does not fit its class"}


def by_status(file: Path, peer: str, status: int) -> Outcome:
    """By the status of a C-STORE response, or the failure reason of a STOW-RS response, which has the same meaning."""
    if status in (0, _HAS_IT):
        return Outcome(file, "accepted")
    code = f"0x{status:04X}"
    if status in (0x0001, 0x0107, 0x0116) or 0xB000 <= status <= 0xBFFF:
        return Outcome(file, "accepted", f"{peer} took the object with a warning: {_WARNINGS.get(status, 'a code')} ({code}).")
    if 0xA700 <= status <= 0xA7FF:
        return Outcome(file, "failed", f"{peer} could not store the object: it is out of resources ({code}).")
    if 0xA900 <= status <= 0xA9FF:
        return Outcome(file, "refused", f"{peer} refused the object: its content does not fit its class ({code}).")
    if 0xC000 <= status <= 0xCFFF:
        # PACS give it for errors of their own too (Orthanc does), so it may pass.
        return Outcome(file, "failed", f"{peer} could not store the object: it cannot understand it ({code}).")
    if status in _STANDING:
        return Outcome(file, "refused", f"{peer} refused the object: {_STANDING[status]} ({code}).")
    return Outcome(
        file, "failed", f"{peer} could not store the object: {_PASSING.get(status, 'it gave no known reason')} ({code})."
    )
