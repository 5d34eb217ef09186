"""A finding: what an application saw in an image, and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from casewise.image import Box

FINDING, ABSENT, MEASURE, QUALITY = "finding", "absent", "measure", "quality"
KINDS = (FINDING, ABSENT, MEASURE, QUALITY)


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
        }
