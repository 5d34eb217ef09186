"""The demonstration's files, as a hospital would have them: images and masks in folders, and a table that says what each one is."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from casewise import formats
from casewise.demo.dicom import write_dicom
from casewise.demo.sites import KNOWN_SITES, UNSEEN_SITE, Simulated, Site, simulate
from casewise.demo.sources import others, template

STRUCTURES = ("grey_matter", "white_matter")
_PATIENTS = 12  # of each site in the archive
_FURTHER = 6  # further images of the unseen site
_CHECKED = 2  # images of each known site on which the first model is checked
_COLUMNS = ("image", *(f"mask:{name}" for name in STRUCTURES), "site", "subject")


@dataclass(frozen=True)
class Labelled:
    """An image that stays outside the archive, and the files of its true masks by structure."""

    image: Path
    masks: dict[str, Path]


@dataclass(frozen=True)
class DemoImages:
    """What :func:`write_images` wrote.

    known, grown : tables of the images of the known sites, and of those of the unseen site that come later. others : folder of real
    files of other kinds. new : the image to be analysed, further : more of its site, checked : of the known sites; none of these is
    in a table.
    """

    known: Path
    grown: Path
    others: Path
    new: Labelled
    further: tuple[Labelled, ...]
    checked: tuple[Labelled, ...]


def write_images(folder: Path, seed: int = 0) -> DemoImages:
    """Write the demonstration's images below ``folder``; the same seed writes the same pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(__file__).with_name("SOURCES.md"), folder / "SOURCES.md")
    archived = {site.name: list(_patients(folder / site.name, site, seed, 0, _PATIENTS)) for site in (*KNOWN_SITES, UNSEEN_SITE)}
    known = [(site, patient) for site in KNOWN_SITES for patient in archived[site.name]]
    grown = [(UNSEEN_SITE, patient) for patient in archived[UNSEEN_SITE.name]]
    arrived = list(_patients(folder / "new", UNSEEN_SITE, seed, 500, 1 + _FURTHER))
    checked = [labelled for site in KNOWN_SITES for labelled in _patients(folder / "check", site, seed, 500, _CHECKED)]
    unchanged = folder / "others"
    unchanged.mkdir(exist_ok=True)
    for file in others():
        shutil.copyfile(file, unchanged / file.name)
    return DemoImages(
        _table(folder / "known-sites.csv", known),
        _table(folder / f"{UNSEEN_SITE.name}.csv", grown),
        unchanged,
        arrived[0],
        tuple(arrived[1:]),
        tuple(checked),
    )


def _patients(folder: Path, site: Site, seed: int, first: int, count: int) -> Iterable[Labelled]:
    head = template()
    (folder / "masks").mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        simulated = simulate(head.image, head.tissues, site, 1000 * seed + number)
        yield _write(folder, f"{site.name}-{number:03}", simulated)


def _write(folder: Path, name: str, simulated: Simulated) -> Labelled:
    image = formats.read(write_dicom(folder / f"{name}.dcm", simulated.image, name))
    masks = {
        structure: formats.write_mask(folder / "masks" / f"{name}-{structure}.nii.gz", mask.astype(np.uint8), image)
        for structure, mask in simulated.masks.items()
    }
    return Labelled(folder / f"{name}.dcm", masks)


def _table(path: Path, rows: Iterable[tuple[Site, Labelled]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(_COLUMNS)
        for site, labelled in rows:
            files = [labelled.image, *(labelled.masks[name] for name in STRUCTURES)]
            names = [file.relative_to(path.parent).as_posix() for file in files]
            subject = labelled.image.name.removesuffix(".dcm")
            table.writerow([*names, site.name, subject])
    return path
