"""Lesions reported as findings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from casewise.finding import ABSENT, FINDING, MEASURE, Finding
from casewise.lesions.postprocessing import Lesions

ALL, SCORE = "lesions", "lesion score"
SINGLE = 10  # lesions that are reported one by one


def on(sequence: str) -> str:
    """The label of what one sequence alone shows; the report draws that finding's map over this sequence."""
    return f"{ALL} on {sequence}"


def findings_of(
    found: Lesions, application: str, mask: Path | None = None, maps: Mapping[str, Path] | None = None
) -> list[Finding]:
    """``lesions`` (the probability that there is any, which is below half where none is outlined; the box of the largest, their
    number and volume together, mask and combined map), of the kind ``absent`` where there are none; else the most probable class,
    with the ``scores`` of all, or the score; the largest lesions, ``lesion 1`` first, with volume and centre (RAS, mm); and at
    last, without a probability of its own, what each sequence shows alone.

    mask : the file it was written to. maps : sequence → file, the combined map's under ``""``.
    """
    files = maps or {}
    together = {"volume_ml": sum(lesion.volume_ml for lesion in found.lesions), "lesions": float(len(found.lesions))}
    kind = FINDING if found.lesions else ABSENT
    place = found.lesions[0].box if found.lesions else None
    reported = [Finding(application, ALL, found.any, box=place, mask=mask, map=files.get(""), measures=together, kind=kind)]
    if found.lesions and found.classes:
        likeliest = max(found.classes, key=lambda name: found.classes[name])
        reported.append(Finding(application, likeliest, found.classes[likeliest], kind=MEASURE, scores=dict(found.classes)))
    if found.lesions and found.score is not None:
        reported.append(Finding(application, SCORE, found.score, kind=MEASURE))
    for number, lesion in enumerate(found.lesions[:SINGLE], start=1):
        centre = {f"centre_{axis}_mm": place for axis, place in zip("ras", lesion.centre_mm, strict=True)}
        measures = {"volume_ml": lesion.volume_ml, **centre}
        reported.append(Finding(application, f"lesion {number}", lesion.probability, box=lesion.box, measures=measures))
    return reported + [
        Finding(
            application,
            on(name),
            map=files.get(name),
            measures={"map_highest": round(float(values.max(initial=0.0)), 3)},
            kind=MEASURE,
        )
        for name, values in found.maps.items()
    ]
