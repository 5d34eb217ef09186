"""A saved session goes on where it stopped, and what is no such session is refused."""

from __future__ import annotations

import numpy as np
import pytest

from casewise import Image, InteractiveSegmentation
from casewise.errors import UsageError
from casewise.models import Model


@pytest.fixture
def saved(model, disc, tmp_path):
    image, truth = disc
    session = InteractiveSegmentation(model, image, [(22, 68), (22, 68)], device="cpu")
    session.add_scribbles([[45, 45], [44, 45]], [[25, 25]])
    session.add_scribbles(None, [[30, 50]])
    session.add_object(mask=np.roll(truth, 3, axis=1))
    session.add_scribbles([[50, 50]], None)
    return session, session.save(tmp_path / "session.npz")


def test_resuming_gives_the_same_masks_and_undo(model, disc, saved):
    session, path = saved
    resumed = InteractiveSegmentation.resume(path, model, disc[0], device="cpu")
    assert np.array_equal(resumed.mask, session.mask)
    assert np.array_equal(resumed.labels, session.labels)
    for one in (session, resumed):
        one.select(0)
    assert np.array_equal(resumed.mask, session.mask)
    assert np.array_equal(resumed.undo(), session.undo())


def test_a_grown_object_is_resumed(model, ball, tmp_path):
    image, _ = ball
    session = InteractiveSegmentation(model, image, [(8, 42), (6, 40), (9, 10)], device="cpu")
    session.grow(2)
    session.add_scribbles([[25, 23, 9]], None)
    resumed = InteractiveSegmentation.resume(session.save(tmp_path / "s.npz"), model, image, device="cpu")
    assert np.array_equal(resumed.mask, session.mask)


def test_another_image_or_model_is_refused(model, disc, saved):
    _, path = saved
    with pytest.raises(UsageError, match="another image"):
        InteractiveSegmentation.resume(path, model, Image(disc[0].array + 1), device="cpu")
    with pytest.raises(UsageError, match="another model"):
        InteractiveSegmentation.resume(path, Model.initial("other", model.spec, seed=9), disc[0], device="cpu")


@pytest.mark.parametrize("damage", ["empty", "cut", "text", "pickle", "missing"])
def test_damaged_files_are_refused(model, disc, saved, damage, tmp_path):
    _, path = saved
    content = path.read_bytes()
    if damage == "pickle":
        np.savez(path, session=np.array([{"format": 1}], dtype=object))
    elif damage == "missing":
        path = tmp_path / "none.npz"
    else:
        path.write_bytes({"empty": b"", "cut": content[: len(content) // 2], "text": b"not a session"}[damage])
    with pytest.raises(UsageError, match="cannot be read as a saved session"):
        InteractiveSegmentation.resume(path, model, disc[0], device="cpu")


def test_a_file_with_a_damaged_byte_is_refused_or_the_same(model, disc, saved, tmp_path):
    """Also where the bytes cannot be unpacked any more, of which every library says something else."""
    session, path = saved
    content = path.read_bytes()
    for place in range(0, len(content), 29):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            resumed = InteractiveSegmentation.resume(path, model, disc[0], device="cpu")
        except UsageError:
            continue
        assert np.array_equal(resumed.labels, session.labels)


def test_a_place_that_cannot_be_written_is_named(model, disc, tmp_path):
    session = InteractiveSegmentation(model, disc[0], [(22, 68), (22, 68)], device="cpu")
    with pytest.raises(UsageError, match="cannot be written"):
        session.save(tmp_path / "no" / "such" / "folder.npz")
