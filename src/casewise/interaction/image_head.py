"""A classifier fitted to one image's strokes, used where it predicts strokes that it has not seen better than the network does.

Extremely randomised trees (Geurts 2006) on the image at several scales: smoothed, its gradient, and the eigenvalues of its Hessian,
the features of ilastik (Berg 2019). Like Wang et al. 2018 (arXiv 1710.04043) it tunes the answer to the one image; unlike a tuned
last block it sees texture and thin lines that the network's features do not hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.special import expit, logit

from casewise.interaction.prompt_maps import PromptMaps

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Doubles = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]  # of the flat grid
Network = Callable[[PromptMaps, Floats], Floats]  # (maps, the former probability (*grid)) -> logits (*grid)

_LEAST = 4  # places of the grid that the strokes of either kind must mark
_BRIGHTNESS = 1  # of the features: the first channel, hardly smoothed
_FINEST = 0.7  # places of the grid: the first Gaussian; then 1, 2, 4, …
_COARSEST = 1 / 16  # of the grid's side: the last one at most
_OUTSIDE, _OUTSIDE_SHARE = 300, 0.2  # places outside the box that count as background, and what all of them weigh in it
_BOUND = 0.02  # the trees' probability is never nearer to 0 or 1
_SURE = 6.0  # a logit of the network counts as no more
_MIXED = (0.5, 1.0)  # the trees' part of the mixed logit; the best on unseen strokes is taken
_MARGIN = 0.05  # of the log loss by which it must be better than the network alone
_MOST = 250  # places of either kind that the trees are fitted to
_TREES = {"n_estimators": 24, "max_depth": 12, "min_samples_leaf": 2, "random_state": 0}


@dataclass(frozen=True, eq=False)
class ImageHead:
    """What a region's rounds share. maps : of one crop, nothing marked. start : (*grid) the network's probability after the box
    alone; None where the region was never answered without strokes.
    """

    maps: PromptMaps
    start: Floats | None = None

    @cached_property
    def features(self) -> Floats:
        """(places of the grid, F)."""
        return self._seen(self.maps.images[0])

    @cached_property
    def negative(self) -> Floats:
        """(places of the grid, F) of the negative."""
        return self._seen(-self.maps.images[0])

    def _seen(self, images: Floats) -> Floats:
        return multiscale(images).reshape(-1, images[0].size).T

    def arrays(self) -> list[npt.NDArray[np.generic]]:
        """What it holds in memory, without the maps."""
        held = (self.start, self.__dict__.get("features"), self.__dict__.get("negative"))
        return [array for array in held if array is not None]

    def chosen(self, marked: PromptMaps, evidence: tuple[Mask, Mask], logits: Floats, network: Network) -> Floats | None:
        """(*grid) logits fitted to the strokes in ``marked``; None where ``logits``, the network's own with them, shall stand.

        That is where either kind of ``evidence``, the strokes that do not only correct an answer, marks fewer than 4 places of the
        grid, and where no mixture of trees and network predicts held-back strokes better than the network alone, by the log loss:
        the parts of the strokes are divided in two halves, and each half is predicted from the other, by both.
        """
        if min(one.sum() for one in evidence) < _LEAST:
            return None
        share = self._best(_Drawn.of(evidence[0]), _Drawn.of(evidence[1]), network)
        return self.fitted(marked, logits, share) if share else None

    def fitted(self, marked: PromptMaps, logits: Floats, share: float = 1.0) -> Floats | None:
        """The same without a choice, mixed by the trees' ``share``; None where either kind of stroke marks fewer than 4 places."""
        foreground, background = marked.foreground[0], marked.background[0]
        if min(foreground.sum(), background.sum()) < _LEAST:
            return None
        within = ndimage.binary_dilation(self.maps.box[0])
        trees = self._trees(_Drawn.of(foreground), _Drawn.of(background), np.flatnonzero(within))
        found = logits.copy()
        found[within] = _mixed(logits[within], trees, share)
        return found

    def _best(self, object_: _Drawn, rest: _Drawn, network: Network) -> float:
        """The trees' share that predicts each half of the strokes best from the other one; 0 for the network alone."""
        start = self.start if self.start is not None else expit(network(self.maps, self.maps.prior[0]))
        start = np.where(self.maps.box[0], start, 0).astype(np.float32)
        losses = np.zeros(1 + len(_MIXED))
        for seen, unseen in ((0, 1), (1, 0)):
            known, held = (object_.half(seen), rest.half(seen)), (object_.half(unseen), rest.half(unseen))
            at = np.concatenate([one.places for one in held])
            half = self.maps.marked(known[0].mask[None], known[1].mask[None])
            logits = network(half, start).ravel()[at]
            trees = self._trees(*known, at)
            losses += [_log_loss(_mixed(logits, trees, share), *held) / 2 for share in (0.0, *_MIXED)]
        best = int(np.argmin(losses))
        return (0.0, *_MIXED)[best] if losses[best] < losses[0] - _MARGIN else 0.0

    def _trees(self, object_: _Drawn, rest: _Drawn, at: npt.NDArray[np.int64]) -> Doubles:
        """The trees' logits at places of the grid."""
        from sklearn.ensemble import ExtraTreesClassifier

        # The object counts as the brighter one, and places are drawn by their brightness: so a picture's negative and its mirror
        # images are answered like itself.
        darker = self.features[object_.places, _BRIGHTNESS].mean() < self.features[rest.places, _BRIGHTNESS].mean()
        features = self.negative if darker else self.features
        outside = np.flatnonzero(~(self.maps.box[0] | object_.all | rest.all))
        beside = _OUTSIDE_SHARE if len(outside) else 0.0
        drawn = ((object_.places, object_.weights, _MOST), (rest.places, rest.weights, _MOST), (outside, None, _OUTSIDE))
        samples = [_sample(places, features[places, _BRIGHTNESS], weights, most) for places, weights, most in drawn]
        shares = [np.full(len(one), part / max(1, len(one))) for one, part in zip(samples, (1, 1 - beside, beside), strict=True)]
        places = np.concatenate(samples)
        trees = ExtraTreesClassifier(**_TREES)
        trees.fit(features[places], np.arange(len(places)) < len(samples[0]), np.concatenate(shares) * len(places))
        chance = trees.predict_proba(features[at])[:, 1]
        return np.asarray(logit(np.clip(chance, _BOUND, 1 - _BOUND)))


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Strokes of one kind. all : (*grid) bool, with those that are held back. parts : (*grid), 0 or the number of the part that a
    place belongs to. halves : of each part (from 1) the half it is in. mask : (*grid) bool, those that count.
    """

    all: Mask
    parts: npt.NDArray[np.int32]
    halves: npt.NDArray[np.int64]
    mask: Mask

    @classmethod
    def of(cls, mask: Mask) -> _Drawn:
        """Connected parts, each in one of two halves of about the same size; one part alone is cut across its length."""
        parts, count = ndimage.label(mask, np.ones([3] * mask.ndim))
        if count == 1:
            parts[mask] = 1 + _cut(np.argwhere(mask))
            count = 2
        sizes = np.bincount(parts.ravel(), minlength=count + 1)
        halves, filled = np.zeros(count + 1, np.int64), [0, 0]
        for part in 1 + np.argsort(-sizes[1:], kind="stable"):
            halves[part] = int(filled[1] < filled[0])
            filled[halves[part]] += sizes[part]
        return cls(mask, parts, halves, mask)

    def half(self, number: int) -> _Drawn:
        return replace(self, mask=self.all & (self.halves[self.parts] == number))

    @cached_property
    def places(self) -> npt.NDArray[np.int64]:
        return np.flatnonzero(self.mask)

    @cached_property
    def weights(self) -> Doubles:
        """Of each place, one in sum. A part counts as the root of its places: neighbours say much the same."""
        own = self.parts.ravel()[self.places]
        weights = 1 / np.sqrt(np.bincount(own)[own])
        return np.asarray(weights / weights.sum())


def _sample(places: Places, brightness: Floats, weights: Doubles | None, most: int) -> Places:
    """``most`` of the places by their weights, evenly from the darkest to the brightest, or all of them, once; in this order."""
    order = np.argsort(brightness, kind="stable")
    if len(places) > most:
        reached = np.cumsum(np.ones(len(places)) if weights is None else weights[order])
        order = order[np.searchsorted(reached, (np.arange(most) + 0.5) / most * reached[-1])]
    drawn: Places = places[order]
    return drawn


def multiscale(images: Floats) -> Floats:
    """(F, *grid) float32 of ``images`` (C, *grid): each channel, and at each scale σ its Gaussian, σ times the gradient's length
    and σ² times the Hessian's two eigenvalues, the larger first. Planes of a volume are taken one by one.
    """
    scales = [_FINEST, *(2.0**n for n in range(8) if 2**n <= _COARSEST * max(images.shape[1:3]))]
    found: list[Floats] = []
    for image in images:
        found.append(image)
        for scale in scales:
            blurred, down, right = (_gaussian(image, scale, *order) for order in ((0, 0), (1, 0), (0, 1)))
            downs, rights, across = (_gaussian(image, scale, *order) for order in ((2, 0), (0, 2), (1, 1)))
            middle: Floats = np.asarray((downs + rights) / 2, np.float32)
            spread: Floats = np.hypot((downs - rights) / 2, across)
            slope: Floats = np.hypot(down, right)
            found += [blurred, scale * slope, scale * scale * (middle + spread), scale * scale * (middle - spread)]
    return np.stack(found).astype(np.float32)


def _gaussian(image: Floats, scale: float, down: int, right: int) -> Floats:
    flat = (0,) * (image.ndim - 2)
    blurred: Floats = ndimage.gaussian_filter(image, (scale, scale, *flat), (down, right, *flat), mode="nearest")
    return blurred


def _cut(places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """0 or 1 of each place (n, axes): on which side of the middle of the longest axis it lies."""
    centred = places - places.mean(axis=0)
    along = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
    side = np.zeros(len(places), np.int64)
    side[np.argsort(along, kind="stable")[len(places) // 2 :]] = 1
    return side


def _mixed(network: Floats | Doubles, trees: Doubles, share: float) -> Doubles:
    sure: Doubles = np.clip(network, -_SURE, _SURE).astype(np.float64)
    return np.asarray((1 - share) * sure + share * trees)


def _log_loss(logits: Doubles, object_: _Drawn, rest: _Drawn) -> float:
    """Of held-back strokes, both kinds alike; ``logits`` at the object's places, then at the rest's."""
    on, off = np.split(logits, [len(object_.places)])
    return float(object_.weights @ np.logaddexp(0, -on) + rest.weights @ np.logaddexp(0, off)) / 2
