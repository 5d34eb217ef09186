"""Where an image is sent and why: the category that the router decided for, all scores, and what the tags said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from casewise.routing.dicom_prior import Prior

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Score:
    """A category, or ``unknown``, and its probability."""

    category: str
    probability: float

    def to_json(self) -> dict[str, object]:
        return {"category": self.category, "probability": self.probability}


@dataclass(frozen=True)
class Route:
    """category : the one of the largest probability, or ``unknown``. scores : of every category and of ``unknown``, the largest
    first; they sum to 1.

    strangeness : how far the image lies from the known ones, of which the probability of ``unknown`` is made; at 1
        it wins over a category that is certain.
    prior : what the DICOM tags said, and whether the pixels contradict them. classifier : ``softmax`` or ``svm``.
    views : how many pictures were classified: 1, or the slices of a volume.
    """

    category: str
    probability: float
    scores: tuple[Score, ...]
    strangeness: float = 0.0
    prior: Prior = field(default_factory=Prior)
    classifier: str = "softmax"
    views: int = 1

    @classmethod
    def of(cls, scores: Sequence[Score], strangeness: float, prior: Prior, classifier: str, views: int) -> Route:
        """Sorts ``scores``; the largest probability wins."""
        ordered = tuple(sorted(scores, key=lambda score: (-score.probability, score.category)))
        best = ordered[0]
        decided = prior.decided(best.category, UNKNOWN)
        return cls(best.category, best.probability, ordered, strangeness, decided, classifier, views)

    @property
    def known(self) -> bool:
        return self.category != UNKNOWN

    def to_json(self) -> dict[str, object]:
        return {
            "category": self.category,
            "probability": self.probability,
            "scores": [score.to_json() for score in self.scores],
            "strangeness": self.strangeness,
            "prior": self.prior.to_json(),
            "classifier": self.classifier,
            "views": self.views,
        }
