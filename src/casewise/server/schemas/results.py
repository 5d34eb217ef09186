"""Results of analyses, and what people think of them."""

from __future__ import annotations

from pydantic import BaseModel, Field

from casewise.server.schemas.common import BoxPairs, Given


class VerdictLine(BaseModel):
    """One person's opinion on one finding."""

    user: str
    agree: bool
    note: str
    created: float


class FindingDetail(BaseModel):
    """A finding. ``number`` names it in its result. ``place`` : voxel to go to; None where it has none. ``mask`` : name under which
    ``/results/K/masks/NAME`` gives its mask; None where it has none. ``segment`` : where the report opens the segment that it was
    found in, at 1:1; None where it has none.
    """

    number: int
    application: str
    label: str
    kind: str
    probability: float | None
    region: str | None
    sentence: str
    measures: dict[str, float]
    box: BoxPairs | None
    place: list[int] | None
    mask: str | None
    segment: str | None
    verdicts: list[VerdictLine]


class NotFound(BaseModel):
    """Looked for and not found, with its score (or a sentence instead of one)."""

    label: str
    application: str
    score: float | None
    sentence: str


class ModelAnswer(BaseModel):
    """Which model answered and why; ``reason`` one sentence."""

    name: str
    parent: str | None
    method: str
    reason: str
    sentence: str
    refined_on: list[str]
    before: dict[str, float]
    after: dict[str, float]


class ResultDetail(BaseModel):
    """The newest analysis of a case, in the order in which the page displays it. ``id`` changes with each analysis."""

    id: str
    key: str
    created: float | None
    headline: str
    category: str | None
    category_probability: float | None
    findings: list[FindingDetail]
    not_found: list[NotFound]
    not_looked_for: str
    measures: list[FindingDetail]
    quality: list[FindingDetail]
    failed: list[dict[str, str]]
    model: ModelAnswer
    applications: list[str]
    notes: list[str]
    seconds: dict[str, float]
    report: str | None
    earlier: int


class VerdictOrder(Given):
    """``result`` : the id of the result that the person saw."""

    result: str
    finding: int = Field(ge=0)
    agree: bool
    note: str = Field(default="", max_length=2000)


class OpinionLine(BaseModel):
    """How often people agree and disagree with one application about one label."""

    application: str
    label: str
    agree: int
    disagree: int
