"""Calls on cases: the worklist, one case, who reads it."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from casewise.errors import UnreadableImageError
from casewise.image import Image
from casewise.server import agreement, similar
from casewise.server.access import Admin, Annotator, Reader
from casewise.server.problems import NotThereError
from casewise.server.schemas.cases import Agreement, Assignment, CaseDetail, CaseLine, CasePage, FinalOrder, ReadingState, Similar
from casewise.server.services import Services, Shared
from casewise.server.worklist import Filters, Row

router = APIRouter(tags=["cases"])
_Text = Annotated[str | None, Query(max_length=200)]


@router.get("/cases")
def list_cases(
    person: Reader,
    shared: Shared,
    text: _Text = None,
    category: _Text = None,
    site: _Text = None,
    finding: _Text = None,
    state: ReadingState | None = None,
    assigned: Annotated[str | None, Query(max_length=200, description="A person's name; empty: nobody's cases.")] = None,
    structure: _Text = None,
    mine: bool = False,
    order: Annotated[Literal["newest", "finding"], Query(description="finding: the most probable first.")] = "newest",
    after: Annotated[str | None, Query(max_length=100, description="The next of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> CasePage:
    """The worklist, newest first."""
    whose = person.name if mine else assigned
    filters = Filters(text, category, site, finding, state, whose, structure, shared.settings.show_names)
    return shared.cases.page(filters, order, after, limit)


@router.get("/cases/{key}")
def read_case(key: str, person: Reader, shared: Shared) -> CaseDetail:
    """One case, with what is needed to display its image."""
    row = shared.cases.row(key)
    return shared.cases.detail(row, image_of(shared, row))


@router.put("/cases/{key}/assignment")
def assign(key: str, order: Assignment, person: Annotator, shared: Shared) -> CaseLine:
    """Give a case to a person, take it back, or mark it as read (by oneself where no person is named)."""
    shared.cases.row(key)
    user = order.user or (person.name if order.state == "done" else None)
    if user is not None:
        shared.cases.check_person(user, person.name)
    shared.cases.assign(key, user, order.state)
    return shared.cases.line(shared.cases.row(key))


@router.get("/cases/{key}/similar")
def similar_cases(
    key: str, person: Reader, shared: Shared, response: Response, k: Annotated[int, Query(ge=1, le=50)] = 8
) -> list[Similar]:
    """The cases most like this one. While many of the archive's images have no vector, those alike in what is known of them; the
    header ``X-Casewise-Note`` says so.
    """
    row = shared.cases.row(key)
    found, note = similar.find(shared.cases, shared.jobs, row, image_of(shared, row), k)
    if note is not None:
        response.headers["X-Casewise-Note"] = note
    return found


@router.get("/cases/{key}/agreement")
def read_agreement(
    key: str, person: Reader, shared: Shared, structure: Annotated[str, Query(min_length=1, max_length=100)]
) -> Agreement:
    """How far several people's masks of a structure agree (Dice of each two)."""
    return agreement.agreement(shared.archive, shared.cases.row(key).key, structure)


@router.put("/cases/{key}/final")
def choose_final(key: str, order: FinalOrder, person: Admin, shared: Shared) -> Agreement:
    """Choose which of several people's masks of a structure counts; the one that did before stays under its person's name."""
    row = shared.cases.row(key)
    agreement.choose(shared.archive, row.key, image_of(shared, row), order.structure, order.name, person.name, order.seen)
    shared.sets.chosen(row.key, order.structure)
    return agreement.agreement(shared.archive, row.key, order.structure)


def image_of(shared: Services, row: Row) -> Image:
    """The image of a case; 404 where its file has gone."""
    try:
        return shared.images.get(row.key)
    except UnreadableImageError as error:
        raise NotThereError(shared.cases.without_places(str(error), row)) from error
    except OSError as error:
        raise NotThereError("The image's file cannot be read.") from error
