"""How long and how fast a training goes, and what it changes about its samples."""

from __future__ import annotations

from dataclasses import dataclass

from casewise.errors import UsageError
from casewise.training.augmentation import LEVELS


@dataclass(frozen=True)
class Settings:
    """steps of ``batch`` samples, AdamW at ``rate`` falling by a cosine to 5 % of it.

    augmentation : ``strong``, ``light`` or ``none``. With validation cases the best weights of all validations are returned, and
    training ends after ``patience`` validations (every ``validate_every`` steps) without a better one.
    partial : a structure that a case has no mask of may be there all the same; without it, it counts as absent.
    mixed : bfloat16 where it is enough, on a processor that has it too (a GPU always does): nearly half the time.
    """

    steps: int = 800
    batch: int = 8
    rate: float = 2e-3
    weight_decay: float = 1e-4
    augmentation: str = "strong"
    seed: int = 0
    device: str = "auto"
    validate_every: int = 100
    patience: int = 5
    checkpoint_every: int = 100
    partial: bool = False
    mixed: bool = False

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1 or not 0 < self.rate < 1:
            msg = f"Training needs at least one step, one sample a batch and a rate between 0 and 1; got {self}."
            raise UsageError(msg)
        if min(self.validate_every, self.patience, self.checkpoint_every) < 1:
            msg = f"Validation, patience and checkpoints are counted from 1; got {self}."
            raise UsageError(msg)
        if self.augmentation not in LEVELS:
            msg = f"Augmentation is one of {', '.join(LEVELS)}; got {self.augmentation!r}."
            raise UsageError(msg)
