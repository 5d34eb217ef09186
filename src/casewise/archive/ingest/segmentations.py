"""The DICOM Segmentations of an import: masks that say themselves, by UIDs, whose they are, wherever they lie."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from casewise.archive.ingest.layouts.entry import LabelSource
from casewise.archive.ingest.layouts.tree import DICOM, File
from casewise.archive.suffixes import suffix
from casewise.errors import CasewiseError
from casewise.formats.dicom.segmentation_header import is_segmentation_file, segmentation_of

_SUFFIXES = DICOM | {""}


class Segmentations:
    """Found among the files of an import by their first kilobyte.

    stats : every file of the import. state : what the catalogue has a file for, None where it has no row of it as it is.
    bring : has files here before they are read, and returns those that cannot be had.
    """

    def __init__(
        self, stats: Mapping[Path, File], state: Callable[[Path], str | None], bring: Callable[[Iterable[Path]], frozenset[Path]]
    ) -> None:
        self._stats = stats
        self._state = state
        self._bring = bring

    @cached_property
    def paths(self) -> tuple[Path, ...]:
        # An image of an earlier import is none: so that importing a large archive again opens no file.
        named = [path for path in self._stats if may_be_dicom(path) and self._state(path) not in ("image", "skipped")]
        absent = self._bring(named)
        return tuple(path for path in named if path not in absent and is_segmentation_file(path))

    @cached_property
    def any_new(self) -> bool:
        """Whether one of them is not in the catalogue yet."""
        return any(self._state(path) is None for path in self.paths)

    def hold_dicom(self, paths: Iterable[Path]) -> bool:
        return any(may_be_dicom(path) for path in paths)

    def of(self, series: str, folder: Path) -> Sequence[LabelSource]:
        """Those that name this series as the one that they were drawn on; and those in its folder that name none."""
        if not series:
            return []
        return [LabelSource(path) for path in (*self._of_series.get(series, ()), *self._of_series.get(folder, ()))]

    @cached_property
    def _of_series(self) -> dict[str | Path, list[Path]]:
        """By the series that they name; those that name none by their folder."""
        found: dict[str | Path, list[Path]] = {}
        for path in self.paths:
            try:
                named = segmentation_of(path).series
            except CasewiseError:
                continue
            for key in named or (path.parent,):
                found.setdefault(key, []).append(path)
        return found


def may_be_dicom(path: Path) -> bool:
    """By the name: DICOM files often have no suffix, or a number for one."""
    ending = suffix(path.name)
    return ending in _SUFFIXES or ending.removeprefix(".").isdecimal()
