"""A session: what a person may do in it, what is refused, and that nothing is lost by undoing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casewise import Box, Image, InteractiveSegmentation
from casewise.case import Structure
from casewise.errors import ModelError, UsageError
from casewise.header import Header
from casewise.interaction import FineTuning
from casewise.interaction.crossing import Crossed
from casewise.models import Model, Preparation, Spec
from casewise.training.metrics import dice
from tests.interaction.conftest import ball_volume, disc_picture


def session(model, image, box, **options) -> InteractiveSegmentation:
    return InteractiveSegmentation(model, image, box, device="cpu", **options)


def test_a_box_finds_what_stands_out(model, disc):
    image, truth = disc
    found = session(model, image, [(22, 68), (22, 68)])
    assert found.mask.shape == truth.shape and found.mask.dtype == bool
    assert dice(found.mask, truth) > 0.85
    assert ((found.probability > 0.5) == found.mask).mean() > 0.999
    outside = np.ones(truth.shape, bool)
    outside[22:68, 22:68] = False
    assert not found.mask[outside].any()


def test_strokes_are_obeyed_and_the_newer_counts(model, disc):
    image, _ = disc
    found = session(model, image, Box((22, 22), (68, 68)))
    stroke = np.zeros(image.spatial_shape, bool)
    stroke[30, 25:40] = True
    assert found.add_scribbles(stroke, None)[stroke].all()
    half = stroke.copy()
    half[:, 32:] = False
    mask = found.add_scribbles(None, half)
    assert not mask[half].any() and mask[stroke & ~half].all()
    assert found.rounds == 2


def test_undo_gives_the_very_mask_back(model, disc):
    image, _ = disc
    found = session(model, image, [(22, 68), (22, 68)])
    rng = np.random.default_rng(0)
    masks, chances = [found.mask], [found.probability]
    for _ in range(4):
        found.add_scribbles(rng.integers(20, 70, (6, 2)), None)
        masks.append(found.mask)
        chances.append(found.probability)
    for mask, chance in zip(masks[-2::-1], chances[-2::-1], strict=True):
        assert np.array_equal(found.undo(), mask)
        assert np.array_equal(found.probability, chance)
    with pytest.raises(UsageError, match="no round left"):
        found.undo()


def test_the_same_calls_give_the_same_mask_also_after_undoing(model, disc):
    image, _ = disc
    first, second = (session(model, image, [(22, 68), (22, 68)]) for _ in range(2))
    second.add_scribbles([[30, 30]], [[60, 60]])
    second.undo()
    for one in (first, second):
        one.add_scribbles([[45, 45], [45, 46]], [[25, 25]])
    assert np.array_equal(first.mask, second.mask)
    assert np.array_equal(first.probability, second.probability)


def test_a_stroke_outside_makes_the_box_larger_and_keeps_the_rest(model, disc):
    image, _ = disc
    found = session(model, image, [(30, 60), (30, 60)])
    kept = np.argwhere(np.eye(90, dtype=bool))[40:44]
    found.add_scribbles(kept, [[31, 31]])
    mask = found.add_scribbles([[10, 70]], None)
    assert found.box == Box((8, 30), (60, 73))
    assert mask[10, 70] and mask[tuple(kept.T)].all() and not mask[31, 31]
    assert not found.add_scribbles(None, [[85, 85]])[85, 85]
    assert found.box == Box((8, 30), (60, 73))


def test_strokes_that_cross_in_one_round_go_to_the_thinner_one_and_it_is_counted(model, disc, tmp_path):
    image, _ = disc
    found = session(model, image, [(22, 68), (22, 68)])
    thin, wide = np.zeros((2, *image.spatial_shape), bool)
    thin[30, 25:60], wide[24:50, 40:46] = True, True
    assert found.add_scribbles(thin, wide)[thin].all()
    assert not found.mask[wide & ~thin].any()
    assert found.crossed == Crossed(decided=6)
    assert InteractiveSegmentation.resume(found.save(tmp_path / "s.npz"), model, image, device="cpu").crossed == Crossed(6)
    found.add_scribbles(None, [[60, 60]])
    assert found.crossed == Crossed()
    found.undo()
    assert found.crossed == Crossed(6)


@pytest.mark.parametrize("nothing", [None, [], np.zeros((90, 90), bool), np.zeros((0, 2), int)])
def test_an_empty_scribble_changes_nothing(model, disc, nothing):
    image, _ = disc
    found = session(model, image, [(22, 68), (22, 68)])
    before = found.mask
    assert np.array_equal(found.add_scribbles(nothing, nothing), before)
    assert found.rounds == 0


@pytest.mark.parametrize(
    ("foreground", "background", "said"),
    [
        ([[40, 40]], [[40, 40], [41, 41]], r"marked as foreground \(1 of 1 voxels\) is marked as background too"),
        (np.zeros((5, 5), bool), None, "a mask of the image's shape"),
        ([[0.5, 3.0]], None, "whole-number places"),
        ([[40, 90]], None, "outside the image"),
        (None, [[-1, 3]], "outside the image"),
    ],
)
def test_impossible_strokes_are_refused_and_leave_no_trace(model, disc, foreground, background, said):
    image, _ = disc
    found = session(model, image, [(22, 68), (22, 68)])
    before = found.mask
    with pytest.raises(UsageError, match=said):
        found.add_scribbles(foreground, background)
    assert np.array_equal(found.mask, before) and found.rounds == 0


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_any_box_of_a_picture_works(model, data):
    image, _ = disc_picture()
    pairs = []
    for n in image.spatial_shape:
        low = data.draw(st.integers(0, n - 1))
        pairs.append((low, data.draw(st.integers(low + 1, n))))
    found = session(model, image, pairs)
    inside = np.zeros(image.spatial_shape, bool)
    inside[found.box.slices] = True
    assert not found.mask[~inside].any()
    place = [[pairs[0][0], pairs[1][0]]]
    assert found.add_scribbles(place, None)[pairs[0][0], pairs[1][0]]


def test_one_pixel_and_the_whole_image(model, disc):
    image, truth = disc
    tiny = session(model, image, [(45, 46), (45, 46)])
    assert tiny.mask.sum() <= 1
    whole = session(model, image, [(0, 90), (0, 90)])
    before = dice(whole.mask, truth)
    wrong = np.argwhere(whole.mask & ~truth)[::40]  # strokes that agree with the mask would change nothing
    assert dice(whole.add_scribbles([[45, 45]], wrong), truth) > max(0.6, before)
    assert session(model, image, [(-20, 200), (30, 400)]).box == Box((0, 30), (90, 90))


@pytest.mark.parametrize(
    ("box", "said"),
    [
        ([(5, 9)], "2 pairs"),
        ([(5, 9), (3, 4), (1, 2)], "2 pairs"),
        ([(5, 5), (3, 4)], "holds no voxel"),
        ([(95, 99), (3, 4)], "holds no voxel"),
        (None, "neither a box nor a mask"),
    ],
)
def test_impossible_boxes_are_refused(model, disc, box, said):
    with pytest.raises(UsageError, match=said):
        session(model, disc[0], box)


def test_values_that_are_not_numbers_are_refused(model, disc):
    array = disc[0].array.copy()
    array[0, 40, 40] = np.nan
    with pytest.raises(Exception, match="not finite numbers"):
        session(model, Image(array), [(22, 68), (22, 68)])


def test_a_model_of_another_kind_is_refused(disc):
    spec = Spec("encoding", {"kind": "autoencoder"}, Preparation(2, (32, 32)))
    with pytest.raises(ModelError, match="takes no box"):
        session(Model.initial("other", spec), disc[0], [(22, 68), (22, 68)])


@pytest.mark.parametrize(("kind", "dims"), [("p_net", 2), ("pc_net", 3), ("prompt_unet", 3)])
def test_the_network_is_a_setting_of_the_model(kind, dims, disc, ball):
    structures = (Structure.parse("object"),)
    spec = Spec("segmentation", {"kind": kind, "channels": [4, 4]}, Preparation(dims, (32,) * dims), structures=structures)
    model = Model.initial(kind, spec)
    image, truth = ball
    found = session(model, image, [(8, 42), (6, 40), (3, 15)])
    assert dice(found.add_scribbles([[25, 23, 9]], None), truth) > 0.5
    if dims == 3:
        with pytest.raises(ModelError, match="takes volumes"):
            session(model, disc[0], [(22, 68), (22, 68)])
    else:
        assert session(model, disc[0], [(22, 68), (22, 68)]).mask.any()


def test_an_interactive_model_says_that_it_needs_a_box(model, disc):
    with pytest.raises(ModelError, match="box and strokes"):
        model.predict(disc[0])
    with pytest.raises(ModelError, match="no encoder"):
        model.encoder()


def test_four_sequences_and_colour(model):
    image, truth = disc_picture(channels=4)
    array = image.array.copy()
    array[0] = 0.3  # one of them shows nothing
    found = session(model, Image(array), [(22, 68), (22, 68)])
    assert dice(found.add_scribbles([[45, 45]], None), truth) > 0.75
    grey, _ = disc_picture()
    colour = Image((np.repeat(grey.array, 3, axis=0) * 255).clip(0, 255).astype(np.uint8), header=Header(photometric="RGB"))
    assert session(model, colour, [(22, 68), (22, 68)]).image.channels == 1


def test_going_on_from_an_existing_mask(model, disc):
    image, truth = disc
    poor = np.roll(truth, 4, axis=0)
    found = session(model, image, None, mask=poor)
    assert np.array_equal(found.mask, poor)
    wrong = np.argwhere(poor & ~truth)[:5]
    assert not found.add_scribbles(None, wrong)[tuple(wrong.T)].any()
    assert np.array_equal(found.undo(), poor)
    assert dice(session(model, image, None, mask=poor, hint=True).mask, truth) > dice(poor, truth) - 0.1
    with pytest.raises(UsageError, match="they must be the same"):
        session(model, image, None, mask=poor[:50])


def test_several_objects(model):
    rows, columns = np.mgrid[:80, :120]
    first, second = np.hypot(rows - 40, columns - 30) < 12, np.hypot(rows - 40, columns - 90) < 12
    image = Image((0.2 + 0.6 * (first | second)).astype(np.float32)[None])
    found = session(model, image, [(26, 54), (16, 44)])
    assert found.add_object([(26, 54), (76, 104)]) == 1
    found.add_scribbles([[40, 90]], None)
    found.select(0)
    assert found.rounds == 0
    labels = found.labels
    assert dice(labels == 1, first) > 0.8 and dice(labels == 2, second) > 0.8
    with pytest.raises(UsageError, match="objects 0 to 1"):
        found.select(2)


def test_anisotropic_volumes_and_strokes_on_any_plane(model, ball):
    image, truth = ball
    found = session(model, image, [(8, 42), (6, 40), (3, 15)])
    assert dice(found.mask, truth) > 0.7
    for axis in range(3):
        stroke = np.zeros(truth.shape, bool)
        index: list = [n // 2 for n in truth.shape]
        index[axis] = slice(truth.shape[axis] // 2 - 2, truth.shape[axis] // 2 + 3)
        stroke[tuple(index)] = True
        assert found.add_scribbles(stroke, None)[stroke].all()


@pytest.mark.parametrize("shape", [(20, 90, 7), (90, 7, 20), (40, 40, 1)])
def test_volumes_of_any_shape_come_back_on_their_grid(model, shape):
    image, _ = ball_volume(shape, (0.5, 0.5, 8.0))
    found = session(model, image, [(2, n) if n > 4 else (0, n) for n in shape])
    assert found.mask.shape == shape
    assert found.add_scribbles([[n // 2 for n in shape]], None)[tuple(n // 2 for n in shape)]


def test_a_slice_grows_through_the_volume_and_back(model, ball):
    image, truth = ball
    found = session(model, image, [(8, 42), (6, 40), (9, 10)])
    before = found.mask
    assert set(np.flatnonzero(before.any(axis=(0, 1)))) == {9}
    grown = found.grow()
    assert np.array_equal(grown[..., 9], before[..., 9])
    assert dice(grown, truth) > dice(before, truth) + 0.3
    assert np.array_equal(found.undo(), before)
    near = found.grow(1)
    assert set(np.flatnonzero(near.any(axis=(0, 1)))) <= {8, 9, 10}
    with pytest.raises(UsageError, match="one slice"):
        session(model, image, [(8, 42), (6, 40), (3, 15)]).grow()


@pytest.mark.parametrize(
    "how",
    [
        FineTuning(trainable="last", unsupervised=True, steps=3),
        FineTuning(trainable="last", graph_cut=True, steps=3, rounds=2, weigh_doubt=False),
        FineTuning(trainable="last", weigh_strokes=False, steps=3, rate=1e-2),
        FineTuning(acceptance=False),
        FineTuning(trainable="all", unsupervised=True, steps=3),
    ],
)
def test_fine_tuning_obeys_repeats_and_leaves_the_model_alone(model, disc, ball, how):
    key = model.key
    for (image, truth), box in ((disc, [(22, 68), (22, 68)]), (ball, [(8, 42), (6, 40), (3, 15)])):
        runs = []
        for _ in range(2):
            found = session(model, image, box, fine_tuning=how)
            centre = [[n // 2 for n in truth.shape]]
            runs.append(found.add_scribbles(centre, [[b[0] for b in box]]))
        assert np.array_equal(*runs)
        assert runs[0][tuple(centre[0])] and not runs[0][tuple(b[0] for b in box)]
        assert dice(runs[0], truth) > 0.5
    assert Model(model.name, model.spec, model.weights).key == key


def test_impossible_fine_tuning_is_refused():
    with pytest.raises(UsageError, match="Fine-tuning needs"):
        FineTuning(steps=0)
    with pytest.raises(UsageError, match="'last' block or 'all'"):
        FineTuning(trainable="first")


def test_many_strokes_at_once_are_obeyed_and_undone(model, disc):
    image, truth = disc
    rows, columns = np.indices(truth.shape)
    lines = (rows % 6 == 3) & (abs(columns - 45) < 20) & (abs(rows - 45) < 20)
    found = session(model, image, [(22, 68), (22, 68)])
    before = found.mask
    mask = found.add_scribbles(lines & truth, lines & ~truth)
    assert mask[lines & truth].all() and not mask[lines & ~truth].any()
    assert dice(mask, truth) > 0.85
    assert np.array_equal(found.undo(), before)
