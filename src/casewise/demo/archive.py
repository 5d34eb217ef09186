"""The demonstration's archive: pictures, volumes and a loop for the server's pages, made from images inside installed packages."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from casewise import formats
from casewise.archive import Archive
from casewise.demo.dicom import write_dicom, write_series
from casewise.demo.images import STRUCTURES
from casewise.demo.sites import KNOWN_SITES, simulate
from casewise.demo.sources import Real, for_pages, template
from casewise.demo.volumes import FLAIR, T1, Protocol, simulate_volume
from casewise.errors import UsageError
from casewise.progress import Progress, silent

_MARK = ".casewise-demo"
_FOLDER = "demo-images"  # within the archive's folder
_SLICE_MM = 18.0  # where the ventricles show, above the midbrain
_PICTURES = 12  # to be outlined: each another patient
_LABELLED = 9  # with their tissues' masks
# (name, how it is taken, bright spots in the white matter)
_VOLUMES = (("T1-a", T1, 0), ("T1-b", T1, 0), ("FLAIR-a", FLAIR, 6), ("FLAIR-b", FLAIR, 0))
_ANALYSED = ("FLAIR-a", "abdomen-mr", "head-ct", "heart-loop", "FLAIR-b", "T1-a")
_BRAIN = "brain-mr"
_STEP = "Demonstration"


@dataclass(frozen=True)
class DemoCases:
    """Keys of the images of the demonstration's archive, in the order in which they are to be outlined or analysed.

    pictures : slices of brains, one a patient, without masks. volumes : brains in three planes. analysed : what is to be analysed
    so that there is something to read.
    """

    pictures: tuple[str, ...]
    volumes: tuple[str, ...]
    analysed: tuple[str, ...]


def fill(archive: Archive, progress: Progress = silent) -> DemoCases:
    """Make the images of the demonstration in the archive's folder and add them; what is there already is not made again.

    Raises UsageError, one sentence, for an archive that holds other images, CasewiseError without the package nilearn.
    """
    folder = archive.folder
    if not (folder / _MARK).exists() and len(archive):
        msg = f"{folder} holds an archive with {len(archive)} images that are not the demonstration's; name a new folder for it."
        raise UsageError(msg)
    (folder / _MARK).touch()
    images = folder / _FOLDER
    images.mkdir(exist_ok=True)
    shutil.copyfile(Path(__file__).with_name("SOURCES.md"), images / "SOURCES.md")
    keys = {Path(record.name).stem: record.key for record in archive.images()}
    makers = [*_pictures(images), *_volumes(images), *_real(images)]
    for number, (name, make) in enumerate(makers, start=1):
        if name not in keys:
            made = make()
            keys[name] = archive.add(
                made.path, made.masks, category=made.category, site=made.site, subject=made.subject, name=str(made.path)
            )
        progress(_STEP, number, len(makers))
    volumes = tuple(keys[name] for name, _, _ in _VOLUMES)
    pictures = tuple(keys[_picture_name(number)] for number in range(_PICTURES))
    return DemoCases(pictures, volumes, tuple(keys[name] for name in _ANALYSED if name in keys))


@dataclass(frozen=True)
class _Made:
    path: Path
    category: str
    site: str
    subject: str
    masks: Mapping[str, Path] = field(default_factory=dict)


_Makers = Iterable[tuple[str, Callable[[], _Made]]]  # an image's name, and what makes its files


def _pictures(folder: Path) -> _Makers:
    for number in range(_PICTURES):
        name = _picture_name(number)
        yield name, partial(_picture, folder, name, 200 + number, _SLICE_MM, ())
    for number in range(_LABELLED):
        name = f"labelled-{number + 1:02}"
        yield name, partial(_picture, folder, name, 300 + number, None, STRUCTURES)


def _picture_name(number: int) -> str:
    return f"brain-{number + 1:02}"


def _picture(folder: Path, name: str, seed: int, level_mm: float | None, structures: Sequence[str]) -> _Made:
    site, head = KNOWN_SITES[seed % len(KNOWN_SITES)], template()
    simulated = simulate(head.image, head.tissues, site, seed, level_mm)
    path = write_dicom(folder / f"{name}.dcm", simulated.image, name)
    image = formats.read(path)
    masks = {
        structure: formats.write_mask(folder / f"{name}-{structure}.nii.gz", simulated.masks[structure].astype(np.uint8), image)
        for structure in structures
    }
    return _Made(path, _BRAIN, site.name, name, masks)


def _volumes(folder: Path) -> _Makers:
    for number, (name, protocol, lesions) in enumerate(_VOLUMES):
        yield name, partial(_volume, folder, name, protocol, number, lesions)


def _volume(folder: Path, name: str, protocol: Protocol, seed: int, lesions: int) -> _Made:
    path = write_series(folder / name, simulate_volume(template(), protocol, seed, lesions), name)
    return _Made(path, _BRAIN, protocol.site.name, name)


def _real(folder: Path) -> _Makers:
    for source in for_pages():
        yield source.name, partial(_copied, folder, source)


def _copied(folder: Path, source: Real) -> _Made:
    target = folder / f"{source.name}{source.path.suffix}"
    shutil.copyfile(source.path, target)
    return _Made(target, source.category, "elsewhere", source.name)
