"""An image's regions cut into segments, and a file for each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from casewise import chest
from casewise.chest.region import HEART
from casewise.files import claim, remove_left_over
from casewise.formats.writing import MASK_SUFFIXES
from casewise.image import Image
from casewise.reporting.report import file_stem
from casewise.segment_files import segment_path, write_segment
from casewise.segments import Segments, segments

_NAME = re.compile(rf"\d{{2,}}-.+({'|'.join(map(re.escape, MASK_SUFFIXES))})", re.DOTALL)  # of a segment's file


def cut(
    image: Image,
    regions: Mapping[str, npt.NDArray[np.bool_]] | None = None,
    *,
    parts: int = 2,
    longest: int | None = None,
    device: str = "auto",
) -> Segments:
    """The segments of ``regions``, each (*spatial) bool; without them of the lungs and the heart of a chest radiograph.

    parts : the least number of segments of a region (of the heart: one). longest : the most voxels of a segment on any axis.
    """
    single: tuple[str, ...] = ()
    if regions is None:
        regions = dict(chest.regions(image, device).disjoint)
        single = (HEART,)
    return segments(dict(regions), image.spatial_shape, parts=parts, longest=longest, single=single)


def write_segments(folder: Path, found: Segments, image: Image, *, outside: str = "mean", seed: int = 0) -> dict[int, Path]:
    """A file for each segment, with the image's own kind of pixels, at its place in the patient; number → path.

    None is written where one of them must not be.
    outside : what replaces the pixels outside the region, as :meth:`Segments.pixels` takes it.
    """
    stems = [f"{number:02d}-{file_stem(segment.region)}" for number, segment in enumerate(found, start=1)]
    for stem in stems:
        claim(segment_path(folder, stem, image))
    written = {}
    for number, segment in enumerate(found):
        pixels = found.pixels(image.array, segment, outside=outside, seed=seed)
        written[number] = write_segment(folder, stems[number], pixels, segment.box, image)
    return written


def remove_others(folder: Path, written: Iterable[Path]) -> list[Path]:
    """Remove the segments that an earlier call of the command left in ``folder``; gives those that are kept."""
    own = set(written)
    others = [path for path in sorted(folder.iterdir()) if path not in own and _NAME.fullmatch(path.name)]
    return remove_left_over(others)
