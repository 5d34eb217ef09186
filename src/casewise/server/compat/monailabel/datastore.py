"""``/datastore/``: the archive's images and their labels, as MONAI Label's clients list, download and describe them."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Form, HTTPException, Request, Response
from fastapi.responses import FileResponse, JSONResponse

from casewise.json_safe import plain
from casewise.label_map import LabelMap
from casewise.server.access import Annotator, Person, Reader, person
from casewise.server.compat.monailabel import copies
from casewise.server.compat.monailabel.desk import Desk, OurDesk, Shared
from casewise.server.compat.monailabel.drafts import FINAL, ORIGINAL, checked_tag
from casewise.server.compat.monailabel.forms import attachment
from casewise.server.compat.monailabel.found import found_key, name_of
from casewise.server.compat.monailabel.grid import ClientGrid
from casewise.server.compat.monailabel.info import statistics
from casewise.server.compat.monailabel.masks import masks_of
from casewise.server.compat.monailabel.volumes import volume_bytes
from casewise.server.label_names import structures_seen
from casewise.server.services import Services

router = APIRouter(prefix="/datastore")
_OUTPUTS = ("stats", "all", "train")
_EXTENSION = copies.SUFFIX


@router.get("/")
def datastore(person: Reader, shared: Shared, desk: OurDesk, output: str = "stats") -> JSONResponse:
    """The archive's counts, its images with their labels, or the pairs that a training uses."""
    if output not in _OUTPUTS:
        raise HTTPException(400, f"output is one of {', '.join(_OUTPUTS)}; got {output[:40]!r}.")
    if output == "stats":
        return JSONResponse(statistics(shared.archive, desk))
    objects = _objects(shared, desk, person)
    if output == "train":
        return JSONResponse([{"image": key, "label": key} for key, one in objects.items() if FINAL in one["labels"]])
    ticketed = {identifier: objects[key] for key, identifier in desk.tickets.given(person).items() if key in objects}
    about = {"name": "casewise", "description": "The images of a casewise archive.", "images_dir": ".", "labels_dir": "labels"}
    return JSONResponse({**about, "objects": {**objects, **ticketed}})


@router.get("/image")
def image(request: Request, shared: Shared, desk: OurDesk, image: str = "") -> Response:
    """The image as a right-handed NRRD file, for whoever may read, or with a ticket that the image's id bears."""
    if person(request) is None and desk.tickets.person(image) is None:
        raise HTTPException(401, "Sign in first.")
    key = found_key(shared, image)
    copy = desk.copies.of(key, shared.images.get(key))
    return FileResponse(copy.path, media_type="application/octet-stream", filename=file_name(shared, key))


@router.head("/image")
def image_exists(person: Reader, shared: Shared, desk: OurDesk, image: str = "", check_sum: str = "") -> Response:
    """Whether there is such an image; with ``check_sum`` also whether the file that is served has it."""
    key = found_key(shared, image)
    if check_sum and desk.copies.of(key, shared.images.get(key)).checksum.lower() not in (
        check_sum.lower(),
        f"sha256:{check_sum.lower()}",
    ):
        raise HTTPException(404, "The image that is served has another checksum.")
    return Response(media_type="application/json")


@router.get("/image/info")
def image_info(person: Reader, shared: Shared, desk: OurDesk, image: str = "") -> dict[str, Any]:
    """What is known of an image, with what clients noted."""
    key = found_key(shared, image)
    return {"name": file_name(shared, key), **desk.drafts.noted(key, "")}


@router.put("/image/info")
def note_image(person: Annotator, shared: Shared, desk: OurDesk, image: str = "", info: Annotated[str, Form()] = "{}") -> None:
    """Note something beside an image."""
    desk.drafts.note(found_key(shared, image), "", {**_note(info), "user": person.name})


@router.delete("/image")
def remove_image(person: Annotator, shared: Shared, id: str = "") -> None:
    """Refused: an archive gives up no image at the word of a client."""
    found_key(shared, id)
    raise HTTPException(403, "An archive keeps its images; exclude this one in its set, so that it is not given out again.")


@router.get("/label")
def label(person: Reader, shared: Shared, desk: OurDesk, label: str = "", tag: str = FINAL) -> Response:
    """An image's label as an NRRD file, on the grid of the image that is served; its structures are numbered from 1."""
    key = found_key(shared, label)
    masks = _masks(shared, desk, key, checked_tag(tag), person)
    if masks is None:
        raise HTTPException(404, f"The image has no label of the tag {tag!r}.")
    grid = ClientGrid.of(shared.images.get(key))
    content = volume_bytes(grid.outward(masks.labels()), grid.affine, _EXTENSION)
    return attachment(f"{key}{_EXTENSION}", content)


