"""Calls on images: voxels, masks, thumbnails."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse

from casewise.case import Case
from casewise.errors import ArchiveError, UnreadableImageError, UsageError
from casewise.image import Box, Image
from casewise.server.access import Reader
from casewise.server.geometry import planes
from casewise.server.masks import Part
from casewise.server.schemas.cases import Plane
from casewise.server.schemas.common import MaskPatch, Problem
from casewise.server.services import Services, services
from casewise.server.three_d import nifti
from casewise.server.thumbnails import thumbnail
from casewise.server.voxels import chosen

router = APIRouter(tags=["images"], responses={400: {"model": Problem}, 404: {"model": Problem}})
Shared = Annotated[Services, Depends(services)]
Match = Annotated[str | None, Header()]
_PRIVATE = "private, no-cache"  # kept by the browser, and asked for again each time, so that signing out counts
_LOOPBACK = ("127.0.0.1", "::1")
_OCTETS = "application/octet-stream"


@router.get(
    "/cases/{key}/voxels",
    response_class=Response,
    responses={200: {"content": {_OCTETS: {}}, "description": "Raw voxels"}, 304: {"description": "As the caller has it"}},
)
def voxels(
    key: str,
    request: Request,
    person: Reader,
    shared: Shared,
    channel: Annotated[int | None, Query(ge=0)] = None,
    plane: str | None = None,
    slice: Annotated[int | None, Query(ge=0)] = None,
    if_none_match: Match = None,
) -> Response:
    """The voxels of an image, or of one slice of one of its planes: raw, little-endian, row-major in the image's own axes.

    ``X-Shape`` : the axes' lengths. ``X-Dtype`` : uint8, int16, uint16 or float32; other types are sent as float32.
    ``X-Channels`` : 3 for colour pictures, whose channels come last.
    """
    case, tag = _case(shared, key), f'"{key}"'
    headers = {"ETag": tag, "Cache-Control": _PRIVATE, "Vary": "Accept-Encoding"}
    if _same(if_none_match, tag):
        return Response(status_code=304, headers=headers)
    image = _image(shared, case)
    found = chosen(image, channel, None if plane is None else _plane(image, plane), slice)
    headers |= {
        "X-Shape": ",".join(map(str, found.shape)),
        "X-Dtype": found.dtype.name,
        "X-Channels": str(found.channels),
    }
    if _zip_for(request):
        return StreamingResponse(found.zipped(), headers={**headers, "Content-Encoding": "gzip"}, media_type=_OCTETS)
    headers["Content-Length"] = str(found.size)
    return StreamingResponse(found.pieces(), headers=headers, media_type=_OCTETS)


@router.get(
    "/cases/{key}/thumbnail",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}, "description": "A picture of at most 160 pixels along each side"}},
)
def thumbnail_of(key: str, person: Reader, shared: Shared, if_none_match: Match = None) -> Response:
    """The middle of an image, as it is displayed."""
    case, tag = _case(shared, key), f'"{key}"'
    headers = {"ETag": tag, "Cache-Control": _PRIVATE}
    if _same(if_none_match, tag):
        return Response(status_code=304, headers=headers)
    try:
        made = thumbnail(shared.archive.folder, shared.images, case.key)
    except (UnreadableImageError, OSError) as error:
        raise HTTPException(404, _gone(error)) from error
    return Response(made, media_type="image/png", headers=headers)


@router.get("/cases/{key}/masks/{name}")
def mask(key: str, name: str, person: Reader, shared: Shared) -> MaskPatch:
    """A mask of an image, by its name."""
    case = _case(shared, key)
    if name not in case.load_masks:
        raise HTTPException(404, f"The image has no mask called {name[:100]!r}.")
    try:
        found = case.load_masks[name]()
    except (UnreadableImageError, OSError) as error:
        raise HTTPException(404, _gone(error)) from error
    nothing = Box((0,) * found.ndim, (1,) * found.ndim)
    return (Part.of(found) or Part(nothing, found[nothing.slices])).patch()


@router.get(
    "/cases/{key}/nifti",
    response_class=FileResponse,
    responses={200: {"content": {"application/gzip": {}}, "description": "A NIfTI file"}},
)
def nifti_of(key: str, person: Reader, shared: Shared) -> Response:
    """A volume as a right-handed NIfTI file, the same voxels at the same places, for the three-dimensional view."""
    case = _case(shared, key)
    path = nifti(shared.archive.folder, case.key, _image(shared, case))
    return FileResponse(path, media_type="application/gzip", filename=f"{key}.nii.gz", headers={"Cache-Control": _PRIVATE})


def _case(shared: Services, key: str) -> Case:
    try:
        return shared.archive.case(key)
    except ArchiveError as error:
        raise HTTPException(404, str(error)) from error


def _image(shared: Services, case: Case) -> Image:
    try:
        return shared.images.get(case.key)
    except (UnreadableImageError, OSError) as error:
        raise HTTPException(404, _gone(error)) from error


def _gone(error: Exception) -> str:
    return str(error) if isinstance(error, UnreadableImageError) else "The image's file cannot be read."


def _plane(image: Image, name: str) -> Plane:
    known = {plane.name: plane for plane in planes(image)}
    if name not in known:
        raise UsageError(f"The image has the planes {', '.join(known)}; got {name[:40]!r}.")
    return known[name]


def _same(given: str | None, tag: str) -> bool:
    return given is not None and tag in (part.strip().removeprefix("W/") for part in given.split(","))


def _zip_for(request: Request) -> bool:
    """Packing takes longer than a way that does not leave the machine."""
    near = request.client is not None and request.client.host in _LOOPBACK
    return not near and "gzip" in request.headers.get("accept-encoding", "")
