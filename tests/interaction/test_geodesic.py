"""Geodesic distance against an exact shortest path, and the prompt maps that a network is given."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra

from casewise.interaction.geodesic import FAR, geodesic
from casewise.interaction.prompt_maps import LIMIT, PromptMaps, middle


def exact(image: np.ndarray, seeds: np.ndarray, spacing: tuple[float, ...], spatial: float) -> np.ndarray:
    """Dijkstra over all neighbours that touch by a face, an edge or a corner."""
    numbers = np.arange(seeds.size).reshape(seeds.shape)
    starts, ends, costs = [], [], []
    for shift in product((-1, 0, 1), repeat=seeds.ndim):
        if not any(shift):
            continue
        here = tuple(slice(max(0, -s), n - max(0, s)) for s, n in zip(shift, seeds.shape, strict=True))
        there = tuple(slice(max(0, s), n - max(0, -s)) for s, n in zip(shift, seeds.shape, strict=True))
        change = np.sqrt(((image[(slice(None), *here)] - image[(slice(None), *there)]) ** 2).mean(axis=0))
        length = np.sqrt(sum((s * size / min(spacing)) ** 2 for s, size in zip(shift, spacing, strict=True)))
        starts.append(numbers[here].ravel())
        ends.append(numbers[there].ravel())
        costs.append((change + spatial * length).ravel())
    graph = coo_matrix((np.concatenate(costs), (np.concatenate(starts), np.concatenate(ends))), shape=(seeds.size,) * 2).tocsr()
    return dijkstra(graph, indices=np.flatnonzero(seeds), min_only=True).reshape(seeds.shape)


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [
        ((1, 17, 23), (1.0, 1.0)),
        ((2, 14, 11), (1.0, 2.5)),
        ((1, 9, 8, 7), (0.5, 0.5, 4.0)),
        ((1, 1, 9), (1.0, 1.0)),
        ((1, 5, 1, 2), (1.0, 1.0, 2.0)),
    ],
)
def test_distance_is_the_shortest_path(shape, spacing):
    rng = np.random.default_rng(len(shape))
    image = rng.random(shape).astype(np.float32)
    seeds = rng.random(shape[1:]) < 0.03
    seeds.flat[5] = True
    found = geodesic(image[None], seeds[None], spacing, spatial=0.1, sweeps=8)[0]
    np.testing.assert_allclose(found, exact(image, seeds, spacing, 0.1), rtol=1e-5, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), sweeps=st.integers(1, 4))
def test_more_sweeps_only_lower_and_seeds_are_zero(seed, sweeps):
    rng = np.random.default_rng(seed)
    image, seeds = rng.random((2, 1, 12, 15), dtype=np.float32), rng.random((2, 12, 15)) < 0.05
    few, many = geodesic(image, seeds, sweeps=sweeps), geodesic(image, seeds, sweeps=sweeps + 1)
    assert (many <= few + 1e-6).all()
    assert (few[seeds] == 0).all()
    assert (few[~seeds.reshape(2, -1).any(axis=1)] == FAR).all()


def test_a_batch_gives_what_each_image_gives():
    rng = np.random.default_rng(0)
    images, seeds = rng.random((3, 1, 20, 20), dtype=np.float32), rng.random((3, 20, 20)) < 0.02
    together = geodesic(images, seeds)
    for number in range(3):
        assert np.array_equal(together[number], geodesic(images[number : number + 1], seeds[number : number + 1])[0])


def maps() -> tuple[PromptMaps, np.ndarray]:
    image = np.full((1, 1, 30, 30), 0.2, np.float32)
    truth = np.zeros((30, 30), bool)
    truth[8:22, 8:22] = True
    image[0, 0][truth] = 0.9
    box = np.zeros((1, 30, 30), bool)
    box[0, 5:25, 5:25] = True
    return PromptMaps.of(image, box), truth


def test_the_distances_alone_find_what_stands_out():
    made, truth = maps()
    logit = made.distances()[0]
    assert ((logit > 0) == truth).all()
    assert (logit[~made.box[0]] == -LIMIT).all()


def test_strokes_add_up_in_any_order_and_the_middle_gives_way():
    made, _ = maps()
    one, two = np.zeros((1, 30, 30), bool), np.zeros((1, 30, 30), bool)
    one[0, 10, 10:14], two[0, 15, 15] = True, True
    none = np.zeros_like(one)
    stepwise = made.marked(one, none).marked(none, two)
    at_once = made.marked(one, two)
    np.testing.assert_allclose(stepwise.to_foreground, at_once.to_foreground)
    np.testing.assert_allclose(stepwise.to_background, at_once.to_background)
    assert middle(made.box)[0, 15, 15]
    assert (stepwise.to_middle == FAR).all()
    assert not (made.to_middle == FAR).any()


def test_a_newer_stroke_takes_a_place_back():
    made, _ = maps()
    mark = np.zeros((1, 30, 30), bool)
    mark[0, 10, 10:14] = True
    none = np.zeros_like(mark)
    turned = made.marked(mark, none).marked(none, mark)
    assert not turned.foreground.any()
    assert (turned.to_foreground == FAR).all()
    assert turned.channels(np.zeros((1, 30, 30), np.float32)).shape == (1, 8, 30, 30)
