"""All DICOM objects of an image's results: segmentation, structured report, secondary capture and parametric maps."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from casewise.exchange.settings import Kind
from casewise.finding import Finding
from casewise.formats.dicom import write_segmentation
from casewise.formats.dicom.result_source import ResultSource
from casewise.image import Array, Image
from casewise.reporting import dicom_capture, dicom_map, dicom_sr
from casewise.reporting.dicom_about import About
from casewise.reporting.finding_files import maps_of
from casewise.reporting.pictures import check_grid

__all__ = ["About", "Written", "write_objects"]


@dataclass(frozen=True)
class Written:
    """A DICOM file with results. sop_uid, sop_class : of the object in it."""

    kind: Kind
    path: Path
    sop_uid: str
    sop_class: str


def write_objects(
    folder: Path,
    image: Image,
    findings: Sequence[Finding],
    masks: Mapping[str, Array],
    kinds: Sequence[Kind],
    *,
    about: About,
) -> list[Written]:
    """Write the objects of these ``kinds`` for an image that was read from DICOM, as ``results.KIND.dcm`` in ``folder``.

    masks : on the image's grid, by ``Finding.mask_name``, or by a label that is no other finding's mask's name; a label map is one.
    Maps are read from ``Finding.map``. Without a mask there is no ``seg``, without a map no ``map``, of a loop neither; further
    maps are ``results-2.map.dcm`` and so on. A map of a picture that lies nowhere in the patient, such as a radiograph, is a
    secondary capture of the map over its picture, for a parametric map has to lie somewhere. Patient and study are those of the
    image's files. UIDs derive from content: the same results of the same images are the same objects.

    Raises CasewiseError where the image is not from DICOM, its files are gone or lack what results must name, a mask is off the
    image's grid, or a file cannot be written.
    """
    for name, mask in masks.items():
        check_grid(name, mask, image.spatial_shape)
    findings, source = _named(findings, masks), ResultSource.of(image)
    written: list[Written] = []
    for kind in dict.fromkeys(kinds):
        path = folder / f"results.{kind}.dcm"
        if kind == "seg" and not image.is_loop and any(np.any(mask) for mask in masks.values()):
            written.append(_written(kind, write_segmentation.write_segmentation(path, masks, image, source=source)))
        elif kind == "sr":
            written.append(_written(kind, dicom_sr.write_report(path, findings, masks, source, about=about)))
        elif kind == "capture":
            written.append(_written(kind, dicom_capture.write_capture(path, image, findings, masks, source, about=about)))
        elif kind == "map" and not image.is_loop:
            for number, (title, values) in enumerate(maps_of(findings, image).items(), start=1):
                place = path if number == 1 else folder / f"results-{number}.map.dcm"
                written.append(_written(kind, _map(place, image, title, values, source, about)))
    return written


def _named(findings: Sequence[Finding], masks: Mapping[str, Array]) -> list[Finding]:
    """The findings, each with the name of its mask where it has one."""
    taken = {one.mask_name for one in findings}
    return [replace(one, mask_name=one.label) if _is_its_own(one, masks, taken) else one for one in findings]


def _is_its_own(finding: Finding, masks: Mapping[str, Array], taken: Collection[str | None]) -> bool:
    return finding.mask_name is None and finding.label in masks and finding.label not in taken


def _map(path: Path, image: Image, title: str, values: Array, source: ResultSource, about: About) -> Path:
    if source.placed:
        return dicom_map.write_map(path, title, values, source)
    return dicom_capture.write_map_capture(path, image, title, values, source, about=about)


def _written(kind: Kind, path: Path) -> Written:
    from pydicom.filereader import read_file_meta_info

    meta = read_file_meta_info(path)
    return Written(kind, path, str(meta.MediaStorageSOPInstanceUID), str(meta.MediaStorageSOPClassUID))
