"""What a router is made of: views, changed pictures, made-up ones, calibration, doubt, and what tags say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casewise.header import Header
from casewise.image import Image
from casewise.routing.calibration import calibration_error, fit_temperature, probabilities
from casewise.routing.classifiers import fit_head, fit_svm
from casewise.routing.degradation import degrade
from casewise.routing.dicom_prior import prior_of
from casewise.routing.out_of_distribution import VIEWS, Doubt, Known, Neighbours, odds, sentence, views_of, whitening
from casewise.routing.outliers import outlier
from casewise.routing.views import views

NAMES = ("abdomen-ct", "brain-mr", "breast-ultrasound", "chest-ct", "chest-xray", "hand-xray", "head-ct", "prostate-mr")


def ramp(rows: int = 48, columns: int = 64) -> np.ndarray:
    return np.add.outer(np.linspace(0, 1, rows), np.linspace(0, 2, columns)).astype(np.float32) / 3


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(20, 700),
    columns=st.integers(20, 700),
    gain=st.floats(1e-3, 1e4),
    shift=st.floats(-400, 1e4),
    border=st.integers(0, 30),
)
def test_a_view_does_not_depend_on_units_or_an_empty_border(
    rows: int, columns: int, gain: float, shift: float, border: int
) -> None:
    plain = ramp(rows, columns)
    padded = np.pad(plain, border, constant_values=0)
    (first,), (second,) = views(Image(plain[None])), views(Image((padded.astype(np.float64) * gain + shift)[None]))
    assert first.dtype == np.float32
    assert second.min() >= 0 and second.max() <= 1
    assert max(second.shape) <= 512
    if max(rows, columns) + 2 * border < 512:
        assert abs(first.shape[0] - second.shape[0]) <= 4 and abs(first.shape[1] - second.shape[1]) <= 4


def test_ct_is_seen_in_a_soft_tissue_window() -> None:
    volume = np.full((32, 32, 12), -1000, np.int16)
    volume[8:24, 8:24] = 40
    volume[14:18, 14:18] = 1500
    for header in ({}, {"modality": "CT"}):
        view = views(Image(volume[None], np.diag([1.0, 1.0, 5.0, 1.0]), header))[0]
        assert view[2, 2] == pytest.approx(0.5)  # 40 HU in −160…240; the air around is cut off
        assert view[8, 8] == 1
    view = views(Image(volume[None], np.diag([1.0, 1.0, 5.0, 1.0]), Header(modality="MR")))[0]
    assert view[2, 2] < 0.45


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(24, 200), columns=st.integers(24, 200), coloured=st.booleans())
def test_changed_and_made_up_pictures_are_pictures_and_can_be_made_again(
    seed: int, rows: int, columns: int, coloured: bool
) -> None:
    view = ramp(rows, columns)
    if coloured:
        view = np.stack([view, view[::-1], 1 - view], axis=-1)
    for make in (lambda rng: degrade(view, rng), lambda rng: outlier([view, view.swapaxes(0, 1)], rng)):
        first, second = make(np.random.default_rng(seed)), make(np.random.default_rng(seed))
        assert np.array_equal(first, second)
        assert first.ndim == 2 or first.shape[2:] == (3,)
        assert min(first.shape[:2]) >= 4
        assert np.isfinite(first).all() and first.min() >= 0 and first.max() <= 1


def test_colours_count_where_they_are_more_than_a_tint() -> None:
    grey = (ramp() * 255).round()
    tinted = np.stack([grey, grey * 0.97, grey * 0.95])
    coloured = np.stack([grey, grey[::-1], 255 - grey])
    assert views(Image(tinted.astype(np.uint8)), colours=True)[0].shape == grey.shape
    assert views(Image(coloured.astype(np.uint8)), colours=True)[0].shape == (*grey.shape, 3)
    assert views(Image(coloured.astype(np.uint8)))[0].shape == grey.shape


def three_kinds(count: int) -> tuple[np.ndarray, np.ndarray]:
    """(3 · count, 5) features of three categories, and their numbers."""
    labels = np.repeat(np.arange(3), count)
    noise = np.random.default_rng(0).normal(0, 1, (len(labels), 5))
    return (noise + labels[:, None] * np.array([2, 0, -1, 0, 1])).astype(np.float32), labels


def test_a_support_vector_machine_is_scikit_learns() -> None:
    from sklearn.svm import SVC

    features, labels = three_kinds(30)
    machine = fit_svm(features, labels, 3, "rbf", np.eye(5, dtype=np.float32))
    x = ((features - machine.mean) / machine.scale).astype(np.float16).astype(np.float32)
    for number in range(3):
        own = SVC(C=10, kernel="rbf", gamma=1 / 5, class_weight="balanced").fit(x, labels == number)
        assert machine.scores(features)[:, number] == pytest.approx(own.decision_function(x), abs=0.05)


@pytest.mark.parametrize("kind", ["softmax", "svm"])
def test_linear_classifiers_see_whitened_features(kind: str) -> None:
    """Features that come turned, stretched and moved are classified alike, once they are whitened."""
    features, labels = three_kinds(200)
    turned, _ = np.linalg.qr(np.random.default_rng(1).normal(0, 1, (5, 5)))
    mixed = (features @ turned * np.array([1, 2, 0.7, 1, 3]) + 7).astype(np.float32)

    def scores(of: np.ndarray) -> np.ndarray:
        found = whitening(of, labels, ["here"] * len(of))
        if kind == "svm":
            return fit_svm(of, labels, 3, "linear", found).scores(of)
        weights, biases = fit_head(of, labels, found)
        return of @ weights.T + biases

    plain, other = scores(features), scores(mixed)
    assert (plain.argmax(axis=1) == labels).mean() > 0.75
    assert (plain.argmax(axis=1) == other.argmax(axis=1)).mean() > 0.9


def test_what_differs_between_sites_counts_little() -> None:
    """Two sites of one category lie far apart along the first axis: a new site of the other category may do so too."""
    rng = np.random.default_rng(0)
    sites = np.array(["a", "b"] * 150 + ["a"] * 300)
    labels = np.repeat([0, 1], 300)
    features = rng.normal(0, 1, (600, 3)) + labels[:, None] * np.array([0, 6, 0]) + (sites == "b")[:, None] * np.array([8, 0, 0])
    features = features.astype(np.float32)
    knowing, not_knowing = Known.of(features, labels, sites), Known.of(features, labels, ["all"] * 600)
    new_site, new_kind = np.array([[8, 6, 0]], np.float32), np.array([[0, 6, 8]], np.float32)

    def ratio(known: Known) -> float:
        return float(known.near(new_site).distances[0, 0] / known.near(new_kind).distances[0, 0])

    assert ratio(knowing) < 0.3 < ratio(not_knowing)
    found = whitening(features, labels, ["all"] * 600)
    unnamed = whitening(features, labels, [str(n) for n in labels])  # one site a category says nothing of how sites differ
    assert np.allclose(found, unnamed)


def test_a_border_of_one_colour_is_cut_off() -> None:
    colours = np.stack([ramp(), ramp()[::-1], 1 - ramp()])
    framed = np.stack([np.pad(channel, 9, constant_values=grey) for channel, grey in zip(colours, (0.5, 0.1, 0.6), strict=True)])
    (plain,), (cut,) = (views(Image(picture.astype(np.float32)), colours=True) for picture in (colours, framed))
    assert plain.shape == cut.shape == (48, 64, 3)
    assert np.abs(plain - cut).max() < 0.05


def test_the_temperature_brings_confidence_to_accuracy() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 4000)
    scores = rng.normal(0, 1, (4000, 4)).astype(np.float32)
    scores[np.arange(4000), labels] += 1.5
    scores *= 7  # far too sure of itself
    right = scores.argmax(axis=1) == labels
    before = calibration_error(probabilities(scores).max(axis=1), right)
    after = calibration_error(probabilities(scores, fit_temperature(scores, labels)).max(axis=1), right)
    assert before > 0.15
    assert after < 0.03


def seen_of(count: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, views) of known images, and the best category's probability of each."""
    rng = np.random.default_rng(0)
    seen = np.stack([rng.gamma(9, 2, count), rng.gamma(2, 0.05, count), rng.normal(-5, 1, count)], axis=1)
    return seen, rng.uniform(0.6, 1, count)


