"""WADO-RS: the calls that retrieve headers, files, frames and large values."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Header, HTTPException, Path, Request, Response
from fastapi.responses import StreamingResponse

from casewise.errors import UsageError
from casewise.formats.dicom.stored import EXPLICIT
from casewise.server.access import Reader
from casewise.server.dicom.instances import Instance
from casewise.server.dicomweb.accept import OCTETS, choose_frames, choose_instance, offers
from casewise.server.dicomweb.content import facts_of, file_parts, frame_parts, sendable, value_parts
from casewise.server.dicomweb.headers import gone
from casewise.server.dicomweb.holdings import Held, Holdings
from casewise.server.dicomweb.parts import answer
from casewise.server.dicomweb.search import JSON, InstanceUid, SeriesUid, StudyUid, with_origin
from casewise.server.problems import NotThereError

router = APIRouter(include_in_schema=False)  # DICOM's own standard describes these calls
_PRIVATE = "private, no-cache"  # kept by the browser, and asked for again each time, so that signing out counts
_AT_ONCE = 16
_MOST_FRAMES = 1000
_TAG = re.compile(r"[0-9A-F]{8}")
Accept = Annotated[str | None, Header()]
Match = Annotated[str | None, Header()]


@router.get("/studies/{study}/metadata")
def study_metadata(person: Reader, study: StudyUid, held: Held, request: Request) -> Response:
    """The headers of a study's instances, without pixels."""
    return _metadata(held, request, held.given(study))


@router.get("/studies/{study}/series/{series}/metadata")
def series_metadata(person: Reader, study: StudyUid, series: SeriesUid, held: Held, request: Request) -> Response:
    """The headers of a series' instances, without pixels."""
    return _metadata(held, request, held.given(study, series))


@router.get("/studies/{study}/series/{series}/instances/{instance}/metadata")
def instance_metadata(
    person: Reader, study: StudyUid, series: SeriesUid, instance: InstanceUid, held: Held, request: Request
) -> Response:
    """The header of an instance, without pixels."""
    return _metadata(held, request, held.given(study, series, instance))


@router.get("/studies/{study}")
def retrieve_study(person: Reader, study: StudyUid, held: Held, accept: Accept = None) -> Response:
    """The files of a study."""
    return _files(held, held.given(study), accept, {})


@router.get("/studies/{study}/series/{series}")
def retrieve_series(person: Reader, study: StudyUid, series: SeriesUid, held: Held, accept: Accept = None) -> Response:
    """The files of a series."""
    return _files(held, held.given(study, series), accept, {})


@router.get("/studies/{study}/series/{series}/instances/{instance}")
def retrieve_instance(
    person: Reader,
    study: StudyUid,
    series: SeriesUid,
    instance: InstanceUid,
    held: Held,
    accept: Accept = None,
    if_none_match: Match = None,
) -> Response:
    """The file of an instance: as it is stored where the client accepts that, else its pixels decoded."""
    found = held.given(study, series, instance)
    tag = _tag(held, found[0], accept)
    return _known(tag, if_none_match) or _files(held, found, accept, _kept(tag))


@router.get("/studies/{study}/series/{series}/instances/{instance}/frames/{numbers}")
def retrieve_frames(
    person: Reader,
    study: StudyUid,
    series: SeriesUid,
    instance: InstanceUid,
    numbers: Annotated[str, Path(max_length=4000)],
    held: Held,
    accept: Accept = None,
    if_none_match: Match = None,
) -> Response:
    """Frames of an instance, from 1: as they are stored where the client accepts that, else decoded."""
    wanted = _numbers(numbers)
    found = held.given(study, series, instance)[0]
    tag = _tag(held, found, f"{numbers} {accept}")
    if known := _known(tag, if_none_match):
        return known
    facts = facts_of(found)
    if max(wanted) > facts.frames:
        raise NotThereError(f"The instance has {facts.frames} frames, counted from 1.")
    chosen = choose_frames(offers(accept), facts.kind, facts.syntax, facts.native)
    if not chosen.multipart and len(wanted) > 1:
        raise HTTPException(406, "Several frames are sent as multipart/related alone.")
    return answer(frame_parts(found, wanted, chosen), chosen, _kept(tag))


@router.get("/studies/{study}/series/{series}/instances/{instance}/bulkdata/{tag}")
def retrieve_value(
    person: Reader,
    study: StudyUid,
    series: SeriesUid,
    instance: InstanceUid,
    tag: Annotated[str, Path(max_length=8)],
    held: Held,
    accept: Accept = None,
) -> Response:
    """A large value to which metadata refer by ``BulkDataURI``; of pixels all frames, decoded."""
    if _TAG.fullmatch(tag) is None:
        raise UsageError("A value is named by 8 hexadecimal digits.")
    found = held.given(study, series, instance)[0]
    chosen = choose_frames(offers(accept), OCTETS, EXPLICIT, native=True)
    return answer(value_parts(held, found, tag), chosen, {"Vary": "Accept"})


def _metadata(held: Holdings, request: Request, found: list[Instance]) -> Response:
    texts = _texts(held, found)
    head = next(texts, None)
    if head is None:
        raise NotThereError(gone(found[0]))
    return StreamingResponse((with_origin(piece, request) for piece in _list(head, texts)), media_type=JSON)


def _texts(held: Holdings, found: list[Instance]) -> Iterator[bytes]:
    """The headers of those whose files are there."""
    for instance in found:
        try:
            yield held.text(instance)
        except NotThereError:
            continue


def _list(head: bytes, others: Iterator[bytes]) -> Iterator[bytes]:
    yield b"[" + head
    while part := list(islice(others, _AT_ONCE)):
        yield b"," + b",".join(part)
    yield b"]"


def _files(held: Holdings, found: list[Instance], accept: str | None, headers: dict[str, str]) -> Response:
    """Of several, those that can be sent: with a 206 where these are not all (PS3.18, 10.4.3)."""
    accepted = offers(accept)
    sent = sendable(held, found, accepted)
    facts = facts_of(sent[0])
    chosen = choose_instance(accepted, facts.sent, facts.native)
    if not chosen.multipart and len(found) > 1:
        raise HTTPException(406, "Several instances are sent as multipart/related alone.")
    status = 200 if len(sent) == len(found) else 206
    return answer(file_parts(held, sent, accepted), chosen, {"Vary": "Accept", **headers}, status)


def _numbers(text: str) -> list[int]:
    parts = text.split(",")
    if len(parts) > _MOST_FRAMES or not all(
        part.isascii() and part.isdecimal() and 0 < len(part) < 9 and int(part) for part in parts
    ):
        raise UsageError(f"Frames are named by numbers from 1, with commas between them, at most {_MOST_FRAMES:,} at once.")
    return [int(part) for part in parts]


def _tag(held: Holdings, instance: Instance, asked: str | None) -> str:
    """A mark that changes with the file, with what is asked for, and with whether names are hidden."""
    try:
        stat = instance.path.stat()
    except OSError as error:
        raise NotThereError(gone(instance)) from error
    about = (instance.sop_uid, stat.st_mtime_ns, stat.st_size, asked, held.hiding.names)
    return f'W/"{hashlib.sha256(repr(about).encode()).hexdigest()[:32]}"'


def _kept(tag: str) -> dict[str, str]:
    return {"ETag": tag, "Cache-Control": _PRIVATE, "Vary": "Accept"}


def _known(tag: str, given: str | None) -> Response | None:
    """The answer to a client that has what it asks for."""
    if given is None or tag not in (part.strip() for part in given.split(",")):
        return None
    return Response(status_code=304, headers=_kept(tag))
