"""What an image of an archive is called on pages and in reports that are kept in it: no folder, no DICOM file's name."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from casewise.archive.archive import Archive
from casewise.archive.loading import Line
from casewise.archive.selection import EVERYTHING, Selection
from casewise.case import Case, Structure
from casewise.names import legible
from casewise.wording import base_name

# Kinds of file whose name is displayed; any other may be DICOM.
_NAMED = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".nii", ".nii.gz", ".nrrd", ".mha", ".mhd", ".h5", ".hdf5")


def display_name(name: str, kind: str, key: str, show_names: bool) -> str:
    """A file's name without its folders; of a DICOM file, whose name may be its patient's, a short one made of the key."""
    return f"DICOM {key[:8]}" if kind == "DICOM" and not show_names else legible(base_name(name))


class NamelessArchive(Archive):
    """The archive itself but for the names of its cases."""

    def cases(
        self,
        structures: Sequence[Structure | str] = (),
        *,
        category: str | bool | None = None,
        site: str | None = None,
        keys: Collection[str] | None = None,
        where: Selection = EVERYTHING,
    ) -> list[Case]:
        found = super().cases(structures, category=category, site=site, keys=keys, where=where)
        return [replace(case, name=_name(case)) for case in found]

    def lines(self, ids: Sequence[int]) -> list[Line]:
        return [replace(line, name=_name(line)) for line in super().lines(ids)]


def _name(one: Case | Line) -> str:
    named = one.name.lower().partition("#")[0].endswith(_NAMED)
    return display_name(Path(one.name).as_posix(), "" if named else "DICOM", one.key, show_names=False)
