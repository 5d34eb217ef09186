"""The calls of nnInteractive's remote contract, version 2.6: what its client sends, and what it expects back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Request, Response

from casewise.errors import UsageError
from casewise.image import Array
from casewise.server.access import Annotator
from casewise.server.compat.nninteractive.arrays import CONTENT_TYPE, pack, unpack
from casewise.server.compat.nninteractive.capabilities import capabilities
from casewise.server.compat.nninteractive.leases import FullError, Lease, LeaseEndedError, Leases
from casewise.server.compat.nninteractive.outline import Outline
from casewise.server.compat.nninteractive.prompts import Prompt, of_box, of_lasso, of_places
from casewise.server.compat.nninteractive.space import Space
from casewise.server.masks import Part
from casewise.server.services import Services, services

_KINDS = ("bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
_META = "X-Meta"
_MOST_META = 8192  # characters
_ENDED = "This session has ended: the client was silent for a minute or idle for half an hour; connect again."

Token = Annotated[str | None, Header(alias="X-Lease-Token")]
Shared = Annotated[Services, Depends(services)]


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    shared: Services = app.state.services
    leases = app.state.nninteractive = Leases(shared.settings.sessions)
    sweeping = asyncio.create_task(leases.keep_sweeping())
    try:
        yield
    finally:
        sweeping.cancel()
        with suppress(asyncio.CancelledError):
            await sweeping
        await leases.close()


router = APIRouter(lifespan=_lifespan, include_in_schema=False)


def _leases(request: Request) -> Leases:
    found: Leases = request.app.state.nninteractive
    return found


All = Annotated[Leases, Depends(_leases)]


def _lease(person: Annotator, leases: All, token: Token = None) -> Lease:
    try:
        return leases.of(token, person.name)
    except LeaseEndedError as error:
        raise HTTPException(410, _ENDED) from error


def _acting(person: Annotator, leases: All, token: Token = None) -> Lease:
    lease = _lease(person, leases, token)
    return leases.of(lease.token, person.name, acts=True)


@asynccontextmanager
async def _turn(lease: Lease) -> AsyncIterator[None]:
    try:
        async with lease.turn():
            yield
    except LeaseEndedError as error:
        raise HTTPException(410, _ENDED) from error


Held = Annotated[Lease, Depends(_lease)]
Acting = Annotated[Lease, Depends(_acting)]


@router.get("/healthz")
async def healthz() -> dict[str, bool]:
    return {"ok": True}


@router.get("/capabilities")
def what_is_supported(person: Annotator) -> dict[str, object]:
    return capabilities()


@router.post("/claim")
async def claim(person: Annotator, leases: All) -> dict[str, object]:
    try:
        lease = leases.claim(person.name)
    except FullError as error:
        sentence = f"{leases.most} people are connected, as many as this server takes at once; try again later."
        raise HTTPException(503, sentence, {"Retry-After": "10"}) from error
    return {
        "lease_token": lease.token,
        "idle_timeout_seconds": leases.idle,
        "liveness_timeout_seconds": leases.alive,
        "max_sessions": leases.most,
    }


@router.post("/release")
async def release(person: Annotator, leases: All, token: Token = None) -> dict[str, bool]:
    await leases.release(token, person.name)
    return {"released": True}


@router.post("/heartbeat")
async def heartbeat(lease: Held, leases: All) -> dict[str, float]:
    return {"remaining_seconds": leases.remaining(lease)}


@router.get("/lease_status")
async def lease_status(person: Annotator, leases: All, token: Token = None) -> dict[str, float]:
    try:
        lease = leases.of(token, person.name, alive=False)
    except LeaseEndedError as error:
        raise HTTPException(410, _ENDED) from error
    return {"remaining_seconds": leases.remaining(lease), "idle_timeout_seconds": leases.idle}


@router.post("/set_image")
async def set_image(request: Request, lease: Acting, shared: Shared) -> dict[str, object]:
    meta, array = _meta(request), await _array(request, shared)
    if array.ndim != 4:
        raise UsageError(f"An image has the axes (channel, x, y, z); got {array.ndim} axes of {list(array.shape)}.")
    properties = meta.get("image_properties") or {}
    if not isinstance(properties, dict):
        raise UsageError("image_properties is an object with the spacing of the voxels in mm.")
    space = Space.of(array.shape[1:])
    image = await asyncio.to_thread(space.image, array, properties)
    async with _turn(lease):
        await lease.free()
        lease.space = space
        lease.outline = Outline(shared.sessions, lease.user, image, space, lease.deep)
    return {"original_image_shape": list(array.shape)}


@router.post("/set_target_buffer")
async def set_target_buffer(request: Request, lease: Acting) -> dict[str, object]:
    given = await _document(request)
    async with _turn(lease):
        outline = _outline(lease)
        if given.get("shape") != list(outline.space.shape):
            shape = str(given.get("shape"))[:100]
            msg = f"The buffer has the shape {shape}, the image {list(outline.space.shape)}; they must be the same."
            raise UsageError(msg)
        if given.get("dtype") not in _KINDS:
            raise UsageError(f"The buffer's type is one of {', '.join(_KINDS)}; got {str(given.get('dtype'))[:100]}.")
        lease.kind = str(given["dtype"])
        outline.sent = None
    return {}


@router.post("/set_do_autozoom")
async def set_do_autozoom(request: Request, lease: Acting) -> dict[str, object]:
    given = await _document(request)
    lease.deep = bool(given.get("do_autozoom", True))
    if lease.outline is not None:
        lease.outline.deep = lease.deep
    return {}


@router.post("/reset_interactions")
async def reset_interactions(lease: Acting) -> dict[str, object]:
    async with _turn(lease):
        if lease.outline is not None:
            await lease.outline.reset()
    return {}


@router.post("/undo")
async def undo(lease: Acting) -> Response:
    async with _turn(lease):
        ran, part = await _outline(lease).undo()
        return await _answer(lease, ran, part)


@router.post("/predict")
async def predict(lease: Acting) -> Response:
    async with _turn(lease):
        part = await _outline(lease).predict()
        return await _answer(lease, part is not None, part)


@router.post("/add_bbox_interaction")
async def add_bbox_interaction(request: Request, lease: Acting) -> Response:
    given = await _document(request)
    return await _prompted(lease, given, lambda o: of_box(o.space, given.get("bbox_coords"), _include(given), o.depth))


@router.post("/add_point_interaction")
async def add_point_interaction(request: Request, lease: Acting) -> Response:
    given = await _document(request)
    return await _prompted(lease, given, lambda o: of_places(o.space.point(given.get("coordinates")), _include(given)))


@router.post("/add_scribble_interaction")
async def add_scribble_interaction(request: Request, lease: Acting, shared: Shared) -> Response:
    meta, mask = _meta(request), await _array(request, shared)
    return await _prompted(lease, meta, lambda o: of_places(o.space.places(mask, meta.get("interaction_bbox")), _include(meta)))


@router.post("/add_lasso_interaction")
async def add_lasso_interaction(request: Request, lease: Acting, shared: Shared) -> Response:
    meta, mask = _meta(request), await _array(request, shared)
    return await _prompted(
        lease, meta, lambda o: of_lasso(o.space, o.space.places(mask, meta.get("interaction_bbox")), _include(meta), o.depth)
    )


@router.post("/add_initial_seg_interaction")
async def add_initial_seg_interaction(request: Request, lease: Acting, shared: Shared) -> Response:
    meta, given = _meta(request), await _array(request, shared)
    run = bool(meta.get("run_prediction", False))
    async with _turn(lease):
        outline = _outline(lease)
        if given.shape != outline.space.shape:
            msg = (
                f"The segmentation has the shape {list(given.shape)}, the image {list(outline.space.shape)}; they must be the same."
            )
            raise UsageError(msg)
        part = await outline.begin((given != 0).reshape(outline.image.spatial_shape), run)
        return await _answer(lease, run, part)


async def _prompted(lease: Lease, given: dict[str, Any], make: Callable[[Outline], Prompt]) -> Response:
    run = bool(given.get("run_prediction", True))
    async with _turn(lease):
        outline = _outline(lease)
        prompt = await asyncio.to_thread(make, outline)
        part = await outline.add(prompt, run)
        return await _answer(lease, run, part)


async def _answer(lease: Lease, ran: bool, part: Part | None) -> Response:
    """The part of the mask that changed, in the type of the client's buffer; an empty body where nothing did."""
    space = lease.space
    if part is None or space is None:
        return _message({"ran_prediction": ran, "bbox": None}, b"")
    bits = space.spread(part.bits).astype(lease.kind)
    about = {"ran_prediction": True, "bbox": space.pairs(part.box), "dtype": lease.kind, "shape": list(bits.shape)}
    return _message(about, await asyncio.to_thread(pack, bits))


def _message(about: dict[str, object], body: bytes) -> Response:
    return Response(body, media_type=CONTENT_TYPE, headers={_META: json.dumps(about, separators=(",", ":"))})


def _outline(lease: Lease) -> Outline:
    if lease.outline is None:
        raise UsageError("There is no image to mark yet; send one first (set_image).")
    return lease.outline


def _include(given: dict[str, Any]) -> bool:
    if not isinstance(given.get("include_interaction"), bool):
        raise UsageError("include_interaction is true for the object and false for the rest.")
    return bool(given["include_interaction"])


def _meta(request: Request) -> dict[str, Any]:
    return _object(request.headers.get(_META, "{}")[: _MOST_META + 1], f"The header {_META}")


async def _document(request: Request) -> dict[str, Any]:
    return _object((await request.body()).decode("utf-8", "replace"), "The body")


def _object(text: str, what: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UsageError(f"{what} is not a JSON object; send what nnInteractive's client sends.")
    return found


async def _array(request: Request, shared: Services) -> Array:
    body = await request.body()
    return await asyncio.to_thread(unpack, body, shared.settings.upload_bytes)