@router.head("/label")
def label_exists(person: Reader, shared: Shared, desk: OurDesk, image: str = "", tag: str = FINAL) -> Response:
    """Whether an image has a label of this tag."""
    key = found_key(shared, image)
    if checked_tag(tag) not in _labels(shared, desk, key, person):
        raise HTTPException(404, f"The image has no label of the tag {tag!r}.")
    return Response(media_type="application/json")


@router.get("/label/info")
def label_info(person: Reader, shared: Shared, desk: OurDesk, label: str = "", tag: str = FINAL) -> dict[str, Any]:
    """The structures of a label, with what clients noted."""
    found = _labels(shared, desk, found_key(shared, label), person).get(checked_tag(tag))
    if found is None:
        raise HTTPException(404, f"The image has no label of the tag {tag!r}.")
    return dict(found["info"])


@router.put("/label/info")
@router.put("/updatelabelinfo")
def note_label(
    person: Annotator, shared: Shared, desk: OurDesk, label: str = "", tag: str = FINAL, info: Annotated[str, Form()] = "{}"
) -> None:
    """Note something beside a label."""
    key, tag = found_key(shared, label), checked_tag(tag)
    if tag not in _labels(shared, desk, key, person):
        raise HTTPException(404, f"The image has no label of the tag {tag!r}.")
    desk.drafts.note(key, tag, {**_note(info), "user": person.name})


@router.delete("/label")
def remove_label(person: Annotator, shared: Shared, desk: OurDesk, id: str = "", tag: str = "") -> dict[str, Any]:
    """Remove a draft; accepted masks stay."""
    key = found_key(shared, id)
    if checked_tag(tag) == FINAL:
        raise HTTPException(403, "Accepted masks are not removed over this protocol; draw a better one, or exclude it in its set.")
    desk.drafts.remove(key, tag)
    return {}


def file_name(shared: Services, key: str) -> str:
    """The name under which Slicer keeps what it downloads: a name of its own for each image, or an earlier file would be opened."""
    name = name_of(shared, key)
    for ending in (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd", ".dcm", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".h5"):
        name = name.removesuffix(ending)
    plain = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "_" for letter in name)[:60]
    return f"{plain}_{key[:8]}{_EXTENSION}"


def _objects(shared: Services, desk: Desk, person: Person) -> dict[str, Any]:
    drafts = desk.drafts.all()
    found = {}
    for key, masks in shared.archive.mask_names().items():
        names = structures_seen(masks, person.name)
        found[key] = {
            "image": {"ext": _EXTENSION, "info": {"name": key[:8] + _EXTENSION}},
            "labels": _described(names, drafts.get(key, {}), key),
        }
    return found


def _labels(shared: Services, desk: Desk, key: str, person: Person) -> dict[str, Any]:
    names = structures_seen(shared.archive.case(key).load_masks, person.name)
    found = _described(names, desk.drafts.all().get(key, {}), key)
    if FINAL in found:
        found[FINAL]["info"] |= desk.drafts.noted(key, FINAL)
    return found


def _described(structures: list[str], drafts: dict[str, dict[str, Any]], key: str) -> dict[str, Any]:
    """Tag → label. Slicer begins with the label ``original``: a model's draft, else the masks that are there."""
    found: dict[str, Any] = {tag: {"ext": _EXTENSION, "info": {**note, "name": key + _EXTENSION}} for tag, note in drafts.items()}
    if structures:
        numbered = {name: number for number, name in enumerate(structures, start=1)}
        pairs = [{"name": name, "idx": number} for name, number in numbered.items()]
        info = {"name": key + _EXTENSION, "label_info": pairs, "params": {"label_names": numbered}}
        found[FINAL] = {"ext": _EXTENSION, "info": info}
        found.setdefault(ORIGINAL, {"ext": _EXTENSION, "info": dict(info)})
    return found


def _masks(shared: Services, desk: Desk, key: str, tag: str, person: Person) -> LabelMap | None:
    found = desk.drafts.load(key, tag)
    if found is None and tag in (FINAL, ORIGINAL):
        found = masks_of(shared.archive, key, shared.images.get(key), person.name)
    return found if found else None


def _note(info: str) -> dict[str, Any]:
    try:
        given = plain(json.loads(info))
    except ValueError as error:
        raise HTTPException(400, f"info is a JSON object; this is none: {error}.") from error
    if not isinstance(given, dict):
        raise HTTPException(400, f"info is a JSON object; got {type(given).__name__}.")
    return given
