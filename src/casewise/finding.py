"""A finding: what an application saw in an image, and where."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count
from math import ceil
from pathlib import Path

from casewise.image import Box

FINDING, ABSENT, MEASURE, QUALITY = "finding", "absent", "measure", "quality"
KINDS = (FINDING, ABSENT, MEASURE, QUALITY)
SEGMENTS = "segments"  # the label of the measure that says in which parts of an image alone an application looked


@dataclass(frozen=True)
class SegmentPicture:
    """The segment of an image that a finding was found in (:mod:`casewise.segments`).

    region : that it was cut from. box : half-open voxels of the image. scale : of its pixels against the image's, 0.8 to 1.
    picture : file of its pixels along the image's axes, as the application was given them: what lies outside the region is
    replaced.
    """

    region: str
    box: Box
    scale: float
    picture: Path

    @property
    def shape(self) -> tuple[int, ...]:
        """Of its pixels, after scaling."""
        return tuple(max(1, ceil(n * self.scale - 1e-9)) for n in self.box.shape)

    def to_json(self) -> dict[str, object]:
        """As ``casewise segments --json`` gives it."""
        return {"region": self.region, "box": self.box.to_json(), "scale": self.scale, "picture": str(self.picture)}


@dataclass(frozen=True)
class Finding:
    """One statement of one application about one image.

    application : who says it. label : what it is. probability : 0 to 1.
    region : the body region or structure it lies in. box : half-open voxels of the image's spatial axes.
    mask, map : files on the image's grid, where the application wrote them.
    measures : named numbers with their unit in the name (``volume_ml``, ``area_mm2``, ``area_px``).
    kind : ``finding`` (a sign of disease), ``absent`` (looked for and not found; ``probability`` is the score), ``measure`` (an
    outline, a ratio, what an application looked at: no sign of disease) or ``quality`` (of the image itself).
    scores : class → probability, where the label is the most probable of several classes.
    mask_name : under which a result holds its mask; None where it holds none.
    segment : that it was found in, whose number stands in ``measures["segment"]``; None where the whole image was looked at.
    """

    application: str
    label: str
    probability: float | None = None
    region: str | None = None
    box: Box | None = None
    mask: Path | None = None
    map: Path | None = None
    measures: dict[str, float] = field(default_factory=dict)
    kind: str = FINDING
    scores: Mapping[str, float] = field(default_factory=dict)
    mask_name: str | None = None
    segment: SegmentPicture | None = None

    @property
    def overlay(self) -> str:
        """The name of the mask that outlines it in pictures."""
        return self.mask_name or self.label

    def to_json(self) -> dict[str, object]:
        return {
            "application": self.application,
            "label": self.label,
            "kind": self.kind,
            "probability": self.probability,
            "region": self.region,
            "box": self.box.to_json() if self.box else None,
            "mask": str(self.mask) if self.mask else None,
            "map": str(self.map) if self.map else None,
            "measures": dict(self.measures),
            "scores": dict(self.scores),
            "segment": self.segment.to_json() if self.segment else None,
        }


def with_mask_names(findings: Sequence[Finding], taken: Collection[str] = ()) -> tuple[Finding, ...]:
    """The findings, each that has a mask's file with a name for that mask; no two files share a name.

    A mask is named by its finding's label; ``APPLICATION: LABEL`` where a mask of that name is there (``taken``, or another
    finding's), and with a number behind it where that is too.
    """
    names: dict[tuple[Path | None, str], str] = {}
    used = set(taken)
    for finding in findings:
        if finding.mask is not None and (finding.mask, finding.label) not in names:
            longer = f"{finding.application}: {finding.label}"
            choices = chain((finding.label, longer), (f"{longer} ({number})" for number in count(2)))
            names[finding.mask, finding.label] = name = next(name for name in choices if name not in used)
            used.add(name)
    return tuple(replace(one, mask_name=names.get((one.mask, one.label))) for one in findings)
