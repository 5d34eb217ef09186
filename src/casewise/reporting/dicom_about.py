"""What DICOM objects with results say beside their findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from casewise.finding import ABSENT, Finding
from casewise.result import Result
from casewise.summary import LookedFor, same

NOT_VERIFIED = "casewise, research only, not verified"
SUPERSEDES = "This report replaces an earlier one of casewise."


@dataclass(frozen=True)
class About:
    """headline : the result in a line. model : a sentence on which model answered. notes : further sentences.

    not_found : what was looked for and not found. not_looked_for : a sentence on what nobody looked for. failed : sentences on
    applications that gave no answer; the report is then a partial one. superseded : whether it replaces an earlier report of
    casewise; predecessors : that report's files.
    """

    headline: str
    model: str = ""
    notes: tuple[str, ...] = ()
    not_found: tuple[LookedFor, ...] = ()
    not_looked_for: str = ""
    failed: tuple[str, ...] = ()
    superseded: bool = False
    predecessors: tuple[Path, ...] = ()

    @classmethod
    def of(cls, result: Result, *, superseded: bool = False, predecessors: Sequence[Path] = ()) -> About:
        summary = result.summary
        return cls(
            summary.headline,
            result.model.sentence,
            result.notes,
            summary.not_found,
            summary.not_looked_for_sentence,
            tuple(f"{name} gave no answer: {reason}" for name, reason in summary.failed),
            superseded,
            tuple(predecessors),
        )

    @classmethod
    def recorded(cls, document: Mapping[str, Any], *, superseded: bool = False, predecessors: Sequence[Path] = ()) -> About:
        """Of a result as an archive records it: the JSON of ``casewise analyze``, with ``summary`` beside."""
        summary = document.get("summary") or {}
        looked = [LookedFor(**entry) for entry in document.get("looked_for") or ()]
        return cls(
            str(document.get("headline") or ""),
            str(summary.get("model") or ""),
            tuple(map(str, document.get("notes") or ())),
            tuple(one for one in looked if not one.found),
            str(summary.get("not_looked_for") or ""),
            tuple(f"{one['application']} gave no answer: {one['reason']}" for one in summary.get("failed") or ()),
            superseded,
            tuple(predecessors),
        )

    def statements(self, findings: Sequence[Finding]) -> list[Finding]:
        """The findings, the most probable sign of disease first, and at the end each ``not_found`` that no finding states."""
        stated = [one for one in findings if one.kind == ABSENT]
        further = [
            Finding(one.application, one.label, one.score, kind=ABSENT)
            for one in self.not_found
            if not any(one.application == own.application and same(one.label, own.label) for own in stated)
        ]
        return [*sorted(findings, key=_order), *further]

    @property
    def sentences(self) -> list[str]:
        """What follows the headline."""
        model = f"{self.model.rstrip('.')}." if self.model else ""
        said = (SUPERSEDES if self.superseded else "", *self.failed, *self.notes, self.not_looked_for, model)
        return [*(sentence for sentence in said if sentence), NOT_VERIFIED]


def _order(finding: Finding) -> tuple[int, float]:
    order = ("finding", "measure", "quality", "absent")
    kind = order.index(finding.kind) if finding.kind in order else len(order)
    return kind, 0.0 if finding.probability is None else -finding.probability
