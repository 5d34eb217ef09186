"""QIDO-RS: the calls that search."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Path, Request, Response

from casewise.errors import UsageError
from casewise.server.access import Reader
from casewise.server.audited import about
from casewise.server.dicomweb.headers import ROOT
from casewise.server.dicomweb.holdings import Found, Held
from casewise.server.dicomweb.query import Query

router = APIRouter(include_in_schema=False)  # DICOM's own standard describes these calls
JSON = "application/dicom+json"
_UID = re.compile(r"[0-9.]{1,64}")


def _uid(value: str) -> str:
    if _UID.fullmatch(value) is None:
        raise UsageError("A UID has digits and dots, at most 64 of them.")
    return value


def _study(study: Annotated[str, Path(max_length=200)], request: Request) -> str:
    about(request, _uid(study))
    return study


def _series(series: Annotated[str, Path(max_length=200)]) -> str:
    return _uid(series)


def _instance(instance: Annotated[str, Path(max_length=200)]) -> str:
    return _uid(instance)


def _query(request: Request) -> Query:
    return Query.parse(request.query_params.multi_items())


StudyUid = Annotated[str, Depends(_study)]
SeriesUid = Annotated[str, Depends(_series)]
InstanceUid = Annotated[str, Depends(_instance)]
Asked = Annotated[Query, Depends(_query)]


@router.get("/studies")
def search_studies(person: Reader, held: Held, query: Asked, request: Request) -> Response:
    """Studies, newest first, by attributes of DICOM (``StudyInstanceUID``, ``PatientID``, ``00080060``, …), ``limit``, ``offset``
    and ``includefield``. The header ``Warning`` says where the archive was not looked through to its end.
    """
    return _answer(request, held.studies(query))


@router.get("/studies/{study}/series")
def search_series(person: Reader, study: StudyUid, held: Held, query: Asked, request: Request) -> Response:
    """The series of a study, by their numbers; the objects made of results among them."""
    return _answer(request, held.series(study, query))


@router.get("/studies/{study}/instances")
def search_study_instances(person: Reader, study: StudyUid, held: Held, query: Asked, request: Request) -> Response:
    """The instances of a study."""
    return _answer(request, held.found(study, None, query))


@router.get("/studies/{study}/series/{series}/instances")
def search_instances(person: Reader, study: StudyUid, series: SeriesUid, held: Held, query: Asked, request: Request) -> Response:
    """The instances of a series, by their numbers."""
    return _answer(request, held.found(study, series, query))


def with_origin(text: bytes, request: Request) -> bytes:
    """JSON whose addresses begin with where the caller reached this server. No text of a header holds a bare quotation mark."""
    origin = request.state.here.origin.encode()
    for begin in (b'"BulkDataURI":"', b'"00081190":{"vr":"UR","Value":["'):
        text = text.replace(begin + ROOT.encode() + b"/", begin + origin + ROOT.encode() + b"/")
    return text


def _answer(request: Request, found: Found) -> Response:
    headers = {} if found.whole else {"Warning": f'299 {request.state.here.origin} "There are additional results."'}
    return Response(with_origin(msgspec.json.encode(found.models), request), media_type=JSON, headers=headers)
