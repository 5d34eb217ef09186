"""The quality application: what makes an image itself doubtful, reported with a number, before anything is read from it.

A threshold lies between what good images of public collections measure and what the same images measure after they were damaged
(docs/how-to/connect-applications.md has both). It needs no model, and knows an image's kind from the router's category or the
modality.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from casewise.applications.burnt_in_text import text_lines
from casewise.applications.planes import Kind, View, kind_of, views
from casewise.applications.quality_measures import (
    blur,
    centre_brighter,
    chest,
    clipped_percent,
    edge_percent,
    noise_percent,
)
from casewise.errors import CasewiseError
from casewise.finding import QUALITY, Finding
from casewise.image import Box, Image

NAME = "quality"
_SMALLEST = 128  # pixels along the longer side below which blur, noise, text and chest walls cannot be measured
_LETTERS = 6
# Above these a defect is reported. Radiographs are finely sampled, so that they are smoother and less noisy at the measured size.
_BLUR = {Kind.CT: 0.46, Kind.MR: 0.46, Kind.ULTRASOUND: 0.53}
_BLUR_OF_OTHERS = 0.75
_NOISE = {Kind.CHEST_RADIOGRAPH: 2.5, Kind.RADIOGRAPH: 2.5}
_NOISE_OF_OTHERS = 5.0
_BRIGHT = {Kind.CHEST_RADIOGRAPH: 1.5, Kind.RADIOGRAPH: 2.0}
_BRIGHT_OF_OTHERS = 3.0
_DARK, _EDGE, _CUT = 2.0, 25.0, 55.0
_CHEST_POLARITY, _LIMB_POLARITY = -0.05, -0.2
# Where the whole cross-section belongs into the picture.
_WHOLE = re.compile(r"\b(head|chest|abdomen|thorax|brain)\b.*\bct\b|\bct\b.*\b(head|chest|abdomen|thorax|brain)\b")


@dataclass(frozen=True)
class _Defect:
    """A defect: its label, its measures and one sentence."""

    label: str
    measures: Mapping[str, float]
    sentence: str
    box: Box | None = None


@dataclass
class Quality:
    """Findings ``blank``, ``clipped``, ``blurred``, ``noisy``, ``cropped``, ``wrong polarity`` and ``burnt-in text``; none for a
    good image.

    notes : one sentence for each finding of the last image.
    """

    name: str = NAME
    notes: list[str] = field(default_factory=list)

    def analyze(self, image: Image) -> list[Finding]:
        """See :class:`casewise.applications.Application`. A volume is measured by the median over five of its planes."""
        if min(image.spatial_shape[:2]) < 8:
            raise CasewiseError(f"Image quality needs at least 8 pixels a side; this image has {image.spatial_shape}.")
        if float(np.ptp(image.array)) == 0:  # every other check would speak of detail that is not there
            self.notes = ["The image has one value throughout: it shows nothing."]
            return [Finding(self.name, "blank", measures={"distinct_values_count": 1.0}, kind=QUALITY)]
        planes, kind = list(views(image)), kind_of(image)
        defects = [defect for check in _CHECKS if (defect := check(planes, kind, image)) is not None]
        self.notes = [defect.sentence for defect in defects]
        return [
            Finding(self.name, defect.label, box=defect.box, measures=dict(defect.measures), kind=QUALITY) for defect in defects
        ]


def _clipping(planes: list[View], kind: Kind, image: Image) -> _Defect | None:
    bright = _median(planes, lambda view: clipped_percent(view.native))
    dark = _median(planes, lambda view: clipped_percent(view.native, low=True)) if kind is Kind.CHEST_RADIOGRAPH else 0.0
    if bright <= _BRIGHT.get(kind, _BRIGHT_OF_OTHERS) and dark <= _DARK:
        return None
    where = "brightest" if bright > dark else "darkest"
    sentence = f"{max(bright, dark):.1f} % of the image is cut off at its {where} value, and no detail can be distinguished there."
    return _Defect("clipped", {"clipped_bright_percent": bright, "clipped_dark_percent": dark}, sentence)


def _blur(planes: list[View], kind: Kind, image: Image) -> _Defect | None:
    if _is_small(planes):
        return None
    value = _median(planes, lambda view: blur(view.small))
    if value <= _BLUR.get(kind, _BLUR_OF_OTHERS):
        return None
    return _Defect("blurred", {"blur_index": value}, f"The image is blurred (blur index {value:.2f} of 1): fine detail is lost.")


def _noise(planes: list[View], kind: Kind, image: Image) -> _Defect | None:
    if _is_small(planes):
        return None
    value = _median(planes, lambda view: noise_percent(view.small))
    if value <= _NOISE.get(kind, _NOISE_OF_OTHERS):
        return None
    sentence = f"The image is noisy: the noise is {value:.1f} % of its range of values."
    return _Defect("noisy", {"noise_percent": value}, sentence)


def _cropping(planes: list[View], kind: Kind, image: Image) -> _Defect | None:
    words = re.sub(r"[-_]", " ", (image.header.category or "").lower())
    if _WHOLE.search(words):
        value = _median(planes, lambda view: edge_percent(view.small))
        if value > _EDGE:
            sentence = f"The body runs out of the picture along {value:.0f} % of one side: part of it was not imaged."
            return _Defect("cropped", {"cut_percent": value}, sentence)
    if kind is Kind.CHEST_RADIOGRAPH and not _is_small(planes) and image.spatial_dims == 2:
        value = chest(planes[0].small).cut_percent
        if value > _CUT:
            sentence = f"One lung reaches the image's edge over {value:.0f} % of its height, with no chest wall: it is cut off."
            return _Defect("cropped", {"cut_percent": value}, sentence)
    return None


def _polarity(planes: list[View], kind: Kind, image: Image) -> _Defect | None:
    if image.spatial_dims != 2 or kind not in (Kind.CHEST_RADIOGRAPH, Kind.RADIOGRAPH):
        return None
    of_chest = kind is Kind.CHEST_RADIOGRAPH
    value = chest(planes[0].small).polarity if of_chest else centre_brighter(planes[0].small)
    if value >= (_CHEST_POLARITY if of_chest else _LIMB_POLARITY):
        return None
    what = "the lungs are brighter than the heart and spine" if of_chest else "the ground is brighter than what lies on it"
    measures = {"polarity_percent": 100 * value}
    return _Defect(
        "wrong polarity", measures, f"Black and white are exchanged: {what} by {-100 * value:.0f} % of the range of values."
    )


def _text(planes: list[View], kind: Kind, image: Image) -> _Defect | None:
    if _is_small(planes):
        return None
    found = [(lines[0], view) for view in planes if (lines := text_lines(view.large)) and lines[0].letters >= _LETTERS]
    if not found:
        return None
    line, view = max(found, key=lambda item: item[0].letters)
    box = None
    if image.spatial_dims == 2:
        factor = view.native.shape[0] // view.large.shape[0]
        box = Box((line.rows[0] * factor, line.columns[0] * factor), (line.rows[1] * factor, line.columns[1] * factor))
    sentence = (
        f"A line of about {line.letters} letters is burnt into the pixels: it may name the patient, and can mislead a network."
    )
    return _Defect("burnt-in text", {"letters_count": float(line.letters)}, sentence, box)


_CHECKS: tuple[Callable[[list[View], Kind, Image], _Defect | None], ...] = (_polarity, _cropping, _clipping, _blur, _noise, _text)


def _median(planes: list[View], measured: Callable[[View], float]) -> float:
    return float(np.median([measured(view) for view in planes]))


def _is_small(planes: list[View]) -> bool:
    return bool(max(planes[0].native.shape) < _SMALLEST)
