"""Calls on results and on what people think of them."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import FileResponse, StreamingResponse

from casewise.server.access import Admin, Annotator, Reader
from casewise.server.masks import Part
from casewise.server.problems import NotThereError
from casewise.server.routes.cases import image_of
from casewise.server.schemas.common import MaskPatch
from casewise.server.schemas.results import OpinionLine, ResultDetail, VerdictLine, VerdictOrder
from casewise.server.services import Shared
from casewise.server.tables import csv_lines

router = APIRouter(tags=["results"])
_COLUMNS = ("image_key", "result", "finding", "application", "label", "agree", "note", "user", "created")


@router.get("/results/{key}")
def read_result(key: str, person: Reader, shared: Shared) -> ResultDetail:
    """The newest analysis of a case."""
    return shared.results.detail(shared.cases.row(key).key)


@router.get("/results/{key}/masks/{name}")
def read_finding_mask(key: str, name: str, person: Reader, shared: Shared) -> MaskPatch:
    """The mask of a finding of the newest analysis."""
    row = shared.cases.row(key)
    part = Part.of(shared.results.mask(row.key, name, image_of(shared, row)))
    if part is None:
        raise NotThereError("The mask of this finding is empty.")
    return part.patch()


@router.get("/results/{key}/report", response_class=FileResponse)
def read_report(key: str, person: Reader, shared: Shared) -> FileResponse:
    """The report of the newest analysis, one HTML file; to be displayed in a sandboxed frame."""
    return FileResponse(shared.results.report(shared.cases.row(key).key), media_type="text/html")


@router.post("/results/{key}/verdict")
def give_verdict(key: str, order: VerdictOrder, person: Annotator, shared: Shared) -> list[VerdictLine]:
    """Agree or disagree with a finding; the newest verdict of a person counts, the older ones are kept."""
    return shared.results.give_verdict(shared.cases.row(key).key, order, person.name)


@router.get("/verdicts")
def count_verdicts(person: Reader, shared: Shared) -> list[OpinionLine]:
    """How often people disagree with each application, most disagreed with first."""
    return [OpinionLine(**vars(one)) for one in shared.results.opinions()]


@router.get("/verdicts/export.csv", response_class=StreamingResponse)
def export_verdicts(person: Admin, shared: Shared) -> StreamingResponse:
    """All verdicts as a table."""
    rows = ([getattr(row, name) for name in _COLUMNS] for row in shared.results.verdict_rows())
    named = {"Content-Disposition": 'attachment; filename="verdicts.csv"'}
    return StreamingResponse(csv_lines(_COLUMNS, rows), media_type="text/csv", headers=named)
