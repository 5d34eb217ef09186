"""Candidates: where something round and brighter than its surroundings may be, of any of seven sizes (Laplacian of Gaussian)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from casewise.detection.views import COARSE, PIXEL_MM, View

SIGMAS_MM = (1.5, 2.2, 3.1, 4.4, 6.2, 8.8)
_APART = 7  # coarse pixels: 5 mm


@dataclass(frozen=True)
class Candidate:
    """row, column : in pixels of the view. diameter : in the view's pixels."""

    row: float
    column: float
    diameter: float


def candidates(view: View, most: int) -> list[Candidate]:
    """The ``most`` strongest local maxima of the scale-normalised filter in what the view shows, strongest first."""
    from scipy.ndimage import gaussian_laplace, maximum_filter

    responses = np.stack(
        [
            -((sigma / (PIXEL_MM * COARSE)) ** 2) * gaussian_laplace(view.coarse, sigma / (PIXEL_MM * COARSE), truncate=3)
            for sigma in SIGMAS_MM
        ]
    )
    strongest = responses.max(axis=0)
    peaks = (strongest == maximum_filter(strongest, _APART)) & view.inside & (strongest > 0)
    rows, columns = np.nonzero(peaks)
    order = np.argsort(-strongest[rows, columns], kind="stable")[:most]
    sizes = responses.argmax(axis=0)
    return [
        Candidate(
            (float(row) + 0.5) * COARSE,
            (float(column) + 0.5) * COARSE,
            2 * np.sqrt(2) * SIGMAS_MM[sizes[row, column]] / PIXEL_MM,
        )
        for row, column in zip(rows[order], columns[order], strict=True)
    ]
