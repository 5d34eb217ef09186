"""The rule that decides between refining a model and leaving it alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """Settings chosen by ``benchmarks/similar_cases.py``.

    unseen : so many of the similar cases must be new to the model; on cases it was trained on, training again gains nothing.
    gain : the refined model must be better by this much on the similar cases held out of its refinement.
    """

    unseen: int = 4
    gain: float = 0.0

    def before(self, unseen: int, known: int) -> str | None:
        """Why the model is left alone before any training; None to go on."""
        if unseen >= self.unseen:
            return None
        if unseen == 0 and known == 0:
            return "The archive has no labelled case like this image, so the model was used as it is."
        return (
            f"The archive has {unseen} similar cases that the model was not trained on, and refining needs {self.unseen}; "
            "training again on known cases gains nothing, so the model was used as it is."
        )

    def after(self, before: Mapping[str, float], after: Mapping[str, float], held_out: int) -> tuple[bool, str]:
        """Whether the refined model is used, and the sentence that says why."""
        name = "dice" if "dice" in before else "log_likelihood"
        told = {"dice": "Dice", "log_likelihood": "log-likelihood"}[name]
        seen = f"{told} {before[name]:.3f} → {after[name]:.3f} on {held_out} similar cases held out of the refinement"
        if after[name] > before[name] + self.gain:
            return True, f"The refined model was used: {seen}."
        return False, f"The refined model was not better ({seen}), so its parent was used."
