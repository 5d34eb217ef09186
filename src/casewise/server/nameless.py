"""An archive whose cases are called as pages call them, for reports that the server makes: no folder, no DICOM file's name."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from casewise.archive import Archive
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
    ) -> list[Case]:
        found = super().cases(structures, category=category, site=site, keys=keys)
        return [replace(case, name=_name(case)) for case in found]


def _name(case: Case) -> str:
    named = case.name.lower().partition("#")[0].endswith(_NAMED)
    return display_name(Path(case.name).as_posix(), "" if named else "DICOM", case.key, show_names=False)
