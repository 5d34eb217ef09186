"""The two classifiers over a network's features: softmax, the network's own last layer, and a support vector machine.

Linear ones are fitted to whitened features (:func:`casewise.routing.out_of_distribution.whitening`), in which sites differ little,
and strongly regularised: the few sites of a training say little of which finer boundary holds at another.

Both give scores (n, categories) that :func:`casewise.routing.calibration.probabilities` turns into probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from casewise.errors import UsageError

Matrix = npt.NDArray[np.float32]
CLASSIFIERS = ("softmax", "svm")
KERNELS = ("rbf", "linear")
_COST = 10.0
_STRENGTH = 15.0  # a linear classifier's cost of a mistake, all pictures together; chosen on sources left out


def check_classifier(name: str) -> str:
    """``name``, where it is one of the two; a UsageError where it is not."""
    if name not in CLASSIFIERS:
        msg = f"The classifier is one of {', '.join(CLASSIFIERS)}; got {name!r}."
        raise UsageError(msg)
    return name


@dataclass(frozen=True, eq=False)
class Svm:
    """One support vector machine a category against all the others (Cortes 1995), as plain arrays.

    mean, scale : (features,) that bring features to mean 0 and standard deviation 1. gamma : of the RBF kernel; 0 for the linear
    one. vectors : (support vectors, features), scaled; of a linear machine, the (features, features) identity.
    coefficients : (categories, support vectors). intercepts : (categories,).
    """

    mean: Matrix
    scale: Matrix
    gamma: float
    vectors: Matrix
    coefficients: Matrix
    intercepts: Matrix

    def scores(self, features: Matrix) -> Matrix:
        """(n, categories): how far on its category's side of each boundary."""
        x = (features - self.mean) / self.scale
        if self.gamma == 0:
            return np.asarray(x @ self.vectors.T @ self.coefficients.T + self.intercepts, np.float32)
        vectors = self.vectors.astype(np.float32, copy=False)
        squares = (x**2).sum(axis=1)[:, None] + (vectors**2).sum(axis=1)[None] - 2 * x @ vectors.T
        return np.asarray(np.exp(-self.gamma * np.maximum(squares, 0)) @ self.coefficients.T + self.intercepts)

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """What is written to a file; half precision is enough for the support vectors."""
        return {
            "svm_mean": self.mean,
            "svm_scale": self.scale,
            "svm_gamma": np.array([self.gamma], np.float32),
            "svm_vectors": self.vectors.astype(np.float16),
            "svm_coefficients": self.coefficients,
            "svm_intercepts": self.intercepts,
        }

    @classmethod
    def of_arrays(cls, arrays: dict[str, npt.NDArray[np.generic]]) -> Svm:
        """The inverse of :meth:`arrays`. Raises KeyError or ValueError for arrays that are missing or do not fit together."""
        given = {name: np.asarray(arrays[f"svm_{name}"], np.float32) for name in _SHAPES}
        sizes: dict[str, int] = {}
        for name, axes in _SHAPES.items():
            if given[name].ndim != len(axes) or not np.isfinite(given[name]).all():
                raise ValueError(f"svm_{name} has {given[name].ndim} axes or holds values that are not finite")
            for axis, size in zip(axes, given[name].shape, strict=True):
                if sizes.setdefault(axis, size) != size:
                    raise ValueError(f"svm_{name} does not fit the other arrays")
        gamma = float(given["gamma"][0])
        return cls(given["mean"], given["scale"], gamma, given["vectors"], given["coefficients"], given["intercepts"])


_SHAPES = {
    "mean": ("feature",),
    "scale": ("feature",),
    "gamma": ("one",),
    "vectors": ("vector", "feature"),
    "coefficients": ("category", "vector"),
    "intercepts": ("category",),
}


def fit_head(features: Matrix, labels: npt.NDArray[np.int64], whitening: Matrix) -> tuple[Matrix, Matrix]:
    """(classes, features) and (classes,): the last layer's weights and biases, by a regularised logistic regression.

    features : (n, features). labels : (n,) from 0, each there. whitening : (features, features).
    """
    from sklearn.linear_model import LogisticRegression

    mean = features.mean(axis=0)
    seen = (features - mean) @ whitening
    scale = float(seen.std())
    fitted = LogisticRegression(C=_STRENGTH / len(labels), class_weight="balanced", max_iter=500).fit(seen / scale, labels)
    weights = fitted.coef_ @ whitening.T / scale
    return weights.astype(np.float32), (fitted.intercept_ - weights @ mean).astype(np.float32)


def fit_svm(features: Matrix, labels: npt.NDArray[np.int64], categories: int, kernel: str, whitening: Matrix) -> Svm:
    """A machine for each of ``categories``; features (n, features), labels (n,) from 0.

    kernel : ``linear``, of features that ``whitening`` (features, features) whitens, or ``rbf``, of features as they are.
    """
    from sklearn.svm import SVC

    if kernel not in KERNELS:
        msg = f"The support vector machine's kernel is one of {', '.join(KERNELS)}; got {kernel!r}."
        raise UsageError(msg)
    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-6
    if kernel == "linear":
        seen = (features - mean) @ whitening
        deviation = float(seen.std())
        found = [SVC(C=_STRENGTH / len(labels), kernel="linear", class_weight="balanced") for _ in range(categories)]
        fitted = [one.fit(seen / deviation, labels == number) for number, one in enumerate(found)]
        weights = np.stack([one.coef_[0] for one in fitted]) @ whitening.T / deviation * scale
        intercepts = np.array([one.intercept_[0] for one in fitted], np.float32)
        return Svm(mean, scale, 0.0, np.eye(len(scale), dtype=np.float32), weights.astype(np.float32), intercepts)
    x = ((features - mean) / scale).astype(np.float16).astype(np.float32)  # as it will be read back
    gamma = 1.0 / x.shape[1]
    machines = [SVC(C=_COST, kernel=kernel, gamma=gamma, class_weight="balanced").fit(x, labels == n) for n in range(categories)]
    intercepts = np.array([one.intercept_[0] for one in machines], np.float32)
    used = np.unique(np.concatenate([one.support_ for one in machines]))
    coefficients = np.zeros((categories, len(used)), np.float32)
    for row, machine in zip(coefficients, machines, strict=True):
        row[np.searchsorted(used, machine.support_)] = machine.dual_coef_[0]
    return Svm(mean, scale, gamma, x[used], coefficients, intercepts)
