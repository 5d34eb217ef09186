"""Log-odds become probabilities without overflow, in their own precision."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from casewise.probability import logistic


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.filterwarnings("error")
def test_it_is_the_logistic_function_at_any_distance(kind: type) -> None:
    odds = np.array([-1e9, -60, -3, 0, 3, 60, 1e9], kind)
    found = logistic(odds)
    assert found.dtype == kind
    np.testing.assert_allclose(found, expit(odds), rtol=1e-6, atol=1e-30)
    assert float(logistic(0.0)) == 0.5
