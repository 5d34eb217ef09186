"""The content of instances as parts of an answer: files, frames, large values. Each file is open while its part is sent."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from fastapi import HTTPException

from casewise.errors import UnreadableImageError
from casewise.formats.dicom.frames import count_of_frames, media_type, native_frame, stored_frame
from casewise.formats.dicom.json_model import little
from casewise.formats.dicom.pixels import check_decodable
from casewise.formats.dicom.rewritten import as_stored, decoded, rewritten, syntax_sent
from casewise.formats.dicom.stored import Stored, stored
from casewise.formats.guard import one_sentence
from casewise.server.dicom.instances import Instance
from casewise.server.dicomweb.accept import OCTETS, Chosen, Offer, choose_instance
from casewise.server.dicomweb.headers import address, gone
from casewise.server.dicomweb.holdings import Holdings
from casewise.server.dicomweb.parts import Part, described
from casewise.server.problems import NotThereError

_PIXELS = ("7FE00008", "7FE00009", "7FE00010")
_WORD = {"OW": 2, "OL": 4, "OF": 4, "OD": 8, "OV": 8}


@dataclass(frozen=True)
class Facts:
    """How a file is stored. sop_uid : of the instance in it. kind, syntax : of a frame as it is stored. sent : the syntax in which
    the file is sent as it is stored. native : whether its pixels are not compressed.
    """

    sop_uid: str
    frames: int
    kind: str
    syntax: str
    sent: str
    native: bool


def facts_of(instance: Instance) -> Facts:
    """Raises NotThereError where the file has gone or is another instance by now, and HTTPException where it cannot be read."""
    stat = _stat(instance)
    with _problems(instance):
        facts = _facts(instance.path, stat.st_mtime_ns, stat.st_size)
    if facts.sop_uid != instance.sop_uid:
        raise NotThereError(gone(instance))
    return facts


def _stat(instance: Instance) -> os.stat_result:
    try:
        return instance.path.stat()
    except OSError as error:
        raise NotThereError(gone(instance)) from error


@lru_cache(4096)
def _facts(path: Path, changed: int, size: int) -> Facts:
    with stored(path) as opened:
        kind, syntax = media_type(opened)
        native = opened.pixels is None or not opened.pixels.fragments
        return Facts(_sop_uid(opened), count_of_frames(opened), kind, syntax, syntax_sent(opened), native)


def sendable(holdings: Holdings, found: Sequence[Instance], accepted: Sequence[Offer]) -> list[Instance]:
    """Those of several whose files can be sent: once the answer has begun, none can be left out.

    Headers tell it of files that are sent as they are stored. Frames that are sent decoded are decoded once before.
    Raises the first one's problem where there is none.
    """
    problems: list[Exception] = []
    sent = []
    for instance in found:
        try:
            _check(holdings, instance, accepted)
            sent.append(instance)
        except (NotThereError, HTTPException) as problem:
            problems.append(problem)
    if not sent:
        raise problems[0]
    return sent


def _check(holdings: Holdings, instance: Instance, accepted: Sequence[Offer]) -> None:
    facts = facts_of(instance)
    chosen = choose_instance(accepted, facts.sent, facts.native)
    change = _change(holdings, instance)
    if chosen.stored and change is None:
        return
    with _opened(instance) as opened:
        if change is not None:
            next(rewritten(opened, change))
        if not chosen.stored:
            stat = _stat(instance)
            _check_frames(opened.path, stat.st_mtime_ns, stat.st_size)


@lru_cache(4096)
def _check_frames(path: Path, changed: int, size: int) -> None:
    """Raises UnreadableImageError where a frame cannot be decoded. What could be is remembered while the file stays as it is."""
    with stored(path) as opened:
        check_decodable(path, opened.header)
        for _ in decoded(opened):
            pass


def _change(holdings: Holdings, instance: Instance) -> Callable[[Any, Any], None] | None:
    """How names are hidden in a file; None where they are not."""
    hiding = holdings.hiding
    return partial(hiding.hide_in_file, subject=holdings.subject(instance), made=instance.made) if hiding.names else None


def file_parts(holdings: Holdings, found: Sequence[Instance], accepted: Sequence[Offer]) -> Iterator[Part]:
    """Whole files, without names where these are hidden."""
    for instance in found:
        facts = facts_of(instance)
        chosen = choose_instance(accepted, facts.sent, facts.native)
        change = _change(holdings, instance)
        with _opened(instance) as opened:
            if not chosen.stored:
                pieces = decoded(opened, change)
            else:
                pieces = as_stored(opened) if change is None else rewritten(opened, change)
            yield Part(described(chosen), address(instance), _explained(instance, pieces))


def frame_parts(instance: Instance, numbers: Sequence[int], chosen: Chosen) -> Iterator[Part]:
    """Frames, from 1, as they are stored or decoded. One that cannot be raises its problem before the first is sent."""
    with _opened(instance) as opened:
        native = opened.pixels is None or not opened.pixels.fragments
        frame = stored_frame if chosen.stored and not native else native_frame
        with _problems(instance):
            for number in numbers[1:]:  # the first is made before the answer begins
                frame(opened, number - 1)
        for number in numbers:
            pieces = (frame(opened, one) for one in (number - 1,))
            yield Part(described(chosen), f"{address(instance)}/frames/{number}", _explained(instance, pieces))


def value_parts(holdings: Holdings, instance: Instance, tag: str) -> Iterator[Part]:
    """A value of the data set itself, by 8 hexadecimal digits; of pixels all frames, decoded."""
    with _opened(instance) as opened:
        subject = holdings.subject(instance)
        with one_sentence(instance.path, "a DICOM file", quote=False):
            holdings.hiding.hide(opened.header, subject, made=instance.made)
        if tag in _PIXELS:
            with _problems(instance):
                for number in range(1, count_of_frames(opened)):
                    native_frame(opened, number)
            pieces: Iterator[bytes] = (native_frame(opened, number) for number in range(count_of_frames(opened)))
        else:
            pieces = iter((_value(opened, tag),))
        yield Part(OCTETS, f"{address(instance)}/bulkdata/{tag}", _explained(instance, pieces))


def _value(opened: Stored, tag: str) -> bytes:
    with one_sentence(opened.path, "a DICOM file", quote=False):
        element = opened.header.get(int(tag, 16), None)
    if element is None or not isinstance(element.value, bytes):
        raise NotThereError(f"The instance has no binary value {tag}.")
    return little(element.value, _WORD.get(str(element.VR), 1), ">" if opened.big else "<")


def _explained(instance: Instance, pieces: Iterator[bytes]) -> Iterator[bytes]:
    with _problems(instance):
        yield from pieces


@contextmanager
def _opened(instance: Instance) -> Iterator[Stored]:
    """Its file. Raises NotThereError where that has gone or is another instance by now."""
    with _problems(instance), stored(instance.path) as opened:
        if _sop_uid(opened) != instance.sop_uid:
            raise NotThereError(gone(instance))
        yield opened


def _sop_uid(opened: Stored) -> str:
    return str(opened.header.get("SOPInstanceUID", ""))


@contextmanager
def _problems(instance: Instance) -> Iterator[None]:
    """What cannot be read becomes an answer that does not name the file."""
    try:
        yield
    except UnreadableImageError as error:
        if not instance.path.is_file():
            raise NotThereError(gone(instance)) from error
        raise HTTPException(406, str(error).replace(str(instance.path), "The instance's file")) from error
