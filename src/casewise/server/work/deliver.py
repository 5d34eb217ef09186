"""Make the DICOM objects of a case's result, beside its report, and put them into the outbox.

What was sent of an earlier result of the same image, or of a former version of its series, is marked as superseded, and the new
report names it. UIDs derive from content, so a job that is run again puts nothing in twice.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from casewise.archive.storage import located
from casewise.errors import CasewiseError, UsageError
from casewise.exchange.settings import DicomSettings, Kind
from casewise.files import replacing
from casewise.finding import Finding
from casewise.formats.found import Kind as Format
from casewise.image import Image
from casewise.pipeline.recorded import findings_of, job_of, results_folder
from casewise.reporting.dicom_objects import About, Written, write_objects
from casewise.reporting.finding_files import masks_of
from casewise.server.dicom.delivery import check_targets
from casewise.server.dicom.outbox_rows import Outbox
from casewise.server.network_tables import arrivals
from casewise.server.network_tables import outbox as table
from casewise.server.store import Store
from casewise.server.work.context import Work

FOLDER = "dicom"  # below that of the result


def run(work: Work) -> dict[str, object]:
    """payload: ``case``, ``targets``, ``kinds`` and ``result`` of :func:`casewise.server.dicom.delivery.queue`."""
    key, targets = str(work.payload["case"]), [str(target) for target in work.payload["targets"]]
    settings = DicomSettings.load(work.archive.folder)
    check_targets(settings, targets)
    number, data = _result(work, key)
    work.progress("Making DICOM objects", 0, 1)
    image = work.archive.case(key).image
    if image.header.format != Format.DICOM.value:
        raise UsageError("The image was not read from DICOM, so its results cannot be sent to a PACS; download its report instead.")
    kinds = work.payload.get("kinds") or _usual(settings, image)
    earlier = _Earlier(work.store, key, image.header.series, number)
    made = _Objects(image, findings_of(data, work.archive.folder), kinds, data)
    written = made.written(
        results_folder(work.archive.folder, key, job_of(data) or 0) / FOLDER, earlier.report(work.archive.folder)
    )
    if not written:
        raise CasewiseError(f"The result holds nothing that can be sent as {' or '.join(kinds)}: it has no masks, or no maps.")
    of = {"image_key": key, "series_uid": image.header.series, "result": number, "created_by": work.created_by}
    rows = [
        {
            "target": target,
            "path": one.path.relative_to(work.archive.folder).as_posix(),
            "sop_uid": one.sop_uid,
            "sop_class": one.sop_class,
            "kind": one.kind,
            **of,
        }
        for one in written
        for target in targets
    ]
    outbox = Outbox(work.store)
    outbox.supersede(earlier.rows)
    return {"objects": [one.kind for one in written], "targets": targets, "queued": outbox.add(rows)}


def _result(work: Work, key: str) -> tuple[int, Mapping[str, Any]]:
    """The result to send, with its number. Raises UsageError where there is none."""
    given = work.payload.get("result")
    newest = work.archive.newest_result(key)
    if newest is None:
        raise UsageError("This case was not analysed yet, so there is nothing to send; analyse it first.")
    number, data = newest[0], newest[1]
    if given is not None and int(given) != number:
        found = work.archive.numbered_result(key, int(given))
        if found is None:
            raise UsageError(f"This case has no result {given}; send its newest one.")
        number, data = int(given), found
    if "findings" not in data:
        raise UsageError("This case was not analysed, by a rule, so there is nothing to send.")
    return number, data


def _usual(settings: DicomSettings, image: Image) -> Sequence[Kind]:
    """A picture is treated as a radiograph: some viewers show nothing of a study with a segmentation of one."""
    return settings.results.radiographs if len(image.spatial_shape) == 2 else settings.results.volumes


class _Objects:
    """The DICOM objects of a result. data : as it was recorded."""

    def __init__(self, image: Image, findings: Sequence[Finding], kinds: Sequence[Kind], data: Mapping[str, Any]) -> None:
        self._image, self._findings, self._kinds, self._data = image, findings, kinds, data
        self._masks = masks_of(self._findings, image)

    def written(self, place: Path, earlier: _Report | None) -> list[Written]:
        """Written in ``place``, each under its UID: one that another delivery of the result made stays as it is.

        earlier : the newest report of an earlier result. Where this result's differs, it says that it replaces that one.
        """
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place, prefix=".making-") as scratch:
            written = self._in(Path(scratch), About.recorded(self._data))
            if earlier is not None and earlier.sop_uid not in {one.sop_uid for one in written}:
                about = About.recorded(self._data, superseded=True, predecessors=[earlier.path])
                written = self._in(Path(scratch), about)
            return [self._kept(one, place) for one in written]

    def _in(self, folder: Path, about: About) -> list[Written]:
        return write_objects(folder, self._image, self._findings, self._masks, self._kinds, about=about)

    def _kept(self, one: Written, place: Path) -> Written:
        path = place / f"{one.sop_uid}.dcm"
        if not path.exists():
            with replacing(path, durable=True) as beside:
                one.path.replace(beside)
        return Written(one.kind, path, one.sop_uid, one.sop_class)


@dataclass(frozen=True)
class _Report:
    """A structured report that was queued."""

    path: Path
    sop_uid: str


class _Earlier:
    """What was queued of earlier results of the image, and of images that its series no longer has since more of it came."""

    def __init__(self, store: Store, key: str, series_uid: str | None, result: int) -> None:
        self._store = store
        mine = sa.and_(table.c.image_key == key, table.c.result < result)
        current = self._current(series_uid)
        gone = sa.and_(table.c.series_uid == series_uid, table.c.image_key.not_in(current))
        self.rows: sa.ColumnElement[bool] = sa.or_(mine, gone) if series_uid and key in current else mine

    def report(self, folder: Path) -> _Report | None:
        """The newest report among it; None where none was sent, or its file is gone. ``folder`` : the archive's."""
        sent = sa.and_(self.rows, table.c.kind == "sr", table.c.state != "dead")
        newest = sa.select(table.c.path, table.c.sop_uid).where(sent).order_by(table.c.result.desc(), table.c.id.desc())
        with self._store.read() as connection:
            found = connection.execute(newest.limit(1)).one_or_none()
        path = None if found is None else located(folder, str(found.path))
        return None if found is None or path is None or not path.is_file() else _Report(path, str(found.sop_uid))

    def _current(self, series_uid: str | None) -> list[str]:
        with self._store.read() as connection:
            found = connection.scalar(sa.select(arrivals.c.image_keys).where(arrivals.c.series_uid == series_uid))
        return [str(key) for key in found or ()]
