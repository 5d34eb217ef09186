"""A film of noise in which two nodules were found, in two segments of one region."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from casewise.finding import MEASURE, SEGMENTS, Finding, SegmentPicture
from casewise.formats import write_mask
from casewise.image import Box, Image
from casewise.reporting.finding_files import maps_of, segments_of
from casewise.reporting.report import write_report
from casewise.result import ModelUse, Result
from casewise.segment_files import write_segment
from casewise.segments import Segments, segments

SHAPE = (300, 240)
NODULES = (Box((80, 90), (100, 112)), Box((210, 120), (230, 140)))


@dataclass(frozen=True, eq=False)
class Segmented:
    """An image, how its lung was cut, and what an application says of it."""

    image: Image
    cut: Segments
    findings: tuple[Finding, ...]

    def written(self, folder: Path) -> Path:
        """The report."""
        result = Result("film.png", ModelUse("none", method="route"), self.findings)
        maps, parts = maps_of(self.findings, self.image), segments_of(self.findings, self.image)
        return write_report(result, self.image, {}, folder, maps=maps, segments=parts)


def segmented(folder: Path, scale: float = 1.0) -> Segmented:
    noise = np.random.default_rng(0).integers(1000, 4000, (1, *SHAPE)).astype(np.uint16)
    image = Image(noise, np.diag([0.2, 0.2, 1, 1]), {"format": "PNG"})
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    lung = ((rows - 150) / 130) ** 2 + ((columns - 115) / 70) ** 2 < 1
    cut = segments({"left_lung": lung}, SHAPE, scale=scale)
    heat = np.zeros(SHAPE, np.uint8)
    heat[lung] = 2
    for nodule in NODULES:
        heat[nodule.slices] = 200
    heat[:, 225:] = 150  # of another segment, where neither of these shows anything
    path = write_mask(folder / "map.png", heat, image)
    findings = []
    for number, (segment, nodule) in enumerate(zip(cut, NODULES, strict=True)):
        picture = write_segment(folder, f"segment-{number + 1}", cut.pixels(image.array, segment), segment.box, image)
        findings.append(
            Finding(
                "irregularities",
                "nodule",
                0.9 - 0.5 * number,
                "left_lung",
                nodule,
                map=path,
                measures={"segment": number + 1.0},
                segment=SegmentPicture("left_lung", segment.box, scale, picture),
            )
        )
    return Segmented(image, cut, (*findings, Finding("irregularities", SEGMENTS, kind=MEASURE, measures={"count": 2.0})))
