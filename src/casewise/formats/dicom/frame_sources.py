"""The planes that a frame of a DICOM Segmentation names as those it was drawn on: phases of a series lie at the same places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from casewise.formats.dicom.elements import text
from casewise.formats.dicom.report_content import numbers
from casewise.formats.dicom.slices import Slice

Named = frozenset[tuple[str, int | None]]  # instances, each with the index of a frame from 0, or None for the whole instance


class SourcePlanes:
    """The planes of an image, as the frames of its segmentations name them."""

    def __init__(self, planes: Sequence[Slice]) -> None:
        self._frames: dict[str, set[int | None]] = {}
        for plane in planes:
            self._frames.setdefault(plane.instance, set()).add(plane.frame)

    def include(self, named: Named) -> bool:
        """Whether one of the named planes is the image's. A file of one frame is known by its instance, whatever number follows."""
        return any(
            instance in self._frames and (frame is None or bool(self._frames[instance] & {frame, None}))
            for instance, frame in named
        )


def named_sources(layers: Sequence[Any]) -> Named:
    """What a frame names, in its own functional groups or else in the shared ones; empty where it names nothing."""
    for layer in layers:
        named = frozenset(one for derived in layer.get("DerivationImageSequence") or [] for one in _named_in(derived))
        if named:
            return named
    return frozenset()


def _named_in(derived: Any) -> Iterator[tuple[str, int | None]]:
    for item in derived.get("SourceImageSequence") or []:
        instance = text(item, "ReferencedSOPInstanceUID")
        if instance:
            frames = numbers(item, "ReferencedFrameNumber")
            yield from ((instance, frame - 1) for frame in frames) if frames else ((instance, None),)
