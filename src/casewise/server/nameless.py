"""An archive whose cases are called as pages call them, for reports that the server makes: no folder, no DICOM file's name."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from casewise.archive import Archive, Selection
from casewise.archive.loading import Line
from casewise.archive.selection import EVERYTHING
from casewise.case import Case, Structure
from casewise.server.cases import display_name

# Kinds of file whose name is displayed; any other may be DICOM.
_NAMED = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".nii", ".nii.gz", ".nrrd", ".mha", ".mhd", ".h5", ".hdf5")


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
