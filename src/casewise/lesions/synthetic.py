"""False lesions: bright patches drawn into slices without any, for training alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Floats = npt.NDArray[np.float32]
# How much brighter than its surroundings a lesion is on each sequence, in the network's range 0…1; T1 shows it darker.
CONTRAST = {"FLAIR": (0.1, 0.4), "T2": (0.1, 0.4), "PD": (0.05, 0.25), "T1": (-0.2, -0.02), "T1 post": (-0.2, 0.3)}
_INSIDE = 0.15


def drawn(x: Floats, sequences: tuple[str, ...], rng: np.random.Generator) -> tuple[Floats, npt.NDArray[np.uint8]]:
    """(x (sequences, row, column) with one to eight patches, their mask (row, column)).

    Each is a smooth random shape of 2 to 30 pixels across, within what the slice shows; most are small, as real ones are.
    """
    size = x.shape[1:]
    inside = ndimage.binary_erosion(x.max(axis=0) > _INSIDE, iterations=3)
    places = np.argwhere(inside)
    depth = np.zeros(size, np.float32)
    if len(places) == 0:
        return x, depth.astype(np.uint8)
    rows, columns = np.ogrid[: size[0], : size[1]]
    wobble = ndimage.gaussian_filter(rng.normal(size=size), 3.0)
    wobble /= max(float(wobble.std()), 1e-6)
    for _ in range(int(rng.integers(1, 9))):
        row, column = places[int(rng.integers(len(places)))]
        radius = float(np.exp(rng.uniform(np.log(1.2), np.log(15.0))) if rng.random() < 0.3 else rng.uniform(1.2, 4.0))
        stretch, angle = float(rng.uniform(0.5, 1.0)), float(rng.uniform(0, np.pi))
        along = (rows - row) * np.cos(angle) + (columns - column) * np.sin(angle)
        across = (columns - column) * np.cos(angle) - (rows - row) * np.sin(angle)
        reach = np.hypot(along, across / stretch) / radius * (1 + 0.2 * wobble)
        depth = np.maximum(depth, np.clip((1.15 - reach) / 0.3, 0, 1).astype(np.float32))
    depth *= inside
    changed = x.copy()
    texture = 1 + 0.3 * wobble.astype(np.float32)
    for number, name in enumerate(sequences):
        if x[number].any():
            low, high = CONTRAST.get(name, (-0.2, 0.3))
            changed[number] = np.clip(x[number] + depth * texture * np.float32(rng.uniform(low, high)), 0, 1)
    return changed, (depth > 0.5).astype(np.uint8)
