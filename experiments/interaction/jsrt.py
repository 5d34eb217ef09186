"""JSRT's films and the masks of their organs at 256 pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from casewise import formats
from casewise.intensity import grey
from experiments import datasets

EDGE = 256


def film(path: Path) -> np.ndarray:
    """(256, 256) float32, in the file's own grey values."""
    picture = grey(formats.read(path).array)
    step = picture.shape[0] // EDGE
    small: np.ndarray = picture[: EDGE * step, : EDGE * step].reshape(EDGE, step, EDGE, step).mean(axis=(1, 3))
    return small


def mask(folder: str, organ: str, stem: str) -> np.ndarray:
    """(256, 256) bool. folder : ``jsrt`` or ``jsrt-more``. stem : of the film's name."""
    full = formats.read(datasets.path(f"{folder}/masks/{organ}/{stem}.png")).array[0] > 0
    rows = (np.arange(EDGE) * full.shape[0] / EDGE + full.shape[0] / (2 * EDGE)).astype(int)
    found: np.ndarray = full[np.ix_(rows, rows)]
    return found
