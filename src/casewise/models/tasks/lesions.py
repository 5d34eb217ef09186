"""Lesion networks: where an examination's lesions are, and what they are, from several sequences at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from casewise.errors import ModelError
from casewise.models.tasks.settings import own_settings
from casewise.models.tasks.task import Task
from casewise.probability import logistic

Floats = npt.NDArray[np.float32]
SUREST = 0.004  # a network's chance is taken as no nearer to 0 and 1: what it never saw makes it too sure
_THICK_MM, _SMOOTH_MM = 2.5, 0.7  # along an axis of thinner slices or pixels, brightness is smoothed


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What of a map counts as a lesion: connected pieces of at least ``threshold`` that come up to ``peak`` somewhere, over which
    the network's own chance is ``mean`` or more, and whose volume is at least ``least_ml`` (a picture's have none).
    """

    threshold: float = 0.5
    peak: float = 0.5
    mean: float = 0.0
    least_ml: float = 0.02

    def __post_init__(self) -> None:
        if not (0 < self.threshold <= self.peak < 1 and 0 <= self.mean < 1 and self.least_ml >= 0):
            msg = (
                "A rule for lesions has 0 < threshold ≤ peak < 1, a mean from 0 to below 1 and least_ml of 0 or more; "
                f"got threshold {self.threshold}, peak {self.peak}, mean {self.mean}, least_ml {self.least_ml}."
            )
            raise ModelError(msg)


class Brightness(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """chance = σ(trust · logit of the network's chance + weight · (brightness of ``sequence`` − level)).

    Brightness counts deviations above the mean of the whole examination. A network says roughly where lesions are, on a coarser
    grid and as the raters of its training drew them; how far one reaches, brightness says better, at the image's own resolution.
    """

    sequence: str
    trust: float
    weight: float
    level: float

    def applied(self, chances: Floats, values: Floats, spacing: Sequence[float]) -> Floats:
        """(*spatial) 0…1. chances : (*spatial) 0…1. values : the same grid, mean 0 and deviation 1. spacing : mm."""
        smooth = gaussian_filter(values.astype(np.float32), [_SMOOTH_MM / mm if mm < _THICK_MM else 0.0 for mm in spacing])
        kept = np.clip(chances, SUREST, 1 - SUREST)
        logits = np.float32(self.trust) * np.log(kept / (1 - kept)) + np.float32(self.weight) * (smooth - np.float32(self.level))
        return np.asarray(logistic(logits), np.float32)


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The probability that a connected piece is a lesion: σ(intercept + mean · logit of the network's mean chance over it +
    volume · ln of its ml). Neither weight is negative, so that a larger or surer piece is never the less probable.

    A network of few patients is too sure of everything; this is fitted on pieces in patients that it never saw
    (:mod:`casewise.lesions.calibration`).
    """

    intercept: float
    mean: float
    volume: float

    def __post_init__(self) -> None:
        if self.mean < 0 or self.volume < 0:
            raise ModelError(f"A lesion model's calibration has weights of 0 or more; got mean {self.mean}, volume {self.volume}.")

    def probabilities(self, means: npt.NDArray[np.floating], volumes: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """(n,) of pieces. means : the network's mean chance over each. volumes : ml."""
        kept = np.clip(means, SUREST, 1 - SUREST)
        score = self.intercept + self.mean * np.log(kept / (1 - kept)) + self.volume * np.log(np.maximum(volumes, 1e-6))
        return np.asarray(logistic(score))

    def settings(self) -> dict[str, float]:
        """As a model's settings hold it."""
        return {name: round(value, 4) for name, value in msgspec.structs.asdict(self).items()}


class Calibrations(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """bright : where the sequence is there whose brightness counts; plain : where it is not."""

    bright: Calibration
    plain: Calibration


class LesionSettings(msgspec.Struct, frozen=True):
    """sequences : that the network takes, channel by channel. told_by : numbers of those that the class depends on; None: all.

    mapped : whether there is a map. scores : of the classes, 0 to 1, from a regression network alone. map_score : whether the
    map's values are scores instead of probabilities. rule, brightness, calibration : what of the map counts as a lesion, and how
    probable it is.
    """

    sequences: tuple[str, ...]
    told_by: tuple[int, ...] | None = None
    mapped: bool = True
    scores: tuple[float, ...] = ()
    map_score: bool = False
    rule: Rule = Rule()
    brightness: Brightness | None = None
    calibration: Calibrations | None = None

    @property
    def class_sequences(self) -> tuple[int, ...]:
        """Numbers of the sequences that the class depends on."""
        return tuple(range(len(self.sequences))) if self.told_by is None else self.told_by

    def calibration_of(self, there: Sequence[str]) -> Calibration | None:
        """That of an examination with these sequences."""
        if self.calibration is None:
            return None
        plain = self.brightness is not None and self.brightness.sequence not in there
        return self.calibration.plain if plain else self.calibration.bright


@dataclass(frozen=True)
class Lesions(Task):
    """Trained and used by :mod:`casewise.lesions`: it takes an examination's sequences together."""

    name: ClassVar[str] = "lesions"
    refusal: ClassVar[str] = (
        "takes an examination's sequences together; declare it as an application (docs/how-to/lesions.md), "
        "or give it to casewise.lesions.predict."
    )

    @cached_property
    def settings(self) -> LesionSettings:
        return own_settings(self.spec, LesionSettings)

    def described(self) -> str:
        classes, sequences = ", ".join(self.spec.classes[1:]), ", ".join(self.settings.sequences)
        return f"where {self.spec.structures[0].name} is and what it is ({classes}), by {sequences}"
