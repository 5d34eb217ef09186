"""Files in and out: uploads, and downloads of masks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool

from casewise.errors import UnreadableImageError, UsageError
from casewise.formats import write_mask
from casewise.formats.dicom.write_segmentation import write_segmentation
from casewise.label_map import Mask
from casewise.reporting.report import file_stem
from casewise.server import uploads
from casewise.server.access import Annotator, Reader
from casewise.server.audited import about
from casewise.server.multipart import receive
from casewise.server.problems import NotThereError
from casewise.server.routes.cases import image_of
from casewise.server.schemas.cases import Uploaded
from casewise.server.services import Services, Shared
from casewise.server.spool import Spool
from casewise.server.temporary import temporary_folder

router = APIRouter(tags=["files"])
_Text = Annotated[str | None, Query(max_length=200)]
_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"files": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                    "required": ["files"],
                }
            }
        },
    }
}


@router.post("/cases", openapi_extra=_FORM)
@router.put("/cases", openapi_extra=_FORM, include_in_schema=False)
async def upload(
    request: Request,
    person: Annotator,
    shared: Shared,
    category: _Text = None,
    site: _Text = None,
    analyse: bool = False,
) -> Uploaded:
    """Take files into the archive: DICOM, NIfTI, NRRD, MetaImage, PNG, … and their masks, in the folders that they are sent in.

    Few and small ones are taken in at once. For more there is ``job``, whose result is the same. ``analyse`` : the images are
    analysed next.
    """
    await run_in_threadpool(uploads.clean, shared.archive, shared.jobs)
    spool = await run_in_threadpool(Spool.new, shared.archive.folder)
    try:
        await receive(request, spool)
        taken = await run_in_threadpool(_taken, shared, spool, category, site, analyse, person.name)
    except BaseException:
        await run_in_threadpool(spool.remove)
        raise
    about(request, " ".join(taken.keys) or f"job {taken.job}")
    return taken


def _taken(shared: Services, spool: Spool, category: str | None, site: str | None, analyse: bool, person: str) -> Uploaded:
    if not uploads.small(spool):
        order = {"upload": spool.identity, "category": category, "site": site, "analyse": analyse}
        title = f"Import {len(spool.names)} files"
        job = shared.jobs.add("import", {**order, "title": title}, priority=1, created_by=person)
        return Uploaded(added=0, known=0, keys=[], failed=[], job=job)
    taken = uploads.take_in(shared.archive, spool, category, site)
    failed = [{"path": name, "reason": why} for name, why in taken.failed]
    number = uploads.analysed(shared.jobs, taken.keys, person) if analyse and taken.keys else None
    return Uploaded(added=taken.added, known=taken.known, keys=taken.keys, failed=failed, job=number)


@router.get(
    "/cases/{key}/masks/{name:path}.nii.gz",
    response_class=FileResponse,
    responses={200: {"content": {"application/gzip": {}}, "description": "A NIfTI file on the image's own grid"}},
)
def download_mask(key: str, name: str, person: Reader, shared: Shared) -> FileResponse:
    """A mask of an image as a NIfTI file, voxel by voxel on the image's own grid."""
    row = shared.cases.row(key)
    image = image_of(shared, row)
    mask = _mask(shared, row.key, name)
    name = f"{row.key[:8]}-{file_stem(name)}.nii.gz"
    return _sent(lambda path: write_mask(path, mask, image), ".nii.gz", "application/gzip", name)


@router.get(
    "/cases/{key}/segmentation.dcm",
    response_class=FileResponse,
    responses={200: {"content": {"application/dicom": {}}, "description": "A DICOM Segmentation object"}},
)
def download_segmentation(key: str, person: Reader, shared: Shared) -> FileResponse:
    """All masks of a DICOM image as one DICOM Segmentation object on its own planes; it names the patient as the image does."""
    row = shared.cases.row(key)
    image = image_of(shared, row)
    if image.header.format != "DICOM":
        raise UsageError(
            "A DICOM segmentation is made of masks of DICOM images, and this one is none; download its masks as NIfTI."
        )
    masks = {name: _mask(shared, row.key, name) for name in row.structures}
    by_hand = any(label.origin.get("how") == "interactive" for label in shared.cases.labels(row.key))
    name = f"{row.key[:8]}.seg.dcm"
    return _sent(lambda path: write_segmentation(path, masks, image, by_hand=by_hand), ".dcm", "application/dicom", name)


def _mask(shared: Services, key: str, name: str) -> Mask:
    loaders = shared.archive.case(key).load_masks
    if name not in loaders:
        raise NotThereError(f"The image has no mask called {name[:100]!r}.")
    try:
        return loaders[name]()
    except (UnreadableImageError, OSError) as error:
        raise NotThereError(f"The file of the mask {name[:100]!r} cannot be read any more.") from error


def _sent(write: Callable[[Path], object], suffix: str, kind: str, name: str) -> FileResponse:
    """A file that is written for this answer, and removed once it is sent."""
    folder = temporary_folder()
    path = Path(folder.name) / f"download{suffix}"
    try:
        write(path)
    except BaseException:
        folder.cleanup()
        raise
    return FileResponse(path, media_type=kind, filename=name, background=BackgroundTask(folder.cleanup))
