"""The rule that decides between refining a model and leaving it alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

HALFWAY = 0.5


@dataclass(frozen=True)
class AcceptanceRule:
    """Settings chosen by ``benchmarks/similar_cases.py`` on its tuning cases.

    unseen : so many of the similar cases must be new to the model; on cases it was trained on, training again gains nothing.
    gain : the refined model must be better by more than this on the similar cases held out of its refinement.
    margin : the mean of the parent's and the refined weights ("halfway") loses least, so the refined weights are followed all
    the way only where they are better than halfway by more than this: where the image is of a kind the parent never saw.
    continued : from so many cases new to the model, training it on once with all of them was as good as refining it image by
    image, on every task; half as many were enough where halfway was best.
    """

    unseen: int = 4
    gain: float = 0.0
    margin: float = 0.002
    continued: int = 20

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

    def after(
        self, before: Mapping[str, float], halfway: Mapping[str, float], whole: Mapping[str, float], held_out: int
    ) -> tuple[float, str]:
        """How far to follow the refined weights (0 the parent, 0.5 halfway, 1 all the way), and the sentence that says why.

        before, halfway, whole : measures of the three on ``held_out`` similar cases.
        """
        name = "dice" if "dice" in before else "log_likelihood"
        label = {"dice": "Dice", "log_likelihood": "log-likelihood"}[name]
        # A few cases do not show for a classifier whether all the way is better; halfway kept its probabilities truer.
        share = 1.0 if name == "dice" and whole[name] > halfway[name] + self.margin else HALFWAY
        best = whole[name] if share == 1 else halfway[name]
        measured = f"{label} {before[name]:.3f} → {best:.3f} on {held_out} similar cases held out of the refinement"
        if best <= before[name] + self.gain:
            return 0.0, f"The refined model was not better ({measured}), so its parent was used."
        way = "The refined model was used" if share == 1 else "The mean of the parent's and the refined model's weights was used"
        return share, f"{way}: {measured}."

    def continuing_is_as_good(self, share: float, unseen: int) -> bool:
        """Whether the model had better be trained on once with all ``unseen`` new cases of the archive."""
        return share > 0 and unseen >= (self.continued if share == 1 else self.continued // 2)
