"""Heads of the phantom with a lesion of one of two kinds: large, or several small ones."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from casewise.case import Case
from casewise.examination.normalisation import normalised
from casewise.image import Image
from casewise.lesions import Plan, labelled, train_lesions
from casewise.models import Model
from casewise.training import Settings
from tests.cli.conftest import call  # noqa: F401
from tests.examination.phantom import head, tissues

SHAPE, VOXEL = (40, 44, 10), 4.5
LARGE, SMALL = "large", "small"
BRIGHT = {"FLAIR": 500.0, "T1": -300.0}


@cache
def brain(number: int, kind: str, sequences: tuple[str, ...] = ("FLAIR", "T1")) -> tuple[Image, np.ndarray]:
    """(normalised sequences, the lesions' mask) of a patient."""
    rng = np.random.default_rng([number, len(kind)])
    plain = head("FLAIR", shape=SHAPE, voxel=VOXEL)
    inside = np.argwhere(tissues(plain.affine, SHAPE)[6:-6, 6:-6, 2:-2] == 1) + np.array([6, 6, 2])
    grid = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1)
    mask = np.zeros(SHAPE, bool)
    for _ in range(1 if kind == LARGE else 5):
        centre, radius = inside[rng.integers(len(inside))], 6.0 if kind == LARGE else 1.8
        mask |= np.linalg.norm((grid - centre) * [1, 1, 1.5], axis=-1) <= radius
    mask &= plain.array[0] > 200
    parts = []
    for name in sequences:
        array = head(name, shape=SHAPE, voxel=VOXEL, seed=number).array[0].copy()
        array[mask] += BRIGHT[name]
        parts.append(normalised(array, name))
    return Image(np.stack(parts), plain.affine, {"sequences": sequences}), mask


def patient(number: int, kind: str, sequences: tuple[str, ...] = ("FLAIR", "T1")) -> Case:
    return labelled(*brain(number, kind, sequences), kind, f"patient{number}", "here")


def plan(network: str = "multitask", way: str = "joint", steps: tuple[int, int, int] = (60, 60, 60), **more: object) -> Plan:
    settings = Settings(batch=8, rate=5e-3, device="cpu", augmentation="light")
    return Plan(network, way, steps, 48, (8, 16), scores=((LARGE, 1.0), (SMALL, 0.5)), settings=settings, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def patients() -> list[Case]:
    """Six; the small-lesioned ones have no T1."""
    return [patient(n, LARGE) for n in range(3)] + [patient(n, SMALL, ("FLAIR",)) for n in range(3, 6)]


@pytest.fixture(scope="session", params=["multitask", "fusion", "regression"])
def model(request: pytest.FixtureRequest, patients: list[Case]) -> Model:
    return train_lesions(patients, "tiny", plan(request.param))
