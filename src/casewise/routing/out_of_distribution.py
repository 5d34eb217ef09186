"""How unlike every category an image is, seen in three ways.

- The cosine distance to the k-th nearest of the known images' features, after these are brought to one covariance within categories
  (Sun 2022): what decides most.
- The Mahalanobis distance of its features to the nearest category's mean, by that covariance (Lee 2018).
- The network's own odds of *unknown*, learnt from images of other kinds and from made-up ones (outlier exposure, Hendrycks 2019).

Each is counted from its median over known held-out images, in steps of what the rarest of these reach. The *strangeness* is the
neighbours' step, and what the two others are beyond one step, which few known images are; and where the nearest images are of other
categories than the one that the classifier names, it grows by their share (``DISAGREEING``). The probability of *unknown* stands
among those of the categories: it is 1 % at the strangeness that half of the known held-out images have, and it wins over the best
category a little beyond what would call 1 % of them unknown, since images of other sources lie farther off than those held out do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from casewise.probability import logistic

Matrix = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
NEIGHBOUR = 5
FALSE_UNKNOWN = 0.01  # share of known images that may be called unknown, and beyond which a distance is rare
VIEWS = ("category", "neighbours", "odds")  # of an image's strangeness, in the order of a matrix's columns
_AT_MEDIAN = 0.01  # probability of unknown at the median strangeness of known images
_NEW_SOURCES = 1.85  # times the strangeness at which known images would be unknown: those of new sources lie farther off
DISAGREEING = 0.5  # added where none of the nearest known images is of the category that the classifier names
_BESIDE = (0.5, 2.0)  # of a step beyond the first: of the distance to the category, and of the odds
_SHRUNK = 0.1  # of the covariance's mean variance, added to each
_BETWEEN_SITES = 30.0  # what the covariance of one category's sites weighs beside the one within
_BLOCK = 4096


@dataclass(frozen=True, eq=False)
class Neighbours:
    """bank : (n, features), of unit length: the known images' features."""

    bank: Matrix

    @classmethod
    def of(cls, features: Matrix) -> Neighbours:
        return cls(unit(features).astype(np.float16).astype(np.float32))

    def distances(self, features: Matrix) -> Array:
        """(n,): 1 − the cosine to the ``NEIGHBOUR``-th nearest of the bank (to the farthest, where it has fewer)."""
        return self.nearest(features)[0]

    def nearest(self, features: Matrix) -> tuple[Array, Places]:
        """The :meth:`distances` (n,), and the places (n, k) in the bank of the ``NEIGHBOUR`` nearest, of all where it has fewer."""
        k = min(NEIGHBOUR, len(self.bank))
        distances: list[Array] = [np.zeros(0)]
        places: list[Places] = [np.zeros((0, k), np.int64)]
        for start in range(0, len(features), _BLOCK):
            likeness = unit(features[start : start + _BLOCK]) @ self.bank.T
            near = np.argpartition(likeness, -k, axis=1)[:, -k:]
            distances.append(1.0 - np.take_along_axis(likeness, near[:, :1], axis=1)[:, 0].astype(np.float64))
            places.append(near)
        return np.concatenate(distances), np.concatenate(places)


class Near(NamedTuple):
    """Where pictures lie among the known ones. distances : (n, 2), to the nearest category's mean and to the neighbours.
    nearest : (n, k), the categories of the ``NEIGHBOUR`` nearest neighbours, of all where there are fewer.
    """

    distances: Array
    nearest: Places


@dataclass(frozen=True, eq=False)
class Known:
    """The known images' features. whitening : (features, features), what makes their covariance within categories the identity.

    means : (categories, features) and neighbours : of features so whitened. labels : (n,) each neighbour's category, from 0.
    """

    whitening: Matrix
    means: Matrix
    neighbours: Neighbours
    labels: Places

    @classmethod
    def of(cls, features: Matrix, labels: Places, sites: Sequence[str]) -> Known:
        """Features (n, features); labels (n,) from 0, each there; the site that each picture is from."""
        found = whitening(features, labels, sites)
        means = np.stack([features[labels == number].mean(axis=0) for number in range(int(labels.max()) + 1)])
        return cls(found, (means @ found).astype(np.float32), Neighbours.of(features @ found), labels)

    def near(self, features: Matrix) -> Near:
        """Where pictures of these features (n, features) lie."""
        seen = features @ self.whitening
        squares = (seen**2).sum(axis=1)[:, None] + (self.means**2).sum(axis=1)[None] - 2 * seen @ self.means.T
        category = np.sqrt(np.maximum(squares, 0).min(axis=1))
        distances, places = self.neighbours.nearest(seen)
        return Near(np.stack([category.astype(np.float64), distances], axis=1), self.labels[places])


