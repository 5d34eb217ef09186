"""How far off a synthesis usually is in normal images, by what was synthesised and how sure it is of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from casewise.errors import ModelError

Floats = npt.NDArray[np.float32]
QUANTILE = 0.8  # of normal differences: the one that counts as 1
_LEVELS, _SPREADS = 8, 4
_FEWEST = 20  # normal pixels that a cell is calibrated by
_LEAST = 0.02  # of the range of intensities: no synthesis is better than this


@dataclass(frozen=True, eq=False)
class ResidualCalibration:
    """For each size of the removed part the difference that ``QUANTILE`` of normal pixels stay below.

    levels : (sizes, 7) limits of what was synthesised, 0 to 1. spreads : (sizes, 3) limits of how far several syntheses of a pixel
    lie apart. values : (sizes, 8, 4), one for each cell between them.
    """

    levels: npt.NDArray[np.float64]
    spreads: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]

    def of(self, size: int, synthesised: Floats, spread: Floats) -> Floats:
        """The usual difference of each pixel, of the arrays' shape; ``size`` is the number of the removed part's edge."""
        row, column = np.digitize(synthesised, self.levels[size]), np.digitize(spread, self.spreads[size])
        return np.asarray(self.values[size][row, column], np.float32)

    def to_numbers(self) -> list[float]:
        """As a model's settings keep it."""
        parts = (self.levels, self.spreads, self.values)
        return [round(float(n), 5) for part in parts for n in part.reshape(-1)]

    @classmethod
    def from_numbers(cls, numbers: Sequence[float] | None, sizes: int) -> ResidualCalibration:
        """Of a model's settings; where they say nothing every difference counts as it is. Raises ModelError for other numbers."""
        if numbers is None:
            return cls(np.zeros((sizes, _LEVELS - 1)), np.zeros((sizes, _SPREADS - 1)), np.ones((sizes, _LEVELS, _SPREADS)))
        wanted = sizes * (_LEVELS - 1 + _SPREADS - 1 + _LEVELS * _SPREADS)
        if len(numbers) != wanted:
            raise ModelError(
                f"The residual calibration of an inpainting model is {wanted} numbers for {sizes} sizes; train the model anew."
            )
        first, second = sizes * (_LEVELS - 1), sizes * (_LEVELS + _SPREADS - 2)
        flat = np.asarray(numbers, np.float64)
        return cls(
            flat[:first].reshape(sizes, -1), flat[first:second].reshape(sizes, -1), flat[second:].reshape(sizes, _LEVELS, _SPREADS)
        )

    @classmethod
    def learnt(cls, normal: Sequence[Mapping[str, Floats]], sign: str) -> ResidualCalibration:
        """From normal pixels, a mapping a size: ``synthesised``, ``spread`` and ``off`` (real − synthesised), each (n,).

        sign : ``brighter`` (what is darker counts as 0) or ``either``.
        """
        levels, spreads, values = [], [], []
        for pixels in normal:
            off = np.maximum(pixels["off"], 0) if sign == "brighter" else np.abs(pixels["off"])
            levels.append(_limits(pixels["synthesised"], _LEVELS))
            spreads.append(_limits(pixels["spread"], _SPREADS))
            row, column = np.digitize(pixels["synthesised"], levels[-1]), np.digitize(pixels["spread"], spreads[-1])
            whole = float(np.quantile(off, QUANTILE))
            cells = np.full((_LEVELS, _SPREADS), whole)
            for a in range(_LEVELS):
                for b in range(_SPREADS):
                    inside = off[(row == a) & (column == b)]
                    if len(inside) >= _FEWEST:
                        cells[a, b] = np.quantile(inside, QUANTILE)
            values.append(np.maximum(cells, _LEAST))
        return cls(np.stack(levels), np.stack(spreads), np.stack(values))


def _limits(values: Floats, cells: int) -> npt.NDArray[np.float64]:
    """Between cells with equally many pixels each."""
    return np.quantile(values.astype(np.float64), np.linspace(0, 1, cells + 1)[1:-1])
