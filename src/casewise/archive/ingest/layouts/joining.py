r"""Which image a cell of a table names: by its path, else by a file name that only one image has, else none.

A table is joined in one way throughout, the surest in which any of its cells names an image:

1. by path, relative to the table's folder; a path from another root (``C:\study\d\a.png``, ``CheXpert-small/train/…``) where
   it ends with the image's whole path, and a shorter one (``p1/x.png``) where it is the end of one image's path alone. Names
   agree with or without their suffix;
2. the same with another suffix: the table speaks of ``a.dcm``, and the images are ``a.png``;
3. by file name alone, where each is unique, the table's folders answer to the images' one for one, and no split (train, test) to
   another.

In a path of Windows, where case does not count, it does not count here where that leaves one image.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from casewise.archive.ingest.layouts.classes import SPLITS
from casewise.archive.ingest.layouts.tree import stem
from casewise.names import nfc

_Parts = tuple[str, ...]
_DRIVE = re.compile(r"(?:[A-Za-z]:|//[^/]+)(?=/|$)|[A-Za-z]:")
_SEVERAL = "several"


@dataclass(frozen=True)
class Cell:
    """A cell as a path. ``absolute``: from the root of some machine. ``windows``: written with backslashes or a drive."""

    parts: _Parts
    absolute: bool
    windows: bool


def as_path(text: str) -> Cell:
    r"""``.\d\a.png`` → d, a.png."""
    windows = "\\" in text or bool(re.match(r"[A-Za-z]:", text))
    path = nfc(text).removeprefix("file://").replace("\\", "/")
    drive = _DRIVE.match(path)
    rest = path[drive.end() :] if drive else path
    parts = tuple(part for part in rest.split("/") if part not in ("", "."))
    return Cell(parts, drive is not None or path.startswith("/"), windows)


class Images:
    """The images below a folder, to be found by what a table's cells say of them."""

    def __init__(self, top: Path, paths: Iterable[Path]) -> None:
        named = [(tuple(nfc(part) for part in path.relative_to(top).parts), path) for path in paths]
        self._ways = [_Way(named, with_suffix) for with_suffix in (True, False)]
        self._parts = {path: parts for parts, path in named}
        self._stems = {stem(parts[-1]).casefold() for parts, _ in named}

    def __len__(self) -> int:
        return len(self._stems)

    def may_name(self, text: str) -> bool:
        """Whether a cell ends like an image's name, which is quick to see."""
        return stem(re.split(r"[\\/]", text)[-1]).casefold() in self._stems

    def is_whole(self, text: str, image: Path) -> bool:
        """Whether a cell is an image's whole path below the folder, and not its end or one from another root."""
        cell = as_path(text)
        parts = self._parts[image]
        return not cell.absolute and cell.parts in (parts, (*parts[:-1], stem(parts[-1])))

    def named(self, cells: Sequence[str], *, same_suffix: bool = False) -> tuple[dict[str, Path], dict[str, str]]:
        """(cell → image, cell → reason why not, for cells that name something like an image). same_suffix : by path alone, and with
        the cells' own suffixes.
        """
        every = {text: as_path(text) for text in cells if text}
        for way in self._ways[:1] if same_suffix else self._ways:
            found = {text: way.of(cell) for text, cell in every.items()}
            if any(found.values()):
                return _settled(found)
        return self._by_file_name(every) if not same_suffix else ({}, {})

    def _by_file_name(self, every: Mapping[str, Cell]) -> tuple[dict[str, Path], dict[str, str]]:
        for way in self._ways:
            found = {text: way.by_file_name(cell) for text, cell in every.items()}
            images, refused = _settled(found)
            if not images:
                continue
            folders = {(every[text].parts[:-1], path.parent) for text, path in images.items()}
            one_for_one = len({there for there, _ in folders}) == len(folders) == len({here for _, here in folders})
            sure = all(every[text].absolute for text in images) or len(images) == len(every) > 1
            if one_for_one and sure and not any(_splits_differ(there, here) for there, here in folders):
                return images, refused
            reason = "its folder is another than that of the image of its file name"
            return {}, refused | dict.fromkeys(images, reason)
        return {}, {}


def _settled(found: Mapping[str, Path | str | None]) -> tuple[dict[str, Path], dict[str, str]]:
    images: dict[str, Path] = {}
    refused: dict[str, str] = {}
    for text, image in found.items():
        if isinstance(image, Path):
            images[text] = image
        elif image:
            refused[text] = "it is the name of several images"
    return images, refused


def _splits_differ(there: _Parts, here: Path) -> bool:
    first, second = ({part.lower() for part in parts} & SPLITS for parts in (there, here.parts))
    return bool(first and second) and first != second


class _Way:
    """Cells compared with images with or without their suffixes."""

    def __init__(self, named: Sequence[tuple[_Parts, Path]], with_suffix: bool) -> None:
        self._with_suffix = with_suffix
        self._whole: dict[_Parts, set[Path]] = defaultdict(set)
        self._ends: dict[_Parts, set[Path]] = defaultdict(set)
        for parts, path in named:
            for key in self._keys(parts):
                self._whole[key].add(path)
                for length in range(1, len(key) + 1):
                    self._ends[key[-length:]].add(path)
        self._folded: dict[_Parts, set[Path]] = defaultdict(set)
        for key, found in self._ends.items():
            self._folded[_folded(key)] |= found

    def _keys(self, parts: _Parts) -> set[_Parts]:
        bare = (*parts[:-1], stem(parts[-1]))
        return {parts, bare} if self._with_suffix else {bare}

    def of(self, cell: Cell) -> Path | str | None:
        """The image of a cell's path; ``several`` where it names more than one."""
        parts = self._asked(cell)
        if not parts:
            return None
        if not cell.absolute and (found := self._whole.get(parts)):
            return _one(found)
        for length in range(len(parts) - 1, 0, -1):
            # From another root: the image's whole path is the end of the cell's.
            if (length > 1 or cell.absolute) and (found := self._whole.get(parts[-length:])):
                return _one(found)
        if cell.absolute and (found := self._whole.get(parts)):
            return _one(found)
        if not cell.absolute and (found := self._ends.get(parts)):
            return _one(found)
        if cell.windows:
            folded = _folded(parts)
            whole = {path for path in self._folded.get(folded, ()) if not cell.absolute}
            return _one(whole) if whole else None
        return None

    def by_file_name(self, cell: Cell) -> Path | str | None:
        parts = self._asked(cell)
        if len(parts) < 2:
            return None
        found = self._ends.get(parts[-1:]) or (self._folded.get(_folded(parts[-1:])) if cell.windows else None)
        return _one(found) if found else None

    def _asked(self, cell: Cell) -> _Parts:
        if not cell.parts or self._with_suffix:
            return cell.parts
        return (*cell.parts[:-1], stem(cell.parts[-1]))


def _one(found: set[Path]) -> Path | str:
    return next(iter(found)) if len(found) == 1 else _SEVERAL


def _folded(parts: _Parts) -> _Parts:
    return tuple(part.casefold() for part in parts)
