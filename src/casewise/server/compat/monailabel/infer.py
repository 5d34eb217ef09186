"""``/infer/``: a model's answer, or that of a person's marks, as a mask on the grid of the image that the client has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response

from casewise.errors import UsageError
from casewise.hashing import image_key
from casewise.image import Image
from casewise.server.access import Annotator, Person
from casewise.server.compat.monailabel import offers
from casewise.server.compat.monailabel.desk import Desk, OurDesk, Shared
from casewise.server.compat.monailabel.forms import Sent, SentFile, attachment, document_and_file, sent
from casewise.server.compat.monailabel.found import Subject, subject_of
from casewise.server.compat.monailabel.grid import ClientGrid
from casewise.server.compat.monailabel.label_files import read_sent
from casewise.server.compat.monailabel.marking import clicks, scribbles
from casewise.server.compat.monailabel.offers import Offer
from casewise.server.compat.monailabel.own_images import check_kept, subject_of_session
from casewise.server.compat.monailabel.rounds import Marks, client_of
from casewise.server.compat.monailabel.segmenting import segment
from casewise.server.compat.monailabel.volumes import SUFFIXES, volume_bytes
from casewise.server.services import Services
from casewise.server.temporary import temporary_folder

router = APIRouter(prefix="/infer")
_OUTPUTS = ("", "all", "image", "json", "dicom_seg")
_TYPES = {"uint8": np.uint8, "uint16": np.uint16, "int16": np.int16, "int32": np.int32, "float32": np.float32}
Mask = npt.NDArray[np.bool_]


@router.post("/{model}")
async def infer(
    model: str,
    request: Request,
    person: Annotator,
    shared: Shared,
    desk: OurDesk,
    image: str = "",
    session_id: str = "",
    output: str = "",
) -> Response:
    """The answer of a model of ``/info/``: a document and a file, or as ``output`` says."""
    given = await sent(request)
    offer = (await run_in_threadpool(offers.models, shared.archive)).get(model)
    if offer is None:
        raise HTTPException(404, f"There is no model {model[:60]!r}; /info/ lists those that there are.")
    if output not in _OUTPUTS:
        raise HTTPException(400, f"output is one of {', '.join(_OUTPUTS[1:])}; got {output[:40]!r}.")
    subject = await run_in_threadpool(_subject, shared, desk, given, image, session_id, person)
    voxels = await run_in_threadpool(subject.load)
    grid = subject.grid(voxels)
    masks, about = await _masks(shared, desk, offer, given, subject, voxels, grid, client_of(person, given.params))
    if session_id:
        await check_kept(desk, session_id, person)
    return await run_in_threadpool(_reply, masks, about, voxels, grid, given.params, output)


def _subject(shared: Services, desk: Desk, given: Sent, image: str, session_id: str, person: Person) -> Subject:
    if session_id:
        return subject_of_session(desk, session_id, person)
    file = given.file("file")
    if file is not None:
        return _subject_of_file(shared, file)
    return subject_of(shared, image)


def _subject_of_file(shared: Services, file: SentFile) -> Subject:
    with temporary_folder() as folder:
        image = read_sent(file, Path(folder))
        known = sorted(shared.archive.keys_of(image))
    key = known[0] if known else None
    return Subject(key or image_key(image), key, lambda: image, own_file=True)


async def _masks(
    shared: Services, desk: Desk, offer: Offer, given: Sent, subject: Subject, image: Image, grid: ClientGrid, who: str
) -> tuple[dict[str, Mask], dict[str, Any]]:
    """(structure → (*spatial) bool in the order of their values, what else is said of them)."""
    if offer.type == "segmentation":
        return await run_in_threadpool(segment, offer, image), {}
    marks = await run_in_threadpool(_marks, offer, given, image, grid)
    session = await desk.rounds.answer(subject, image, who, marks)
    drawing = session.drawing
    about = {"reason": f"{drawing.said} {marks.crossed.sentence}".strip(), "rounds": drawing.round, "strokes": drawing.strokes}
    return {marks.structure: drawing.mask}, about


def _marks(offer: Offer, given: Sent, image: Image, grid: ClientGrid) -> Marks:
    if offer.type != "scribbles":
        return clicks(given.params, image, grid)
    file = given.file("label")
    with temporary_folder() as folder:
        return scribbles(None if file is None else file.save_in(Path(folder)), given.params, image, grid)


def _reply(
    masks: Mapping[str, Mask], about: dict[str, Any], image: Image, grid: ClientGrid, params: dict[str, Any], output: str
) -> Response:
    names = {name: number for number, name in enumerate(masks, start=1)}
    document = {"label_names": names, **about}
    if output == "json":
        return JSONResponse(document)
    if output == "dicom_seg":
        return _dicom_seg(masks, image)
    suffix = str(params.get("result_extension") or SUFFIXES[1])
    labels = _labels(masks, image)
    outward = grid.outward(labels).astype(_type(params, len(names)))
    content = volume_bytes(outward, grid.affine, suffix, compress=bool(params.get("result_compress", True)))
    if output == "image":
        return attachment(f"mask{suffix}", content)
    return document_and_file(document, f"mask{suffix}", content)


def _labels(masks: Mapping[str, Mask], image: Image) -> npt.NDArray[np.uint16]:
    labels = np.zeros(image.spatial_shape, np.uint16)
    for number, mask in enumerate(masks.values(), start=1):
        labels[mask] = number
    return labels


def _type(params: Mapping[str, Any], count: int) -> Any:
    name = params.get("result_dtype") or "uint8"
    if not isinstance(name, str) or name not in _TYPES:
        raise UsageError(f"result_dtype is one of {', '.join(_TYPES)}; got {str(name)[:20]!r}.")
    if name == "uint8" and count > 255:
        raise UsageError(f"{count} structures do not fit result_dtype uint8; ask for uint16.")
    return _TYPES[name]


def _dicom_seg(masks: Mapping[str, Mask], image: Image) -> Response:
    from casewise.formats.dicom.write_segmentation import write_segmentation
    from casewise.label_map import LabelMap

    if image.header.format != "DICOM" or image.source is None:
        raise UsageError("A DICOM segmentation is made of a DICOM series, which this image is not; ask for another output.")
    with temporary_folder() as folder:
        path = write_segmentation(Path(folder) / "mask.dcm", LabelMap.like(masks, image), image)
        return attachment("mask.dcm", path.read_bytes(), "application/dicom")
