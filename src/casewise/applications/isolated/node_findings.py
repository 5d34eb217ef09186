"""From a DICOM node's objects to findings: segments are masks, a report's groups findings, pictures and others are kept."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from casewise.applications.isolated.node_objects import CAPTURE, SEG, SR, Received
from casewise.applications.isolated.report_findings import findings_of_report
from casewise.applications.isolated.segment_findings import Segments
from casewise.applications.outcome import ApplicationError, refused
from casewise.errors import CasewiseError
from casewise.formats import read, write
from casewise.formats.dicom.measurement_report import read_measurement_report
from casewise.image import Image

_KINDS = {SEG: "segmentation", SR: "structured report", CAPTURE: "picture"}


def findings_of(
    results: Sequence[Received], image: Image, sent: Collection[str], out: Path, detects: Sequence[str] | None
) -> tuple[list[Any], list[str]]:
    """(findings, notes) of objects that are all of ``image``; their files, and masks on its grid, lie in ``out`` afterwards.

    sent : UIDs of the image's instances. detects : labels that the declaration names as signs of disease; None where it names none.
    Raises ApplicationError, a clause, for an object that cannot be read or is not on the image's grid.
    """
    notes: list[str] = []
    own = {*sent, *(found.uid for found in results)}
    segments = Segments(detects)
    for number, found in enumerate((one for one in results if one.kind == SEG), start=1):
        path = _kept(found, out / f"segmentation-{number}.dcm")
        with _used(found, path):
            notes += segments.add(path, found.uid, image, out / f"segment-{number}")
    findings: list[Any] = []
    for number, found in enumerate((one for one in results if one.kind == SR), start=1):
        path = _kept(found, out / f"report-{number}.dcm")
        with _used(found, path):
            said, more = findings_of_report(read_measurement_report(path), image, own, segments, out / f"region-{number}")
        findings += said
        notes += more
    findings += segments.left()
    for number, found in enumerate((one for one in results if one.kind == CAPTURE), start=1):
        notes.append(_picture(_kept(found, out / f"picture-{number}.dcm")))
    for number, found in enumerate((one for one in results if one.kind not in _KINDS), start=1):
        path = _kept(found, out / f"object-{number}.dcm")
        notes.append(f"It sent an object of a kind that is not read; it is kept as {path.name}.")
    return findings, notes


@contextmanager
def _used(found: Received, path: Path) -> Iterator[None]:
    """Within it, an object's fault becomes the application's, in a sentence without the file's place."""
    try:
        yield
    except ApplicationError:
        raise
    except CasewiseError as error:
        reason = str(error).replace(str(path), path.name)
        raise refused(f"sent a {_KINDS[found.kind]} that cannot be used: {reason}") from error


def _kept(found: Received, path: Path) -> Path:
    shutil.copyfile(found.path, path)
    return path


def _picture(path: Path) -> str:
    """Kept as PNG where it is one picture; the note that names it."""
    try:
        image = read(path)
        if image.spatial_dims != 2:
            return f"It sent pictures, which are kept as {path.name}."
        kept = write(path.with_suffix(".png"), image)
    except CasewiseError:
        return f"It sent a picture that cannot be read, which is kept as {path.name}."
    path.unlink()
    return f"It sent a picture, which is kept as {kept.name}."
