"""What a result comes to, in the order of reading: headline, findings, looked for and not found, not looked for, measures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from casewise.finding import ABSENT, FINDING, MEASURE, QUALITY, Finding

NO_ONE_LOOKS = "No application here looks for disease in this kind of image."

# What such an image is commonly read for. It is no list of all diseases: a report names what of it no application has read.
QUESTIONS: Mapping[str, tuple[str, ...]] = {
    "chest-xray": (
        "nodule",
        "tuberculosis",
        "pneumothorax",
        "pneumonia",
        "pleural effusion",
        "heart failure",
        "fracture",
        "position of tubes and lines",
    ),
    "chest-ct": ("nodule", "embolism", "pneumonia", "pleural effusion", "pneumothorax", "enlarged lymph nodes", "fracture"),
    "abdomen-ct": ("tumour", "bleeding", "free air", "inflammation", "stones", "aneurysm"),
    "head-ct": ("bleeding", "infarct", "tumour", "fracture", "hydrocephalus"),
    "brain-mr": ("lesions", "infarct", "bleeding", "aneurysm", "atrophy", "hydrocephalus"),
    "breast-ultrasound": ("malignant lesion", "benign lesion", "enlarged lymph nodes"),
    "breast-mr": ("malignant lesion", "benign lesion", "enlarged lymph nodes"),
    "cardiac-mr": ("reduced ejection fraction", "scar", "thickened walls", "valve disease", "pericardial effusion"),
    "prostate-mr": ("significant cancer", "spread beyond the capsule", "enlarged lymph nodes"),
    "hand-xray": ("fracture", "arthritis", "tumour", "bone age"),
    "fundus-photograph": ("diabetic retinopathy", "glaucoma", "macular degeneration", "vein occlusion"),
    "histology": ("cancer", "grade", "inflammation", "mitoses"),
}


@dataclass(frozen=True)
class LookedFor:
    """Something that an application reads images for. found : whether it reports it. score : of an answer below its threshold."""

    label: str
    application: str
    found: bool
    score: float | None = None

    def to_json(self) -> dict[str, object]:
        return {"label": self.label, "application": self.application, "found": self.found, "score": self.score}


@dataclass(frozen=True)
class Summary:
    """findings : worst first. looked_for : by each application that gave an answer. not_looked_for : what such an image is commonly
    read for and no application has read; empty where the kind of image is not known. failed : application → the reason, of those
    that look for disease and gave no answer.
    """

    headline: str
    findings: tuple[Finding, ...]
    looked_for: tuple[LookedFor, ...]
    not_looked_for: tuple[str, ...]
    measures: tuple[Finding, ...]
    quality: tuple[Finding, ...]
    failed: tuple[tuple[str, str], ...]

    @property
    def not_found(self) -> tuple[LookedFor, ...]:
        return tuple(one for one in self.looked_for if not one.found)

    @property
    def not_looked_for_sentence(self) -> str:
        if not self.not_looked_for:
            return "No application here reads this image for anything else." if self.looked_for else NO_ONE_LOOKS
        named = ", ".join(self.not_looked_for)
        return f"{named[:1].upper()}{named[1:]}, and whatever is not named here: no application here has read the image for these."


def summarise(
    findings: Sequence[Finding],
    detects: Mapping[str, Sequence[str] | None],
    failures: Mapping[str, str],
    category: str | None = None,
) -> Summary:
    """The summary of all ``findings`` of one image.

    detects : application → what it looks for, of each that was given the image; None where it does not say.
    failures : application → why it gave no answer.
    category : what the router says that the image is.
    """
    found = worst_first([finding for finding in findings if finding.kind == FINDING])
    looked = tuple(
        _looked_for(name, label, [finding for finding in findings if finding.application == name])
        for name, labels in detects.items()
        if name not in failures
        for label in labels or ()
    )
    failed = tuple((name, reason) for name, reason in failures.items() if detects.get(name, ()) != ())
    silent = [name for name, labels in detects.items() if labels is None and name not in failures]
    read = [one.label for one in looked]
    open_questions = tuple(one for one in QUESTIONS.get(category or "", ()) if not any(same(one, own) for own in read))
    return Summary(
        _headline(found, looked, failed, silent),
        found,
        looked,
        open_questions,
        tuple(finding for finding in findings if finding.kind == MEASURE),
        tuple(finding for finding in findings if finding.kind == QUALITY),
        failed,
    )


def worst_first(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The most probable first; those without a probability last, in their own order."""
    return tuple(sorted(findings, key=lambda finding: -1.0 if finding.probability is None else -1.0 - finding.probability))


def spoken(finding: Finding) -> str:
    """``Nodule, right lung, 0.81``."""
    label = finding.label.replace("_", " ")
    probability = "" if finding.probability is None or not math.isfinite(finding.probability) else f"{finding.probability:.2f}"
    region = (finding.region or "").replace("_", " ")
    return ", ".join(part for part in (label[:1].upper() + label[1:], region, probability) if part)


def _headline(
    findings: Sequence[Finding], looked: Sequence[LookedFor], failed: Sequence[tuple[str, str]], silent: Sequence[str]
) -> str:
    """The headline; ``silent``: applications that answered without a finding, and do not say what they look for."""
    if findings:
        rest = sum(not _part_of(other, findings[0]) for other in findings[1:])
        return spoken(findings[0]) + (f"; {rest} more finding{'' if rest == 1 else 's'}" if rest else "")
    missed = f"{', '.join(name for name, _ in failed)} gave no answer" if failed else ""
    quiet = f"{', '.join(silent)} reported no finding" if silent else ""
    if looked:
        names = ", ".join(dict.fromkeys(one.label for one in looked))
        return "; ".join(part for part in (f"Looked for and not found: {names}", quiet, missed) if part)
    if quiet:
        return "; ".join(part for part in (quiet, missed) if part)
    return f"Nothing was looked for: {missed}" if missed else NO_ONE_LOOKS.rstrip(".")


def _looked_for(application: str, label: str, own: Sequence[Finding]) -> LookedFor:
    """Own : all that the application answered."""
    found = any(finding.kind == FINDING and same(label, finding.label) for finding in own)
    scores = [finding.probability for finding in own if finding.kind == ABSENT and same(label, finding.label)]
    classes = [score for finding in own for name, score in finding.scores.items() if same(label, name)]
    return LookedFor(label, application, found, max([s for s in (*scores, *classes) if s is not None], default=None))


def _part_of(other: Finding, first: Finding) -> bool:
    """Whether the first finding counts the other one already: ``lesion 2`` beside ``lesions``."""
    alike = other.application == first.application and other.label != first.label
    return alike and same(other.label, first.label)


def same(first: str, second: str) -> bool:
    """Whether two names mean one thing: ``nodules`` and ``any nodule``, ``malignant`` and ``malignant lesion``."""
    one, other = _stem(first), _stem(second)
    return one == other or one.startswith(f"{other} ") or other.startswith(f"{one} ")


def _stem(name: str) -> str:
    words = name.replace("_", " ").casefold().split()
    words = words[1:] if words[:1] == ["any"] and len(words) > 1 else words
    return " ".join(word[:-1] if word.endswith("s") and not word.endswith(("ss", "is")) else word for word in words)
