"""What a client accepts: the media types of its ``Accept`` header, with the transfer syntaxes that DICOMweb adds to them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import HTTPException

from casewise.formats.dicom.stored import EXPLICIT

_ITEMS = re.compile(r'(?:[^,"]|"[^"]*")+')
_PARAMETERS = re.compile(r';\s*([A-Za-z-]+)\s*=\s*("[^"]*"|[^;,\s]*)')
_LONGEST = 4096
OCTETS, DICOM, ANY = "application/octet-stream", "application/dicom", "*/*"


@dataclass(frozen=True)
class Offer:
    """One media type that is accepted, in a multipart answer or alone. syntax : of the pixels; None: the type's usual one."""

    kind: str
    syntax: str | None
    multipart: bool


@dataclass(frozen=True)
class Chosen:
    """How an answer is sent. stored : as the file has it, not decoded."""

    kind: str
    syntax: str
    stored: bool
    multipart: bool


def offers(header: str | None) -> list[Offer]:
    """Of an ``Accept`` header, in its order; everything where there is none."""
    found = [_offer(item) for item in _ITEMS.findall((header or ANY)[:_LONGEST])]
    return [one for one in found if one is not None] or [Offer(ANY, None, True)]


def choose_frames(accepted: Sequence[Offer], kind: str, syntax: str, native: bool) -> Chosen:
    """For frames that are stored as ``kind`` and ``syntax``; native : whether they are not compressed.

    Octets without a transfer syntax are decoded pixels (PS3.18, 8.7.3.3.2); ``*`` asks for them as they are stored, which is sent
    as octets of that syntax. Raises a 406 for what cannot be sent.
    """
    for offer in accepted:
        octets = offer.kind in (OCTETS, ANY)
        as_stored = offer.syntax in ("*", syntax) or native
        if octets and (as_stored or offer.syntax in (None, EXPLICIT)):
            return Chosen(OCTETS, syntax if as_stored else EXPLICIT, as_stored, offer.multipart)
        if offer.kind == kind and offer.syntax in (None, "*", syntax):
            return Chosen(kind, syntax, True, offer.multipart)
    raise HTTPException(406, f"Accepted must be {OCTETS}{'' if native else f', or {kind} with the transfer syntax {syntax}'}.")


def choose_instance(accepted: Sequence[Offer], syntax: str, native: bool) -> Chosen:
    """For a file that is stored in ``syntax``; without a transfer syntax, compressed pixels are decoded (PS3.18, 8.7.3.5.2)."""
    for offer in accepted:
        if offer.kind not in (DICOM, ANY):
            continue
        if native or offer.syntax in ("*", syntax):
            return Chosen(DICOM, syntax, True, offer.multipart)
        if offer.syntax in (None, EXPLICIT):
            return Chosen(DICOM, EXPLICIT, False, offer.multipart)
    raise HTTPException(406, f"Accepted must be {DICOM}, with the transfer syntax {syntax}, {EXPLICIT}, or *.")


def _offer(item: str) -> Offer | None:
    kind = item.split(";")[0].strip().lower()
    given = {name.lower(): value.strip('"') for name, value in _PARAMETERS.findall(item)}
    if given.get("q", "1") in ("0", "0.0"):
        return None
    multipart = kind == "multipart/related" or kind == ANY
    return Offer(given.get("type", ANY).lower() if kind == "multipart/related" else kind, given.get("transfer-syntax"), multipart)
