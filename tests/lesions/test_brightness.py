"""A map drawn out to where a sequence is bright."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from msgspec.structs import asdict

from casewise.errors import ModelError
from casewise.lesions import predict
from casewise.models import Model
from casewise.models.documents import read
from casewise.models.tasks.lesions import Brightness, LesionSettings
from casewise.models.tasks.settings import with_settings
from tests.lesions.conftest import LARGE, brain

SHARP = Brightness("FLAIR", 0.2, 2.0, 1.0)


def test_a_rough_map_takes_the_outline_of_what_is_bright() -> None:
    values = np.zeros((24, 24, 12), np.float32)
    values[8:16, 8:16, 4:8] = 3.0
    rough = np.full(values.shape, 0.02, np.float32)
    rough[10:20, 10:20, 4:8] = 0.95
    drawn = SHARP.applied(rough, values, (3.0, 3.0, 3.0)) >= 0.5
    assert np.array_equal(drawn, values > 1)
    assert np.array_equal(Brightness("FLAIR", 1.0, 0.0, 1.0).applied(rough, values, (3.0, 3.0, 3.0)) >= 0.5, rough >= 0.5)


def test_what_the_network_says_shifts_how_bright_is_bright_enough() -> None:
    values = np.full((4, 4, 4), 0.8, np.float32)
    lesion, none = (float(SHARP.applied(np.full((4, 4, 4), p, np.float32), values, (4.0, 4.0, 4.0)).mean()) for p in (0.99, 0.01))
    assert lesion > 0.5 > none


def test_a_model_without_that_sequence_at_hand_keeps_its_map(model: Model) -> None:
    bright = replace(model, spec=with_settings(model.spec, {"brightness": SHARP}))
    image, _ = brain(11, LARGE)
    assert not np.allclose(predict(bright, image, each=False).map, predict(model, image, each=False).map)
    gone = replace(image, header=replace(image.header, absent=("FLAIR",)))
    assert np.array_equal(predict(bright, gone).map, predict(model, gone).map)
    both = predict(bright, image)
    assert np.array_equal(both.maps["T1"], predict(model, image).maps["T1"])
    assert float(both.map.min()) >= 0 and float(both.map.max()) <= 1


@pytest.mark.parametrize(
    "settings",
    [{"sequence": "FLAIR"}, {**asdict(SHARP), "sequence": 1}, {**asdict(SHARP), "trust": "much"}, [0.2, 2.0, 1.0]],
)
def test_settings_that_are_none_are_refused(settings: object) -> None:
    with pytest.raises(ModelError, match=r"lacks or misspells a setting .*brightness"):
        read({"sequences": ["FLAIR"], "brightness": settings}, LesionSettings, "It", "so much is allowed.")
    assert read({"sequences": ["FLAIR"], "brightness": asdict(SHARP)}, LesionSettings, "", "").brightness == SHARP