def test_hardly_a_known_image_is_doubted() -> None:
    seen, best = seen_of(2000)
    doubt = Doubt.fit(seen, best, 2000)
    chances = np.array([doubt.probability(s) for s in doubt.strangeness(seen)])
    assert np.mean(chances > (1 - chances) * best) <= 0.01
    assert np.median(chances) < 0.05
    assert doubt.probability(1e9) == pytest.approx(1)


def test_few_held_out_images_make_a_wider_bound() -> None:
    seen, _ = seen_of(400)
    few, many = (Doubt.fit(seen, np.full(400, 0.9), images) for images in (4, 400))
    assert few.middle > 1.5 * many.middle


@pytest.mark.parametrize("view", range(len(VIEWS)))
def test_any_view_alone_can_make_an_image_unknown(view: int) -> None:
    seen, _ = seen_of(2000)
    doubt = Doubt.fit(seen, np.full(2000, 0.9), 2000)
    far = np.median(seen, axis=0)
    far[view] += 12 * (np.quantile(seen[:, view], 0.99) - far[view])
    assert doubt.probability(float(doubt.strangeness(far[None])[0])) > 0.9
    steps = doubt.steps(far[None])[0].tolist()
    only = [value if place == view else 0.0 for place, value in enumerate(steps)]
    words = ("category", "learnt from", "another kind")
    assert [word in sentence(only) for word in words] == [place == view for place in range(len(VIEWS))]


