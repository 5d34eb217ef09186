"""What the analysis of one image came to: which cases and model were used, what was found, how long each step took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from casewise.finding import Finding
from casewise.summary import Summary, summarise


@dataclass(frozen=True)
class SimilarCase:
    """A case of an archive and how much it resembles the image at hand; the scores run from −1 (or 0) to 1, 1 is the same.

    key : the case's content hash. image : its file. score : the weighted sum that the order follows.
    latent, content : its two terms; None for one that was not asked for.
    """

    key: str
    image: str
    score: float
    latent: float | None = None
    content: float | None = None
    site: str | None = None
    category: str | None = None

    def to_json(self) -> dict[str, object]:
        return {
            "image": self.image,
            "score": self.score,
            "latent": self.latent,
            "content": self.content,
            "site": self.site,
            "category": self.category,
            "key": self.key,
        }


@dataclass(frozen=True)
class ModelUse:
    """Which model answered, and why that one.

    name : of the model used. parent : of the model it was refined from (None for a model used as it was).
    refined_on : files of the cases it was refined on. method : ``none``, ``similar`` or ``subset``; ``route`` where only the
    applications of the image's kind answered.
    voted : files of the similar cases whose labels, registered to the image, were averaged with the model's answer.
    reason : one sentence: what the rule that decides saw. before, after : measures of parent and refined model on the held-out
    similar cases, by name (``dice``, ``accuracy``).
    """

    name: str
    parent: str | None = None
    refined_on: tuple[str, ...] = ()
    method: str = "none"
    reason: str = ""
    before: Mapping[str, float] = field(default_factory=dict)
    after: Mapping[str, float] = field(default_factory=dict)
    voted: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "parent": self.parent,
            "refined_on": list(self.refined_on),
            "method": self.method,
            "reason": self.reason,
            "before": dict(self.before),
            "after": dict(self.after),
            "voted": list(self.voted),
        }


@dataclass(frozen=True)
class Result:
    """One image's analysis, as ``casewise analyze --json`` prints it and as the report shows it.

    route : what the router said, and the names of the applications that saw the image; None where nothing was routed.
    applications : an entry for each application that ran: findings, seconds, and the reason where it failed.
    examples : the archive's cases of the category that the router decided for, most like the image first.
    examination : of the reference of several sequences, what became of each: ``sequences``, ``missing_sequences`` and
    ``refused_sequences``, which stand beside the other entries of the JSON.
    detects : application → the signs of disease that it looks for, of each that was given the image; None where it does not say.
    segmentation : of a DICOM image, the DICOM SEG that holds all the masks; None where there is none.
    """

    image: str
    model: ModelUse
    findings: tuple[Finding, ...] = ()
    similar: tuple[SimilarCase, ...] = ()
    route: Mapping[str, object] | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    report: Path | None = None
    notes: tuple[str, ...] = ()
    applications: tuple[Mapping[str, object], ...] = ()
    examples: tuple[SimilarCase, ...] = ()
    examination: Mapping[str, Any] | None = None
    segmentation: Path | None = None
    detects: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)

    @property
    def summary(self) -> Summary:
        """Headline, findings, what was looked for and not found, what nobody looked for, and measures."""
        failures = {str(entry["application"]): str(entry["failure"]) for entry in self.applications if entry.get("failure")}
        category = (self.route or {}).get("category")
        return summarise(self.findings, self.detects, failures, None if category is None else str(category))

    def to_json(self) -> dict[str, object]:
        summary = self.summary
        return {
            "image": self.image,
            "headline": summary.headline,
            "route": dict(self.route) if self.route is not None else None,
            "model": self.model.to_json(),
            "findings": [finding.to_json() for finding in self.findings],
            "looked_for": [one.to_json() for one in summary.looked_for],
            "not_looked_for": list(summary.not_looked_for),
            "similar": [case.to_json() for case in self.similar],
            "seconds": dict(self.seconds),
            "report": str(self.report) if self.report else None,
            "notes": list(self.notes),
            "applications": [dict(entry) for entry in self.applications],
            "examples": [case.to_json() for case in self.examples],
            "segmentation": str(self.segmentation) if self.segmentation else None,
            **(self.examination or {}),
        }
