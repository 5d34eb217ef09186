"""The cases of an archive that are most like an image, and their contact sheet."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from casewise.archive import Archive
from casewise.archive.retrieval.content import common
from casewise.archive.retrieval.embedding import PASSED_OVER
from casewise.chest.upright import UprightEncoder
from casewise.device import resolve_device
from casewise.errors import UsageError
from casewise.image import Image
from casewise.label_map import LabelMap
from casewise.models import Model, load
from casewise.models.shipped import default_encoder, encoder_for
from casewise.progress import Progress, silent
from casewise.reporting.sheet import SimilarPicture, contact_sheet
from casewise.result import SimilarCase

WAYS = ("latent", "content")
_ALONE = "Nothing is known of the image beside its pixels that is known of the archive's cases too: compared by latent alone."


@dataclass(frozen=True, eq=False)
class Search:
    """cases : most similar first. label_map : the region within which they were compared, by its name.

    notes : sentences on how they were compared.
    """

    cases: tuple[SimilarCase, ...]
    label_map: LabelMap
    notes: tuple[str, ...]


def find_similar(
    archive: Archive,
    image: Image,
    *,
    k: int = 8,
    by: Sequence[str] = WAYS,
    model: Model | str | os.PathLike[str] | None = None,
    region: str | None = None,
    device: str = "auto",
    progress: Progress = silent,
) -> Search:
    """The ``k`` cases of the archive that are most like the image.

    by : ``latent`` (how the images look to a network), ``content`` (what is known beside the pixels), or both.
    model : whose network compares the images; by default the encoder that comes with casewise. region : a structure of the
    model, within which images are compared. Raises UsageError for a region that cannot be outlined, NothingKnownError where
    nothing can be compared.
    """
    if region is not None and model is None:
        msg = "A region is outlined by a model: name a segmenter with --model, or leave --region out."
        raise UsageError(msg)
    where = resolve_device(device)
    network = model if isinstance(model, Model) or model is None else load(model, archive=archive)
    outlined = {region: _outlined(network, image, region, where)} if network is not None and region is not None else {}
    masks = LabelMap.like(outlined, image)
    encoder = None
    if "latent" in by:
        encoder = UprightEncoder(encoder_for(network, where) if network is not None else default_encoder(where), where)
    found = archive.similar(
        image,
        k=k,
        by=by,
        encoder=encoder,
        region=masks[region] if region is not None else None,
        progress=progress,
    )
    notes = [_ALONE] if "content" in by and any(case.content is None for case in found) else []
    if encoder is not None and (reasons := archive.without_vector(encoder)):
        notes.append(f"{PASSED_OVER.format(count=len(reasons))}; the first: {next(iter(reasons.values()))}")
    return Search(tuple(found), masks, tuple(notes))


def write_sheet(path: Path, archive: Archive, image: Image, search: Search) -> None:
    """Write the contact sheet (PNG): the image beside the cases that were found, and what these have in common."""
    cases = {case.key: case for case in archive.cases(keys=[entry.key for entry in search.cases])}
    pictures = [SimilarPicture(entry, cases[entry.key].image) for entry in search.cases]
    shared = common([dict(cases[entry.key].content) for entry in search.cases]) if len(search.cases) > 1 else []
    contact_sheet(image, pictures, path, shared, masks=search.label_map)


def _outlined(model: Model, image: Image, name: str, device: str) -> npt.NDArray[np.bool_]:
    """The structure ``name`` in ``image``, (*spatial) bool, as the model outlines it."""
    if not model.kind.dense or name not in model.labels:
        has = ", ".join(model.labels) if model.kind.dense else "no structures"
        msg = f"Model {model.name} cannot outline {name!r}; it knows {has}."
        raise UsageError(msg)
    mask = model.predict(image, device).masks()[name]
    if not mask.any():
        msg = f"Model {model.name} finds no {name} in this image, so it cannot be compared by it; leave --region out."
        raise UsageError(msg)
    return mask
