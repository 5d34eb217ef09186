"""How well drafts fit the accepted masks of their images: the Dice of each structure that both have, noted beside the draft."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from casewise.errors import CasewiseError
from casewise.server.compat.monailabel.drafts import Drafts
from casewise.server.work.context import Work


def run(work: Work) -> dict[str, object]:
    """payload: ``tag`` of the drafts. The result's ``dice`` is the mean over images of each structure, ``unreadable`` how many
    drafts have gone or are damaged: the log names them.
    """
    unreadable = 0
    drafts, tag = Drafts(work.store), str(work.payload["tag"])
    keys = [key for key, tags in drafts.all().items() if tag in tags]
    found: dict[str, list[float]] = {}
    for number, key in enumerate(keys):
        work.progress("Comparing", number, len(keys))
        masks = drafts.load(key, tag)
        if masks is None:
            unreadable += 1
            continue
        try:
            accepted = work.archive.case(key).load_masks
            scores = {name: _dice(masks[name], accepted[name]()) for name in masks if name in accepted}
        except (CasewiseError, OSError):  # the image or a mask of it has gone
            continue
        for name, score in scores.items():
            found.setdefault(name, []).append(score)
        drafts.note(key, tag, {"dice": {name: round(score, 4) for name, score in scores.items()}})
    dice = {name: round(float(np.mean(scores)), 4) for name, scores in found.items()}
    return {"images": len(keys), "unreadable": unreadable, "dice": dice}


def _dice(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> float:
    both = int(first.sum()) + int(second.sum())
    return 2 * int(np.logical_and(first, second).sum()) / both if both else 1.0
