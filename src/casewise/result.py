"""The analysis of one image: which cases and model were used, what was found, how long each step took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from casewise.finding import Finding
from casewise.label_map import LabelMap, Mask
from casewise.summary import Summary, spoken, summarise
from casewise.wording import measure, measure_name, score


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
    reason : one sentence: what the acceptance rule saw. before, after : measures of parent and refined model on the held-out
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

    @property
    def sentence(self) -> str:
        """Which model answered and what the rule saw, in one line."""
        fused = f", together with the labels of {len(self.voted)} similar cases, registered to this image" if self.voted else ""
        return self._answered() + fused

    def _answered(self) -> str:
        if self.method == "route":
            return self.reason.rstrip(".") or "No model of yours was used"
        change = self._change()
        cases = f"{len(self.refined_on)} similar case{'' if len(self.refined_on) == 1 else 's'}"
        if self.parent is None or self.method == "none":
            if self.after:
                seen = f" ({change[2:]})" if change else ""
                return f"The parent model was used: the refined one was not better{seen}"
            return "The model was used as it is"
        if self.method == "subset":
            return f"The model of the most similar subset was used{f' ({cases})' if self.refined_on else ''}{change}"
        return f"Model refined on {cases}{change}"

    def _change(self) -> str:
        shared = [name for name in self.after if name in self.before]
        if not shared:
            return ""
        name = "dice" if "dice" in shared else shared[0]
        return f": {measure_name(name)} on held-out similar cases {score(self.before[name])} → {score(self.after[name])}"


@dataclass(frozen=True)
class Result:
    """One image's analysis, as ``casewise analyze --json`` prints it and as the report displays it.

    route : what the router said, and the names of the applications that saw the image; None where nothing was routed.
    applications : an entry for each application that ran: findings, seconds, and the reason where it failed.
    examples : the archive's cases of the category that the router decided for, most like the image first.
    examination : of the reference of several sequences, what became of each: ``sequences``, ``missing_sequences`` and
    ``refused_sequences``, which stand beside the other entries of the JSON.
    detects : application → the signs of disease that it looks for, of each that was given the image; None where it does not say.
    decision : what rules said: applications, model, adapt, send, priority, and why (the rules that held); None where none were
    asked.
    segmentation : of a DICOM image, the DICOM SEG that holds all the masks; None where there is none.
    masks : on the image's grid, by name: a finding's label, or ``APPLICATION: LABEL`` where the model outlines a structure of the
    same label; see :meth:`mask_of`. Empty where the masks are left to their files.
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
    decision: Mapping[str, Any] | None = None
    detects: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)
    masks: LabelMap = field(default_factory=LabelMap, repr=False, compare=False)

    def __str__(self) -> str:
        """The result as a person reads it: headline, findings, looked for and not found, not looked for, measures, the model."""
        summary = self.summary
        category = (self.route or {}).get("category")
        not_found = [f"{one.label} ({score(one.score)})" if one.score is not None else one.label for one in summary.not_found]
        parts = {
            "Findings": [f"{spoken(finding)} ({finding.application})" for finding in summary.findings],
            "Looked for and not found": [", ".join(dict.fromkeys(not_found))] if not_found else [],
            "Not looked for": [summary.not_looked_for_sentence],
            "Measures": [_measured(finding) for finding in summary.measures],
            "Image quality": [spoken(finding) for finding in summary.quality],
            "No answer": [f"{name}: {reason}" for name, reason in summary.failed],
            "Model": [f"{self.model.sentence}." if self.model.name == "none" else f"{self.model.name}: {self.model.sentence}."],
            "Notes": list(self.notes),
            "Report": [str(self.report)] if self.report else [],
        }
        title = f"{self.image}{f' ({category})' if category else ''}: {summary.headline}."
        return "\n".join([title, *(f"{name}:\n  " + "\n  ".join(lines) for name, lines in parts.items() if lines)])

    def mask_of(self, finding: Finding) -> Mask | None:
        """(*spatial) bool: the finding's mask in memory; None where it has none."""
        return None if finding.mask_name is None else self.masks.get(finding.mask_name)

    def in_memory(self) -> Result:
        """The same without the paths of files that are removed after the analysis; the masks stay."""
        return replace(
            self,
            findings=tuple(replace(finding, mask=None, map=None, segment=None) for finding in self.findings),
            applications=tuple({**entry, "files": []} for entry in self.applications),
        )

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
            "decision": dict(self.decision) if self.decision is not None else None,
            "segmentation": str(self.segmentation) if self.segmentation else None,
            **(self.examination or {}),
        }


def _measured(finding: Finding) -> str:
    """``Heart: area 112 cm², …``."""
    values = (": ".join(measure(name, value)) for name, value in finding.measures.items())
    label = finding.label.replace("_", " ")
    return ", ".join((f"{label[:1].upper()}{label[1:]}", *values))
