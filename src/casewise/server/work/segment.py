"""A model over many images, asked for by MONAI Label's clients: its answers are kept as drafts, apart from accepted masks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from casewise.archive import Archive, Selection
from casewise.errors import CasewiseError, UsageError
from casewise.label_map import LabelMap
from casewise.server.compat.monailabel import offers
from casewise.server.compat.monailabel.drafts import Drafts
from casewise.server.compat.monailabel.segmenting import segment
from casewise.server.nameless import without_places
from casewise.server.work.context import Work

_TOGETHER = 1000  # images whose keys are read at once


def run(work: Work) -> dict[str, object]:
    """payload: ``model`` as ``/info/`` names it, ``images``: all, labeled or unlabeled, ``tag`` of the drafts.

    An image of another kind than the model is for is left out, with the reason. What an earlier try has done is not done again.
    """
    payload, drafts = work.payload, Drafts(work.store)
    offer = offers.models(work.archive).get(str(payload["model"]))
    if offer is None:
        raise UsageError(f"There is no model {str(payload['model'])[:60]!r} any more.")
    ids = _wanted(work.archive, str(payload["images"]))
    refused: list[dict[str, str]] = []
    for number, key in enumerate(_keys(work.archive, ids)):
        work.progress("Segmenting", number, len(ids))
        tag = str(payload["tag"])
        if drafts.noted(key, tag).get("job") == work.job.id:
            continue
        try:
            case = work.archive.case(key)
            image = case.image
            found = segment(offer, image)
        except CasewiseError as error:
            reason = without_places(work.archive, work.store, str(error), work.settings.show_names)
            refused.append({"case": key, "reason": reason})
            continue
        except OSError:
            refused.append({"case": key, "reason": "The image's file cannot be read."})
            continue
        masks = {name: mask for name, mask in found.items() if mask.any()}
        if masks:
            pairs = [{"name": name, "idx": place} for place, name in enumerate(masks, start=1)]
            numbered = {name: place for place, name in enumerate(masks, start=1)}
            note = {"model": offer.name, "job": work.job.id, "label_info": pairs, "params": {"label_names": numbered}}
            drafts.save(case.key, tag, LabelMap.like(masks, image), note)
    return {"images": len(ids), "refused": len(refused), "reasons": refused[:20]}


def _wanted(archive: Archive, images: str) -> list[int]:
    """The catalogue's ids of all images, of those with a mask, or of those without."""
    every, masked = archive.snapshot(), archive.snapshot(Selection(masked=True))
    labeled = masked.ids[masked.places]
    return [int(n) for n in {"all": every.ids, "labeled": labeled}.get(images, np.setdiff1d(every.ids, labeled))]


def _keys(archive: Archive, ids: list[int]) -> Iterator[str]:
    for first in range(0, len(ids), _TOGETHER):
        yield from (line.key for line in archive.lines(ids[first : first + _TOGETHER]))
