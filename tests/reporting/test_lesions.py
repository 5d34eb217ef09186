"""The part of the report that shows lesions sequence by sequence."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image as Pillow

from casewise.errors import CasewiseError
from casewise.finding import Finding
from casewise.image import Box, Image
from casewise.reporting.lesions import lesion_parts
from casewise.reporting.registration import SequenceView

SHAPE = (30, 34, 20)
FINDINGS = [
    Finding("x", "lesions", 0.9, measures={"volume_ml": 1.0}, mask=None),
    Finding("x", "glioma", 0.75),
    Finding("other", "thing", 0.1),
]


def image(seed: int = 0) -> Image:
    return Image(np.random.default_rng(seed).normal(100, 20, (1, *SHAPE)).astype(np.float32))


def heat(level: int) -> np.ndarray:
    values = np.zeros(SHAPE, np.float32)
    values[10:18, 12:20, level] = 0.9
    return values


def pixels(uri: object) -> np.ndarray:
    return np.asarray(Pillow.open(io.BytesIO(base64.b64decode(str(uri).partition(",")[2]))).convert("RGB")).astype(int)


def test_each_sequence_has_its_own_map_and_the_cut_shows_most_of_the_combined_one() -> None:
    views = [SequenceView("FLAIR", image(0), None, {}), SequenceView("T1 post", image(1), image(1), {})]
    maps = {"x": heat(13), "x: lesions on FLAIR": heat(13), "x: lesions on T1 post": np.zeros(SHAPE, np.float32)}
    (part,) = lesion_parts(image(), FINDINGS, maps, views)
    assert (part["slice"], part["title"]) == (13, "Lesions")
    figures = part["figures"]
    assert isinstance(figures, list)
    assert [figure["title"] for figure in figures] == ["all sequences together", "FLAIR alone", "T1 post alone"]
    coloured = [(abs(pixels(figure["drawn"]) - pixels(figure["plain"])).sum(axis=2) > 60).mean() for figure in figures]
    assert coloured[0] > 0.02 and coloured[1] > 0.02
    assert coloured[2] == 0
    assert [entry["name"] for entry in part["classes"]] == ["lesions", "glioma"]  # type: ignore[index, union-attr]


def test_the_cut_goes_through_the_largest_lesion_and_not_through_what_is_no_lesion() -> None:
    base = heat(2)
    base[4:26, 4:30, 1:4] = 0.99  # an artefact at the skull base, larger and brighter than the lesion
    combined = np.maximum(base, heat(13))
    lesion = Finding("x", "lesions", 0.8, box=Box((10, 12, 12), (18, 20, 15)))
    (part,) = lesion_parts(image(), [lesion], {"x": combined}, [])
    assert part["slice"] == 13
    (part,) = lesion_parts(image(), [Finding("x", "lesions", 0.2)], {"x": base}, [])
    assert part["slice"] == SHAPE[2] // 2
    (part,) = lesion_parts(image(), [Finding("x", "other map")], {"x": base}, [])
    assert part["slice"] in (1, 2, 3)


def test_no_map_and_a_picture_show_nothing_and_an_empty_map_the_middle() -> None:
    assert lesion_parts(image(), FINDINGS, {}, []) == []
    picture = Image(np.zeros((1, 20, 20), np.float32))
    assert lesion_parts(picture, FINDINGS, {"x": np.zeros((20, 20), np.float32)}, []) == []
    (part,) = lesion_parts(image(), FINDINGS, {"x": np.zeros(SHAPE, np.float32)}, [])
    assert part["slice"] == SHAPE[2] // 2


def test_a_map_of_another_grid_is_refused() -> None:
    with pytest.raises(CasewiseError, match="grid"):
        lesion_parts(image(), FINDINGS, {"x": np.zeros((30, 34, 19), np.float32)}, [])
