"""A structured report's groups as findings: labels, probabilities, measures, and where they lie on the image."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from casewise.applications.isolated.report_numbers import numbers_of
from casewise.applications.isolated.segment_findings import Segments, written
from casewise.finding import ABSENT, FINDING, MEASURE
from casewise.formats.dicom.measurement_report import Evaluation, Group, MeasurementReport
from casewise.formats.dicom.report_places import ReportPlaces, places_of
from casewise.image import Image
from casewise.reporting import dicom_codes as codes

# What a statement says: as casewise writes it, and other codes of SNOMED CT, older ones too.
_KINDS = {code[:2]: kind for kind, code in codes.STATEMENTS.items()} | {
    **{(code, "SCT"): FINDING for code in ("260373001", "10828004", "373066001")},
    **{(code, "SCT"): ABSENT for code in ("2667000", "260415000", "260385009", "373067005")},
    ("G-A203", "SRT"): FINDING,
    ("R-4089B", "SRT"): ABSENT,
}
_PRESENCE = (codes.KIND[:2], ("705057003", "SCT"), ("121071", "DCM"))


def findings_of_report(
    report: MeasurementReport, image: Image, own: Collection[str], segments: Segments, stem: Path
) -> tuple[list[dict[str, Any]], list[str]]:
    """(findings, not yet checked; notes). Masks of regions are written as ``STEM-n.nii.gz``.

    own : UIDs of the image's instances, and of other results of it. A group that names images of which none is its own is left
    out, and a note says so.
    """
    places = places_of(image)
    groups = [group for group in report.groups if _is_of(group, own)]
    findings = []
    for number, group in enumerate(_joined(groups), start=1):
        findings.append(_finding(group, image, places, segments, Path(f"{stem}-{number}.nii.gz")))
    findings += [_stated(group) for group in report.statements if _kind(group) is not None]
    notes = [f"Its report was made by {', '.join(report.algorithms)}."] if report.algorithms else []
    if not report.complete:
        notes.append("Its report says of itself that it is not complete.")
    for group in report.statements:
        if group.finding is not None and _kind(group) is None:
            notes.append(f"{group.finding.meaning}: {group.evaluations[0].value.meaning}.")
    notes += [note for group in groups for note in _properties(group)]
    if places is None and any(group.places for group in groups):
        notes.append("Where its report's findings lie cannot be determined on this kind of image.")
    if len(groups) < len(report.groups):
        notes.append(f"Its report has {len(report.groups) - len(groups)} groups of other images, which are left out.")
    if not report.groups and not report.statements:
        notes.append("Its report holds neither measurement groups nor evaluations.")
    return findings, notes


def _is_of(group: Group, own: Collection[str]) -> bool:
    named = {one.instance for one in (*group.images, *(place.image for place in group.places if place.image is not None))}
    return not named or not named.isdisjoint(own)


def _joined(groups: Sequence[Group]) -> list[Group]:
    """Further pieces of one finding, which are named ``…, part 2``, come to its first."""
    joined: list[Group] = []
    for group in groups:
        name, _, part = group.tracking.rpartition(", part ")
        first = joined[-1] if joined else None
        if first is not None and part.isdigit() and first.tracking == name and first.finding == group.finding:
            joined[-1] = replace(first, places=first.places + group.places, segments=first.segments + group.segments)
        else:
            joined.append(group)
    return joined


def _finding(group: Group, image: Image, places: ReportPlaces | None, segments: Segments, file: Path) -> dict[str, Any]:
    found = _stated(group)
    drawn = places.drawn(group.places) if places is not None and group.places else None
    outlined = segments.of(group, found["label"], drawn, file, image)
    if outlined is not None:
        return found | outlined
    if drawn is None:
        return found
    if drawn.mask is not None:
        return found | written(drawn.mask, file, image)
    return found | {"box": None if drawn.box is None else drawn.box.to_json()}


def _stated(group: Group) -> dict[str, Any]:
    """What a group says without its place."""
    found: dict[str, Any] = {"label": _label(group), "kind": _kind(group) or (FINDING if group.finding is not None else MEASURE)}
    if group.site is not None and group.site.meaning:
        side = group.laterality.meaning if group.laterality is not None else ""
        found["region"] = _spelt(f"{side} {group.site.meaning}".strip(), group.tracking[len(found["label"]) :].removeprefix(", "))
    found["probability"], found["scores"], found["measures"] = numbers_of(group.measurements)
    return found


def _label(group: Group) -> str:
    if group.finding is None or not group.finding.meaning:
        return group.tracking or "finding"
    return _spelt(group.finding.meaning, group.tracking[: len(group.finding.meaning)])


def _spelt(words: str, otherwise: str) -> str:
    """A code's words, as a tracking identifier spells them where that is ``otherwise``, else without capitals of a heading."""
    if otherwise != words and otherwise.casefold() == words.casefold():
        return otherwise
    heading = all(word in (word.lower(), word.capitalize()) for word in words.split())
    return words.lower() if heading else words


def _kind(group: Group) -> str | None:
    """What is said of the finding as such. Whether a property of it is there says nothing of the finding."""
    said = (one.value.key for one in group.evaluations if _is_of_itself(one, group))
    return next((_KINDS[key] for key in said if key in _KINDS), None)


def _properties(group: Group) -> list[str]:
    others = [one for one in group.evaluations if not _is_of_itself(one, group)]
    return [f"{_label(group)}: {one.name.meaning} {one.value.meaning}." for one in others if one.name.meaning and one.value.meaning]


def _is_of_itself(one: Evaluation, group: Group) -> bool:
    return one.name.key in _PRESENCE or (group.finding is not None and one.name.key == group.finding.key)
