"""Findings as content of a structured report: a measurement group (TID 1410) for each place, an evaluation for one without."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from casewise import __version__
from casewise.finding import Finding
from casewise.formats.dicom.result_source import ResultSource
from casewise.formats.dicom.segment_descriptions import printable
from casewise.reporting import dicom_codes as codes
from casewise.reporting.dicom_places import Outline, space_of

_ANY_CLASS = "1.2.840.10008.5.1.4.1.1.1"  # Computed Radiography Image


def groups(finding: Finding, places: Sequence[Outline], source: ResultSource, identity: Sequence[str]) -> list[Any]:
    """A measurement group for each place of a finding; measures and probability stand in the first. identity : for tracking."""
    import highdicom
    from pydicom.uid import generate_uid

    sr, made = highdicom.sr, []
    name = _name(finding)
    for number, place in enumerate(places):
        first = number == 0
        made.append(
            sr.PlanarROIMeasurementsAndQualitativeEvaluations(
                tracking_identifier=sr.TrackingIdentifier(
                    generate_uid(entropy_srcs=["tracking", *identity, str(number)]),
                    name if first else f"{name}, part {number + 1}",
                ),
                referenced_region=_region(place, source),
                finding_type=codes.concept(codes.of_label(finding.label)),
                finding_sites=[sr.FindingSite(codes.concept(codes.of_label(finding.region)))] if finding.region else None,
                algorithm_id=_algorithm(finding),
                measurements=[sr.Measurement(*measured) for measured in _measures(finding)] if first else None,
                qualitative_evaluations=[sr.QualitativeEvaluation(codes.concept(codes.KIND), _statement(finding))],
            )
        )
    return made


def evaluation(finding: Finding) -> Any:
    """A finding without a place: what it is, and as its properties the region, the measures and the algorithm.

    Image viewers read a measurement group as a place, and OHIF ends at one without.
    """
    import highdicom

    sr, of = highdicom.sr, highdicom.sr.RelationshipTypeValues
    item = sr.CodeContentItem(codes.concept(codes.of_label(finding.label)), _statement(finding), of.CONTAINS)
    properties = sr.ContentSequence()
    if finding.region:
        properties.append(sr.FindingSite(codes.concept(codes.of_label(finding.region))))
    properties.extend(_algorithm(finding))
    for name, value, unit in _measures(finding):
        properties.append(sr.NumContentItem(name, value, unit, relationship_type=of.HAS_PROPERTIES))
    item.ContentSequence = properties
    return item


def _measures(finding: Finding) -> list[tuple[Any, float, Any]]:
    """(name, value, unit) of the probability, of the classes' probabilities and of the measures; what is no number is left out."""
    percent, measured = codes.concept(codes.PERCENT), []
    if finding.probability is not None:
        measured.append((codes.concept(codes.PROBABILITY), 100 * finding.probability, percent))
    measured += [(codes.concept(codes.of_probability(name)), 100 * score, percent) for name, score in finding.scores.items()]
    for name, value in finding.measures.items():
        what, unit = codes.of_measure(name)
        measured.append((codes.concept(what), value, codes.concept(unit)))
    return [(what, float(f"{value:.10g}"), unit) for what, value, unit in measured if math.isfinite(value)]


def _region(place: Outline, source: ResultSource) -> Any:
    """In the picture that shows it, or in space."""
    import highdicom

    if (space := space_of(source)) is not None:
        return highdicom.sr.ImageRegion3D("POLYLINE", place.in_space(source), space)
    sop_class, instance, frame = source.references[place.index]
    # highdicom looks a class up among those of today's standard; the true one is set afterwards.
    shown = highdicom.sr.SourceImageForRegion(_ANY_CLASS, instance, None if frame is None else [frame])
    region: Any = highdicom.sr.ImageRegion("POLYLINE", place.in_pixels(), shown)
    region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPClassUID = sop_class
    return region


def _statement(finding: Finding) -> Any:
    return codes.concept(codes.STATEMENTS.get(finding.kind) or codes.own(finding.kind))


def _name(finding: Finding) -> str:
    parts = (finding.label, finding.region or "")
    return ", ".join(printable(part).replace("_", " ") for part in parts if part)


def _algorithm(finding: Finding) -> Any:
    """The application; the only version that is known of everyone's is that of what ran it."""
    import highdicom

    name = printable(finding.application)[:64] or "casewise"
    return highdicom.sr.AlgorithmIdentification(name, f"run by casewise {__version__}")
