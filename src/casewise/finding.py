"""A finding: what an application saw in an image, and where."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from casewise.image import Box


@dataclass(frozen=True)
class Finding:
    """One statement of one application about one image.

    application : who says it. label : what it is. probability : 0 to 1.
    region : the body region or structure it lies in. box : half-open voxels of the image's spatial axes.
    mask, map : files on the image's grid, where the application wrote them.
    measures : named numbers with their unit in the name (``volume_ml``, ``area_mm2``, ``area_px``).
    """

    application: str
    label: str
    probability: float | None = None
    region: str | None = None
    box: Box | None = None
    mask: Path | None = None
    map: Path | None = None
    measures: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        return {
            "application": self.application,
            "label": self.label,
            "probability": self.probability,
            "region": self.region,
            "box": self.box.to_json() if self.box else None,
            "mask": str(self.mask) if self.mask else None,
            "map": str(self.map) if self.map else None,
            "measures": dict(self.measures),
        }
