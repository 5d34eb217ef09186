"""The detector: candidates of every segment, judged by a network, merged in the image's coordinates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from casewise.anatomy import Segments
from casewise.detection.candidates import Candidate, candidates
from casewise.detection.fusion import Detection
from casewise.detection.polar import surroundings
from casewise.detection.views import PIXEL_MM, View, views, whole

MOST = 80  # candidates a segment: of JSRT's 31 nodules 29 are among them, all among 120
EDGE_MM = (12.0, 40.0)  # of a finding's box


def judged(
    networks: Sequence[nn.Module], segments: Segments, array: npt.NDArray[np.generic], most: int = MOST
) -> list[list[Detection]]:
    """For each network what it says of every candidate in a radiograph's array (1, rows, columns), segment by segment, unmerged."""
    everything = np.logical_or.reduce(list(segments.regions.values()))
    context, factor = whole(array, everything)
    found: list[list[Detection]] = [[] for _ in networks]
    for number, view in enumerate(views(segments, array)):
        places = candidates(view, most)
        if not places:
            continue
        seen = np.stack([surroundings(view, place.row, place.column, context, factor) for place in places])
        for network, told in zip(networks, found, strict=True):
            with torch.inference_mode():
                chances = network(torch.from_numpy(seen)).float().softmax(dim=1)[:, 1].tolist()
            told += [_detection(place, view, number, chance) for place, chance in zip(places, chances, strict=True)]
    return found


def _detection(place: Candidate, view: View, number: int, probability: float) -> Detection:
    row, column = (o + p * s for o, p, s in zip(view.origin, (place.row, place.column), view.step, strict=True))
    edge = float(np.clip(place.diameter, EDGE_MM[0] / PIXEL_MM, EDGE_MM[1] / PIXEL_MM)) * view.step[0]
    return Detection(row, column, edge, probability, view.segment.region, number)
