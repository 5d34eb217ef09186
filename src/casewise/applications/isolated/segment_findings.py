"""Segments of DICOM Segmentations as findings, until a structured report says more of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise.finding import FINDING, MEASURE
from casewise.formats import read_mask, write_mask
from casewise.formats.dicom.measurement_report import Group
from casewise.formats.dicom.report_places import Drawn
from casewise.formats.dicom.segmentation import segment_masks
from casewise.formats.dicom.segmentation_header import SegmentSource, segmentation_of
from casewise.image import Box, Image
from casewise.names import same_category

_SAME_PLACE = 0.8  # of a report's region that lies in the segment of its name


class Segments:
    """Segments with their masks. detects : labels that are signs of disease; None: those of no normal kind of structure are."""

    def __init__(self, detects: Sequence[str] | None) -> None:
        self._detects = detects
        self._found: dict[tuple[str, int], tuple[SegmentSource, dict[str, Any]]] = {}
        self._taken: set[tuple[str, int]] = set()

    def add(self, path: Path, uid: str, image: Image, stem: Path) -> list[str]:
        """Those of a file, their masks written as ``STEM-n.nii.gz``; notes on them. Raises CasewiseError. uid : of the object."""
        about = segmentation_of(path)
        empty = []
        for number, mask in segment_masks(path, image).items():
            label, source = about.segments[number], about.described[number]
            if not mask.any():
                empty.append(label)
                continue
            abnormal = label in self._detects if self._detects is not None else not source.normal
            finding = {"label": label, "kind": FINDING if abnormal else MEASURE}
            self._found[uid, number] = (source, finding | written(mask, Path(f"{stem}-{number}.nii.gz"), image))
        sources = about.described.values()
        made = sorted({f"{source.maker} ({source.algorithm.lower()})" for source in sources if source.maker and source.algorithm})
        notes = [f"Its segmentation was made by {', '.join(made)}."] if made else []
        return notes + ([f"Its segmentation holds nothing of {', '.join(empty)}."] if empty else [])

    def of(self, group: Group, label: str, drawn: Drawn | None, file: Path, image: Image) -> dict[str, Any] | None:
        """``label``, ``mask`` and ``box`` of the segments that a report's group is about.

        Those that it names or that have its tracking UID; else the one of the same label that its region ``drawn`` lies in.
        file : where the mask of several segments is written. None where there are none.
        """
        keys = [(named.instance, number) for named in group.segments for number in named.segments]
        if group.tracking_uid:
            keys += [key for key, (source, _) in self._found.items() if source.tracking_uid == group.tracking_uid]
        keys = [key for key in dict.fromkeys(keys) if key in self._found]
        if not keys:
            keys = self._around(label, drawn, file.parent, image)
        self._taken.update(keys)
        chosen = [self._found[key][1] for key in keys]
        if not chosen:
            return None
        if len(chosen) > 1:
            masks = [read_mask(file.parent / one["mask"], image) for one in chosen]
            return written(np.logical_or.reduce(masks), file, image)
        named = {"label": chosen[0]["label"]} if same_category(chosen[0]["label"], label) else {}
        return {"mask": chosen[0]["mask"], "box": chosen[0]["box"], **named}

    def left(self) -> list[dict[str, Any]]:
        """Findings of those that no group took."""
        return [finding for key, (_, finding) in self._found.items() if key not in self._taken]

    def _around(self, label: str, drawn: Drawn | None, folder: Path, image: Image) -> list[tuple[str, int]]:
        """The segment of this label in which the region lies; before it may stand the application's name, after it a number."""
        region = _region(drawn, image)
        if region is None:
            return []
        for key, (_, finding) in self._found.items():
            stem = re.sub(r" \(\d+\)$", "", finding["label"]).rsplit(": ", 1)[-1]
            if key in self._taken or not same_category(stem, label):
                continue
            if _share_within(region, read_mask(folder / finding["mask"], image)) >= _SAME_PLACE:
                return [key]
        return []


def _region(drawn: Drawn | None, image: Image) -> npt.NDArray[np.bool_] | None:
    """(*spatial) what a report's line goes around."""
    if drawn is None or drawn.box is None:
        return None
    if drawn.mask is not None:
        return drawn.mask
    region = np.zeros(image.spatial_shape, bool)
    region[drawn.box.slices] = True
    return region


def _share_within(region: npt.NDArray[np.bool_], mask: npt.NDArray[np.bool_]) -> float:
    """Of the region, what lies in the mask. A line around the mask goes around its holes too, so they count as its own."""
    from scipy import ndimage

    if region.ndim == 2:
        region, mask = region[..., None], mask[..., None]
    within = 0
    for number in np.flatnonzero(region.any(axis=(0, 1))):
        within += int(np.count_nonzero(region[..., number] & ndimage.binary_fill_holes(mask[..., number])))
    return within / max(1, int(np.count_nonzero(region)))


def written(mask: npt.NDArray[Any], file: Path, image: Image) -> dict[str, Any]:
    """``mask`` and ``box`` of a finding whose mask (*spatial) is written as ``file``."""
    box = Box.around(mask)
    return {"mask": write_mask(file, mask, image).name, "box": None if box is None else box.to_json()}
