"""STOW-RS (PS3.18, 10.5): objects come by HTTP into the same place as by C-STORE, and are followed in the same way."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field
from typing import IO, BinaryIO, cast

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool

from casewise.errors import CasewiseError, UnreadableImageError, UsageError
from casewise.exchange.identity import Identity, is_uid
from casewise.exchange.received import FullError, Instance
from casewise.exchange.settings import DicomSettings
from casewise.server.access import Annotator
from casewise.server.audited import about
from casewise.server.dicom import places
from casewise.server.dicom.arrivals import Arrivals
from casewise.server.multipart import Headers, read_parts
from casewise.server.problems import ConflictError
from casewise.server.services import Services, Shared

TITLE = "STOW-RS"  # in place of a calling AE title: rules and sites go by it
_MOST = 20_000  # objects of one request
_FULL, _OTHER_STUDY, _UNREADABLE, _FAILED = 0xA700, 0xA900, 0xC000, 0x0110
_BODY = {
    "requestBody": {
        "required": True,
        "content": {'multipart/related; type="application/dicom"': {"schema": {"type": "string", "format": "binary"}}},
    }
}
_ANSWER: dict[int | str, dict[str, object]] = {
    200: {"content": {"application/dicom+json": {}}, "description": "Which objects are kept, and which are not and why"}
}
router = APIRouter(tags=["DICOMweb"])


class _OtherStudyError(CasewiseError):
    pass


@router.post("/studies", openapi_extra=_BODY, responses=_ANSWER)
@router.post("/studies/{study}", openapi_extra=_BODY, responses=_ANSWER)
async def store(request: Request, person: Annotator, shared: Shared, study: str | None = None) -> JSONResponse:
    """Take DICOM objects in, each a part ``application/dicom`` of a ``multipart/related`` body; they are analysed when their study
    has come whole. With a study in the address only objects of that one are taken.

    Answers 200 where all are kept, 202 where some are, 409 where none is, 503 where the disk is full.
    """
    if shared.node is None:
        raise ConflictError("This server receives no DICOM objects; start it with `casewise serve --dicom-port`.")
    if study is not None and not is_uid(study):
        raise UsageError("The address names no study: a UID has 1 to 64 digits and dots.")
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary")
    if kind != b"multipart/related" or options.get(b"type", b"application/dicom") != b"application/dicom" or not boundary:
        return JSONResponse({"detail": 'Objects come as multipart/related; type="application/dicom", with a boundary.'}, 415)
    storing = await run_in_threadpool(_Storing, shared, study)
    try:
        whole = await read_parts(request, boundary, storing.begin, storing.end)
    finally:
        await run_in_threadpool(storing.note)
    if not whole or not storing.count:
        raise UsageError("The body has no object, or broke off before its end; send it again.")
    about(request, f"{len(storing.kept)} DICOM objects")
    return storing.answer(request.state.here.origin)


@dataclass(frozen=True)
class _Failure:
    reason: int
    identity: Identity | None


@dataclass(eq=False)
class _Storing:
    shared: Services
    study: str | None
    kept: list[Instance] = field(default_factory=list)
    failed: list[_Failure] = field(default_factory=list)
    count: int = 0

    def __post_init__(self) -> None:
        self._folder = self.shared.archive.folder
        self._spool = places.spool(self._folder)
        self._noted = 0

    def begin(self, headers: Headers) -> IO[bytes]:
        """A file without a name, that is gone when it is closed. Other kinds of part are seen to be no DICOM by their content."""
        self.count += 1
        if self.count > _MOST:
            raise UsageError(f"One request has at most {_MOST:,} objects; send the others by another.")
        return tempfile.TemporaryFile(dir=self._spool.folder.parent)

    def end(self, file: IO[bytes]) -> None:
        found: list[Identity] = []

        def arriving(identity: Identity) -> None:
            found.append(identity)
            if self.study is not None and identity.study_uid != self.study:
                raise _OtherStudyError

        file.seek(0)
        try:
            self.kept.append(self._spool.write(cast(BinaryIO, file), TITLE, arriving=arriving))
        except CasewiseError as error:
            self.failed.append(_Failure(_reason(error), found[0] if found else None))

    def note(self) -> None:
        """What is on disk is noted, also where the request broke off."""
        Arrivals(self.shared.store, DicomSettings.load(self._folder)).note(self.kept, time.time())

    def answer(self, origin: str) -> JSONResponse:
        root = f"{origin}/dicomweb/studies"
        content: dict[str, object] = {}
        if self.kept:
            content["00081199"] = {"vr": "SQ", "Value": [_kept(instance, root) for instance in self.kept]}
            studies = {instance.study_uid for instance in self.kept}
            if len(studies) == 1:
                content["00081190"] = {"vr": "UR", "Value": [f"{root}/{studies.pop()}"]}
        if self.failed:
            content["00081198"] = {"vr": "SQ", "Value": [_not_kept(failure) for failure in self.failed]}
        return JSONResponse(content, self._status(), media_type="application/dicom+json")

    def _status(self) -> int:
        if not self.failed:
            return 200
        if self.kept:
            return 202
        return 503 if all(failure.reason == _FULL for failure in self.failed) else 409


def _reason(error: CasewiseError) -> int:
    if isinstance(error, FullError):
        return _FULL
    if isinstance(error, _OtherStudyError):
        return _OTHER_STUDY
    return _UNREADABLE if isinstance(error, UnreadableImageError) else _FAILED


def _kept(instance: Instance, root: str) -> dict[str, object]:
    address = f"{root}/{instance.study_uid}/series/{instance.series_uid}/instances/{instance.sop_uid}"
    return {**_named(instance.sop_class, instance.sop_uid), "00081190": {"vr": "UR", "Value": [address]}}


def _not_kept(failure: _Failure) -> dict[str, object]:
    found = failure.identity
    named = {} if found is None else _named(found.sop_class, found.sop_uid)
    return {**named, "00081197": {"vr": "US", "Value": [failure.reason]}}


def _named(sop_class: str, sop_uid: str) -> dict[str, object]:
    return {"00081150": {"vr": "UI", "Value": [sop_class]}, "00081155": {"vr": "UI", "Value": [sop_uid]}}
