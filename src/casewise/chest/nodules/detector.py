"""The detector: what a network marks in every segment, peak by peak, merged in the image's coordinates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from casewise.chest.nodules.box_fusion import Detection
from casewise.chest.nodules.views import PLACE_MM, Floats, View, flipped, views
from casewise.probability import logistic
from casewise.segments import Segments
from casewise.segments_map import PlaceMap

MOST = 20  # of a segment
EDGE_MM = (12.0, 40.0)  # of a finding's box
_APART = 11  # places: peaks are at least 4 mm apart
_SMOOTH = 3.0  # places: what is marked saturates, so that its extent says more than its height
MIRRORED = ((), (1,), (2,), (1, 2))  # one network alone sees things in one of them that it does not see in the others
_REACH = round(EDGE_MM[1] / 2 / PLACE_MM)


def marked(
    networks: Sequence[nn.Module], segments: Segments, array: npt.NDArray[np.generic], millimetres: float
) -> list[list[Detection]]:
    """For each network what it marks in a radiograph's array (1, rows, columns), segment by segment, unmerged."""
    return detections_in(networks, views(segments, array, millimetres, any(sees_native(network) for network in networks)))


def sees_native(network: nn.Module) -> bool:
    """Whether a detector's network sees the native pixels of a segment, as its model's ``branch`` says."""
    return bool(network.native)


def seen_mm(network: nn.Module) -> float | None:
    """Millimetres of a pixel as a detector's network sees it; None for one that sees native pixels, whatever they measure."""
    return None if sees_native(network) else round(PLACE_MM, 3)


def detections_in(networks: Sequence[nn.Module], seen: Iterable[View]) -> list[list[Detection]]:
    """The same of views that are at hand."""
    found: list[list[Detection]] = [[] for _ in networks]
    for number, view in enumerate(seen):
        for network, detections in zip(networks, found, strict=True):
            detections += peaks(odds(network, view.seen), view, number)
    return found


def looked(network: nn.Module, seen: Iterable[View]) -> tuple[list[Detection], list[PlaceMap]]:
    """What one network marks in views, unmerged, and its probability of a nodule in every place of each of them."""
    found: list[Detection] = []
    maps: list[PlaceMap] = []
    for number, view in enumerate(seen):
        answer = odds(network, view.seen)
        found += peaks(answer, view, number)
        maps.append(PlaceMap(logistic(answer), view.inside, view.origin, (view.step, view.step)))
    return found, maps


def odds(network: nn.Module, seen: Floats) -> Floats:
    """(rows, columns): a network's log-odds of a nodule, the mean of what it says of the view and of the view mirrored."""
    device = next(network.parameters()).device
    total = np.zeros(seen.shape[1:], np.float32)
    for axes in MIRRORED:
        x = seen
        for axis in axes:
            x = flipped(x, axis)
        with torch.inference_mode():
            answer = network(torch.from_numpy(np.ascontiguousarray(x))[None].to(device)).float().cpu()[0]
        total += np.flip((answer[1] - answer[0]).numpy(), tuple(axis - 1 for axis in axes)) / len(MIRRORED)
    return total


def peaks(odds: npt.NDArray[np.float32], view: View, number: int, most: int = MOST) -> list[Detection]:
    """The highest places of a segment's map of log-odds, as detections in the image's pixels."""
    from scipy.ndimage import gaussian_filter, maximum_filter

    smooth = gaussian_filter(odds, _SMOOTH)
    rows, columns = np.nonzero((smooth == maximum_filter(smooth, _APART)) & view.inside)
    found = []
    for place in np.argsort(-smooth[rows, columns], kind="stable")[:most]:
        row, column = int(rows[place]), int(columns[place])
        down, across = (o + (p + 0.5) * view.step for o, p in zip(view.origin, (row, column), strict=True))
        probability = float(logistic(smooth[row, column]))
        edge = _extent(smooth, row, column) * view.step
        found.append(Detection(down, across, edge, probability, view.segment.region, number))
    return found


def _extent(smooth: npt.NDArray[np.float32], row: int, column: int) -> float:
    """Places across what hangs together with a peak and is at least half as probable."""
    from scipy.ndimage import label

    top, left = max(0, row - _REACH), max(0, column - _REACH)
    window = logistic(smooth[top : row + _REACH + 1, left : column + _REACH + 1])
    parts, _ = label(window >= window[row - top, column - left] / 2)
    area = np.count_nonzero(parts == parts[row - top, column - left])
    least, most = (edge / PLACE_MM for edge in EDGE_MM)
    return float(np.clip(1.25 * 2 * np.sqrt(area / np.pi), least, most))
