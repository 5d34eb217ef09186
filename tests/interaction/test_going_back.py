"""Going back in a session: redo, an eraser, another box; exact, and also where former states were dropped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from casewise.errors import UsageError
from casewise.image import Image
from casewise.interaction import InteractiveSegmentation
from casewise.interaction import session as own
from casewise.models import Model

Begin = Callable[..., InteractiveSegmentation]
BOX = [(15, 50), (15, 50)]
LINE = [[32, column] for column in range(28, 37)]
EDGE = [[18, 18], [18, 19]]
OUTSIDE = [[8, 30], [8, 31]]


@pytest.fixture
def image() -> Image:
    rows, columns = np.indices((64, 64))
    noise = np.random.default_rng(0).normal(0, 8, (64, 64))
    return Image((100 * (np.hypot(rows - 32, columns - 32) < 12) + noise).astype(np.float32)[None])


@pytest.fixture
def begin(image: Image, model: Model) -> Callable[..., InteractiveSegmentation]:
    return lambda box=BOX: InteractiveSegmentation(model, image, box, device="cpu")


def test_what_was_taken_back_is_done_again_exactly(begin: Begin) -> None:
    session = begin()
    masks = [session.mask, session.add_scribbles(LINE), session.add_scribbles(None, EDGE), session.add_scribbles(OUTSIDE)]
    for before in reversed(masks[:-1]):
        assert (session.undo() == before).all()
    for after in masks[1:]:
        assert (session.redo() == after).all()
    with pytest.raises(UsageError, match="nothing to do again"):
        session.redo()
    session.undo()
    session.add_scribbles(None, OUTSIDE)
    assert session.undone == 0


def test_what_is_erased_was_never_drawn(begin: Begin) -> None:
    session, without = begin(), begin()
    session.add_scribbles([*LINE, *EDGE])
    session.add_scribbles(OUTSIDE)  # makes the box larger
    session.add_scribbles(None, [[50, 50]])
    before = session.mask
    without.add_scribbles(LINE)
    without.add_scribbles(None, [[50, 50]])
    assert (session.erase([*EDGE, *OUTSIDE, [1, 1]]) == without.mask).all()
    assert session.box == without.box and session.rounds == 2
    assert [part.tolist() for part in session.strokes] == [part.tolist() for part in without.strokes]
    assert (session.undo() == before).all()
    assert (session.redo() == without.mask).all()


def test_erasing_what_nobody_drew_is_no_change(begin: Begin) -> None:
    session = begin()
    session.add_scribbles(LINE)
    steps, before = session.steps, session.mask
    assert (session.erase([[1, 1]]) == before).all() and session.steps == steps


def test_of_two_strokes_on_a_voxel_the_newer_counts(begin: Begin) -> None:
    session = begin()
    session.add_scribbles(LINE)
    session.add_scribbles(None, LINE[:2])
    foreground, background = session.strokes
    assert foreground.tolist() == LINE[2:] and background.tolist() == LINE[:2]


def test_another_box_begins_anew_and_can_be_taken_back(begin: Begin) -> None:
    session = begin()
    session.add_scribbles(LINE)
    before = session.mask
    other = begin([(10, 60), (10, 60)])
    assert (session.draw_box([(10, 60), (10, 60)]) == other.mask).all()
    assert (session.add_scribbles(LINE) == other.add_scribbles(LINE)).all()
    session.undo()
    assert (session.undo() == before).all()


def test_a_session_goes_on_from_its_file_after_all_of_this(begin: Begin, image: Image, model: Model, tmp_path: Path) -> None:
    session = begin()
    session.add_scribbles([*LINE, *EDGE])
    session.add_scribbles(None, [[50, 50]])
    session.erase(EDGE)
    erased = session.mask
    session.draw_box([(10, 60), (10, 60)])
    session.add_scribbles(LINE)
    session.save(tmp_path / "session.npz")
    resumed = InteractiveSegmentation.resume(tmp_path / "session.npz", model, image, device="cpu")
    assert (resumed.mask == session.mask).all()
    resumed.undo()
    assert (resumed.undo() == erased).all()
    assert resumed.steps == 3


def test_states_that_were_dropped_come_back_as_they_were(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = ((LINE, None), (None, EDGE), (OUTSIDE, None), (None, [[50, 50]]))
    kept = begin()
    masks = [kept.mask, *(kept.add_scribbles(*strokes) for strokes in rounds)]
    monkeypatch.setattr(own, "_HELD", 0)
    dropped = begin()
    for strokes in rounds:
        dropped.add_scribbles(*strokes)
    assert dropped.bytes < 0.7 * kept.bytes  # what all states share stays: the region, and the features of its image
    for before in reversed(masks[:-1]):
        assert (dropped.undo() == before).all()
    assert (dropped.erase(LINE) == dropped.mask).all()
