"""A classifier fitted to one image's strokes, used where it predicts strokes that it has not seen better than the network does.
Else the network's answer is extended: a classifier of strokes and of that answer together says what looks like either.

Extremely randomised trees (Geurts 2006) on the image at several scales: smoothed, its gradient, and the eigenvalues of its Hessian,
the features of ilastik (Berg 2019). Like Wang et al. 2018 (arXiv 1710.04043) it tunes the answer to the one image; unlike a tuned
last block it sees texture and thin lines that the network's features do not hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
_OF_A_SCALE = 4  # features of one channel at one scale
_BRIGHTNESS = 1  # of the features: the first channel, hardly smoothed
_FINEST = 0.7  # places of the grid: the first Gaussian; then 1, 2, 4, …
_COARSEST = 1 / 16  # of the grid's side: the last one at most
_OUTSIDE, _OUTSIDE_SHARE = 300, 0.2  # places outside the box that count as background, and what all of them weigh in it
_BOUND = 0.02  # the trees' probability is never nearer to 0 or 1
_SURE = 6.0  # a logit of the network counts as no more
_MIXED = (0.5, 1.0)  # the trees' part of the mixed logit; the best on unseen strokes is taken
_MARGIN = 0.05  # of the log loss by which it must be better than the network alone
_MOST = 250  # places of either kind that the trees are fitted to
_ALIKE = 0.8  # the trees' part of an answer that is extended
_WHOLE = 40  # places of one kind of stroke from which on it weighs as much as the network's own answer
_BESIDE = 0.5  # what the network's background weighs, and again all outside the box, where its object weighs one
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
        return self._by_place(multiscale(self.maps.images[0]))

    @cached_property
    def negative(self) -> Floats:
        """(places of the grid, F) of the negative."""
        images = self.maps.images[0]
        return self._by_place(of_negative(self.features.T.reshape(-1, *images.shape[1:]), len(images)))

    def _by_place(self, found: Floats) -> Floats:
        return found.reshape(len(found), -1).T

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
        trees = self._of_strokes(_Drawn.of(foreground), _Drawn.of(background), np.flatnonzero(within))
        found = logits.copy()
        found[within] = _mixed(logits[within], trees, share)
        return found

    def extended(self, marked: PromptMaps, logits: Floats) -> Floats:
        """(*grid) ``logits``, the network's own with the strokes in ``marked``, brought nearer to what a place looks like.

        A stroke corrects what it touches and little else, and much of what is still wrong looks like it: the rest of a cavity, the
        other side of a wall. The trees are fitted to the strokes, to the network's own labels, drawn by how sure it is of them, and
        to the outside of the box. Places of which it is surer than the trees can be are left as they are.
        """
        foreground, background, box = (one[0].ravel() for one in (marked.foreground, marked.background, self.maps.box))
        flat = np.clip(logits.ravel(), -_SURE, _SURE)
        labels, free = flat > 0, box & ~foreground & ~background
        sure = np.abs(np.tanh(flat / 2))
        on = [_strokes(foreground), _Examples.of(free & labels, 1.0, sure)]
        off = [_strokes(background), _Examples.of(free & ~labels, _BESIDE, sure), _Examples.of(~box & ~foreground, _BESIDE)]
        most = _ALIKE * float(logit(1 - _BOUND))
        at = np.flatnonzero(ndimage.binary_dilation(self.maps.box[0]).ravel() & (np.abs(flat) <= most))
        if not len(at) or not all(any(len(one.places) for one in kind) for kind in (on, off)):
            return logits
        found = logits.ravel().copy()
        found[at] = flat[at] + _ALIKE * self._trees(on, off, at)
        return found.reshape(logits.shape)

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
            trees = self._of_strokes(*known, at)
            losses += [_log_loss(_mixed(logits, trees, share), *held) / 2 for share in (0.0, *_MIXED)]
        best = int(np.argmin(losses))
        return (0.0, *_MIXED)[best] if losses[best] < losses[0] - _MARGIN else 0.0

    def _of_strokes(self, object_: _Drawn, rest: _Drawn, at: Places) -> Doubles:
        """The logits at places of the grid of trees that are fitted to strokes, and to what lies outside the box."""
        outside = _Examples.of(~(self.maps.box[0] | object_.all | rest.all).ravel(), _OUTSIDE_SHARE, most=_OUTSIDE)
        beside = _OUTSIDE_SHARE if len(outside.places) else 0.0
        on, off = (_Examples(of.places, share, of.weights) for of, share in ((object_, 1.0), (rest, 1 - beside)))
        return self._trees([on], [off, outside], at)

    def _trees(self, on: Sequence[_Examples], off: Sequence[_Examples], at: Places) -> Doubles:
        """The logits at places of the grid of trees that are fitted to examples of the object, ``on`` it, and of the rest."""
        from sklearn.ensemble import ExtraTreesClassifier

        # The object counts as the brighter one, and places are drawn by their brightness: so a picture's negative and its mirror
        # images are answered like itself.
        brightness = self.features[:, _BRIGHTNESS]
        darker = _mean(on, brightness) < _mean(off, brightness)
        features = self.negative if darker else self.features
        places, weights, labels = [], [], []
        for label, kind in ((True, on), (False, off)):
            whole = sum(one.share for one in kind if len(one.places))
            for one in (one for one in kind if len(one.places)):
                drawn = _sample(one.places, features[one.places, _BRIGHTNESS], one.weights, one.most)
                places.append(drawn)
                weights.append(np.full(len(drawn), one.share / whole / len(drawn)))
                labels.append(np.full(len(drawn), label))
        chosen = np.concatenate(places)
        trees = ExtraTreesClassifier(**_TREES)
        trees.fit(features[chosen], np.concatenate(labels), np.concatenate(weights) * len(chosen))
        chance = trees.predict_proba(features[at])[:, 1]
        return np.asarray(logit(np.clip(chance, _BOUND, 1 - _BOUND)))


@dataclass(frozen=True, eq=False)
class _Examples:
    """Places of one kind, of which ``most`` are drawn by their ``weights``, or evenly; together they weigh ``share``."""

    places: Places
    share: float
    weights: Doubles | None = None
    most: int = _MOST

    @classmethod
    def of(cls, where: Mask, share: float, weights: Floats | None = None, most: int = _MOST) -> _Examples:
        """The places of the flat grid ``where`` it is so."""
        places = np.flatnonzero(where)
        return cls(places, share, None if weights is None else weights[places].astype(np.float64) + 1e-9, most)


def _strokes(where: Mask) -> _Examples:
    return _Examples.of(where, min(1.0, float(where.sum()) / _WHOLE))


def _mean(kind: Sequence[_Examples], brightness: Floats) -> float:
    """Of the first examples that there are: of the strokes, or else of the network's own."""
    return next(float(brightness[one.places].mean()) for one in kind if len(one.places))


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
    order = _ascending(brightness)
    if len(places) > most:
        reached = np.cumsum(np.ones(len(places)) if weights is None else weights[order])
        order = order[np.searchsorted(reached, (np.arange(most) + 0.5) / most * reached[-1])]
    drawn: Places = places[order]
    return drawn


def _ascending(values: Floats) -> Places:
    """The stable order of finite values (n,), in a seventh of the time of NumPy's: they are sorted as whole numbers, each with its
    place behind it. A float's bits grow with it where it is positive; all of them, turned round, grow with it where it is negative.
    """
    bits = (values + np.float32(0)).view(np.uint32)  # −0 is 0
    sign = np.uint32(1 << 31)
    keys = np.where(bits & sign, ~bits, bits | sign).astype(np.uint64) << np.uint64(32)
    keys |= np.arange(len(values), dtype=np.uint64)
    keys.sort()
    return (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)


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


def of_negative(found: Floats, channels: int) -> Floats:
    """(F, *grid): what :func:`multiscale` gives of −images, from what it gives of images of so many ``channels``, without filtering
    again: all but the gradient's length changes its sign, and the larger eigenvalue becomes the smaller one.
    """
    turned = -found.reshape(channels, -1, *found.shape[1:])
    slopes, larger, smaller = (slice(first, None, _OF_A_SCALE) for first in (2, 3, 4))
    turned[:, slopes] *= -1
    turned[:, larger], turned[:, smaller] = turned[:, smaller].copy(), turned[:, larger].copy()
    return turned.reshape(found.shape)


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
