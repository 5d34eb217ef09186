"""A model over many images, asked for by MONAI Label's clients: its answers are kept as drafts, apart from accepted masks."""

from __future__ import annotations

from casewise.case import Case
from casewise.errors import CasewiseError, UsageError
from casewise.label_map import LabelMap
from casewise.server.compat.monailabel import offers
from casewise.server.compat.monailabel.drafts import Drafts
from casewise.server.compat.monailabel.segmenting import segment
from casewise.server.work.context import Work


def run(work: Work) -> dict[str, object]:
    """payload: ``model`` as ``/info/`` names it, ``images``: all, labeled or unlabeled, ``tag`` of the drafts.

    An image of another kind than the model is for is left out, with the reason. What an earlier try has done is not done again.
    """
    payload, drafts = work.payload, Drafts(work.store)
    offer = offers.models(work.archive).get(str(payload["model"]))
    if offer is None:
        raise UsageError(f"There is no model {str(payload['model'])[:60]!r} any more.")
    cases = [case for case in work.archive.cases() if _wanted(case, str(payload["images"]))]
    refused: list[dict[str, str]] = []
    for number, case in enumerate(cases):
        work.progress("Segmenting", number, len(cases))
        tag = str(payload["tag"])
        if drafts.noted(case.key, tag).get("job") == work.job.id:
            continue
        try:
            image = case.image
            found = segment(offer, image)
        except (CasewiseError, OSError) as error:
            refused.append({"case": case.key, "reason": str(error)})
            continue
        masks = {name: mask for name, mask in found.items() if mask.any()}
        if masks:
            pairs = [{"name": name, "idx": place} for place, name in enumerate(masks, start=1)]
            numbered = {name: place for place, name in enumerate(masks, start=1)}
            note = {"model": offer.name, "job": work.job.id, "label_info": pairs, "params": {"label_names": numbered}}
            drafts.save(case.key, tag, LabelMap.like(masks, image), note)
    return {"images": len(cases), "refused": len(refused), "reasons": refused[:20]}


def _wanted(case: Case, images: str) -> bool:
    return images == "all" or bool(case.load_masks) == (images == "labeled")
