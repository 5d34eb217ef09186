"""What a detector sees: segments and the whole image on one grid of places, mirrored alike; and what its windows are labelled."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from casewise.errors import ModelError
from casewise.image import Box
from casewise.irregularities.detector import Map, detect, peaks, ready
from casewise.irregularities.training import LEAST, WINDOW, Irregularity, Windows, joined, spec, started, together, windows
from casewise.irregularities.views import RANGE, Picture, View, local_contrast, views
from casewise.models import Model
from casewise.models.networks.segment_detector import ALIGNED, BRANCHES, PARTS, PLACE, PLACED, SegmentDetector, packed, unpacked
from casewise.segments import Segments, segments
from tests.irregularities.blind import Blind

SHAPE = (210, 190)


@pytest.fixture(scope="module")
def cut() -> Segments:
    regions = {name: np.zeros(SHAPE, bool) for name in ("upper", "lower")}
    regions["upper"][10:100, 10:180] = True
    regions["lower"][110:200, 10:120] = True
    return segments(regions, SHAPE, single=(), margin=8)


@pytest.fixture(scope="module")
def plane() -> np.ndarray:
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return (np.random.default_rng(0).normal(0, 1, SHAPE) + np.sin(rows / 30) * 3 + columns / 40).astype(np.float32)


@pytest.fixture(scope="module")
def trained() -> Model:
    """Heads of random weights over the pretrained encoder."""
    return started("detector", spec("disc"), 0)


def seen(model: Model, picture: Picture, cut: Segments) -> list[View]:
    return list(views(ready(model), picture, cut))


def test_every_level_lies_on_one_grid_of_places(trained: Model, plane: np.ndarray, cut: Segments) -> None:
    network = ready(trained)
    for view in views(network, Picture.of(plane), cut):
        rows, columns = (n * PLACE for n in view.inside.shape)
        assert rows % ALIGNED == columns % ALIGNED == 0 and all(n % ALIGNED == 0 for n in view.origin)
        for level, part in zip(network.levels, view.features[:-1], strict=True):
            assert part.shape == (1, level.channels, rows // level.step, columns // level.step)
        assert view.features[-1].shape == (1, PLACED, *view.inside.shape)
        assert network(view.features).shape == (1, 2, *view.inside.shape)


@given(st.integers(0, 2**31))
@settings(deadline=None, max_examples=10)
def test_a_peak_drawn_among_the_places_is_marked_at_its_pixel(seed: int) -> None:
    rng = np.random.default_rng(seed)
    inside = np.ones((24, 32), bool)
    origin = tuple(int(n) * ALIGNED for n in rng.integers(0, 5, 2))
    row, column = rng.uniform(30, 24 * PLACE - 30), rng.uniform(30, 32 * PLACE - 30)
    from casewise.segments import Segment

    view = View(Segment("body", Box(origin, (origin[0] + 192, origin[1] + 256)), (1.0, 1.0)), 3, origin, inside, inside, [])
    down, across = view.centres
    away = np.hypot(down[:, None] - origin[0] - row, across[None] - origin[1] - column)
    best = peaks(Map(view, (6 - away / 8).astype(np.float32)))[0]
    assert np.hypot(best.row - origin[0] - row, best.column - origin[1] - column) <= PLACE
    assert best.segment == 3 and best.region == "body" and best.probability > 0.5


@given(st.floats(0.01, 100), st.floats(-1000, 1000))
@settings(deadline=None, max_examples=10)
def test_contrast_does_not_depend_on_exposure(gain: float, shift: float) -> None:
    plain = np.random.default_rng(1).normal(0, 10, (90, 100)).astype(np.float32)
    evened = local_contrast(plain)
    assert np.abs(evened).max() <= RANGE
    assert np.allclose(local_contrast(plain * np.float32(gain) + np.float32(shift)), evened, atol=0.05)


def test_the_native_branch_sees_its_segment_alone(plane: np.ndarray, cut: Segments) -> None:
    model = started("detector", spec("disc", "native"), 0)
    picture = Picture.of(plane)
    first = cut[0]
    shown = np.zeros(picture.pixels.shape, bool)
    shown[first.box.slices] = cut.inside(first)
    other = Picture(np.where(shown, picture.pixels, 3 - picture.pixels))
    with torch.inference_mode():
        one, two = (ready(model)(seen(model, each, cut)[0].features) for each in (picture, other))
    assert torch.equal(one, two)
    inner = Picture(np.where(shown, 3 - picture.pixels, picture.pixels))
    with torch.inference_mode():
        assert not torch.allclose(one, ready(model)(seen(model, inner, cut)[0].features))


def test_the_reduced_branch_sees_no_native_detail(plane: np.ndarray, cut: Segments) -> None:
    model = started("detector", spec("disc", "reduced"), 0)
    picture = Picture.of(plane)
    detail = np.indices(picture.pixels.shape).sum(axis=0) % 2 - 0.5  # its mean over any four pixels by four is 0
    other = Picture((picture.pixels + detail).astype(np.float32))
    assert np.allclose(other.quarter, picture.quarter, atol=1e-6) and not np.allclose(other.pixels, picture.pixels)
    fine = Picture(picture.pixels)
    fine.__dict__["quarter"] = picture.quarter
    other.__dict__["quarter"] = picture.quarter
    for one, two in zip(seen(model, fine, cut), seen(model, other, cut), strict=True):
        for a, b in zip(one.features, two.features, strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("branch", list(BRANCHES))
@given(edge=st.integers(1, 7), count=st.integers(1, 3))
@settings(deadline=None, max_examples=5)
def test_features_come_back_from_one_row(branch: str, edge: int, count: int) -> None:
    steps = [(level.channels, level.step) for level in BRANCHES[branch]] + [(PLACED, PLACE)]
    features = [torch.randn(count, channels, edge * ALIGNED // step, edge * ALIGNED // step) for channels, step in steps]
    again = unpacked(packed(features), BRANCHES[branch])
    assert all(torch.equal(one, two) for one, two in zip(features, again, strict=True))
    with pytest.raises(ModelError, match="square windows"):
        unpacked(packed(features)[:, 1:], BRANCHES[branch])


def test_an_unknown_branch_is_refused() -> None:
    with pytest.raises(ModelError, match="native"):
        SegmentDetector(2, branch="sideways")


@pytest.fixture(scope="module")
def blind_view() -> View:
    region = np.zeros((600, 600), bool)
    region[20:580, 20:580] = True
    own = segments({"body": region}, region.shape, single=(), parts=1)
    return next(views(Blind(), Picture.of(np.zeros(region.shape, np.float32)), own))


@given(st.integers(60, 500), st.integers(60, 500), st.integers(4, 60), st.integers(0, 99))
@settings(deadline=None, max_examples=15)
def test_windows_are_labelled_where_the_irregularity_is(blind_view: View, row: int, column: int, edge: int, seed: int) -> None:
    one = Irregularity(Box((row, column), (row + edge, column + edge)), 1.0)
    rows = windows(blind_view, [one], np.random.default_rng(seed))
    assert len(rows) == 3
    radius = max(0.45 * edge, LEAST)
    for _, y, weights in rows[:2]:
        assert y.shape == weights.shape == (WINDOW, WINDOW)
        area = y.sum() * PLACE**2
        assert 0.5 * np.pi * radius**2 <= area <= 1.6 * np.pi * radius**2
        assert weights[y].sum() == pytest.approx(min(100.0, 6.0 * y.sum()), rel=0.02)  # as much as any other, whatever its size
        assert (weights[~y] <= 1).all() and (weights[~y] < 1).any()
    assert not windows(blind_view, [], np.random.default_rng(seed))[0][1].any()


def test_batches_hold_their_share_of_windows_with_an_irregularity(blind_view: View) -> None:
    rng = np.random.default_rng(0)
    one = Irregularity(Box((300, 300), (340, 340)))
    rows = [*windows(blind_view, [one], rng), *windows(blind_view, [], rng)]
    samples: Windows = joined(rows, "test", ["a", "b"])
    held = [int(samples.batch(0, 8, np.random.default_rng(n)).target.flatten(1).any(dim=1).sum()) for n in range(20)]
    assert 0.4 < np.mean(held) / 8 < 0.8 and samples.cases == ("a", "b")
    batch = samples.batch(0, 2, np.random.default_rng(3))
    assert torch.equal(batch.x, samples.batch(0, 2, np.random.default_rng(3)).x)


def test_several_heads_answer_with_the_mean_of_their_log_odds(trained: Model, plane: np.ndarray, cut: Segments) -> None:
    """Each sees its own part alone."""
    parts = [started("detector", spec("disc", part), seed) for seed in (0, 1) for part in PARTS["both"]]
    joint = together(parts)
    assert joint.spec.network["members"] == 2 and joint.spec.network["branch"] == "both"
    (view, *_) = seen(trained, Picture.of(plane), cut)
    levels = BRANCHES["both"]
    with torch.inference_mode():
        each = []
        for model in parts:
            own = BRANCHES[str(model.spec.network["branch"])]
            features = [part for level, part in zip(levels, view.features, strict=False) if level in own]
            each.append(ready(model)([*features, view.features[-1]]))
        mean = ready(joint)(view.features)
    assert torch.allclose(mean, torch.stack(each).mean(dim=0), atol=1e-4) and not torch.allclose(each[0], each[1])
    for wrong in ([trained, trained], parts[:3]):
        with pytest.raises(ModelError, match="as many"):
            together(wrong)


def test_detection_answers_within_the_image(trained: Model, plane: np.ndarray, cut: Segments) -> None:
    found, maps = detect(ready(trained), plane, cut, edges=(3.0, 5.0))
    assert len(maps) == len(cut) and found
    assert all(0 <= one.row < SHAPE[0] + PLACE and 0 <= one.column < SHAPE[1] + PLACE for one in found)
    assert all(3 * PLACE - 1e-6 <= one.edge <= 5 * PLACE + 1e-6 for one in found)