@dataclass(frozen=True)
class Doubt:
    """The odds of *unknown* beside the best category are exp((strangeness − middle) / width).

    centres, scales : of each of ``VIEWS``, its median over known images and what the rarest are beyond that.
    """

    middle: float
    width: float
    centres: tuple[float, ...]
    scales: tuple[float, ...]

    def steps(self, seen: Array) -> Array:
        """(n, views): how far each view of each picture lies beyond known images' median, in what the rarest of them reach."""
        return np.asarray((seen - np.array(self.centres)) / np.array(self.scales))

    def strangeness(self, seen: Array) -> Array:
        """(n,) of pictures seen as (n, views)."""
        return strangeness(self.steps(seen))

    def probability(self, strangeness: float) -> float:
        return float(logistic((strangeness - self.middle) / self.width))

    @classmethod
    def fit(cls, seen: Array, best: Array, images: int, share: float = FALSE_UNKNOWN) -> Doubt:
        """From pictures of known held-out images: (n, views) of each, and the best category's probability (n,).

        images : of how many different images they are. The fewer, the less is known of the rare ones: spreads are taken wider by
        2 / √images. *Unknown* wins where its odds exceed the best category's probability p, that is where
        strangeness − width · ln p > middle.
        """
        scales = [max(_spread(column, share), 1e-4) for column in seen.T]
        first = cls(1.0, 1.0, tuple(float(value) for value in np.median(seen, axis=0)), tuple(scales))
        found = first.strangeness(seen)
        wider = _NEW_SOURCES * (1 + 2 / np.sqrt(max(1, images)))
        width = wider * max(_spread(found, share), 1e-4) / np.log(1 / _AT_MEDIAN)
        decided = found - width * np.log(best + 1e-12)
        middle = float(np.median(decided) + wider * _spread(decided, share))
        return cls(middle, float(width), first.centres, first.scales)


def whitening(features: Matrix, labels: Places, sites: Sequence[str]) -> Matrix:
    """(features, features): what makes the covariance within categories the identity, and what differs between sites small.

    features : (n, features). labels : (n,) from 0, each there. sites : of each. How the means of several sites lie about that of
    their category is what a new site may differ by, so that directions in which they lie far apart count little: within-class
    covariance normalisation (Hatch 2006), as in speaker recognition, where telephones are what sites are here.
    """
    count = int(labels.max()) + 1
    means = np.stack([features[labels == number].mean(axis=0) for number in range(count)])
    covariance = np.cov((features - means[labels]).T.astype(np.float64)).reshape(features.shape[1], -1)
    covariance += _BETWEEN_SITES * _between_sites(features.astype(np.float64), labels, np.asarray(sites), count)
    variance = max(float(np.trace(covariance)) / len(covariance), 1e-12)
    found = np.linalg.cholesky(np.linalg.inv(covariance + _SHRUNK * variance * np.eye(len(covariance))))
    return np.asarray(found * np.sqrt(variance)).astype(np.float16).astype(np.float32)  # as it will be read back


def _between_sites(features: Array, labels: Places, sites: npt.NDArray[np.str_], count: int) -> Array:
    """(features, features): the covariance of sites' means about the mean of their category's sites; 0 where each has one site."""
    apart: list[Array] = []
    freedom = 0
    for number in range(count):
        own, of = features[labels == number], sites[labels == number]
        means = np.stack([own[of == site].mean(axis=0) for site in np.unique(of)])
        apart.append(means - means.mean(axis=0))
        freedom += len(means) - 1
    scattered = np.concatenate(apart)
    return np.asarray(scattered.T @ scattered / max(1, freedom))


def strangeness(steps: Array) -> Array:
    """(n,) of pictures' ``steps`` (n, views)."""
    category, neighbours, other = steps.T
    return np.asarray(neighbours + _BESIDE[0] * np.maximum(0, category - 1) + _BESIDE[1] * np.maximum(0, other - 1))


def odds(logits: Matrix) -> Array:
    """(n,): ln of the network's odds of its last class, *unknown*, against all the others; ``logits`` is (n, classes)."""
    return np.asarray(logits[:, -1] - np.logaddexp.reduce(logits[:, :-1], axis=1), np.float64)


def views_of(distances: Array, logits: Matrix) -> Array:
    """(n, views) of pictures by how far they lie (n, 2) and their logits (n, classes)."""
    return np.concatenate([distances, odds(logits)[:, None]], axis=1)


def sentence(steps: Sequence[float], disagreement: float = 0.0) -> str:
    """Which views of an image say most that it is unlike what is known, of the medians of its pictures' ``steps``.

    disagreement : the share of the nearest known images that are of another category than the likeliest.
    """
    said = {
        "category": "its features lie far from every category's",
        "neighbours": "no image that the router learnt from is near it",
        "odds": "the network takes it for an image of another kind",
    }
    named = [said[name] for name, value in zip(VIEWS, steps, strict=True) if value > 1] or [said[VIEWS[int(np.argmax(steps))]]]
    if disagreement > 0.5:
        named.append("most of the images nearest to it are of other categories than the likeliest one")
    return f"{', and '.join(named)}.".capitalize()


def _spread(values: Array, share: float) -> float:
    return float(np.quantile(values, 1 - share) - np.median(values))


def unit(features: Matrix) -> Matrix:
    return np.asarray(features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-6))
