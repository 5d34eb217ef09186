"""Detectors of what is spread over an organ: evidence place by place, pooled to one answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from casewise.models.tasks.classification import Classification


@dataclass(frozen=True)
class DiffuseFindings(Classification):
    """Used by :mod:`casewise.chest.diffuse`, which gives the network a film's lungs, segment by segment."""

    refusal: ClassVar[str] = (
        "answers about the lungs that an application has outlined, not about a picture alone: run that application (--application)."
    )
