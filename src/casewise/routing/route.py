"""Where an image is sent and why: the category that the router decided for, all scores, and what the tags said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from casewise.routing.dicom_prior import Prior
from casewise.routing.nearest import NearestCategory

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
    views : how many pictures were classified: 1, or the slices of a volume. poses : in how many poses each: 1, or 4 where the
        first look left it unsure.
    pixels : the scores by the pixels alone, before the tags, the largest first; as ``scores`` where there are no tags.
    reasons : why the image is unknown, a sentence each; empty where it is not.
    nearest : the categories of the training images that lie nearest, the largest share first.
    """

    category: str
    probability: float
    scores: tuple[Score, ...]
    strangeness: float = 0.0
    prior: Prior = field(default_factory=Prior)
    classifier: str = "softmax"
    views: int = 1
    poses: int = 1
    pixels: tuple[Score, ...] = ()
    reasons: tuple[str, ...] = ()
    nearest: tuple[NearestCategory, ...] = ()

    @classmethod
    def of(
        cls,
        pixels: Mapping[str, float],
        strangeness: float,
        prior: Prior,
        classifier: str,
        reasons: Sequence[str] = (),
    ) -> Route:
        """The route by what the pixels look like and what the tags say; the largest probability wins.

        pixels : the probability of every category and of ``unknown``; they sum to 1. reasons : what the pixels' part has to say
        of why the image is unknown, beside what follows from the numbers.
        """
        ordered, alone = _sorted(prior.combined(pixels, UNKNOWN)), _sorted(pixels)
        best, looked = ordered[0], alone[0].category
        decided = prior.decided(best.category, looked, UNKNOWN)
        why = () if best.category != UNKNOWN else _why(alone, best.probability, strangeness, decided, reasons)
        return cls(best.category, best.probability, ordered, strangeness, decided, classifier, pixels=alone, reasons=why)

    @property
    def looked(self) -> str:
        """What the pixels alone look like most: a category or ``unknown``."""
        return (self.pixels or self.scores)[0].category

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
            "poses": self.poses,
            "looked": self.looked,
            "pixels": [score.to_json() for score in self.pixels],
            "reasons": list(self.reasons),
            "nearest": [near.to_json() for near in self.nearest],
        }


def _sorted(probabilities: Mapping[str, float]) -> tuple[Score, ...]:
    return tuple(Score(name, probabilities[name]) for name in sorted(probabilities, key=lambda name: (-probabilities[name], name)))


def _why(pixels: Sequence[Score], unknown: float, strangeness: float, prior: Prior, reasons: Sequence[str]) -> tuple[str, ...]:
    """Why an image is unknown, at least one sentence: by its distance, by categories that are alike likely, or by its tags.

    unknown : its probability of being unknown, after the tags. reasons : in which ways it is far from the known images.
    """
    looked, found = pixels[0].category, []
    if strangeness >= 1:
        found.append(
            f"It is unlike the images that the router learnt from: its strangeness is {strangeness:.1f}, and 1 is the limit."
        )
        found += reasons
    elif looked == UNKNOWN:
        likely = " and ".join(f"{score.category} ({score.probability:.0%})" for score in pixels[1:3])
        found.append(f"No category is likely enough for how unlike the known images it is: {likely} are the likeliest.")
    if prior.fits is not None and looked != UNKNOWN and looked not in prior.fits:
        found.append(f"The {prior.said_by} do not fit {looked}, which the pixels look like most.")
    if not found:
        found.append(
            f"The pixels look like {looked}, by {pixels[0].probability:.0%} only. What else they look like does not fit the "
            f"{prior.said_by}, which speaks for another kind of image ({unknown:.0%})."
        )
    return tuple(found)
