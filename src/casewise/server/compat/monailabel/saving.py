"""What clients bring: images for the archive, and labels, which become masks on the image's own grid."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.concurrency import run_in_threadpool

from casewise.errors import UsageError
from casewise.hashing import image_key
from casewise.label_map import LabelMap
from casewise.server.access import Annotator, Person
from casewise.server.compat.monailabel.desk import Desk, OurDesk, Shared
from casewise.server.compat.monailabel.drafts import FINAL, checked_tag
from casewise.server.compat.monailabel.forms import SentFile, bare_name, sent
from casewise.server.compat.monailabel.found import Subject, own_name, subject_of
from casewise.server.compat.monailabel.label_files import read_masks, read_sent
from casewise.server.compat.monailabel.masks import accept
from casewise.server.compat.monailabel.rounds import client_of
from casewise.server.services import Services
from casewise.server.temporary import temporary_folder

router = APIRouter(prefix="/datastore")
_ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha", ".dcm", ".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp", ".h5")


@router.put("/")
@router.put("/image")
async def add_image(request: Request, person: Annotator, shared: Shared, image: str = "") -> dict[str, str]:
    """Add an image to the archive, under a name by which the client speaks of it from now on."""
    file = (await sent(request)).file("file")
    if file is None:
        raise HTTPException(400, "An upload has a part called file, which holds the image; add it.")
    return {"image": await run_in_threadpool(_added, shared, file, image)}


@router.put("/label")
async def save_label(
    request: Request, person: Annotator, shared: Shared, desk: OurDesk, image: str = "", tag: str = ""
) -> dict[str, str]:
    """Keep a label: of the tag ``final`` as accepted masks, of any other as a draft."""
    given = await sent(request)
    file = given.file("label")
    if file is None:
        raise HTTPException(400, "A label is sent in a part called label; add it.")
    subject = await run_in_threadpool(subject_of, shared, image)
    saved = await run_in_threadpool(_saved, shared, desk, given.params, file, subject, checked_tag(tag), person)
    if checked_tag(tag) == FINAL:
        spent = await desk.rounds.spent(subject, client_of(person, given.params))
        await run_in_threadpool(_noted, shared, str(subject.key), saved, spent, person)
    key = str(subject.key)
    return {"image": key, "label": key}


def _added(shared: Services, file: SentFile, wanted: str) -> str:
    name = bare_name(wanted or _without_ending(file.name))
    with temporary_folder() as folder:
        image = read_sent(file, Path(folder))
        known = shared.archive.keys_of(image)
        key = sorted(known)[0] if known else image_key(image)
        own_name(shared, wanted or name, key)
        if not known:
            shared.archive.add(image, name=name)
    return wanted or name


def _saved(
    shared: Services, desk: Desk, params: dict[str, Any], file: SentFile, subject: Subject, tag: str, person: Person
) -> list[str]:
    """The structures that were saved."""
    voxels, key = subject.load(), str(subject.key)
    grid = subject.grid(voxels)
    with temporary_folder() as folder:
        masks = read_masks(file.save_in(Path(folder)), voxels, grid, params.get("label_info"))
    if not masks:
        raise UsageError("Nothing is drawn in the label, so there is nothing to keep; draw a structure first.")
    own = {name: grid.inward(mask) for name, mask in masks.items()}
    if tag == FINAL:
        return accept(shared.archive, key, voxels, own, person, _origin(params))
    pairs = [{"name": name, "idx": number} for number, name in enumerate(own, start=1)]
    desk.drafts.save(key, tag, LabelMap.like(own, voxels), {"label_info": pairs, "user": person.name, **_origin(params)})
    return list(own)


def _noted(shared: Services, key: str, structures: list[str], spent: Mapping[str, tuple[int, float]], person: Person) -> None:
    """The sets of these structures go on to the next image."""
    for structure in structures:
        strokes, seconds = spent.get(structure, (None, None))
        shared.sets.accepted(key, structure, person.name, strokes=strokes, seconds=seconds)


def _origin(params: Mapping[str, Any]) -> dict[str, object]:
    model = params.get("model")
    return {"model": str(model)[:100]} if model else {}


def _without_ending(name: str) -> str:
    for ending in _ENDINGS:
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name
