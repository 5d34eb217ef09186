"""What DICOM's tags say an image shows, beside what its pixels look like: evidence, not the truth.

Tags are typed by people and copied by machines; pixels of a foreign kind may look like something known. Neither may send an image
to the wrong applications, so that where they contradict each other the image is *unknown*. A tag that is wrong with the rate e
(:mod:`casewise.routing.tags`) leaves a category that it does not fit e of its probability. The rest goes to *unknown*, to no other
category: if the tag is right, the image shows something that only looks like that category. What fits all tags gains the likelihood
ratio (1 − e) / e of the best tag against what the tags took away, as if every wrong tag named just this category, and never against
the probability that the pixels themselves give to *unknown*: tags do not make a strange image known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from casewise.header import Header
from casewise.routing.categories import Table, shipped
from casewise.routing.tags import VALUES, Tag, tags_of


@dataclass(frozen=True)
class Prior:
    """modality, body_part : the tags, where the image has them. tags : what each says about the router's categories.

    contradicted : whether the pixels look like something that the tags do not allow. sentence : both, in words.
    """

    modality: str | None = None
    body_part: str | None = None
    tags: tuple[Tag, ...] = ()
    contradicted: bool = False
    sentence: str = "The image has no tags that say what it shows."

    @property
    def fits(self) -> tuple[str, ...] | None:
        """The categories that all tags allow; None where they say nothing about any."""
        if not self.tags:
            return None
        return tuple(name for name in self.tags[0].fits if all(name in tag.fits for tag in self.tags))

    @property
    def said_by(self) -> str:
        """``tags``; ``values`` where only the pixels' values speak, in a file without tags."""
        return "values" if self.tags and all(tag.name == VALUES for tag in self.tags) else "tags"

    @property
    def stated(self) -> str:
        """What the tags say: ``MR ABDOMEN``."""
        return " ".join(tag.value for tag in self.tags)

    def combined(self, pixels: Mapping[str, float], unknown: str) -> dict[str, float]:
        """The probabilities after the tags, from those of the pixels; both sum to 1, and ``unknown`` is one of them."""
        fits, own = self.fits, dict(pixels)
        if fits is None:
            return own
        strange = own.pop(unknown)
        left = {name: share * _kept(name, self.tags) for name, share in own.items()}
        taken = sum(own.values()) - sum(left.values())
        gain = max((1 - tag.wrong) / tag.wrong for tag in self.tags if tag.wrong) if any(tag.wrong for tag in self.tags) else 1.0
        raised = {name: share * (gain if name in fits else 1.0) for name, share in left.items()}
        total = sum(raised.values()) + taken
        scale = sum(own.values()) / total if total > 0 else 0.0
        return {name: share * scale for name, share in raised.items()} | {unknown: strange + taken * scale}

    def decided(self, category: str, looked: str, unknown: str) -> Prior:
        """With the sentence that says whether tags and pixels agree.

        category : what the router decided for. looked : what the pixels alone look like most.
        """
        fits = self.fits
        if fits is None:
            return self
        contradicted = bool(fits) if looked == unknown else looked not in fits
        return replace(self, contradicted=contradicted, sentence=self._sentence(category, looked, unknown, fits))

    def _sentence(self, category: str, looked: str, unknown: str, fits: Sequence[str]) -> str:
        said = f"The {self.said_by} say {self.stated}"
        if not fits:
            said += ", which is none of the router's categories"
        if looked == unknown:
            return f"{said}; the pixels are unlike any category."
        if looked in fits:
            return (
                f"{said}, and the pixels agree."
                if category == looked
                else f"{said}; the pixels look like {looked}, but not surely."
            )
        if category == unknown:
            return f"{said}, and the pixels look like {looked}: they contradict each other, so the image is unknown."
        if category == looked:
            return f"{said} and the pixels show {looked}: the pixels decided, and the {self.said_by} may be wrong."
        return f"{said}, and the pixels look like {looked} first and {category} next: the {self.said_by} decided."

    def to_json(self) -> dict[str, object]:
        return {
            "modality": self.modality,
            "body_part": self.body_part,
            "fits": None if self.fits is None else list(self.fits),
            "tags": [tag.to_json() for tag in self.tags],
            "contradicted": self.contradicted,
            "sentence": self.sentence,
        }


def prior_of(header: Header, categories: Sequence[str], table: Table | None = None, hounsfield: bool = False) -> Prior:
    """What an image's header says about ``categories``, whose tags stand in ``table`` (the shipped one, where none is given).

    hounsfield : whether its values are Hounsfield units, which stands in for a Modality that nobody states.
    """
    tags = tags_of(header, categories, table or shipped(), hounsfield)
    return Prior(_tag(header.modality), _tag(header.body_part), tags)


def _kept(category: str, tags: Sequence[Tag]) -> float:
    share = 1.0
    for tag in tags:
        share *= 1.0 if category in tag.fits else tag.wrong
    return share


def _tag(value: str | None) -> str | None:
    return (value or "").strip().upper() or None
