"""Models."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from casewise.server.schemas.common import Given


class ModelLine(BaseModel):
    """A model. ``parent`` : key of the model it was made from. ``research_only`` : by its licence."""

    key: str
    name: str
    origin: Literal["shipped", "archive", "file"]
    task: str
    structures: list[str]
    parent: str | None
    parent_name: str | None
    refined_on: int
    licence: str | None
    research_only: bool
    measures: dict[str, float]
    created: str | None
    card: str | None


class ModelPage(BaseModel):
    """All models that this server knows; ``tasks`` : what can be trained here, with the options of each."""

    models: list[ModelLine]
    tasks: dict[str, dict[str, Any]]


class TrainOrder(Given):
    """Train a model on the archive's cases, as ``casewise train TASK`` does."""

    task: Literal["segmenter", "classifier"]
    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,60}$")
    structures: list[str] = Field(default=[], max_length=100)
    category: str | None = None
    start: str | None = Field(default=None, description="The model to begin from.")
    steps: int | None = Field(default=None, ge=1, le=100_000)
