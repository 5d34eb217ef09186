"""The router: from an image to its category, or to *unknown*."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from casewise.errors import CasewiseError
from casewise.image import Image
from casewise.models.model import Model
from casewise.routing import categories
from casewise.routing.calibration import probabilities
from casewise.routing.classifiers import Svm, check_classifier
from casewise.routing.dicom_prior import Prior, prior_of
from casewise.routing.features import features
from casewise.routing.nearest import nearest_categories
from casewise.routing.out_of_distribution import DISAGREEING, Doubt, Known, sentence, strangeness, views_of
from casewise.routing.route import UNKNOWN, Route
from casewise.routing.storage import SHIPPED, Parts, load, save
from casewise.routing.views import View, in_hounsfield_units, views
from casewise.threads import one_thread

Matrix = npt.NDArray[np.float32]
_FEW = 16  # pictures, more than a volume has
_LEAST_VOTE = 0.02  # of a slice unlike anything known
_BLANK = 10.0  # strangeness of an image that shows nothing; from 1 on an image is unknown
_SURE = 0.7  # probability by the pixels alone from which on one look is enough
_HOPELESS = 2.0  # strangeness from which on an image is unknown in every pose
_TURNS = (1, 2, 3)  # quarter turns of the further looks


@dataclass(frozen=True, eq=False)
class PictureScores:
    """Of pictures, before the tags. known : (n, categories), each row sums to 1. steps : (n, views) of their strangeness, as
    :meth:`casewise.routing.out_of_distribution.Doubt.steps` gives them. nearest : (n, k) categories of the nearest known images.
    """

    known: npt.NDArray[np.float64]
    steps: npt.NDArray[np.float64]
    nearest: npt.NDArray[np.int64]

    def of(self, place: slice) -> PictureScores:
        """Those of some of the pictures."""
        return PictureScores(self.known[place], self.steps[place], self.nearest[place])

    def joined(self, other: PictureScores) -> PictureScores:
        """With those of further pictures of the same image."""
        pairs = zip((self.known, self.steps, self.nearest), (other.known, other.steps, other.nearest), strict=True)
        return PictureScores(*(np.concatenate(pair) for pair in pairs))

    @property
    def disagreement(self) -> npt.NDArray[np.float64]:
        """(n,): the share of the nearest known images that are of another category than the likeliest."""
        return np.asarray((self.nearest != self.known.argmax(axis=1)[:, None]).mean(axis=1))

    @property
    def strangeness(self) -> npt.NDArray[np.float64]:
        """(n,)."""
        return strangeness(self.steps) + DISAGREEING * self.disagreement


@dataclass(frozen=True, eq=False)
class Router:
    """A network's features, two classifiers on them, and what is known of the features of known images.

    model : a classifier whose classes are the categories and, last, ``unknown``: what it learnt from made-up pictures of nothing.
    temperatures, doubts : one a classifier, fitted on held-out images. classifier : the default one.
    table : which DICOM tags fit which category.
    A router is immutable; several threads may use it.
    """

    model: Model
    svm: Svm
    known: Known
    temperatures: Mapping[str, float]
    doubts: Mapping[str, Doubt]
    classifier: str = "softmax"
    measures: Mapping[str, float] = field(default_factory=dict)
    table: categories.Table = field(default_factory=categories.shipped)

    @classmethod
    def load(cls, folder: str | Path | None = None) -> Router:
        """The router in ``folder``; the one that comes with casewise, where none is named. Raises ModelError, one sentence."""
        place = Path(folder) if folder is not None else SHIPPED
        return cls(*load(place)).extended_by(place)

    def save(self, folder: str | Path) -> Path:
        """Write the router to ``folder``, which must not exist yet."""
        parts = Parts(self.model, self.svm, self.known, self.temperatures, self.doubts, self.classifier, self.measures)
        made = save(parts, Path(folder))
        self.table.added(self.categories).write(made)
        return made

    def extended_by(self, folder: Path) -> Router:
        """With the table of categories in ``folder``, an archive's or a router's; as it is where there is none."""
        return replace(self, table=self.table.extended_by(folder))

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories that it distinguishes, without ``unknown``."""
        return tuple(name for name in self.model.labels if name != UNKNOWN)

    def route(self, image: Image, classifier: str | None = None, *, tags: bool = True, device: str = "auto") -> Route:
        """Where ``image``, a picture or a volume of any orientation, belongs.

        classifier : ``softmax`` or ``svm``; the router's own where none is named. tags : whether the DICOM tags are a prior.
        Raises CasewiseError, one sentence, for an image that no picture can be made of.
        """
        prior = prior_of(image.header, self.categories, self.table, in_hounsfield_units(image)) if tags else Prior()
        return self.route_views([views(image, colours=True)], classifier, priors=[prior], device=device)[0]

    def route_views(
        self,
        images: Sequence[Sequence[View]],
        classifier: str | None = None,
        *,
        priors: Sequence[Prior] | None = None,
        device: str = "auto",
    ) -> list[Route]:
        """The route of each of many images, given as the pictures that :func:`casewise.routing.views.views` makes of each.

        One that the pixels leave unsure is looked at again, turned by one, two and three quarters, and all looks count alike.
        """
        name = check_classifier(classifier or self.classifier)
        scored = self._scored(images, name, device)
        again = [number for number, own in enumerate(scored) if self._unsure(own, images[number], name)]
        turned = [[np.rot90(view, turns) for view in images[number] for turns in _TURNS] for number in again]
        for number, further in zip(again, self._scored(turned, name, device), strict=True):
            scored[number] = scored[number].joined(further)
        routes = []
        for number, (own, pictures) in enumerate(zip(scored, images, strict=True)):
            route = self._decided(own, priors[number] if priors else Prior(), name, _blank(pictures))
            poses = len(own.known) // len(pictures)
            nearest = nearest_categories(own.nearest, self.categories)
            routes.append(replace(route, views=len(pictures), poses=poses, nearest=nearest))
        return routes

    def _scored(self, images: Sequence[Sequence[View]], classifier: str, device: str) -> list[PictureScores]:
        pictures = [view for own in images for view in own]
        if not pictures:
            return []
        with one_thread() if len(pictures) <= _FEW else nullcontext():
            scored = self.score(*features(self.model, pictures, device), classifier)
        ends = np.cumsum([len(own) for own in images])
        return [scored.of(slice(end - len(own), end)) for own, end in zip(images, ends, strict=True)]

    def score(self, found: Matrix, logits: Matrix, classifier: str) -> PictureScores:
        """From features (n, features) and logits (n, classes) of pictures."""
        scores = logits[:, : len(self.categories)] if classifier == "softmax" else self.svm.scores(found)
        near = self.known.near(found)
        steps = self.doubts[classifier].steps(views_of(near.distances, logits))
        return PictureScores(probabilities(scores, self.temperatures[classifier]), steps, near.nearest)

    def _unsure(self, pictures: PictureScores, views: Sequence[View], classifier: str) -> bool:
        pixels, strange = self._pixels(pictures, classifier, _blank(views))
        best = max(pixels, key=lambda name: pixels[name])
        return strange < _HOPELESS and (best == UNKNOWN or pixels[best] < _SURE)

    def _pixels(self, pictures: PictureScores, classifier: str, blank: bool) -> tuple[dict[str, float], float]:
        """The probability of every category and of ``unknown`` before the tags, and the strangeness; at 1 it is unknown.

        Slices that are unlike what is known, as a volume's ends often are, say little of which category it is.
        """
        doubt = self.doubts[classifier]
        certain = np.array([1 - doubt.probability(float(value)) for value in pictures.strangeness])
        known = np.average(pictures.known, axis=0, weights=np.maximum(certain, _LEAST_VOTE))
        strange = _BLANK * doubt.middle if blank else float(np.median(pictures.strangeness))
        unknown = doubt.probability(strange)
        raw = {UNKNOWN: unknown} | {name: float((1 - unknown) * share) for name, share in zip(self.categories, known, strict=True)}
        total = sum(raw.values())
        if not np.isfinite(total) or total <= 0:
            msg = "The router's network gives no numbers for this image; it is damaged, or the image's values are far too large."
            raise CasewiseError(msg)
        return {name: value / total for name, value in raw.items()}, strange / doubt.middle

    def _decided(self, pictures: PictureScores, prior: Prior, classifier: str, blank: bool) -> Route:
        pixels, strange = self._pixels(pictures, classifier, blank)
        why: tuple[str, ...] = ()
        if blank:
            why = ("It has one value throughout, so that it shows nothing.",)
        elif strange >= 1:
            middle = np.median(pictures.steps, axis=0).tolist()
            why = (sentence(middle, float(np.median(pictures.disagreement))),)
        return Route.of(pixels, strange, prior, classifier, why)


def _blank(views: Sequence[View]) -> bool:
    """Whether an image has one value throughout, so that there is nothing to recognise."""
    return not any(float(np.ptp(view)) > 0 for view in views)
