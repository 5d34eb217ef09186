"""Calls on images: voxels, masks, thumbnails."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter, Depends, Header, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse

from casewise.archive.storage import located
from casewise.case import Case
from casewise.errors import ArchiveError, UnreadableImageError, UsageError
from casewise.image import Box, Image
from casewise.json_safe import dumps, plain
from casewise.server.access import Reader
from casewise.server.geometry import planes
from casewise.server.masks import Part
from casewise.server.problems import NotThereError
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
def thumbnail_of(
    key: str,
    person: Reader,
    shared: Shared,
    structure: Annotated[str | None, Query(max_length=200, description="The mask to be displayed with it.")] = None,
    if_none_match: Match = None,
) -> Response:
    """The middle of an image, as it is displayed; with a mask the slice that shows most of it.

    A mask that the image does not have is left out.
    """
    case = _case(shared, key)
    mask = None if structure is None else _mask_of(shared, case, structure)
    tag = f'"{key}"' if mask is None else f'"{key}-{mask[0]}"'
    headers = {"ETag": tag, "Cache-Control": _PRIVATE}
    if _same(if_none_match, tag):
        return Response(status_code=304, headers=headers)
    try:
        made = thumbnail(shared.archive.folder, shared.images, case.key, mask)
    except (UnreadableImageError, OSError) as error:
        raise _gone(error) from error
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
        raise _gone(error) from error
    nothing = Box((0,) * found.ndim, (1,) * found.ndim)
    return (Part.of(found) or Part(nothing, found[nothing.slices])).patch()


@router.get(
    "/cases/{key}/nifti",
    response_class=FileResponse,
    responses={200: {"content": {"application/gzip": {}}, "description": "A NIfTI file"}},
)
def nifti_of(
    key: str,
    person: Reader,
    shared: Shared,
    mask: Annotated[str | None, Query(max_length=200, description="A mask of the image, in place of the image.")] = None,
) -> Response:
    """A volume as a right-handed NIfTI file, the same voxels at the same places, for the three-dimensional view."""
    case = _case(shared, key)
    image, name = _image(shared, case), case.key
    if mask is not None:
        if (found := _mask_of(shared, case, mask)) is None:
            raise HTTPException(404, f"The image has no mask called {mask[:100]!r}.")
        image, name = replace(image, array=found[1]()[None].astype(np.uint8)), f"{case.key}-{found[0]}"
    path = nifti(shared.archive.folder, name, image)
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
        raise _gone(error) from error


def _mask_of(shared: Services, case: Case, name: str) -> tuple[str, Callable[[], npt.NDArray[np.bool_]]] | None:
    """(a word that changes with the mask, what reads it); None where the image has no mask of this name."""
    if name not in case.load_masks:
        return None
    found = [one for one in shared.archive.labels(case.key) if one["kind"] == "mask" and one["name"] == name]
    seen = [located(shared.archive.folder, str(one["path"])) for one in found if one["path"]]
    times = [path.stat().st_mtime_ns for path in seen if path.exists()]
    return hashlib.sha256(dumps([plain(found), times]).encode()).hexdigest()[:16], case.load_masks[name]


def _gone(error: Exception) -> NotThereError:
    return NotThereError(str(error) if isinstance(error, UnreadableImageError) else "The image's file cannot be read.")


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
