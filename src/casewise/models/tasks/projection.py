"""Encoders that are fitted to images in one step, and not trained."""

from __future__ import annotations

from dataclasses import dataclass

from casewise.models.tasks.encoding import Encoding


@dataclass(frozen=True)
class Projection(Encoding):
    """Answers (N, dimension): vectors of what the shared network sees."""

    @property
    def fixed(self) -> str:
        return "projects what a fixed network sees, and is not trained; casewise's own recipe fits it"