def test_distances_are_counted_by_how_known_images_vary() -> None:
    """A step along an axis on which images of one category vary much says less than the same step along another."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 300)
    features = rng.normal(0, 1, (600, 3)) * np.array([5, 1, 1]) + labels[:, None] * np.array([0, 8, 0])
    known = Known.of(features.astype(np.float32), labels, ["here"] * 600)
    wide, narrow, middle = known.near(np.array([[10, 0, 0], [0, 0, 10], [0, 4, 0]], np.float32)).distances[:, 0]
    assert narrow > 3 * wide
    assert middle > wide
    near = known.near(features.astype(np.float32))
    assert views_of(near.distances, np.zeros((600, 3), np.float32)).shape == (600, len(VIEWS))
    assert np.mean(near.nearest == labels[:, None]) > 0.95


def test_the_networks_odds_are_of_its_last_class_against_the_others() -> None:
    logits = np.log(np.array([[0.5, 0.2, 0.3], [0.1, 0.1, 0.8]], np.float32))
    assert odds(logits) == pytest.approx(np.log([0.3 / 0.7, 0.8 / 0.2]), abs=1e-5)


def test_distances_grow_away_from_the_bank() -> None:
    rng = np.random.default_rng(0)
    known = np.abs(rng.normal(0, 0.05, (50, 8))).astype(np.float32) + np.eye(8, dtype=np.float32)[0]
    neighbours = Neighbours.of(known)
    away = np.stack([known[0], known[0] + np.eye(8)[3], np.eye(8)[5]]).astype(np.float32)
    distances = neighbours.distances(away)
    assert distances[0] < 0.05 < distances[1] < distances[2]
    assert len(Neighbours.of(known[:2]).distances(away)) == 3  # a bank smaller than k


@pytest.mark.parametrize(
    ("modality", "part", "fits"),
    [
        ("CR", "CHEST", ("chest-xray",)),
        ("DX", None, ("chest-xray", "hand-xray")),
        ("MR", "HEAD", ("brain-mr",)),
        ("mr", "Prostate", ("prostate-mr",)),
        ("CT", "ABDOMENPELVIS", ("abdomen-ct",)),
        (None, "BREAST", ("breast-ultrasound",)),
        ("NM", "WHOLE BODY", ()),
        ("MR", "KNEE", ()),
        ("MR", "nothing known", ("brain-mr", "prostate-mr")),
        ("OT", None, None),
        (None, None, None),
        ("", "", None),
    ],
)
def test_what_tags_allow(modality: str | None, part: str | None, fits: tuple[str, ...] | None) -> None:
    assert prior_of(Header(modality=modality, body_part=part), NAMES).fits == fits


def test_categories_of_other_names_are_not_scored_by_tags() -> None:
    prior = prior_of(Header(modality="CT", body_part="CHEST"), ("benign", "malignant"))
    assert prior.fits == ("benign", "malignant")
    assert not prior.decided("benign", "benign", "unknown").contradicted
