"""Subsets of an archive: k-means over latent vectors, as many clusters as the silhouette favours.

Vectors are brought to unit length first, for likeness here is the cosine: squared distance between unit
vectors is 2 − 2·cosine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise.errors import ArchiveError

Vectors = npt.NDArray[np.float32]
Assignment = npt.NDArray[np.int64]

FEWEST, MOST = 4, 16  # clusters that the silhouette chooses among
SMALLEST = 4  # members of a cluster; smaller ones join their nearest
_SAMPLE = 5_000  # vectors that the silhouette is computed on, and that the centres are sought with while K is chosen


@dataclass(frozen=True, eq=False)
class Clusters:
    """Which cluster each vector belongs to.

    assignment : (n,) int64, cluster numbers from 0; 0 is the largest, and so on.
    centroids : (K, d) float32, means of the members' unit vectors (not of unit length themselves).
    silhouettes : for each number of clusters that was tried, the mean silhouette (−1 to 1; higher is more
        distinct), before small clusters were merged; empty where the number was given or there were too few
        vectors to choose.
    """

    assignment: Assignment
    centroids: Vectors
    silhouettes: dict[int, float]

    def __len__(self) -> int:
        return len(self.centroids)

    def members(self, cluster: int) -> Assignment:
        """Row numbers of the vectors in a cluster, ascending."""
        return np.flatnonzero(self.assignment == cluster)


def cluster(vectors: npt.ArrayLike, k: int | None = None, seed: int = 0) -> Clusters:
    """Clusters of ``vectors`` (n, d), n at least 1; the same for the same seed.

    k : number of clusters, from 1 to n; None: the number among 4 to 16 with the highest mean silhouette,
        computed on 5,000 of more vectors; fewer where there are not 4 different vectors for each of 4
        clusters. The number returned is smaller than ``k`` where clusters had fewer than 4 members and joined
        their nearest.
    Raises ArchiveError for no vectors, values that are not finite, or an impossible ``k``.
    """
    units = _units(vectors)
    different = len(np.unique(units, axis=0)) if len(units) <= 4 * MOST else len(units)
    if k is not None and not 1 <= k <= len(units):
        msg = f"Between 1 and {len(units)} clusters can be made of {len(units)} vectors; got {k}."
        raise ArchiveError(msg)
    silhouettes: dict[int, float] = {}
    if k is None:
        most = min(MOST, different // SMALLEST)
        silhouettes = _silhouettes(units, range(FEWEST, most + 1), seed)
        # Of equal silhouettes the fewest clusters; too few vectors to choose among: as many as can have their
        # members.
        k = max(silhouettes, key=lambda number: (silhouettes[number], -number)) if silhouettes else max(1, most)
    assignment, centroids = _merged(units, *_k_means(units, min(k, different), seed))
    return Clusters(*_by_size(assignment, centroids), silhouettes)


def nearest(vector: npt.ArrayLike, centroids: Vectors) -> tuple[int, float]:
    """The centroid (of ``centroids`` (K, d)) most like ``vector`` (d,): its number and the cosine with it.

    Raises ArchiveError for a vector of another dimension or with values that are not finite.
    """
    query = np.asarray(vector, np.float64).reshape(-1)
    if not len(centroids) or query.shape[0] != centroids.shape[1]:
        msg = f"The clusters' centres have shape {centroids.shape}; the vector given has {query.shape[0]} numbers."
        raise ArchiveError(msg)
    if not np.isfinite(query).all():
        msg = "The vector holds values that are not finite (NaN or infinity); mend the encoder or the image."
        raise ArchiveError(msg)
    centres = np.asarray(centroids, np.float64)
    lengths = np.linalg.norm(centres, axis=1) * np.linalg.norm(query)
    cosines = np.divide(centres @ query, lengths, out=np.zeros(len(centres)), where=lengths > 0)
    best = int(np.argmax(cosines))
    return best, float(np.clip(cosines[best], -1.0, 1.0))


def _units(vectors: npt.ArrayLike) -> Vectors:
    given = np.asarray(vectors, np.float32)
    if given.ndim != 2 or not len(given):
        msg = f"Clusters are made of vectors (n, d), at least one; got an array of shape {given.shape}."
        raise ArchiveError(msg)
    if not np.isfinite(given).all():
        msg = "Some of the vectors hold values that are not finite (NaN or infinity); import their images again."
        raise ArchiveError(msg)
    lengths = np.linalg.norm(given.astype(np.float64), axis=1, keepdims=True)
    return np.asarray(given / np.where(lengths == 0, 1, lengths), np.float32)


def _silhouettes(units: Vectors, numbers: range, seed: int) -> dict[int, float]:
    if not len(numbers):
        return {}
    from sklearn.metrics import pairwise_distances, silhouette_score

    if len(units) > _SAMPLE:
        units = units[np.sort(np.random.default_rng(seed).choice(len(units), _SAMPLE, replace=False))]
    distances = pairwise_distances(units)
    np.fill_diagonal(distances, 0)
    found = {}
    for number in numbers:
        labels, _ = _k_means(units, number, seed)
        if 1 < len(np.unique(labels)) < len(units):
            found[number] = float(silhouette_score(distances, labels, metric="precomputed"))
    return found


def _k_means(units: Vectors, k: int, seed: int) -> tuple[Assignment, Vectors]:
    from sklearn.cluster import KMeans

    means = _fitted(KMeans(k, n_init=4, random_state=seed), units)
    return means.labels_.astype(np.int64), means.cluster_centers_.astype(np.float32)


def _fitted(means: Any, units: Vectors) -> Any:
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # Fewer different vectors than clusters: those left empty are dropped when small ones are merged.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return means.fit(units)


def _merged(units: Vectors, assignment: Assignment, centroids: Vectors) -> tuple[Assignment, Vectors]:
    """No cluster with fewer than SMALLEST members, unless it is the only one: the smallest joins its nearest,
    again and again.
    """
    assignment, centroids = assignment.copy(), centroids.copy()
    sizes = np.bincount(assignment, minlength=len(centroids))
    while len(centroids) > 1 and sizes.min() < SMALLEST:
        small = int(np.argmin(sizes))
        distances = np.linalg.norm(centroids - centroids[small], axis=1)
        distances[small] = np.inf
        into = int(np.argmin(distances))
        total = sizes[small] + sizes[into]
        if total:
            centroids[into] = (sizes[small] * centroids[small] + sizes[into] * centroids[into]) / total
        sizes[into] = total
        assignment[assignment == small] = into
        assignment[assignment > small] -= 1
        sizes, centroids = np.delete(sizes, small), np.delete(centroids, small, axis=0)
    means = [units[assignment == number].mean(axis=0) for number in range(len(centroids))]
    return assignment, np.array(means, np.float32)


def _by_size(assignment: Assignment, centroids: Vectors) -> tuple[Assignment, Vectors]:
    """Numbered from the largest on; of equal sizes, the one with the first member comes first."""
    first = np.array([np.argmax(assignment == number) for number in range(len(centroids))])
    order = np.lexsort((first, -np.bincount(assignment, minlength=len(centroids))))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank[assignment], centroids[order]
