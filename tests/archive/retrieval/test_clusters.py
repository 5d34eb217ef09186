"""Clusters: as many as there are, none too small, the same for the same seed."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from casewise.archive.retrieval.clusters import SMALLEST, cluster, nearest
from casewise.errors import ArchiveError


def groups(sizes: list[int], dimension: int = 16, spread: float = 0.05, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors around orthogonal directions, and which direction each is around."""
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    lengths = rng.uniform(0.5, 20, (len(truth), 1))
    return (np.eye(dimension)[truth] + spread * rng.normal(size=(len(truth), dimension))) * lengths, truth


@pytest.mark.parametrize("number", [4, 6, 9])
def test_the_silhouette_finds_how_many_groups_there_are(number: int) -> None:
    vectors, truth = groups([30 + 5 * i for i in range(number)])
    found = cluster(vectors)
    assert len(found) == number
    assert max(found.silhouettes, key=found.silhouettes.get) == number
    assert set(found.silhouettes) == set(range(4, 17))
    pairs = set(zip(found.assignment.tolist(), truth.tolist(), strict=True))
    assert len(pairs) == number
    sizes = [len(found.members(i)) for i in range(number)]
    assert sizes == sorted(sizes, reverse=True)


def test_large_sets_are_sampled_and_still_wholly_assigned() -> None:
    vectors, truth = groups([1500, 1400, 1300, 1200, 1100], spread=0.02)
    found = cluster(vectors)
    assert len(found) == 5
    assert len(found.assignment) == 6500
    assert len(set(zip(found.assignment.tolist(), truth.tolist(), strict=True))) == 5


def test_a_cluster_that_is_too_small_joins_its_nearest() -> None:
    vectors, _ = groups([20, 20, 20])
    stray = np.eye(16)[[0, 0]] + 0.9 * np.eye(16)[[5, 5]]
    found = cluster(np.concatenate([vectors, stray]), k=4)
    assert len(found) == 3
    home = nearest(np.eye(16)[0], found.centroids)[0]
    assert found.assignment[-2:].tolist() == [home, home]
    assert np.bincount(found.assignment).tolist() == [22, 20, 20]


@settings(max_examples=25, deadline=None)
@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 24), st.integers(1, 4)), elements=st.floats(-5, 5, width=32)),
    st.none() | st.integers(1, 24),
    st.integers(0, 3),
)
def test_whatever_the_vectors(vectors: np.ndarray, k: int | None, seed: int) -> None:
    k = None if k is None else min(k, len(vectors))
    found, again = cluster(vectors, k, seed), cluster(vectors, k, seed)
    np.testing.assert_array_equal(found.assignment, again.assignment)
    np.testing.assert_array_equal(found.centroids, again.centroids)
    assert found.silhouettes == again.silhouettes
    sizes = np.bincount(found.assignment)
    assert found.assignment.shape == (len(vectors),)
    assert len(sizes) == len(found) == len(found.centroids)
    assert len(found) == 1 or sizes.min() >= SMALLEST
    assert len(found) <= (k or 16)
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    units = np.divide(vectors, lengths, out=np.zeros(vectors.shape), where=lengths > 0)
    for number, centroid in enumerate(found.centroids):
        np.testing.assert_allclose(centroid, units[found.members(number)].mean(axis=0), atol=1e-3)


def test_length_does_not_matter() -> None:
    vectors, _ = groups([20] * 5)
    scaled = vectors * np.random.default_rng(3).uniform(0.01, 100, (len(vectors), 1))
    np.testing.assert_array_equal(cluster(vectors).assignment, cluster(scaled).assignment)


def test_the_nearest_centre_is_the_one_of_the_highest_cosine_and_quick_to_find() -> None:
    rng = np.random.default_rng(0)
    centroids = rng.normal(size=(16, 512)).astype(np.float32)
    seconds = []
    for number in range(16):
        query = centroids[number] * 3 + 0.1 * rng.normal(size=512)
        start = time.perf_counter()
        found, similarity = nearest(query, centroids)
        seconds.append(time.perf_counter() - start)
        cosine = query @ centroids[number] / np.linalg.norm(query) / np.linalg.norm(centroids[number])
        assert found == number
        assert similarity == pytest.approx(cosine)
    assert np.median(seconds) < 0.001
    assert nearest(centroids[3], centroids)[1] == pytest.approx(1.0)
    assert nearest(np.zeros(512), centroids)[1] == 0.0


@pytest.mark.parametrize(
    ("vectors", "k", "words"),
    [
        (np.empty((0, 3)), None, "at least one"),
        (np.ones(3), None, r"\(n, d\)"),
        ([[1.0, np.nan]], None, "not finite"),
        (np.ones((5, 2)), 0, "Between 1 and 5"),
        (np.ones((5, 2)), 6, "got 6"),
    ],
)
def test_an_impossible_call_is_one_sentence(vectors, k, words) -> None:
    with pytest.raises(ArchiveError, match=words):
        cluster(vectors, k)


def test_nearest_of_another_dimension_or_of_no_number_is_one_sentence() -> None:
    with pytest.raises(ArchiveError, match="has 3 numbers"):
        nearest([1, 2, 3], np.ones((4, 2), np.float32))
    with pytest.raises(ArchiveError, match="not finite"):
        nearest([1, np.inf], np.ones((4, 2), np.float32))
