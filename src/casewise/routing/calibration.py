"""From scores to probabilities that mean what they say: temperature scaling (Guo 2017), and how far off they are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]
_BINS = 15


def probabilities(scores: Matrix, temperature: float = 1.0) -> npt.NDArray[np.float64]:
    """Softmax of ``scores`` (n, categories) ÷ ``temperature``; every row sums to 1."""
    z = scores.astype(np.float64) / temperature
    z -= z.max(axis=1, keepdims=True)
    powers = np.exp(z)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def fit_temperature(scores: Matrix, labels: npt.NDArray[np.int64]) -> float:
    """The temperature at which −ln of the true category's probability is least on held-out images; 1 without any."""
    from scipy.optimize import minimize_scalar

    if not len(labels):
        return 1.0

    def loss(log_temperature: float) -> float:
        return float(-np.log(probabilities(scores, np.exp(log_temperature))[np.arange(len(labels)), labels] + 1e-12).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-4, 3), method="bounded").x))


def calibration_error(confidences: npt.NDArray[np.float64], right: npt.NDArray[np.bool_], bins: int = _BINS) -> float:
    """Expected calibration error: |confidence − accuracy| averaged over bins of equal width, each by its share of the images."""
    places = np.minimum((confidences * bins).astype(int), bins - 1)
    error = 0.0
    for place in np.unique(places):
        inside = places == place
        error += float(inside.mean()) * abs(float(confidences[inside].mean()) - float(right[inside].mean()))
    return error
