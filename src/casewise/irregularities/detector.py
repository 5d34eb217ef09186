"""What a detector marks in an image: a map of log-odds for every segment, its peaks, and the peaks merged over segments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from casewise.errors import ModelError
from casewise.irregularities.box_fusion import Detection, fused
from casewise.irregularities.views import Floats, Picture, View, Where, views
from casewise.models import Model
from casewise.models.networks.segment_detector import PLACE, SegmentDetector
from casewise.probability import logistic
from casewise.segments import Segments
from casewise.segments_map import PlaceMap

MOST = 20  # marks of a segment
EDGES = (8, 29)  # places of a finding's box: 11 to 41 mm of a radiograph of 0.175 mm
APART = 7  # places that peaks are apart: 10 mm
SMOOTH = 1.0  # places


def ready(model: Model, device: str = "cpu") -> SegmentDetector:
    """A model's network for detecting. Raises ModelError for a model of another kind."""
    network = model.ready(device)
    if not isinstance(network, SegmentDetector):
        msg = f"Model {model.name} is no detector of irregularities; train one with casewise train irregularities."
        raise ModelError(msg)
    return network


@dataclass(frozen=True, eq=False)
class Map:
    """A segment's log-odds (rows, columns) of places; ``view`` says where they lie."""

    view: View
    odds: Floats

    @property
    def probabilities(self) -> PlaceMap:
        return PlaceMap(logistic(self.odds), self.view.inside, self.view.origin, (PLACE, PLACE))


def detect(
    network: SegmentDetector,
    array: npt.NDArray[np.generic],
    segments: Segments,
    where: Where | None = None,
    edges: tuple[float, float] = EDGES,
) -> tuple[list[Detection], list[PlaceMap]]:
    """(marks, the most probable first; the probability in every place of each segment) of an image's plane (rows, columns).

    edges : places of a mark's box, at least and at most.
    """
    maps = list(maps_of(network, Picture.of(array), segments, where))
    return fused(one for found in maps for one in peaks(found, edges=edges)), [found.probabilities for found in maps]


def maps_of(network: SegmentDetector, picture: Picture, segments: Segments, where: Where | None = None) -> Iterator[Map]:
    return (Map(view, odds(network, view)) for view in views(network, picture, segments, where))


def odds(network: SegmentDetector, view: View) -> Floats:
    """(rows, columns): log-odds of an irregularity at a view's places, as they lie in the image."""
    with torch.inference_mode():
        answer = network(view.features)[0].float().cpu().numpy()
    return np.ascontiguousarray(answer[1:].max(axis=0) - answer[0])


def peaks(found: Map, most: int = MOST, edges: tuple[float, float] = EDGES) -> list[Detection]:
    """The highest places of a segment's map, as detections in the image's pixels."""
    from scipy.ndimage import gaussian_filter, maximum_filter

    view = found.view
    smooth = gaussian_filter(found.odds, SMOOTH)
    rows, columns = np.nonzero((smooth == maximum_filter(smooth, APART)) & view.inside)
    detections = []
    down, across = view.centres
    for place in np.argsort(-smooth[rows, columns], kind="stable")[:most]:
        row, column = int(rows[place]), int(columns[place])
        probability = float(logistic(smooth[row, column]))
        edge = _extent(smooth, row, column, edges) * PLACE
        detections.append(Detection(float(down[row]), float(across[column]), edge, probability, view.segment.region, view.number))
    return detections


def _extent(smooth: Floats, row: int, column: int, edges: tuple[float, float]) -> float:
    """Places across what hangs together with a peak and is at least half as probable."""
    from scipy.ndimage import label

    reach = int(edges[1] // 2) + 1
    top, left = max(0, row - reach), max(0, column - reach)
    window = logistic(smooth[top : row + reach + 1, left : column + reach + 1])
    parts, _ = label(window >= window[row - top, column - left] / 2)
    area = np.count_nonzero(parts == parts[row - top, column - left])
    return float(np.clip(1.25 * 2 * np.sqrt(area / np.pi), *edges))
