"""A picture, its result and its similar cases."""

from __future__ import annotations

import numpy as np
import pytest

from casewise.finding import MEASURE, Finding
from casewise.image import Box, Image
from casewise.reporting.similar import SimilarPicture
from casewise.result import ModelUse, Result, SimilarCase
from tests.reporting.pages import disc


@pytest.fixture
def picture() -> Image:
    noise = np.random.default_rng(0).normal(1000, 200, (96, 128))
    return Image(noise[None].astype(np.float32), np.diag([0.5, 0.5, 1, 1]), {"modality": "CR", "body_part": "CHEST"})


@pytest.fixture
def result() -> Result:
    return Result(
        image="/data/in/chest one.dcm",
        model=ModelUse(
            "lungs-3fa2", "lungs", ("a.png", "b.png"), "similar", "It was better on 3 cases.", {"dice": 0.947}, {"dice": 0.961}
        ),
        findings=(
            Finding("lungs", "lungs", 0.98, "thorax", Box((24, 32), (72, 96)), measures={"area_mm2": 41234.0}, kind=MEASURE),
            Finding("irregularities", "nodule", 0.7, "left lung", Box((30, 40), (36, 48)), measures={"diameter_mm": 4.5}),
        ),
        similar=(
            SimilarCase("k1", "/archive/a.png", 0.93, 0.95, 0.8, "north", "normal"),
            SimilarCase("k2", "/archive/b.png", 0.91, 0.9, None, "south", None),
        ),
        detects={"irregularities": ("nodule", "tuberculosis")},
        seconds={"read": 0.1, "refine": 6.0},
        notes=("The contrast is simulated, the anatomy is real.",),
    )


@pytest.fixture
def similar(picture: Image, result: Result) -> list[SimilarPicture]:
    return [SimilarPicture(case, picture, {"lungs": disc(picture.spatial_shape)}) for case in result.similar]
