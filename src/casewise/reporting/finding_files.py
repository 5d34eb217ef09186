"""The files that applications wrote beside their findings (masks, maps, syntheses), read back for a report's pictures."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from casewise import formats
from casewise.errors import CasewiseError
from casewise.finding import Finding
from casewise.image import Image
from casewise.label_map import LabelMap
from casewise.reporting.comparison import Synthesis, synthesised_beside

_SAME_MM = 1e-2  # what an affine loses in a file


def masks_of(findings: Sequence[Finding], image: Image) -> LabelMap:
    """The masks that applications wrote, each by its finding's ``mask_name``; one off the image's grid is left to its file."""
    masks: dict[str, npt.NDArray[np.bool_]] = {}
    for finding in findings:
        if finding.mask is not None and finding.mask_name is not None and finding.mask_name not in masks:
            with suppress(CasewiseError):
                masks[finding.mask_name] = formats.read_mask(finding.mask, image)
    return LabelMap.like(masks, image)


def maps_of(findings: Sequence[Finding], image: Image) -> dict[str, npt.NDArray[np.generic]]:
    """The maps that applications wrote, for the pictures; one off the image's grid is left to its file.

    An application's first is under its name, the others under ``APPLICATION: LABEL``.
    """
    maps: dict[str, npt.NDArray[np.generic]] = {}
    read: set[Path] = set()
    for finding in findings:
        if finding.map is None or finding.map in read:
            continue
        read.add(finding.map)
        title = finding.application if finding.application not in maps else f"{finding.application}: {finding.label}"
        with suppress(CasewiseError):
            values = formats.read(finding.map)
            if _on_grid(values, image):
                maps[title] = values.array[0]
    return maps


def _on_grid(values: Image, image: Image) -> bool:
    """A picture's file may hold no place; a volume's says where its axes run to."""
    alike = values.spatial_shape == image.spatial_shape
    return alike and (image.spatial_dims == 2 or float(np.abs(values.affine - image.affine).max()) < _SAME_MM)


def syntheses_of(findings: Sequence[Finding], image: Image) -> list[Synthesis]:
    """What applications synthesised of the image, beside their maps; a file off the image's grid is left to itself."""
    made: dict[str, Synthesis] = {}
    for finding in findings:
        beside = synthesised_beside(finding.map) if finding.map is not None else None
        if finding.map is None or beside is None or finding.application in made:
            continue
        with suppress(CasewiseError):
            synthesised, difference = formats.read(beside), formats.read(finding.map)
            if synthesised.spatial_shape == difference.spatial_shape == image.spatial_shape:
                made[finding.application] = Synthesis(finding.application, synthesised.array[0], difference.array[0])
    return list(made.values())
